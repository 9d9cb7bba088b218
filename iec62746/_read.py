"""From a valid generic envelope to a `Message`: the tree is walked along the tables."""

from collections.abc import Callable
from typing import Any

from lxml import etree

from iec62746 import _tree
from iec62746._items import item
from iec62746._schema import (
    HEADER,
    ID_ATTRIBUTES,
    IDENTIFIER,
    INTEGER,
    KINDS,
    MANY,
    PARTS,
    QNAME,
    SEQUENCES,
    XML_NAMESPACE,
    M,
    Sequence,
)
from iec62746.errors import EnvelopeError, Rule
from iec62746.message import ID, Kind, Message, TypedForm


def message(envelope: etree._Element, kind: Kind, form: TypedForm | None = None) -> Message:
    """Return the message in `envelope`; raises `InvalidMessage` for a Payload of several kinds."""
    values: dict[str, Any] = {"kind": kind, "form": form}
    for child in envelope.iterchildren("*"):
        field, cls, _ = _PART_OF[child.tag]
        if cls is None:
            values |= _values(child, _HEADER)
        else:
            values[field] = part(child, cls)
    return Message(**values)


_PART_OF = {M + name: found for name, found in PARTS.items()}


def part(element: etree._Element, cls: type) -> Any:
    """Return what is in `element` as a `cls`."""
    return cls(**_values(element, _READERS[cls]))


_Read = Callable[[etree._Element], Any]
_Readers = dict[str, tuple[str, bool, _Read]]


def _values(element: etree._Element, readers: _Readers) -> dict[str, Any]:
    """Return the values of the fields that the children of `element` fill."""
    values: dict[str, Any] = {}
    many: dict[str, list[Any]] = {}
    for child in element.iterchildren("*"):
        field, is_many, read = readers.get(child.tag, readers[""])
        if is_many:
            many.setdefault(field, []).append(read(child))
        else:
            values[field] = read(child)
    for field, found in many.items():
        values[field] = tuple(found)
    return values


def _identifier(element: etree._Element) -> ID:
    values: dict[str, Any] = {ID_ATTRIBUTES[name]: text for name, text in element.items() if name in ID_ATTRIBUTES}
    if "kind" in values:
        values["kind"] = KINDS[values["kind"]]
    return ID(_tree.text(element), **values)


def _qname(element: etree._Element) -> str:
    prefix, _, name = _tree.text(element).strip().rpartition(":")
    namespace = XML_NAMESPACE if prefix == "xml" else element.nsmap.get(prefix or None)
    return f"{{{namespace}}}{name}" if namespace else name


def _integer(element: etree._Element) -> int:
    text = _tree.text(element)
    try:
        return int(text)
    except ValueError:
        # The schema has no limit; Python has one, against attacks by length.
        reason = f"an integer of {len(text.strip())} digits is more than we read"
        line, path = _tree.line(element), _tree.path(element)
        raise EnvelopeError(Rule.VALUE, reason, line=line, path=path, reply_code="3.1") from None


def _readers(sequence: Sequence) -> _Readers:
    """Return, for each tag, its field, whether that holds several, and how to read it; `""` is the wildcard."""
    places = [("", sequence.wildcard), *sequence.by_tag.items()]
    return {tag: (place.field, place.high == MANY, _read_by(place.type, tag)) for tag, place in places}


def _read_by(kind: Any, tag: str) -> _Read:
    if not tag:
        return item
    if kind in SEQUENCES:
        return lambda element: part(element, kind)
    special: dict[Any, _Read] = {IDENTIFIER: _identifier, QNAME: _qname, INTEGER: _integer}
    return special.get(kind) or (lambda element: kind.read(_tree.text(element)))


_HEADER = _readers(HEADER)
_READERS = {cls: _readers(sequence) for cls, sequence in SEQUENCES.items()}
