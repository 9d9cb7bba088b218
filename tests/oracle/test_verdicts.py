"""For documents that Hypothesis makes and spoils, our verdict is the reference verdict."""

import importlib.util
import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import xmlschema
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lxml import etree

from iec62746._schema import (
    BOOLEAN,
    DATE_TIME,
    HEADER,
    IDENTIFIER,
    INTEGER,
    LEVEL,
    QNAME,
    RESULT,
    ROOTS,
    SEQUENCES,
    VERB,
    M,
)
from iec62746.envelope import decode
from iec62746.errors import EnvelopeError, Rule
from iec62746.message import IDKind, Kind, Level, OperationSet, Result

XSI = "http://www.w3.org/2001/XMLSchema-instance"
VERBS = {
    Kind.REQUEST: ["create", "get", "close"],
    Kind.RESPONSE: ["reply"],
    Kind.EVENT: ["created", "executed"],
}
VALUES: dict[Any, list[str]] = {
    DATE_TIME: ["2026-11-23T08:00:00Z", "2026-11-23T08:00:00", "2024-02-29T24:00:00+14:00"],
    BOOLEAN: ["true", "0", " 1 "],
    INTEGER: ["0", "-17", " +5 ", "9" * 30],
    RESULT: list(Result),
    LEVEL: list(Level),
    QNAME: ["name", "xml:lang", "x:name"],
}
BAD = [
    "",
    " ",
    "Create",
    "ERROR",
    "2026-11-23",
    "2026-02-29T08:00:00Z",
    "yes",
    "TRUE",
    "1.0",
    "1e3",
    "a b",
    "y:name",
    "٣",
]
FOREIGN = ["{urn:a}a", "{urn:a}ID", "{urn:b}Header", "{urn:a}Format"]


@pytest.fixture(scope="session")
def standard(oracle: Path) -> ModuleType:
    """Return the reference verdict's module, with its schema as `judge`, and as `second` by another library."""
    spec = importlib.util.spec_from_file_location("standard", oracle / "standard.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    text = (oracle / "xsd/es-cim/Message.xsd").read_text().replace('"strict"', '"lax"')
    module.judge = module.schema()  # type: ignore[attr-defined]
    module.second = xmlschema.XMLSchema(text)  # type: ignore[attr-defined]
    return module


# ---------------------------------------------------------------- documents, made along the tables


class Maker:
    """Makes one generic envelope from what Hypothesis draws, which is valid until it is spoilt."""

    def __init__(self, draw: Callable[..., Any]) -> None:
        self.draw, self.is_spoilt = draw, False

    def some(self, values: list[Any]) -> Any:
        return self.draw(st.sampled_from(values))

    def root(self) -> Any:
        self.kind = self.some(list(Kind))
        root = etree.Element(
            M + self.kind, nsmap=self.some([{None: M[1:-1]}, {"m": M[1:-1]}, {"x": "urn:x", "m": M[1:-1]}])
        )
        for place in ROOTS[self.kind].places:
            if place.low or self.draw(st.booleans()):
                self.part(etree.SubElement(root, M + place.name), place)
        return root

    def part(self, part: Any, place: Any) -> None:
        if place.name == "Payload":
            self.payload(part)
        else:
            self.fill(part, SEQUENCES.get(place.type) or HEADER)

    def fill(self, parent: Any, sequence: Any) -> None:
        for place in sequence.places:
            count = 1 if place.low else self.some([0, 0, 0, 1, 1, 2][: 6 if place.high > 1 else 5])
            for _ in range(count):
                self.child(parent, place)

    def child(self, parent: Any, place: Any) -> None:
        if place.name == "*":
            self.foreign(parent)
            return
        child = etree.SubElement(parent, M + place.name)
        if place.type in SEQUENCES:
            self.fill(child, SEQUENCES[place.type])
            return
        child.text = self.value(place.type)
        if place.type is IDENTIFIER and self.draw(st.booleans()):
            child.set("kind", self.some(list(IDKind)))
            child.set("idType", "a>b")

    def value(self, kind: Any) -> str:
        if kind is VERB:
            return str(self.some(VERBS[self.kind]))
        return str(self.some([one for one in VALUES.get(kind, ["", "a", " <&> "]) if one != "x:name"]))

    def foreign(self, parent: Any) -> Any:
        name = self.some(FOREIGN[:1] if local(parent) == "Payload" else FOREIGN)
        child = etree.SubElement(parent, name, nsmap=self.some([None, {None: etree.QName(name).namespace}]))
        if self.draw(st.booleans()):
            # What an extension's schema knows is checked too: a Message in it has to be one.
            names = ["b", "{urn:a}b", M + "Verb", *([M + "Message"] if self.is_spoilt else [])]
            etree.SubElement(child, self.some(names)).text = "text"
        return child

    def payload(self, part: Any) -> None:
        sort = self.some(["items", "set", "compressed", "ids"])
        if sort == "set":
            self.fill(etree.SubElement(part, M + "OperationSet"), SEQUENCES[OperationSet])
        elif sort == "compressed":
            etree.SubElement(part, M + "Compressed").text = "H4sI"
        for _ in range(self.some([0, 1, 2])):
            if sort == "items":
                self.foreign(part)
            elif sort == "ids":
                etree.SubElement(part, M + "ID").text = "1"
        if self.draw(st.booleans()):
            etree.SubElement(part, M + "Format").text = "XML"


def local(element: Any) -> str:
    return etree.QName(element).localname


# ---------------------------------------------------------------- one mutation


def swap(maker: Maker, element: Any) -> None:
    if (following := element.getnext()) is not None:
        following.addnext(element)


def repeat(maker: Maker, element: Any) -> None:
    element.addnext(etree.fromstring(etree.tostring(element, with_tail=False)))


def remove(maker: Maker, element: Any) -> None:
    element.getparent().remove(element)


def spoil(maker: Maker, element: Any) -> None:
    element.text = maker.some(BAD)


def enumerate_wrongly(maker: Maker, element: Any) -> None:
    element.set("kind", maker.some(["uuid", "UUID", ""]))


def add_attribute(maker: Maker, element: Any) -> None:
    name = maker.some(["a", "idType", "{urn:a}a", f"{{{XSI}}}schemaLocation", f"{{{XSI}}}nil", f"{{{XSI}}}type"])
    types = ["xs:string", "m:UserType", "m:IDType", "m:Nothing", "xs:token"]
    element.set(name, maker.some(types) if name.endswith("type") else maker.some(["true", "false", "a b"]))


def add_foreign(maker: Maker, element: Any) -> None:
    child = maker.foreign(element)
    element.insert(maker.draw(st.integers(0, len(element))), child)


def add_own(maker: Maker, element: Any) -> None:
    name = maker.some(
        ["ID", "Verb", "Payload", "Compressed", "OperationSet", "Format", "Nothing", "operationId", "Request"]
    )
    child = etree.SubElement(element, M + name)
    child.text = maker.some(["", "1"])
    element.insert(maker.draw(st.integers(0, len(element))), child)


def add_text(maker: Maker, element: Any) -> None:
    text = maker.some(["text", " \n", "\u00a0", "1", ">"])
    if maker.draw(st.booleans()) and element.getparent() is not None:
        element.tail = text
    else:
        element.text = text


def move_to_another_namespace(maker: Maker, element: Any) -> None:
    spaces = ["", "{http://www.iec.ch/TC57/2011/schema/message}", "{http://iec.ch/TC57/2021/schema/message}", "{urn:a}"]
    element.tag = maker.some(spaces) + local(element)


NO_STRINGS = {
    place.name
    for sequence in (HEADER, *SEQUENCES.values())
    for place in sequence.places
    if place.type in VALUES or place.type is VERB
}
MUTATIONS = [
    swap, repeat, remove, spoil, enumerate_wrongly, add_attribute, add_foreign, add_own, add_text,
    move_to_another_namespace,
]  # fmt: skip


def mutate(maker: Maker, root: Any) -> None:
    """Spoil one element of the envelope's own: items may be anything."""
    maker.is_spoilt = True
    own = [element for element in root.iter("{*}*") if element.tag.startswith(M)]
    mutation = maker.some(MUTATIONS)
    if mutation is spoil:
        # Any text is a string: it spoils those that are none.
        own = [element for element in own if local(element) in NO_STRINGS]
    elif mutation is swap:
        own = [element for element in own if element.getnext() is not None and element.getnext().tag != element.tag]
    elif mutation in (repeat, remove, move_to_another_namespace):
        own = own[1:]
    if own:
        mutation(maker, maker.some(own))


# ---------------------------------------------------------------- and its forms


def written(maker: Maker, root: Any) -> bytes:
    form = maker.some(["generic", "generic", "typed", "soap", "Message", "unnamed"])
    if form in ("typed", "unnamed", "Message"):
        root.tag = {"typed": "{urn:profile}CreateX", "unnamed": "anything", "Message": M + "Message"}[form]
        for part in root if form == "typed" else ():
            if isinstance(part.tag, str) and part.tag.startswith(M):
                part.tag = "{urn:profile}" + local(part)
    text = etree.tostring(root, encoding="unicode")
    if form == "soap":
        text = f'<s:E xmlns:s="urn:s" xmlns:x="urn:x"><s:Header/><s:Body>{text}</s:Body></s:E>'
    # Prefixes that text uses; lxml would drop them.
    if "xs:" in text:
        text = re.sub(r"(?<=^<)[^\s/>]+", lambda name: f'{name[0]} xmlns:xs="http://www.w3.org/2001/XMLSchema"', text)
    text = text.replace("<m:xpath>x:", '<m:xpath xmlns:x="urn:x">x:')
    comment = maker.some(["", "", "<!-- c -->", "<?p i?>"])
    return text.replace("</", comment + "</", maker.some([1, 3])).encode(maker.some(["utf-8", "utf-8", "utf-16"]))


@st.composite
def documents(draw: Callable[..., Any], is_spoilt: st.SearchStrategy[bool]) -> bytes:
    maker = Maker(draw)
    root = maker.root()
    if draw(is_spoilt):
        mutate(maker, root)
    return written(maker, root)


@st.composite
def mixed_payloads(draw: Callable[..., Any]) -> bytes:
    root = etree.fromstring(
        f'<EventMessage xmlns="{M[1:-1]}"><Header><Verb>created</Verb><Noun/></Header></EventMessage>'
    )
    payload = etree.SubElement(root, M + "Payload")
    for name in draw(st.lists(st.sampled_from(["{urn:a}a", "ID", "Compressed", "OperationSet", "Format"]), max_size=4)):
        etree.SubElement(payload, name if name[0] == "{" else M + name)
    return etree.tostring(root)


many = settings(max_examples=400, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


@pytest.mark.requirement("R-5.4b")
def test_our_verdict_is_the_reference_verdict_and_at_least_40_percent_are_invalid(standard: Any) -> None:
    verdicts = []

    @many
    @given(documents(st.just(True)))
    def judge(data: bytes) -> None:
        expected = standard.verdict(data, standard.judge)
        verdicts.append(expected)

        assert (complaint(data) == "") == (expected == ""), (expected, complaint(data))

    judge()
    assert verdicts.count("") <= 0.6 * len(verdicts)


@many
@given(mixed_payloads())
def test_the_choice_in_payload_is_held_as_a_second_library_holds_it(standard: Any, data: bytes) -> None:
    expected = standard.second.is_valid(data.decode())

    assert (complaint(data) == "") == expected == (standard.verdict(data, standard.judge) == "")


@many
@given(documents(st.just(False)))
def test_what_was_not_spoilt_is_valid(standard: Any, data: bytes) -> None:
    assert standard.verdict(data, standard.judge) == ""
    assert complaint(data) == ""


@many
@given(documents(st.booleans()))
def test_what_the_standard_reading_takes_the_tolerant_reading_takes_too(data: bytes) -> None:
    if complaint(data) == "":
        tolerant = decode(data, reading="tolerant")

        assert tolerant == decode(data)
        # libxml2 passes extensions too early; what is in Compressed no schema sees.
        assert {finding.rule for finding in tolerant.findings} <= {Rule.COMPRESSED, Rule.ELEMENT_ORDER}


def complaint(data: bytes) -> str:
    try:
        decode(data)
    except EnvelopeError as exc:
        return str(exc)
    return ""
