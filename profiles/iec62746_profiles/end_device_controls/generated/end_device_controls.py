from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from enum import Enum

from xsdata.models.datatype import XmlDateTime

__NAMESPACE__ = "http://iec.ch/TC57/2011/EndDeviceControls#"


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlTypeReference:
    ref: str = field(
        metadata={
            "type": "Attribute",
        }
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlledAppliance:
    is_electric_vehicle: None | bool = field(
        default=None,
        metadata={
            "name": "isElectricVehicle",
            "type": "Element",
            "namespace": "http://iec.ch/TC57/2011/EndDeviceControls#",
        },
    )
    is_exterior_lighting: None | bool = field(
        default=None,
        metadata={
            "name": "isExteriorLighting",
            "type": "Element",
            "namespace": "http://iec.ch/TC57/2011/EndDeviceControls#",
        },
    )
    is_generation_system: None | bool = field(
        default=None,
        metadata={
            "name": "isGenerationSystem",
            "type": "Element",
            "namespace": "http://iec.ch/TC57/2011/EndDeviceControls#",
        },
    )
    is_hvac_compressor_or_furnace: None | bool = field(
        default=None,
        metadata={
            "name": "isHvacCompressorOrFurnace",
            "type": "Element",
            "namespace": "http://iec.ch/TC57/2011/EndDeviceControls#",
        },
    )
    is_interior_lighting: None | bool = field(
        default=None,
        metadata={
            "name": "isInteriorLighting",
            "type": "Element",
            "namespace": "http://iec.ch/TC57/2011/EndDeviceControls#",
        },
    )
    is_irrigation_pump: None | bool = field(
        default=None,
        metadata={
            "name": "isIrrigationPump",
            "type": "Element",
            "namespace": "http://iec.ch/TC57/2011/EndDeviceControls#",
        },
    )
    is_managed_commercial_industrial_load: None | bool = field(
        default=None,
        metadata={
            "name": "isManagedCommercialIndustrialLoad",
            "type": "Element",
            "namespace": "http://iec.ch/TC57/2011/EndDeviceControls#",
        },
    )
    is_pool_pump_spa_jacuzzi: None | bool = field(
        default=None,
        metadata={
            "name": "isPoolPumpSpaJacuzzi",
            "type": "Element",
            "namespace": "http://iec.ch/TC57/2011/EndDeviceControls#",
        },
    )
    is_simple_misc_load: None | bool = field(
        default=None,
        metadata={
            "name": "isSimpleMiscLoad",
            "type": "Element",
            "namespace": "http://iec.ch/TC57/2011/EndDeviceControls#",
        },
    )
    is_smart_appliance: None | bool = field(
        default=None,
        metadata={
            "name": "isSmartAppliance",
            "type": "Element",
            "namespace": "http://iec.ch/TC57/2011/EndDeviceControls#",
        },
    )
    is_strip_and_baseboard_heater: None | bool = field(
        default=None,
        metadata={
            "name": "isStripAndBaseboardHeater",
            "type": "Element",
            "namespace": "http://iec.ch/TC57/2011/EndDeviceControls#",
        },
    )
    is_water_heater: None | bool = field(
        default=None,
        metadata={
            "name": "isWaterHeater",
            "type": "Element",
            "namespace": "http://iec.ch/TC57/2011/EndDeviceControls#",
        },
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class DateTimeInterval:
    end: None | XmlDateTime = field(
        default=None,
        metadata={
            "type": "Element",
            "namespace": "http://iec.ch/TC57/2011/EndDeviceControls#",
        },
    )
    start: XmlDateTime = field(
        metadata={
            "type": "Element",
            "namespace": "http://iec.ch/TC57/2011/EndDeviceControls#",
        }
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class NameTypeAuthority:
    description: None | str = field(
        default=None,
        metadata={
            "type": "Element",
            "namespace": "http://iec.ch/TC57/2011/EndDeviceControls#",
            "min_length": 1,
        },
    )
    name: str = field(
        metadata={
            "type": "Element",
            "namespace": "http://iec.ch/TC57/2011/EndDeviceControls#",
            "min_length": 1,
        }
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PanPricingDetail:
    alternate_cost_delivered: None | Decimal = field(
        default=None,
        metadata={
            "name": "alternateCostDelivered",
            "type": "Element",
            "namespace": "http://iec.ch/TC57/2011/EndDeviceControls#",
            "total_digits": 18,
        },
    )
    alternate_cost_unit: None | str = field(
        default=None,
        metadata={
            "name": "alternateCostUnit",
            "type": "Element",
            "namespace": "http://iec.ch/TC57/2011/EndDeviceControls#",
            "min_length": 1,
        },
    )
    generation_price: None | Decimal = field(
        default=None,
        metadata={
            "name": "generationPrice",
            "type": "Element",
            "namespace": "http://iec.ch/TC57/2011/EndDeviceControls#",
            "total_digits": 18,
        },
    )
    generation_price_ratio: None | Decimal = field(
        default=None,
        metadata={
            "name": "generationPriceRatio",
            "type": "Element",
            "namespace": "http://iec.ch/TC57/2011/EndDeviceControls#",
            "total_digits": 18,
        },
    )
    price: None | Decimal = field(
        default=None,
        metadata={
            "type": "Element",
            "namespace": "http://iec.ch/TC57/2011/EndDeviceControls#",
            "total_digits": 18,
        },
    )
    price_ratio: None | Decimal = field(
        default=None,
        metadata={
            "name": "priceRatio",
            "type": "Element",
            "namespace": "http://iec.ch/TC57/2011/EndDeviceControls#",
            "total_digits": 18,
        },
    )
    price_tier: None | int = field(
        default=None,
        metadata={
            "name": "priceTier",
            "type": "Element",
            "namespace": "http://iec.ch/TC57/2011/EndDeviceControls#",
        },
    )
    price_tier_count: None | int = field(
        default=None,
        metadata={
            "name": "priceTierCount",
            "type": "Element",
            "namespace": "http://iec.ch/TC57/2011/EndDeviceControls#",
        },
    )
    price_tier_label: None | str = field(
        default=None,
        metadata={
            "name": "priceTierLabel",
            "type": "Element",
            "namespace": "http://iec.ch/TC57/2011/EndDeviceControls#",
            "min_length": 1,
        },
    )
    rate_label: None | str = field(
        default=None,
        metadata={
            "name": "rateLabel",
            "type": "Element",
            "namespace": "http://iec.ch/TC57/2011/EndDeviceControls#",
            "min_length": 1,
        },
    )
    register_tier: None | str = field(
        default=None,
        metadata={
            "name": "registerTier",
            "type": "Element",
            "namespace": "http://iec.ch/TC57/2011/EndDeviceControls#",
            "min_length": 1,
        },
    )
    unit_of_measure: str = field(
        metadata={
            "name": "unitOfMeasure",
            "type": "Element",
            "namespace": "http://iec.ch/TC57/2011/EndDeviceControls#",
            "min_length": 1,
        }
    )


class RandomisationKind(Enum):
    DEFAULT = "default"
    END = "end"
    NONE = "none"
    START = "start"
    START_AND_END = "startAndEnd"


@dataclass(frozen=True, slots=True, kw_only=True)
class EndDeviceTiming:
    duration: None | Decimal = field(
        default=None,
        metadata={
            "type": "Element",
            "namespace": "http://iec.ch/TC57/2011/EndDeviceControls#",
            "min_inclusive": Decimal("0"),
            "total_digits": 18,
        },
    )
    duration_indefinite: None | bool = field(
        default=None,
        metadata={
            "name": "durationIndefinite",
            "type": "Element",
            "namespace": "http://iec.ch/TC57/2011/EndDeviceControls#",
        },
    )
    randomisation: RandomisationKind = field(
        metadata={
            "type": "Element",
            "namespace": "http://iec.ch/TC57/2011/EndDeviceControls#",
        }
    )
    interval: None | DateTimeInterval = field(
        default=None,
        metadata={
            "type": "Element",
            "namespace": "http://iec.ch/TC57/2011/EndDeviceControls#",
        },
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class NameType:
    description: None | str = field(
        default=None,
        metadata={
            "type": "Element",
            "namespace": "http://iec.ch/TC57/2011/EndDeviceControls#",
            "min_length": 1,
        },
    )
    name: str = field(
        metadata={
            "type": "Element",
            "namespace": "http://iec.ch/TC57/2011/EndDeviceControls#",
            "min_length": 1,
        }
    )
    name_type_authority: None | NameTypeAuthority = field(
        default=None,
        metadata={
            "name": "NameTypeAuthority",
            "type": "Element",
            "namespace": "http://iec.ch/TC57/2011/EndDeviceControls#",
        },
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PanDemandResponse:
    avg_load_adjustment: None | Decimal = field(
        default=None,
        metadata={
            "name": "avgLoadAdjustment",
            "type": "Element",
            "namespace": "http://iec.ch/TC57/2011/EndDeviceControls#",
            "min_inclusive": Decimal("-100"),
            "max_inclusive": Decimal("100"),
            "total_digits": 18,
        },
    )
    cancel_control_mode: None | str = field(
        default=None,
        metadata={
            "name": "cancelControlMode",
            "type": "Element",
            "namespace": "http://iec.ch/TC57/2011/EndDeviceControls#",
            "min_length": 1,
        },
    )
    cancel_date_time: None | XmlDateTime = field(
        default=None,
        metadata={
            "name": "cancelDateTime",
            "type": "Element",
            "namespace": "http://iec.ch/TC57/2011/EndDeviceControls#",
        },
    )
    cancel_now: None | bool = field(
        default=None,
        metadata={
            "name": "cancelNow",
            "type": "Element",
            "namespace": "http://iec.ch/TC57/2011/EndDeviceControls#",
        },
    )
    command: str = field(
        metadata={
            "type": "Element",
            "namespace": "http://iec.ch/TC57/2011/EndDeviceControls#",
            "min_length": 1,
        }
    )
    cooling_offset: None | Decimal = field(
        default=None,
        metadata={
            "name": "coolingOffset",
            "type": "Element",
            "namespace": "http://iec.ch/TC57/2011/EndDeviceControls#",
            "min_inclusive": Decimal("-273.15"),
            "max_inclusive": Decimal("1000"),
            "total_digits": 18,
        },
    )
    cooling_setpoint: None | Decimal = field(
        default=None,
        metadata={
            "name": "coolingSetpoint",
            "type": "Element",
            "namespace": "http://iec.ch/TC57/2011/EndDeviceControls#",
            "min_inclusive": Decimal("-273.15"),
            "max_inclusive": Decimal("1000"),
            "total_digits": 18,
        },
    )
    criticality_level: None | str = field(
        default=None,
        metadata={
            "name": "criticalityLevel",
            "type": "Element",
            "namespace": "http://iec.ch/TC57/2011/EndDeviceControls#",
            "min_length": 1,
        },
    )
    duration: None | Decimal = field(
        default=None,
        metadata={
            "type": "Element",
            "namespace": "http://iec.ch/TC57/2011/EndDeviceControls#",
            "min_inclusive": Decimal("0"),
            "total_digits": 18,
        },
    )
    duration_indefinite: None | bool = field(
        default=None,
        metadata={
            "name": "durationIndefinite",
            "type": "Element",
            "namespace": "http://iec.ch/TC57/2011/EndDeviceControls#",
        },
    )
    duty_cycle: None | Decimal = field(
        default=None,
        metadata={
            "name": "dutyCycle",
            "type": "Element",
            "namespace": "http://iec.ch/TC57/2011/EndDeviceControls#",
            "min_inclusive": Decimal("0"),
            "max_inclusive": Decimal("100"),
            "total_digits": 18,
        },
    )
    enrollment_group: None | str = field(
        default=None,
        metadata={
            "name": "enrollmentGroup",
            "type": "Element",
            "namespace": "http://iec.ch/TC57/2011/EndDeviceControls#",
            "min_length": 1,
        },
    )
    heating_offset: None | Decimal = field(
        default=None,
        metadata={
            "name": "heatingOffset",
            "type": "Element",
            "namespace": "http://iec.ch/TC57/2011/EndDeviceControls#",
            "min_inclusive": Decimal("-273.15"),
            "max_inclusive": Decimal("1000"),
            "total_digits": 18,
        },
    )
    heating_setpoint: None | Decimal = field(
        default=None,
        metadata={
            "name": "heatingSetpoint",
            "type": "Element",
            "namespace": "http://iec.ch/TC57/2011/EndDeviceControls#",
            "min_inclusive": Decimal("-273.15"),
            "max_inclusive": Decimal("1000"),
            "total_digits": 18,
        },
    )
    start_date_time: XmlDateTime = field(
        metadata={
            "name": "startDateTime",
            "type": "Element",
            "namespace": "http://iec.ch/TC57/2011/EndDeviceControls#",
        }
    )
    appliance: None | ControlledAppliance = field(
        default=None,
        metadata={
            "type": "Element",
            "namespace": "http://iec.ch/TC57/2011/EndDeviceControls#",
        },
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PanPricing:
    command: str = field(
        metadata={
            "type": "Element",
            "namespace": "http://iec.ch/TC57/2011/EndDeviceControls#",
            "min_length": 1,
        }
    )
    duration: None | Decimal = field(
        default=None,
        metadata={
            "type": "Element",
            "namespace": "http://iec.ch/TC57/2011/EndDeviceControls#",
            "min_inclusive": Decimal("0"),
            "total_digits": 18,
        },
    )
    duration_indefinite: None | bool = field(
        default=None,
        metadata={
            "name": "durationIndefinite",
            "type": "Element",
            "namespace": "http://iec.ch/TC57/2011/EndDeviceControls#",
        },
    )
    provider_id: None | int = field(
        default=None,
        metadata={
            "name": "providerID",
            "type": "Element",
            "namespace": "http://iec.ch/TC57/2011/EndDeviceControls#",
        },
    )
    start_date_time: XmlDateTime = field(
        metadata={
            "name": "startDateTime",
            "type": "Element",
            "namespace": "http://iec.ch/TC57/2011/EndDeviceControls#",
        }
    )
    pan_pricing_details: tuple[PanPricingDetail, ...] = field(
        default_factory=tuple,
        metadata={
            "name": "PanPricingDetails",
            "type": "Element",
            "namespace": "http://iec.ch/TC57/2011/EndDeviceControls#",
            "min_occurs": 1,
        },
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Name:
    name: str = field(
        metadata={
            "type": "Element",
            "namespace": "http://iec.ch/TC57/2011/EndDeviceControls#",
            "min_length": 1,
        }
    )
    name_type: None | NameType = field(
        default=None,
        metadata={
            "name": "NameType",
            "type": "Element",
            "namespace": "http://iec.ch/TC57/2011/EndDeviceControls#",
        },
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class EndDevice:
    mrid: None | str = field(
        default=None,
        metadata={
            "name": "mRID",
            "type": "Element",
            "namespace": "http://iec.ch/TC57/2011/EndDeviceControls#",
        },
    )
    names: tuple[Name, ...] = field(
        default_factory=tuple,
        metadata={
            "name": "Names",
            "type": "Element",
            "namespace": "http://iec.ch/TC57/2011/EndDeviceControls#",
        },
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class EndDeviceGroup:
    mrid: None | str = field(
        default=None,
        metadata={
            "name": "mRID",
            "type": "Element",
            "namespace": "http://iec.ch/TC57/2011/EndDeviceControls#",
        },
    )
    names: tuple[Name, ...] = field(
        default_factory=tuple,
        metadata={
            "name": "Names",
            "type": "Element",
            "namespace": "http://iec.ch/TC57/2011/EndDeviceControls#",
        },
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class UsagePoint:
    mrid: None | str = field(
        default=None,
        metadata={
            "name": "mRID",
            "type": "Element",
            "namespace": "http://iec.ch/TC57/2011/EndDeviceControls#",
        },
    )
    names: tuple[Name, ...] = field(
        default_factory=tuple,
        metadata={
            "name": "Names",
            "type": "Element",
            "namespace": "http://iec.ch/TC57/2011/EndDeviceControls#",
        },
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class UsagePointGroup:
    mrid: None | str = field(
        default=None,
        metadata={
            "name": "mRID",
            "type": "Element",
            "namespace": "http://iec.ch/TC57/2011/EndDeviceControls#",
        },
    )
    names: tuple[Name, ...] = field(
        default_factory=tuple,
        metadata={
            "name": "Names",
            "type": "Element",
            "namespace": "http://iec.ch/TC57/2011/EndDeviceControls#",
        },
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class EndDeviceControl:
    mrid: None | str = field(
        default=None,
        metadata={
            "name": "mRID",
            "type": "Element",
            "namespace": "http://iec.ch/TC57/2011/EndDeviceControls#",
        },
    )
    dr_program_level: None | int = field(
        default=None,
        metadata={
            "name": "drProgramLevel",
            "type": "Element",
            "namespace": "http://iec.ch/TC57/2011/EndDeviceControls#",
        },
    )
    dr_program_mandatory: None | bool = field(
        default=None,
        metadata={
            "name": "drProgramMandatory",
            "type": "Element",
            "namespace": "http://iec.ch/TC57/2011/EndDeviceControls#",
        },
    )
    issuer_id: None | str = field(
        default=None,
        metadata={
            "name": "issuerID",
            "type": "Element",
            "namespace": "http://iec.ch/TC57/2011/EndDeviceControls#",
            "min_length": 1,
        },
    )
    issuer_tracking_id: None | str = field(
        default=None,
        metadata={
            "name": "issuerTrackingID",
            "type": "Element",
            "namespace": "http://iec.ch/TC57/2011/EndDeviceControls#",
            "min_length": 1,
        },
    )
    price_signal: None | Decimal = field(
        default=None,
        metadata={
            "name": "priceSignal",
            "type": "Element",
            "namespace": "http://iec.ch/TC57/2011/EndDeviceControls#",
            "total_digits": 18,
        },
    )
    reason: None | str = field(
        default=None,
        metadata={
            "type": "Element",
            "namespace": "http://iec.ch/TC57/2011/EndDeviceControls#",
            "min_length": 1,
        },
    )
    pan_demand_response: None | PanDemandResponse = field(
        default=None,
        metadata={
            "name": "PanDemandResponse",
            "type": "Element",
            "namespace": "http://iec.ch/TC57/2011/EndDeviceControls#",
        },
    )
    pan_pricing: None | PanPricing = field(
        default=None,
        metadata={
            "name": "PanPricing",
            "type": "Element",
            "namespace": "http://iec.ch/TC57/2011/EndDeviceControls#",
        },
    )
    end_device_control_type: ControlTypeReference = field(
        metadata={
            "name": "EndDeviceControlType",
            "type": "Element",
            "namespace": "http://iec.ch/TC57/2011/EndDeviceControls#",
        }
    )
    end_device_groups: tuple[EndDeviceGroup, ...] = field(
        default_factory=tuple,
        metadata={
            "name": "EndDeviceGroups",
            "type": "Element",
            "namespace": "http://iec.ch/TC57/2011/EndDeviceControls#",
        },
    )
    end_devices: tuple[EndDevice, ...] = field(
        default_factory=tuple,
        metadata={
            "name": "EndDevices",
            "type": "Element",
            "namespace": "http://iec.ch/TC57/2011/EndDeviceControls#",
        },
    )
    primary_device_timing: None | EndDeviceTiming = field(
        default=None,
        metadata={
            "name": "primaryDeviceTiming",
            "type": "Element",
            "namespace": "http://iec.ch/TC57/2011/EndDeviceControls#",
        },
    )
    secondary_device_timing: None | EndDeviceTiming = field(
        default=None,
        metadata={
            "name": "secondaryDeviceTiming",
            "type": "Element",
            "namespace": "http://iec.ch/TC57/2011/EndDeviceControls#",
        },
    )
    usage_point_groups: tuple[UsagePointGroup, ...] = field(
        default_factory=tuple,
        metadata={
            "name": "UsagePointGroups",
            "type": "Element",
            "namespace": "http://iec.ch/TC57/2011/EndDeviceControls#",
        },
    )
    usage_points: tuple[UsagePoint, ...] = field(
        default_factory=tuple,
        metadata={
            "name": "UsagePoints",
            "type": "Element",
            "namespace": "http://iec.ch/TC57/2011/EndDeviceControls#",
        },
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class EndDeviceControls:
    class Meta:
        namespace = "http://iec.ch/TC57/2011/EndDeviceControls#"

    end_device_control: tuple[EndDeviceControl, ...] = field(
        default_factory=tuple,
        metadata={
            "name": "EndDeviceControl",
            "type": "Element",
        },
    )
