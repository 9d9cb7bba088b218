from .nodes import Nodes
from .presence import (
    Presence,
    PresenceState,
)
from .resources import (
    Capability,
    CapabilityKind,
    DateTimeInterval,
    Energy,
    EnergyUnit,
    Power,
    PowerUnit,
    Resource,
    ResourceKind,
    Resources,
    UnitMultiplier,
)

__all__ = [
    "Nodes",
    "Presence",
    "PresenceState",
    "Capability",
    "CapabilityKind",
    "DateTimeInterval",
    "Energy",
    "EnergyUnit",
    "Power",
    "PowerUnit",
    "Resource",
    "ResourceKind",
    "Resources",
    "UnitMultiplier",
]
