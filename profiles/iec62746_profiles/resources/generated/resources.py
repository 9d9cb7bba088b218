from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from enum import Enum

from xsdata.models.datatype import XmlDateTime

__NAMESPACE__ = "urn:iec62746:resources:1"


class CapabilityKind(Enum):
    LOAD = "load"
    GENERATION = "generation"
    STORAGE = "storage"


@dataclass(frozen=True, slots=True, kw_only=True)
class DateTimeInterval:
    end: XmlDateTime = field(
        metadata={
            "type": "Element",
            "namespace": "urn:iec62746:resources:1",
        }
    )
    start: XmlDateTime = field(
        metadata={
            "type": "Element",
            "namespace": "urn:iec62746:resources:1",
        }
    )


class EnergyUnit(Enum):
    WH = "Wh"


class PowerUnit(Enum):
    W = "W"


class ResourceKind(Enum):
    PHYSICAL = "physical"
    VIRTUAL = "virtual"


class UnitMultiplier(Enum):
    NONE = "none"
    K = "k"
    M = "M"
    G = "G"


@dataclass(frozen=True, slots=True, kw_only=True)
class Energy:
    value: Decimal = field(
        metadata={
            "min_exclusive": Decimal("0"),
            "total_digits": 18,
        }
    )
    multiplier: UnitMultiplier = field(
        metadata={
            "type": "Attribute",
        }
    )
    unit: EnergyUnit = field(
        metadata={
            "type": "Attribute",
        }
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Power:
    value: Decimal = field(
        metadata={
            "total_digits": 18,
        }
    )
    multiplier: UnitMultiplier = field(
        metadata={
            "type": "Attribute",
        }
    )
    unit: PowerUnit = field(
        metadata={
            "type": "Attribute",
        }
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Capability:
    kind: CapabilityKind = field(
        metadata={
            "type": "Element",
            "namespace": "urn:iec62746:resources:1",
        }
    )
    minimum_power: Power = field(
        metadata={
            "name": "minimumPower",
            "type": "Element",
            "namespace": "urn:iec62746:resources:1",
        }
    )
    maximum_power: Power = field(
        metadata={
            "name": "maximumPower",
            "type": "Element",
            "namespace": "urn:iec62746:resources:1",
        }
    )
    energy_capacity: None | Energy = field(
        default=None,
        metadata={
            "name": "energyCapacity",
            "type": "Element",
            "namespace": "urn:iec62746:resources:1",
        },
    )
    response_time: None | Decimal = field(
        default=None,
        metadata={
            "name": "responseTime",
            "type": "Element",
            "namespace": "urn:iec62746:resources:1",
            "min_inclusive": Decimal("0"),
            "total_digits": 18,
        },
    )
    interval: tuple[DateTimeInterval, ...] = field(
        default_factory=tuple,
        metadata={
            "type": "Element",
            "namespace": "urn:iec62746:resources:1",
        },
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    mrid: str = field(
        metadata={
            "name": "mRID",
            "type": "Element",
            "namespace": "urn:iec62746:resources:1",
            "min_length": 1,
        }
    )
    name: None | str = field(
        default=None,
        metadata={
            "type": "Element",
            "namespace": "urn:iec62746:resources:1",
            "min_length": 1,
        },
    )
    kind: ResourceKind = field(
        metadata={
            "type": "Element",
            "namespace": "urn:iec62746:resources:1",
        }
    )
    capability: tuple[Capability, ...] = field(
        default_factory=tuple,
        metadata={
            "name": "Capability",
            "type": "Element",
            "namespace": "urn:iec62746:resources:1",
            "min_occurs": 1,
        },
    )
    member: tuple[str, ...] = field(
        default_factory=tuple,
        metadata={
            "type": "Element",
            "namespace": "urn:iec62746:resources:1",
            "min_length": 1,
        },
    )
    market: tuple[str, ...] = field(
        default_factory=tuple,
        metadata={
            "type": "Element",
            "namespace": "urn:iec62746:resources:1",
            "min_length": 1,
        },
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    class Meta:
        namespace = "urn:iec62746:resources:1"

    resource: tuple[Resource, ...] = field(
        default_factory=tuple,
        metadata={
            "name": "Resource",
            "type": "Element",
        },
    )
