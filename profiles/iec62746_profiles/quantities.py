"""Values with a unit and a multiplier, as CIM names them (IEC 61970-301, Domain), and the sign of net load."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import Enum, StrEnum
from typing import Protocol


class UnitSymbol(StrEnum):
    """Units that demand response and metering need."""

    NONE = "none"
    A = "A"
    DEG_C = "degC"
    HZ = "Hz"
    J = "J"
    M3 = "m3"
    OHM = "ohm"
    PA = "Pa"
    S = "s"
    V = "V"
    VA = "VA"
    VAH = "VAh"
    VAR = "VAr"
    VARH = "VArh"
    W = "W"
    WH = "Wh"


class UnitMultiplier(StrEnum):
    """Powers of ten."""

    Y_SMALL = "y"
    Z_SMALL = "z"
    A = "a"
    F = "f"
    P_SMALL = "p"
    N = "n"
    MICRO = "micro"
    M_SMALL = "m"
    C = "c"
    D = "d"
    NONE = "none"
    DA = "da"
    H = "h"
    K = "k"
    M = "M"
    G = "G"
    T = "T"
    P = "P"
    E = "E"
    Z = "Z"
    Y = "Y"

    @property
    def exponent(self) -> int:
        """The power of ten: 3 for k."""
        return _EXPONENTS[self]

    @classmethod
    def of_exponent(cls, exponent: int) -> "UnitMultiplier":
        """Return the multiplier of that power of ten; raises `ValueError`."""
        if exponent not in _MULTIPLIERS:
            raise ValueError(f"there is no multiplier for 10 to the power of {exponent}")
        return _MULTIPLIERS[exponent]


_POWERS = (-24, -21, -18, -15, -12, -9, -6, -3, -2, -1, 0, 1, 2, 3, 6, 9, 12, 15, 18, 21, 24)
_EXPONENTS = dict(zip(UnitMultiplier, _POWERS, strict=True))
_MULTIPLIERS = dict(zip(_POWERS, UnitMultiplier, strict=True))


class Written(Protocol):
    """A generated class of a value with unit and multiplier, such as `Power` of the profile resources."""

    @property
    def value(self) -> Decimal:
        """The number."""
        ...

    @property
    def unit(self) -> Enum:
        """The unit."""
        ...

    @property
    def multiplier(self) -> Enum:
        """The power of ten."""
        ...


@dataclass(frozen=True, slots=True)
class Quantity:
    """A decimal value with its unit. As net load, positive consumes and negative generates (62746-3, 3.1.16)."""

    value: Decimal
    unit: UnitSymbol
    multiplier: UnitMultiplier = UnitMultiplier.NONE

    def __post_init__(self) -> None:
        """Check the value: raises `TypeError` for a float, `ValueError` for infinity."""
        if not isinstance(self.value, Decimal):
            raise TypeError(f"{self.value!r} is no Decimal: write Decimal({str(self.value)!r})")
        if not self.value.is_finite():
            raise ValueError(f"a quantity is finite, not {self.value}")

    @classmethod
    def of(cls, written: Written) -> "Quantity":
        """Return what an object of a generated class says."""
        return cls(written.value, UnitSymbol(written.unit.value), UnitMultiplier(written.multiplier.value))

    @property
    def base(self) -> Decimal:
        """The value in the unit itself: 5 kW is 5000."""
        return self.value.scaleb(self.multiplier.exponent)

    def to(self, multiplier: UnitMultiplier) -> "Quantity":
        """Return the same with another multiplier."""
        value = self.value.scaleb(self.multiplier.exponent - multiplier.exponent)
        return replace(self, value=value, multiplier=multiplier)

    def __neg__(self) -> "Quantity":
        """Return what consumes as it generates, and the other way round."""
        return replace(self, value=self.value.copy_negate())

    def __add__(self, other: "Quantity") -> "Quantity":
        """Return the sum with the multiplier of the first; raises `ValueError` for another unit."""
        if other.unit is not self.unit:
            raise ValueError(f"{other.unit} cannot be added to {self.unit}")
        return replace(self, value=self.value + other.to(self.multiplier).value)

    def __sub__(self, other: "Quantity") -> "Quantity":
        """Return the difference with the multiplier of the first; raises `ValueError` for another unit."""
        return self + -other

    def __str__(self) -> str:
        """Return it as people write it: `5 kW`."""
        prefix = "" if self.multiplier is UnitMultiplier.NONE else str(self.multiplier)
        return f"{self.value:f} {prefix}{'' if self.unit is UnitSymbol.NONE else self.unit}".rstrip()


def net_load(*, consumed: Iterable[Quantity], generated: Iterable[Quantity], unit: UnitSymbol) -> Quantity:
    """Return what is consumed less what is generated, each given without a sign.

    Raises `ValueError` for a negative one, and for one of another unit.
    """
    total = Quantity(Decimal(0), unit)
    for one in consumed:
        total += _unsigned(one)
    for one in generated:
        total -= _unsigned(one)
    return total


def _unsigned(quantity: Quantity) -> Quantity:
    if quantity.value < 0:
        raise ValueError(f"{quantity} has a sign: say whether it is consumed or generated, and how much")
    return quantity
