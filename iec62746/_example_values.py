"""Values of simple types: text that keeps every facet, chosen by chance."""

import base64
import math
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from random import Random
from typing import Any, Final
from uuid import UUID

from iec62746._example_pattern import Unsupported, matching
from iec62746._xsd import XSD

_TRIES: Final = 200
_STRETCHES: Final = (3, 8, 0, 1, 32)
_NAMES: Final = ("north", "south", "east", "west", "battery", "feeder", "boiler", "charger", "meter", "roof")
_LANGUAGES: Final = ("en", "de", "fr", "en-GB")
_DURATIONS: Final = ("PT15M", "PT1H", "PT1S", "PT30S", "P1D", "P1DT12H", "P7D", "P1M", "P1Y", "P10Y", "PT0S", "-PT5M")
_BEGIN: Final = datetime(2026, 1, 1, tzinfo=UTC)
_YEAR: Final = 365 * 24 * 3600
_SPAN: Final = 1000


class Impossible(Exception):
    """No value was found for a type: which type, and why."""


class Values:
    """Chooses values; those of ID differ within one document."""

    def __init__(self, random: Random) -> None:
        """Choose by `random`."""
        self._random = random
        self.ids = list[str]()

    def text(self, kind: Any, hint: str = "") -> str:
        """Return text that is valid by the simple type `kind`; `hint` is the name of the element that has it.

        Raises `Impossible`.
        """
        why = ""
        for attempt in range(_TRIES):
            try:
                text = self._candidate(kind, hint, attempt)
            except (Unsupported, Impossible) as exc:
                why = f": {exc}"
                continue
            if text is not None and _is_valid(kind, text):
                if any(one.name == f"{XSD}ID" for one in _ancestors(kind)):
                    self.ids.append(text)
                return text
        raise Impossible(f"no value was found that {_named(kind)} takes{why}")

    def word(self) -> str:
        """Return any text."""
        return self._random.choice(_NAMES)

    def _candidate(self, kind: Any, hint: str, attempt: int) -> str | None:
        """Return text that is likely to be valid, or None."""
        if known := enumeration(kind):
            return self._random.choice(known)
        if patterns := _literals(kind, "pattern"):
            return matching(self._random.choice(patterns), self._random, self._stretch(kind, attempt))
        if members := _inherited(kind, "member_types"):
            return self._candidate(self._random.choice(members), hint, attempt)
        if item := _inherited(kind, "item_type"):
            low, high = _lengths(kind)
            count = self._random.randint(low, low + 3 if high is None else min(high, low + 3))
            return " ".join(self.text(item, hint) for _ in range(count or int(high != 0)))
        return _MAKERS[kind_of(kind)](self, kind, hint, attempt)

    def _stretch(self, kind: Any, attempt: int) -> int:
        return max(_STRETCHES[attempt % len(_STRETCHES)], _lengths(kind)[0])

    # ---------------------------------------------------------------- text

    def _string(self, kind: Any, hint: str, attempt: int) -> str:
        low, high = _lengths(kind)
        if hint.lower() == "mrid" and high is None:
            return str(UUID(int=self._random.getrandbits(128), version=4))
        return self._sized(self._random.choice(_NAMES), low, high)

    def _name(self, kind: Any, hint: str, attempt: int) -> str:
        low, high = _lengths(kind)
        return self._sized(f"{self._random.choice(_NAMES)}-{self._random.randrange(100)}", low, high)

    def _id(self, kind: Any, hint: str, attempt: int) -> str | None:
        low, high = _lengths(kind)
        text = self._sized(f"i{len(self.ids) + 1}", low, high)
        return text if text not in self.ids else f"i{self._random.randrange(10 ** ((high or 9) - 1))}"

    def _uri(self, kind: Any, hint: str, attempt: int) -> str:
        low, high = _lengths(kind)
        return self._sized(f"urn:example:{self._random.choice(_NAMES)}", low, high)

    def _sized(self, text: str, low: int, high: int | None) -> str:
        more = "".join(self._random.choice("abcdefghij") for _ in range(low - len(text)))
        return (text + more)[:high]

    def _octets(self, kind: Any) -> bytes:
        low, high = _lengths(kind)
        return self._random.randbytes(self._random.randint(low, low + 8 if high is None else min(high, low + 8)))

    def _hex(self, kind: Any, hint: str, attempt: int) -> str:
        return self._octets(kind).hex().upper()

    def _base64(self, kind: Any, hint: str, attempt: int) -> str:
        return base64.b64encode(self._octets(kind)).decode()

    def _boolean(self, kind: Any, hint: str, attempt: int) -> str:
        return self._random.choice(("true", "false"))

    def _language(self, kind: Any, hint: str, attempt: int) -> str:
        return self._random.choice(_LANGUAGES)

    # ---------------------------------------------------------------- numbers

    def _number(self, kind: Any, hint: str, attempt: int) -> str | None:
        digits = _number_of(kind, "fractionDigits")
        fraction = 2 if digits is None else min(int(digits), 2 + attempt % 16)
        # Between narrow bounds there is a value only with more digits.
        return self._between(kind, fraction if digits is not None else 2 + attempt % 16)

    def _integer(self, kind: Any, hint: str, attempt: int) -> str | None:
        return self._between(kind, 0)

    def _between(self, kind: Any, fraction: int) -> str | None:
        """Return a number within the bounds, with so many digits after its point."""
        low, high = _bounds(kind, fraction)
        digits = _number_of(kind, "totalDigits")
        if digits is not None:
            most = 10 ** int(digits) - 1
            low, high = -most if low is None else max(low, -most), most if high is None else min(high, most)
        span = _SPAN * 10**fraction
        if low is None:
            low = 0 if high is None or high >= 0 else high - span
        if high is None:
            high = max(low, 0) + span
        if high - low > span:
            low = max(low, 0) if high >= 0 else high - span
            high = min(high, low + span)
        if low > high:
            return None
        return format(Decimal(self._random.randint(low, high)).scaleb(-fraction), "f")

    # ---------------------------------------------------------------- times

    def _moment(self, kind: Any) -> datetime:
        """Return a time between the bounds, or in 2026."""
        low, high = (_moment(text) for text in (_bound(kind, "min"), _bound(kind, "max")))
        if low is None:
            low = _BEGIN if high is None or _BEGIN < high else high - timedelta(seconds=_YEAR)
        span = _YEAR if high is None else min(int((high - low).total_seconds()), _YEAR)
        return low + timedelta(seconds=self._random.randint(0, max(span, 0)))

    def _date_time(self, kind: Any, hint: str, attempt: int) -> str:
        return self._moment(kind).strftime("%Y-%m-%dT%H:%M:%S") + _zone(attempt)

    def _date(self, kind: Any, hint: str, attempt: int) -> str:
        return self._moment(kind).date().isoformat()

    def _time(self, kind: Any, hint: str, attempt: int) -> str:
        return self._moment(kind).strftime("%H:%M:%S") + _zone(attempt)

    def _year(self, kind: Any, hint: str, attempt: int) -> str:
        return str(self._moment(kind).year)

    def _year_month(self, kind: Any, hint: str, attempt: int) -> str:
        return self._moment(kind).strftime("%Y-%m")

    def _month_day(self, kind: Any, hint: str, attempt: int) -> str:
        return self._bound_or(kind, attempt, self._moment(kind).strftime("--%m-%d"))

    def _month(self, kind: Any, hint: str, attempt: int) -> str:
        return self._bound_or(kind, attempt, self._moment(kind).strftime("--%m"))

    def _day(self, kind: Any, hint: str, attempt: int) -> str:
        return self._bound_or(kind, attempt, f"---{self._random.randint(1, 31):02}")

    def _duration(self, kind: Any, hint: str, attempt: int) -> str:
        return self._bound_or(kind, attempt, self._random.choice(_DURATIONS[: 3 + attempt]))

    def _bound_or(self, kind: Any, attempt: int, text: str) -> str:
        """Return `text`, or where that was not valid before, now and then a bound."""
        known = [one for one in (_bound(kind, "min"), _bound(kind, "max")) if one]
        return self._random.choice(known) if known and attempt % 3 == 2 else text


_Maker = Callable[[Values, Any, str, int], str | None]
_MAKERS: Final[dict[str, _Maker]] = {
    "ID": Values._id, "IDREF": Values._name, "Name": Values._name, "NCName": Values._name, "NMTOKEN": Values._name,
    "QName": Values._name, "anyURI": Values._uri, "language": Values._language, "string": Values._string,
    "boolean": Values._boolean, "hexBinary": Values._hex, "base64Binary": Values._base64,
    "decimal": Values._number, "double": Values._number, "float": Values._number, "integer": Values._integer,
    "dateTime": Values._date_time, "date": Values._date, "time": Values._time, "duration": Values._duration,
    "gYear": Values._year, "gYearMonth": Values._year_month, "gMonthDay": Values._month_day, "gMonth": Values._month,
    "gDay": Values._day, "anySimpleType": Values._string, "anyAtomicType": Values._string,
}  # fmt: skip


# ---------------------------------------------------------------- what a type says


def kind_of(kind: Any) -> str:
    """Return the name of the built-in type that `kind` is made of, of those that values are made for."""
    for one in _ancestors(kind):
        name = (one.name or "").removeprefix(XSD)
        if f"{XSD}{name}" == one.name and name in _MAKERS:
            return name
    raise Impossible(f"values of {_named(kind)} are not made")


def is_reference(kind: Any) -> bool:
    """Return whether a value of `kind` is an IDREF, or a list of them."""
    item = _inherited(kind, "item_type") or kind
    return not _inherited(item, "member_types") and any(one.name == f"{XSD}IDREF" for one in _ancestors(item))


def enumeration(kind: Any) -> list[str]:
    """Return the literals that are allowed, none for any."""
    return _literals(kind, "enumeration")


def _ancestors(kind: Any) -> Iterator[Any]:
    while kind is not None:
        yield kind
        kind = kind.base_type


def _inherited(kind: Any, attribute: str) -> Any:
    return next((found for one in _ancestors(kind) if (found := getattr(one, attribute, None))), None)


def _literals(kind: Any, facet: str) -> list[str]:
    """Return the `value` of each such facet, of the type that has it last."""
    for one in _ancestors(kind):
        if (found := one.facets.get(XSD + facet)) is not None and not (one.name or "").startswith(XSD):
            return [element.get("value", "") for element in found]
    return []


def _number_of(kind: Any, facet: str) -> Decimal | None:
    for one in _ancestors(kind):
        if (found := one.facets.get(XSD + facet)) is not None:
            return _decimal(found.value)
    return None


def _lengths(kind: Any) -> tuple[int, int | None]:
    """Return the least and the largest length."""
    exact, low, high = (_number_of(kind, facet) for facet in ("length", "minLength", "maxLength"))
    if exact is not None:
        return int(exact), int(exact)
    return int(low or 0), None if high is None else int(high)


def _decimal(value: object) -> Decimal | None:
    try:
        made = Decimal(str(value))
    except InvalidOperation:
        return None
    return made if made.is_finite() else None


def _bounds(kind: Any, fraction: int) -> tuple[int | None, int | None]:
    """Return the bounds of a number, in units of the last of so many digits after its point."""
    lows, highs = list[int](), list[int]()
    for one in _ancestors(kind):
        for facet in ("minInclusive", "minExclusive", "maxInclusive", "maxExclusive"):
            found = one.facets.get(XSD + facet)
            value = None if found is None else _decimal(found.value)
            if value is not None:
                scaled = value.scaleb(fraction)
                is_exclusive = facet.endswith("Exclusive") and scaled == scaled.to_integral_value()
                if facet.startswith("min"):
                    lows.append(math.ceil(scaled) + is_exclusive)
                else:
                    highs.append(math.floor(scaled) - is_exclusive)
    return max(lows, default=None), min(highs, default=None)


def _bound(kind: Any, side: str) -> str:
    """Return the literal of a bound, empty for none."""
    for one in _ancestors(kind):
        for facet in ("Inclusive", "Exclusive"):
            if (found := one.facets.get(f"{XSD}{side}{facet}")) is not None:
                return str(found.elem.get("value", ""))
    return ""


def _moment(text: str) -> datetime | None:
    """Return the moment that a bound means, whatever its type is."""
    for read in (_from_date_time, _from_time, _from_year):
        try:
            made = read(text)
        except ValueError:
            continue
        return made if made.tzinfo else made.replace(tzinfo=UTC)
    return None


def _from_date_time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _from_time(text: str) -> datetime:
    return datetime.combine(_BEGIN.date(), time.fromisoformat(text))


def _from_year(text: str) -> datetime:
    year, _, month = text.partition("-")
    return datetime.combine(date(int(year), int(month or 1), 1), time())


def _zone(attempt: int) -> str:
    # A time with a zone cannot be compared with a bound that has none.
    return "" if attempt % 2 else "Z"


def _is_valid(kind: Any, text: str) -> bool:
    # To ask takes longer than to make it; and whether there is such a prefix, only the document says.
    is_plain = kind.name in _PLAIN
    return is_plain or any(one.name in _UNKNOWN for one in _ancestors(kind)) or bool(kind.is_valid(text))


_PLAIN: Final = tuple(XSD + name for name in ("string", "boolean", "decimal", "dateTime"))
_UNKNOWN: Final = (f"{XSD}QName", f"{XSD}NOTATION")


def _named(kind: Any) -> str:
    name = (kind.name or "").rpartition("}")[2]
    return f"the type {name}" if name else f"a type without a name, made of {_base(kind)},"


def _base(kind: Any) -> str:
    return next((one.name.rpartition("}")[2] for one in _ancestors(kind) if one.name), "nothing")
