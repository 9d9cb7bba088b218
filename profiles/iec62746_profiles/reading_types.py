"""Reading types: what a number of a meter means, in eighteen fields (IEC 61968-9, annex on reading types).

Codes that stand in no list here are legal: the lists name those that demand response needs.
"""

import re
from dataclasses import astuple, dataclass, fields
from decimal import Decimal
from enum import IntEnum

from iec62746_profiles.quantities import Quantity, UnitMultiplier, UnitSymbol

_CODE = re.compile(r"(?:[0-9]{1,5}\.){15}-?[0-9]{1,2}\.[0-9]{1,5}\.[0-9]{1,3}")
_HIGHEST = 99_999
_LAST_CURRENCY = 999


class MacroPeriod(IntEnum):
    """The long period that it belongs to."""

    NOT_APPLICABLE = 0
    BILLING_PERIOD = 8
    DAILY = 11
    MONTHLY = 13
    SEASONAL = 22
    WEEKLY = 24
    SPECIFIED_PERIOD = 32


class Aggregate(IntEnum):
    """How several values became one."""

    NOT_APPLICABLE = 0
    AVERAGE = 2
    EXCESS = 4
    HIGH_THRESHOLD = 5
    LOW_THRESHOLD = 7
    MAXIMUM = 8
    MINIMUM = 9
    NOMINAL = 11
    NORMAL = 12
    SECOND_MAXIMUM = 16
    SECOND_MINIMUM = 17
    SUM = 26
    HIGH = 27
    LOW = 28


class MeasuringPeriod(IntEnum):
    """The interval of a series."""

    NOT_APPLICABLE = 0
    MINUTES_10 = 1
    MINUTES_15 = 2
    MINUTE_1 = 3
    HOURS_24 = 4
    MINUTES_30 = 5
    MINUTES_5 = 6
    MINUTES_60 = 7
    MINUTES_2 = 10
    MINUTES_3 = 14
    PRESENT = 15
    PREVIOUS = 16
    MINUTES_20 = 31


class Accumulation(IntEnum):
    """How the value grows."""

    NOT_APPLICABLE = 0
    BULK_QUANTITY = 1
    CONTINUOUS_CUMULATIVE = 2
    CUMULATIVE = 3
    DELTA_DATA = 4
    INDICATING = 6
    SUMMATION = 9
    TIME_DELAY = 10
    INSTANTANEOUS = 12
    LATCHING_QUANTITY = 13
    BOUNDED_QUANTITY = 14


class FlowDirection(IntEnum):
    """Which way it flows: forward is to the customer."""

    NOT_APPLICABLE = 0
    FORWARD = 1
    LAGGING = 2
    LEADING = 3
    NET = 4
    REVERSE = 19
    TOTAL = 20
    TOTAL_BY_PHASE = 21


class Commodity(IntEnum):
    """What flows."""

    NOT_APPLICABLE = 0
    ELECTRICITY_SECONDARY_METERED = 1
    ELECTRICITY_PRIMARY_METERED = 2
    COMMUNICATION = 3
    AIR = 4
    NATURAL_GAS = 7
    PROPANE = 8
    POTABLE_WATER = 9
    STEAM = 10
    WASTE_WATER = 11
    HEATING_FLUID = 12
    COOLING_FLUID = 13
    CO2 = 18
    HYDROGEN = 26


class MeasurementKind(IntEnum):
    """What was measured."""

    NOT_APPLICABLE = 0
    CURRENCY = 3
    CURRENT = 4
    DATE = 7
    DEMAND = 8
    ENERGY = 12
    FREQUENCY = 15
    LINE_LOSSES = 31
    LOSSES = 32
    POWER = 37
    POWER_FACTOR = 38
    SWITCH_POSITION = 43
    TARIFF_RATE = 45
    TEMPERATURE = 46
    VOLUME = 58
    DEMAND_LIMIT = 121
    EMERGENCY_LIMIT = 124
    VOLTAGE = 158


UNITS = {
    0: UnitSymbol.NONE,
    5: UnitSymbol.A,
    23: UnitSymbol.DEG_C,
    27: UnitSymbol.S,
    29: UnitSymbol.V,
    30: UnitSymbol.OHM,
    31: UnitSymbol.J,
    33: UnitSymbol.HZ,
    38: UnitSymbol.W,
    39: UnitSymbol.PA,
    42: UnitSymbol.M3,
    61: UnitSymbol.VA,
    63: UnitSymbol.VAR,
    71: UnitSymbol.VAH,
    72: UnitSymbol.WH,
    73: UnitSymbol.VARH,
}
"""The units by their codes in the seventeenth field."""
UNIT_CODES = {unit: code for code, unit in UNITS.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingType:
    """The eighteen fields in their order; raises `ValueError` for what no reading type can have.

    `multiplier` is a power of ten, `currency` a number of ISO 4217.
    """

    macro_period: int = MacroPeriod.NOT_APPLICABLE
    aggregate: int = Aggregate.NOT_APPLICABLE
    measuring_period: int = MeasuringPeriod.NOT_APPLICABLE
    accumulation: int = Accumulation.NOT_APPLICABLE
    flow_direction: int = FlowDirection.NOT_APPLICABLE
    commodity: int = Commodity.NOT_APPLICABLE
    measurement_kind: int = MeasurementKind.NOT_APPLICABLE
    interharmonic_numerator: int = 0
    interharmonic_denominator: int = 0
    argument_numerator: int = 0
    argument_denominator: int = 0
    tou: int = 0
    cpp: int = 0
    consumption_tier: int = 0
    phases: int = 0
    multiplier: int = 0
    unit: int = 0
    currency: int = 0

    def __post_init__(self) -> None:
        """Check each field."""
        for field in fields(self):
            self._check(field.name, getattr(self, field.name))
        for fraction in ("interharmonic", "argument"):
            if getattr(self, f"{fraction}_numerator") and not getattr(self, f"{fraction}_denominator"):
                raise ValueError(f"{fraction} is a fraction over zero")

    def _check(self, name: str, value: int) -> None:
        if name == "multiplier":
            UnitMultiplier.of_exponent(value)
        elif not 0 <= value <= (_LAST_CURRENCY if name == "currency" else _HIGHEST):
            raise ValueError(f"{name} of a reading type cannot be {value}")

    @classmethod
    def parse(cls, code: str) -> "ReadingType":
        """Return what `code` says, such as 0.0.2.4.1.1.12.0.0.0.0.0.0.0.0.3.72.0; raises `ValueError`."""
        if not _CODE.fullmatch(code):
            raise ValueError(f"{code!r} is no reading type: write eighteen numbers with dots between them")
        return cls(**dict(zip((field.name for field in fields(cls)), map(int, code.split(".")), strict=True)))

    def quantity(self, value: Decimal) -> Quantity:
        """Return `value`, a reading of this type, with its unit; raises `ValueError` for one that is not in `UNITS`."""
        if self.unit not in UNITS:
            raise ValueError(f"unit {self.unit} has no name here: see UNITS")
        return Quantity(value, UNITS[self.unit], UnitMultiplier.of_exponent(self.multiplier))

    def net_load(self, value: Decimal) -> Quantity:
        """Return `value` as net load: forward consumes and is positive, reverse is negative (62746-3, 3.1.16).

        Raises `ValueError` if the direction does not say which.
        """
        if self.flow_direction not in _SIGNS:
            raise ValueError(f"flow direction {self.flow_direction} says neither consumption nor generation")
        quantity = self.quantity(value)
        return -quantity if _SIGNS[self.flow_direction] < 0 else quantity

    def __str__(self) -> str:
        """Return the code, as `ref` takes it."""
        return ".".join(str(int(part)) for part in astuple(self))


_SIGNS: dict[int, int] = {FlowDirection.FORWARD: 1, FlowDirection.NET: 1, FlowDirection.REVERSE: -1}
