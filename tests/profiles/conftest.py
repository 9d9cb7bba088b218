"""Documents made from a schema by Hypothesis, and what two documents have in common."""

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st
from lxml import etree
from xsdata.models.datatype import XmlDateTime

from iec62746.profiles import Profile

XS = "{http://www.w3.org/2001/XMLSchema}"
DIGITS = 18

TEXT = st.text(
    st.characters(exclude_categories=("Cc", "Cs"), exclude_characters="\ufffe\uffff", include_characters="\t\n\r"),
    min_size=1,
    max_size=12,
)


@st.composite
def _times(draw: st.DrawFn) -> str:
    zones = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
    moment = draw(st.datetimes(datetime(1000, 1, 1), datetime(2999, 12, 31), timezones=zones))
    whole, zone = moment.replace(microsecond=0).isoformat()[:19], moment.isoformat()[-6:]
    fraction = draw(st.sampled_from(["", ".5", ".120", ".000001", ".123456789", ".000"]))
    return whole + fraction + ("Z" if zone == "+00:00" and draw(st.booleans()) else zone)


class Facets:
    """What a simple type adds to its base, and what that adds to its own."""

    def __init__(self) -> None:
        self.base = ""
        self.values: dict[str, list[str]] = {}

    def first(self, name: str) -> str | None:
        return self.values.get(name, [None])[0]


@st.composite
def _decimals(draw: st.DrawFn, facets: Facets) -> str:
    places = draw(st.integers(0, 6))
    one, top = Decimal(1).scaleb(-places), Decimal(10**DIGITS - 1).scaleb(-places)
    lowest = facets.first("minInclusive") or facets.first("minExclusive")
    highest = facets.first("maxInclusive") or facets.first("maxExclusive")
    low = max(-top, Decimal(lowest)) if lowest else -top
    high = min(top, Decimal(highest)) if highest else top
    low += one if facets.first("minExclusive") else 0
    value = draw(st.decimals(low, high, places=places, allow_nan=False, allow_infinity=False))
    written = f"{value:f}"
    return draw(st.sampled_from([written, f" {written} ", written if value < 0 else f"+{written}"]))


_BUILT_IN: dict[str, Callable[[Facets], st.SearchStrategy[str]]] = {
    "boolean": lambda _: st.sampled_from(["true", "false", "1", "0"]),
    "string": lambda facets: TEXT,
    "dateTime": lambda _: _times(),
    "decimal": _decimals,
    "long": lambda facets: st.integers(int(facets.first("minInclusive") or -(2**63)), 2**63 - 1).map(str),
    "unsignedShort": lambda _: st.integers(0, 2**16 - 1).map(str),
    "unsignedInt": lambda _: st.integers(0, 2**32 - 1).map(str),
}


class Maker:
    """Makes elements by a schema of ours: it knows the parts of XML Schema that these use, and raises at any other."""

    def __init__(self, schema: Path) -> None:
        self.root = etree.parse(schema).getroot()
        self.namespace = str(self.root.get("targetNamespace"))
        self.types = {str(one.get("name")): one for one in self.root if one.tag != XS + "element" and one.get("name")}

    def document(self, draw: st.DrawFn) -> bytes:
        (declared,) = self.root.findall(XS + "element")
        root = etree.Element(f"{{{self.namespace}}}{declared.get('name')}", nsmap={"m": self.namespace})
        self._fill(draw, root, declared)
        return etree.tostring(root)

    def _fill(self, draw: st.DrawFn, element: etree._Element, declared: etree._Element) -> None:
        kind = self._kind(declared)
        if isinstance(kind, str) or kind.tag == XS + "simpleType":
            element.text = draw(self._simple(kind))
            return
        extension = kind.find(f"{XS}simpleContent/{XS}extension")
        if extension is not None:
            element.text = draw(self._simple(self._named(str(extension.get("base")))))
        for attribute in (kind if extension is None else extension).findall(XS + "attribute"):
            element.set(str(attribute.get("name")), draw(self._simple(self._kind(attribute))))
        for sequence in kind.findall(XS + "sequence"):
            self._sequence(draw, element, sequence)

    def _sequence(self, draw: st.DrawFn, parent: etree._Element, sequence: etree._Element) -> None:
        for part in sequence:
            if part.tag == XS + "annotation":
                continue
            low, high = int(part.get("minOccurs", "1")), part.get("maxOccurs", "1")
            times = draw(st.integers(low, max(2, low) if high == "unbounded" else int(high)))
            for _ in range(times):
                chosen = draw(st.sampled_from(list(part))) if part.tag == XS + "choice" else part
                assert chosen.tag == XS + "element", f"{chosen.tag} is not known here"
                self._fill(draw, etree.SubElement(parent, f"{{{self.namespace}}}{chosen.get('name')}"), chosen)

    def _kind(self, declared: etree._Element) -> Any:
        if declared.get("type"):
            return self._named(str(declared.get("type")))
        return next(one for one in declared if one.tag in (XS + "complexType", XS + "simpleType"))

    def _named(self, name: str) -> Any:
        return name.removeprefix("xs:") if name.startswith("xs:") else self.types[name]

    def _simple(self, kind: Any) -> st.SearchStrategy[str]:
        facets = Facets()
        self._collect(kind, facets)
        if "enumeration" in facets.values:
            return st.sampled_from(facets.values["enumeration"])
        if "pattern" in facets.values and facets.base == "string":
            return st.from_regex(facets.values["pattern"][0], fullmatch=True)
        return _BUILT_IN[facets.base](facets)

    def _collect(self, kind: Any, facets: Facets) -> None:
        if isinstance(kind, str):
            facets.base = kind
            return
        (restriction,) = kind.findall(XS + "restriction")
        for facet in restriction:
            facets.values.setdefault(str(facet.tag).removeprefix(XS), []).append(str(facet.get("value")))
        self._collect(self._named(str(restriction.get("base"))), facets)


@pytest.fixture(scope="session")
def documents() -> Callable[[Profile], st.SearchStrategy[bytes]]:
    """Return what makes valid documents of a profile, in every lexical form that its schema allows."""

    def made(profile: Profile) -> st.SearchStrategy[bytes]:
        return st.composite(Maker(profile.schema).document)()

    return made


def _value(text: str) -> str:
    """Return one text for all that XML Schema takes as the same value."""
    written = text.strip()
    if written in ("true", "false"):
        return str(int(written == "true"))
    try:
        return str(Decimal(written).normalize()) if written.lstrip("+-").replace(".", "", 1).isascii() else text
    except InvalidOperation:
        pass
    try:
        moment = XmlDateTime.from_string(written)
    except ValueError:
        return text
    return f"{moment.replace(fractional_second=0).to_datetime().timestamp()} {moment.fractional_second}"


def _content(element: etree._Element) -> tuple[Any, ...]:
    """Return the element's name, attributes, children and, if there are none, value."""
    children = [_content(child) for child in element]
    value = "" if children else _value(element.text or "")
    return element.tag, sorted(element.attrib.items()), value, children


@pytest.fixture(scope="session")
def content() -> Callable[[bytes], Any]:
    """Return what says what a document says: the same for two that differ in prefixes, or in how values are written."""
    return lambda xml: _content(etree.fromstring(xml))
