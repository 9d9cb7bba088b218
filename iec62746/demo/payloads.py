"""The payloads of the demo: typed, by the profiles in the box; the price is XML of nobody's profile (62746-3, 5.3)."""

from datetime import UTC, datetime
from decimal import Decimal

from iec62746_profiles.control_types import DeviceType, Domain, EndDeviceControlType, EventOrAction, SubDomain
from iec62746_profiles.end_device_controls import models as controls
from iec62746_profiles.end_device_events import models as events
from iec62746_profiles.intervals import to_xml
from iec62746_profiles.meter_readings import models as readings
from iec62746_profiles.quantities import UnitMultiplier, UnitSymbol
from iec62746_profiles.reading_types import (
    UNIT_CODES,
    Accumulation,
    Commodity,
    FlowDirection,
    MeasurementKind,
    ReadingType,
)
from iec62746_profiles.resources import models as resources

# The demo says the same each time that it runs.
_NOW = to_xml(datetime(2026, 6, 1, 12, tzinfo=UTC))
_REDUCE = EndDeviceControlType(
    device_type=DeviceType.DEMAND_RESPONSE_DEVICE,
    domain=Domain.LOAD_CONTROL,
    sub_domain=SubDomain.PROGRAM,
    event_or_action=EventOrAction.ACTIVATED,
)
_CHANGED = EndDeviceControlType(domain=Domain.POWER, event_or_action=EventOrAction.CHANGED)
_NET_POWER = ReadingType(
    accumulation=Accumulation.INDICATING,
    flow_direction=FlowDirection.NET,
    commodity=Commodity.ELECTRICITY_SECONDARY_METERED,
    measurement_kind=MeasurementKind.POWER,
    multiplier=UnitMultiplier.K.exponent,
    unit=UNIT_CODES[UnitSymbol.W],
)


def price(euro_per_mwh: float) -> str:
    """Return a price for the next hour."""
    return (
        f'<MarketPrices xmlns="urn:iec62746:demo:MarketPrices"><price unit="EUR/MWh">{euro_per_mwh:.2f}</price>'
        "<hours>1</hours></MarketPrices>"
    )


def control(device: str, level: int) -> controls.EndDeviceControls:
    """Return a demand response event for `device`: reduce by `level`, 0 to 15."""
    return controls.EndDeviceControls(
        end_device_control=(
            controls.EndDeviceControl(
                dr_program_level=level,
                end_device_control_type=controls.ControlTypeReference(ref=str(_REDUCE)),
                end_devices=(controls.EndDevice(names=(controls.Name(name=device),)),),
            ),
        )
    )


def reading(device: str, kilowatt: float) -> readings.MeterReadings:
    """Return one reading of `device`: positive consumes, negative generates (62746-3, 3.1.16)."""
    one = readings.Reading(
        time_stamp=_NOW,
        value=Decimal(f"{kilowatt:.1f}"),
        reading_type=readings.ReadingTypeReference(ref=str(_NET_POWER)),
    )
    meter = readings.Meter(names=(readings.Name(name=device),))
    return readings.MeterReadings(meter_reading=(readings.MeterReading(meter=meter, readings=(one,)),))


def event(device: str, reason: str) -> events.EndDeviceEvents:
    """Return an event of `device`."""
    return events.EndDeviceEvents(
        end_device_event=(
            events.EndDeviceEvent(
                created_date_time=_NOW,
                reason=reason,
                assets=events.Asset(names=(events.Name(name=device),)),
                end_device_event_type=events.EventTypeReference(ref=str(_CHANGED)),
            ),
        )
    )


def resource(name: str, kilowatt: float) -> resources.Resources:
    """Return what the storage `name` can do, in both directions (62746-3, 3.1.16)."""
    most = Decimal(f"{kilowatt:.1f}")
    return resources.Resources(
        resource=(
            resources.Resource(
                mrid=name,
                kind=resources.ResourceKind.PHYSICAL,
                capability=(
                    resources.Capability(
                        kind=resources.CapabilityKind.STORAGE, minimum_power=_power(-most), maximum_power=_power(most)
                    ),
                ),
            ),
        )
    )


def _power(kilowatt: Decimal) -> resources.Power:
    return resources.Power(value=kilowatt, multiplier=resources.UnitMultiplier.K, unit=resources.PowerUnit.W)
