"""Whether an envelope is valid by the schema, and what is wrong with it first."""

import copy
from typing import Any, Protocol

from lxml import etree

from iec62746 import _tree
from iec62746._parser import fault_in_stream
from iec62746._schema import M, schema
from iec62746.errors import EnvelopeError, Rule
from iec62746.message import NAMESPACE

_validate = schema().validate
_SMALL = 16_384


class _Fault(Protocol):
    """An entry of lxml's log."""

    line: int
    message: str
    type_name: str


def is_valid(envelope: etree._Element, size: int) -> bool:
    """True if the generic `envelope`, a root read from `size` octets, is valid by the schema."""
    return _validate(envelope) if size < _SMALL else _fault(envelope, size) is None


def complaint_of(envelope: etree._Element, name: str, size: int) -> EnvelopeError | None:
    """Return the first thing wrong with `envelope`, whose root was called `name`; None if it is valid."""
    fault = _fault(envelope, size)
    if fault is None:
        return None
    found = _element_at(envelope, fault)
    rule = _RULES.get(fault.type_name, Rule.SCHEMA)
    if rule is Rule.VALUE and found.tag == M + "xpath":
        rule = Rule.QNAME
    path = within(envelope, name, _tree.path(found))
    return EnvelopeError(rule, fault.message.replace(M, ""), line=_tree.line(found), path=path)


def within(envelope: etree._Element, name: str, path: str) -> str:
    """Return `path` from the envelope down, under the `name` that it had when it came."""
    return name + path.removeprefix(_tree.path(envelope))


_RULES = {
    "SCHEMAV_CVC_DATATYPE_VALID_1_2_1": Rule.VALUE,
    "SCHEMAV_CVC_ENUMERATION_VALID": Rule.VALUE,
    "SCHEMAV_CVC_TYPE_3_1_1": Rule.ATTRIBUTE,
    "SCHEMAV_CVC_COMPLEX_TYPE_3_2_1": Rule.ATTRIBUTE,
    "SCHEMAV_CVC_COMPLEX_TYPE_3_2_2": Rule.ATTRIBUTE,
}


def _fault(envelope: etree._Element, size: int) -> _Fault | None:
    """Return the first fault of `envelope`, or None if it is valid."""
    if envelope.getparent() is not None:
        # What a wrapper declares only for text, such as a QName, goes with it: so it does in the reference verdict.
        envelope = copy.deepcopy(envelope)
    # For each fault in a tree, libxml2 counts the siblings before it: 100,000 faults would take minutes.
    if size >= _SMALL and float(str(_count(envelope))) > _MANY:
        found: _Fault | None = fault_in_stream(etree.tostring(envelope, with_tail=False), schema())
        return found
    if _validate(envelope):
        return None
    log: Any = schema().error_log  # the stubs do not know that it is a sequence
    first: _Fault = log[0]
    return first


_MANY = 1_000
_count = etree.XPath(
    "count(*[not(self::m:Payload)]//*) + count(m:Payload/*) + count(m:Payload/m:OperationSet//m:*)",
    namespaces={"m": NAMESPACE},
)


def _element_at(envelope: etree._Element, fault: _Fault) -> etree._Element:
    """Return the element that `fault` names on its line, if it knows the line; else the best guess."""
    named = [element for element in envelope.iter("*") if f"Element '{element.tag}'" in fault.message]
    there = [element for element in named if _tree.line(element) == fault.line]
    return next(iter(there or named), envelope)
