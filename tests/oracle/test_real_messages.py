"""Every real message that we have is read as the reference verdict has it, and written again as it was."""

import csv
import importlib.util
import os
from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from lxml import etree

from iec62746.envelope import decode, encode
from iec62746.errors import EnvelopeError
from iec62746.message import NAMESPACE, Message

ORACLE = Path(os.environ.get("IEC62746_ORACLE") or Path(__file__).parents[3] / "shared/oracle")
INSTANCES = sorted((ORACLE / "instances").rglob("*.xml"))
TYPED = [path for path in INSTANCES if path.parent.name == "es-cim"]
FIELD = [path for path in INSTANCES if path.parent.name == "field"]


def named(paths: list[Path]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("path", paths, ids=lambda path: str(path.name))


@pytest.fixture(scope="session")
def standard(oracle: Path) -> ModuleType:
    """Return the reference verdict's module, with its schema as `judge`."""
    spec = importlib.util.spec_from_file_location("standard", oracle / "standard.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.judge = module.schema()  # type: ignore[attr-defined]
    return module


@pytest.fixture(scope="session")
def expected(oracle: Path) -> dict[str, Counter[tuple[str, str]]]:
    """Return the findings that a tolerant reader has in each message of the field."""
    found: dict[str, Counter[tuple[str, str]]] = {}
    with (oracle / "expected_findings.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            found.setdefault(row["file"], Counter())[row["element"], row["rule"]] += 1
    return found


def test_there_are_8_typed_messages_and_15_of_the_field_in_two_forms(oracle: Path) -> None:
    assert (len(TYPED), len(FIELD)) == (8, 30)


# ---------------------------------------------------------------- typed messages of a utility


@pytest.mark.requirement("R-5.4b")
@named(TYPED)
def test_a_typed_message_is_written_again_with_the_same_infoset(standard: Any, path: Path) -> None:
    data = path.read_bytes()

    written = encode(decode(data))

    assert infoset(standard, written) == infoset(standard, data)
    assert standard.verdict(written, standard.judge) == ""


@pytest.mark.requirement("R-5.3")
@named(TYPED)
def test_each_payload_and_extension_is_equal_by_exclusive_c14n(standard: Any, path: Path) -> None:
    data = path.read_bytes()
    before = items_in(standard.generic(standard.envelope(etree.fromstring(data))))

    message = decode(encode(decode(data)))

    assert [c14n(etree.fromstring(item)) for item in items_of(message)] == [c14n(item) for item in before]


@named(TYPED)
def test_a_typed_message_stays_typed_and_the_generic_form_says_the_same(standard: Any, path: Path) -> None:
    data = path.read_bytes()
    message = decode(data)

    generic = encode(replace(message, form=None))

    assert message.form is not None
    assert etree.fromstring(encode(message)).tag == etree.fromstring(data).tag
    assert etree.fromstring(generic).tag == f"{{{NAMESPACE}}}{message.kind}"
    assert infoset(standard, generic) == infoset(standard, data)


@named(TYPED)
def test_what_was_read_is_read_again_as_the_same_value(path: Path) -> None:
    message = decode(path.read_bytes())

    assert decode(encode(message)) == message
    assert encode(decode(encode(message))) == encode(message)


@named(TYPED)
def test_one_header_field_is_changed_and_nothing_else(path: Path) -> None:
    message = decode(path.read_bytes())

    changed = replace(message, message_id="0f2a6c1e-8d1b-4c7e-9a54-2f7f6f0f0a11")

    assert decode(encode(changed)) == changed
    assert decode(encode(changed)) != message
    assert replace(decode(encode(changed)), message_id=message.message_id) == message


# ---------------------------------------------------------------- messages of the field


@pytest.mark.requirement("R-5.4b")
@named(FIELD)
def test_the_field_is_read_tolerantly_with_exactly_the_expected_findings(
    expected: dict[str, Counter[tuple[str, str]]], path: Path
) -> None:
    message = decode(path.read_bytes(), reading="tolerant")

    found = Counter((finding.element, finding.rule.value) for finding in message.findings)
    assert found == expected.get(path.name.removesuffix(".xml").removesuffix(".wire"), Counter())
    assert all(finding.line > 0 for finding in message.findings)


@pytest.mark.requirement("R-5.4b")
@named(INSTANCES)
def test_the_standard_reading_has_the_reference_verdict(standard: Any, path: Path) -> None:
    data = path.read_bytes()

    assert is_read(data) == (standard.verdict(data, standard.judge) == "")


@named(FIELD)
def test_a_message_of_the_field_is_written_again_with_the_same_infoset_where_it_is_valid(
    standard: Any, path: Path
) -> None:
    data = path.read_bytes()
    if not is_read(data):
        return

    assert infoset(standard, encode(decode(data))) == infoset(standard, data)


@named([path for path in FIELD if path.name.endswith(".wire.xml")])
def test_a_soap_wrapper_makes_no_difference(path: Path) -> None:
    bare = path.with_name(path.name.replace(".wire.xml", ".xml"))

    wrapped, plain = (decode(one.read_bytes(), reading="tolerant") for one in (path, bare))

    assert canonical(wrapped) == canonical(plain)


def is_read(data: bytes) -> bool:
    try:
        decode(data)
    except EnvelopeError:
        return False
    return True


def canonical(message: Message) -> Message:
    """Return `message` with its items in exclusive C14N: what the wrapper declared may stand in them."""
    payload = message.payload
    if payload is not None:
        payload = replace(payload, items=tuple(c14n(etree.fromstring(item)) for item in payload.items))
    vendor = tuple(c14n(etree.fromstring(item)) for item in message.vendor)
    return replace(message, payload=payload, vendor=vendor)


def items_of(message: Message) -> list[bytes]:
    items = list(message.extensions)
    for part in (message.request, message.reply):
        items += part.extensions if part is not None else ()
    if message.payload is not None:
        items += message.payload.items
        if message.payload.operation_set is not None:
            items += [one.item for one in message.payload.operation_set.operations if one.item is not None]
    return items


def items_in(envelope: Any) -> list[Any]:
    """Return the outermost elements of other namespaces."""
    found = []
    for child in envelope.iterchildren("*"):
        found += items_in(child) if etree.QName(child).namespace == NAMESPACE else [child]
    return found


def c14n(element: Any) -> bytes:
    return bytes(etree.tostring(element, method="c14n", exclusive=True, with_tail=False))


def infoset(standard: Any, data: bytes) -> Any:
    """Return what must not change: all but comments, prefixes, attributes of the root, and space between elements."""
    return node(standard.generic(standard.envelope(etree.fromstring(data))))


def node(element: Any) -> Any:
    if etree.QName(element).namespace != NAMESPACE:
        return c14n(element)
    content = [node(child) for child in element.iterchildren("*")]
    text = "" if content else "".join(element.xpath("text()"))
    return element.tag, sorted(element.attrib.items()), text, content
