"""The two functions between a `Message` and bytes.

`decode` reads the generic form, the typed form of web services, and either in a SOAP wrapper. `encode` writes the
generic or the typed form; what it writes is valid by `schema/message.xsd`.
"""

import re
from dataclasses import replace
from enum import StrEnum
from typing import cast

from lxml import etree

from iec62746 import _compressed, _forms, _plain, _read, _tree, _write, profiles
from iec62746._compressed import deflate, inflate
from iec62746._diagnosis import EDITION_2, NO_EDITION_2, Diagnosis, diagnose, misplaced, missing_code
from iec62746._items import Xml, element
from iec62746._parser import parse
from iec62746._schema import M
from iec62746._validation import complaint_of, is_valid, within
from iec62746.errors import EnvelopeError, InvalidMessage, Rule
from iec62746.limits import Limits
from iec62746.message import Finding, Kind, Message, Payload, TypedForm

__all__ = ["Reading", "Xml", "decode", "deflate", "element", "encode", "inflate", "payload"]

_DEFAULT = Limits()


class Reading(StrEnum):
    """How to read: by the schema; with ids and Timestamp mandatory; or with the deviations that the field has."""

    STANDARD = "standard"
    STRICT = "strict"
    TOLERANT = "tolerant"


_STRICT, _TOLERANT = Reading.STRICT, Reading.TOLERANT


def decode(data: bytes, *, reading: str = Reading.STANDARD, limits: Limits = _DEFAULT) -> Message:
    """Return the message in `data`.

    `limits` bounds octets, depth, attributes and what comes out of Compressed. Deviations that were taken are in
    `Message.findings`. Raises `EnvelopeError` with rule, line, path and reply code (61968-100, edition 1).
    """
    message = _plain.message(data, limits)
    if message is None or (reading == _STRICT and _strict_fault(message) is not None):
        return _of_tree(parse(data, limits), reading, limits, len(data))  # which says on which line
    return message


def _of_tree(root: etree._Element, reading: str, limits: Limits, size: int) -> Message:
    """Return the message in the document `root`, which was read from `size` octets."""
    message = _generic_message(root) if root.tag in _GENERIC and is_valid(root, size) else None
    if message is None:
        root, message = _other_message(root, reading, size)
    if message.payload is not None and message.payload.compressed is not None:
        message = _check_compressed(message, message.payload.compressed, limits)
    if reading == _STRICT and (fault := _strict_fault(message)) is not None:
        raise _strict(fault, root)
    if reading == _TOLERANT and _has_extensions(message):
        message = replace(message, findings=(*message.findings, *misplaced(root)))
    return message


def encode(message: Message) -> bytes:
    """Return `message` as UTF-8, in its typed form if it has one; valid by `schema/message.xsd`.

    Raises `InvalidMessage` for what cannot be written so: a verb that is none, a character that XML lacks, a part that
    the kind does not have, a payload element without a namespace of its own, an element that was read in tolerant mode
    only.
    """
    return _write.message(message).encode()


def payload(value: str | bytes | etree._Element | Payload | profiles.Typed) -> Payload:
    """Return `value` as a Payload: str, bytes, an lxml element, or a typed object of an installed profile.

    Raises `InvalidMessage` as `element` does, and for a typed object that is not valid by its profile.
    """
    if isinstance(value, Payload):
        return value
    if profiles.is_typed(value):
        # It has just been written, and declares all that it uses.
        return Payload(items=(Xml(profiles.write(value)),))
    return Payload(items=(element(cast(str | bytes | etree._Element, value)),))


# ---------------------------------------------------------------- from the tree to the message

_GENERIC = {M + kind.value: kind for kind in Kind}


def _generic_message(root: etree._Element) -> Message | None:
    """Return the message in a valid generic root, or None if its Payload is to be brought into the generic form."""
    return _read_message(root, _GENERIC[root.tag]) if _forms.is_generic(root) else None


def _read_message(envelope: etree._Element, kind: Kind, form: TypedForm | None = None) -> Message:
    try:
        return _read.message(envelope, kind, form)
    except InvalidMessage as exc:
        # libxml2 lets the choice of Payload pass.
        line, path = _tree.line(envelope[-1]), f"{_tree.path(envelope)}/Payload"
        raise EnvelopeError(Rule.PAYLOAD_CHOICE, str(exc), line=line, path=path) from None


def _other_message(root: etree._Element, reading: str, size: int) -> tuple[etree._Element, Message]:
    """Return the envelope element and the message of a document that is not plainly generic and valid."""
    envelope = _forms.find(root)
    if envelope is None:
        raise _no_envelope(root)
    name = _tree.local(envelope)
    kind, form = _forms.to_generic(envelope)
    diagnosis = Diagnosis()
    complaint = complaint_of(envelope, name, size)
    if complaint is not None:
        diagnosis = diagnose(envelope, kind)
        if reading != Reading.TOLERANT or diagnosis.fatal is not None or not diagnosis.findings:
            raise _under_rule(complaint, diagnosis, within(envelope, name, diagnosis.path))
        if (complaint := complaint_of(envelope, name, size)) is not None:
            raise complaint
    return envelope, _with_diagnosis(_read_message(envelope, kind, form), diagnosis)


def _with_diagnosis(message: Message, diagnosis: Diagnosis) -> Message:
    if not diagnosis.findings:
        return message
    payload = message.payload
    if diagnosis.items:
        payload = replace(payload or Payload(), items=(*(payload.items if payload else ()), *diagnosis.items))
    return replace(message, payload=payload, vendor=tuple(diagnosis.vendor), findings=tuple(diagnosis.findings))


def _has_extensions(message: Message) -> bool:
    parts = (message, message.request, message.reply)
    return any(part is not None and part.extensions for part in parts)


def _check_compressed(message: Message, text: str, limits: Limits) -> Message:
    """Note a Compressed that is not base64 of gzip of XML; raise for one that would grow beyond the limit."""
    try:
        _compressed.check(text, limits)
    except InvalidMessage as exc:
        finding = Finding(rule=Rule.COMPRESSED, element="Compressed", line=0, reason=str(exc))
        return replace(message, findings=(*message.findings, finding))
    return message


# ---------------------------------------------------------------- what is wrong


def _no_envelope(root: etree._Element) -> EnvelopeError:
    line = _tree.line(root)
    if _tree.split(root.tag)[0] == EDITION_2:
        return EnvelopeError(Rule.EDITION, NO_EDITION_2, line=line, path=_tree.path(root), reply_code="1.9")
    found = _forms.almost(root)
    if found is None:
        reason = "no element has a Header with a Verb, or a Reply with a Result"
        return EnvelopeError(Rule.NO_ENVELOPE, reason, line=line, path=_tree.path(root))
    element, missing = found
    reason = f"{_tree.local(element)} has no {missing}"
    line, path = _tree.line(element), _tree.path(element)
    return EnvelopeError(Rule.MISSING_ELEMENT, reason, line=line, path=path, reply_code=missing_code(element, missing))


def _under_rule(complaint: EnvelopeError, diagnosis: Diagnosis, path: str) -> EnvelopeError:
    """Return libxml2's complaint under the name of what the diagnosis found."""
    found = diagnosis.fatal or next(iter(diagnosis.findings), None)
    if found is None:
        return complaint
    return EnvelopeError(found.rule, found.reason, line=found.line, path=path, reply_code=diagnosis.reply_code)


# ---------------------------------------------------------------- strict reading

_UUID = re.compile("[A-Fa-f0-9]{8}(-[A-Fa-f0-9]{4}){3}-[A-Fa-f0-9]{12}")
_HAS_ZONE = re.compile(r"(Z|[+-]\d\d:\d\d)\s*$")


_StrictFault = tuple[Rule, str, str, str]


def _strict_fault(message: Message) -> _StrictFault | None:
    """Return rule, path, reason and reply code of a missing id or Timestamp, an id that is no UUID, a naive time."""
    if message.kind is Kind.FAULT:
        return None
    for name, value in _ids_and_timestamp(message):
        if value is None:
            return Rule.MISSING_ELEMENT, f"Header/{name}", f"Header has no {name}", "1.5"
        if name != "Timestamp" and not _UUID.fullmatch(value):
            return Rule.UUID, f"Header/{name}", f"{name} {value!r} is no UUID", "1.8"
    for path, value in _times(message):
        if value is not None and not _HAS_ZONE.search(value):
            return Rule.NAIVE_TIME, path, f"{path} {value} has no zone: end it with Z or an offset", "1.8"
    return None


def _ids_and_timestamp(message: Message) -> tuple[tuple[str, str | None], ...]:
    return (
        ("Timestamp", message.timestamp),
        ("MessageID", message.message_id),
        ("CorrelationID", message.correlation_id),
    )


def _times(message: Message) -> tuple[tuple[str, str | None], ...]:
    return (
        ("Header/Timestamp", message.timestamp),
        ("Header/ReplayDetection/Created", message.replay_detection.created if message.replay_detection else None),
        ("Request/StartTime", message.request.start_time if message.request else None),
        ("Request/EndTime", message.request.end_time if message.request else None),
    )


def _strict(fault: _StrictFault, envelope: etree._Element) -> EnvelopeError:
    rule, path, reason, code = fault
    element = envelope.find("/".join(M + name for name in path.split("/")))
    header = envelope.find(f"{M}Header")
    line = next((_tree.line(one) for one in (element, header) if one is not None), 0)
    return EnvelopeError(rule, reason, line=line, path=path, reply_code=code)
