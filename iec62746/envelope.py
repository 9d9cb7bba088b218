"""The two functions between a `Message` and bytes, and the one XML parser of the framework.

`decode` reads the generic form, the typed form of web services, and either in a SOAP wrapper. `encode` writes the generic or the
typed form; what it writes is valid by `schema/message.xsd`.
"""

import base64
import re
import zlib
from binascii import Error as Base64Error
from collections.abc import Callable
from dataclasses import replace
from enum import StrEnum
from typing import Any

from lxml import etree

from iec62746 import _forms
from iec62746._diagnosis import Diagnosis, diagnose
from iec62746._parser import parse
from iec62746._schema import (
    HEADER,
    ID_ATTRIBUTES,
    IDENTIFIER,
    KINDS,
    MANY,
    PARTS,
    PAYLOAD,
    QNAME,
    SEQUENCES,
    M,
    Place,
    Sequence,
    escape,
    escape_attribute,
    schema,
)
from iec62746.errors import EnvelopeError, InvalidMessage, Rule
from iec62746.limits import Limits
from iec62746.message import ID, NAMESPACE, Finding, Kind, Message, Payload, Property, ReplyPart, RequestPart, TypedForm, thawed

_DEFAULT = Limits()


class Reading(StrEnum):
    """How to read: by the schema; with ids and Timestamp mandatory; or with the deviations that the field has."""

    STANDARD = "standard"
    STRICT = "strict"
    TOLERANT = "tolerant"


class Xml(bytes):
    """One element that may stand in an envelope: UTF-8, in a namespace of its own, its default namespace declared."""

    __slots__ = ()


# ---------------------------------------------------------------- decode


def decode(data: bytes, *, reading: str = Reading.STANDARD, limits: Limits = _DEFAULT) -> Message:
    """Return the message in `data`.

    `limits` bounds octets, depth, attributes and what comes out of Compressed. Deviations that were taken are in
    `Message.findings`. Raises `EnvelopeError` with rule, line, path and reply code (61968-100, edition 1).
    """
    root = parse(data, limits)
    message = None
    if _is_valid(root):
        message = _plain_message(root, data)
        if message is None and root.tag in _GENERIC:
            message = _message(root, _GENERIC[root.tag])
    if message is None:
        root, message = _decode_other(root, reading)
    payload = message.payload
    if payload is not None and payload.compressed is not None:
        message = _check_compressed(message, payload.compressed, limits)
    if reading == "strict":
        _check_strict(message, root)
    return message


_is_valid = schema().validate
_GENERIC = {M + kind.value: kind for kind in Kind}


def _message(envelope: etree._Element, kind: Kind) -> Message | None:
    """Return the message in a valid generic envelope; None if its Payload still has to be brought into the generic form."""
    _drop_comments(envelope)
    values: dict[str, Any] = {"kind": kind}
    for part in envelope:
        field, cls, _ = _PART_OF[part.tag]
        if cls is None:
            for child in part:
                _fill(values, child, _HEADER)
        elif cls is Payload and any(map(_forms.is_foreign_own, part)):
            return None
        else:
            values[field] = _value(part, cls)
    return Message(**values)


_PART_OF = {M + name: found for name, found in PARTS.items()}


def _value(element: etree._Element, cls: type) -> Any:
    values: dict[str, Any] = {}
    for child in element:
        _fill(values, child, _READERS[cls])
    return cls(**values)


def _fill(values: dict[str, Any], child: etree._Element, readers: "_Readers") -> None:
    """Put `child` into `values` by the table."""
    field, is_many, read = readers.get(child.tag, readers[""])
    value = read(child)
    if is_many:
        values[field] = (*values.get(field, ()), value)
    else:
        values[field] = value


def _read_id(element: etree._Element) -> ID:
    values: dict[str, Any] = {ID_ATTRIBUTES[name]: value for name, value in element.items() if name in ID_ATTRIBUTES}
    if "kind" in values:
        values["kind"] = KINDS[values["kind"]]
    return ID(element.text or "", **values)


def _read_qname(element: etree._Element) -> str:
    prefix, _, name = (element.text or "").strip().rpartition(":")
    namespace = element.nsmap.get(prefix or None)
    return f"{{{namespace}}}{name}" if namespace else name


def _item(element: etree._Element) -> Xml:
    """Return `element` as XML that means the same standing alone and standing in an envelope."""
    return _self_contained(etree.tostring(element, encoding="unicode", with_tail=False).encode())


def _self_contained(xml: bytes) -> Xml:
    end = xml.index(b">")
    if xml.find(b" xmlns:", 0, end) > 0:
        xml = _without_idle_prefixes(xml, end)
        end = xml.index(b">")
    if xml.find(b' xmlns="', 0, end) < 0:
        # The envelope around it will have a default namespace: say that here is none.
        end -= xml[end - 1 : end] == b"/"
        xml = xml[:end] + b' xmlns=""' + xml[end:]
    return Xml(xml)


_PREFIX = re.compile(rb' xmlns:([^=]+)="[^"]*"')


def _without_idle_prefixes(xml: bytes, end: int) -> bytes:
    """Drop the declarations that an envelope lent to `xml`; text may use a prefix too, so any `prefix:` keeps its own."""
    return _PREFIX.sub(lambda found: found[0] if found[1] + b":" in xml else b"", xml[:end]) + xml[end:]


_Readers = dict[str, tuple[str, bool, Callable[[etree._Element], Any]]]


def _readers(sequence: Sequence) -> _Readers:
    """Return, for each tag, the field it fills, whether that holds several, and how to read it; `""` is the wildcard."""
    table: _Readers = {tag: (place.field, place.high == MANY, _read_by(place.type)) for tag, place in sequence.by_tag.items()}
    table[""] = (sequence.wildcard.field, sequence.wildcard.high == MANY, _item)
    return table


def _read_by(kind: Any) -> Callable[[etree._Element], Any]:
    if kind in SEQUENCES:
        return lambda element: _value(element, kind)
    special: dict[Any, Callable[[etree._Element], Any]] = {IDENTIFIER: _read_id, QNAME: _read_qname}
    return special.get(kind) or (lambda element: kind.read(element.text or ""))


_HEADER = _readers(HEADER)
_READERS = {cls: _readers(sequence) for cls, sequence in SEQUENCES.items()}


# ---------------------------------------------------------------- decode: the plain case, which is most of them
#
# To walk the header's nodes costs as much as to parse them. Where a valid document is plain (one namespace, no comment, CDATA,
# processing instruction or reference in the header, nothing in it but text and properties), its header is one pattern, made from
# the same table, and its payload is a slice. A test holds that both ways read the same.

_SPACE = r"[ \t\n]*"
_PLAIN = ("verb", "noun", "revision", "context", "timestamp", "source", "reply_address", "message_id", "correlation_id", "comment")


def _text(name: str, *, is_mandatory: bool = True) -> str:
    pattern = rf"<{name}>([^<&\r]*)</{name}>{_SPACE}"
    return pattern if is_mandatory else f"(?:{pattern})?"


_PLAIN_HEADER = re.compile(
    rf'\ufeff?(?:<\?xml version="1\.\d"(?: encoding="(?i:utf-8)")?\s*\?>)?\s*<(\w+) xmlns="{NAMESPACE}">{_SPACE}<Header>{_SPACE}'
    + "".join(_text(place.name, is_mandatory=place.low > 0) for place in HEADER.places if place.field in _PLAIN)
)
_PLAIN_PROPERTY = re.compile(f"<Property>{_SPACE}{_text('Name')}{_text('Value')}</Property>{_SPACE}")
_PLAIN_PART = re.compile(rf"{_SPACE}<(Reply|Request)>[^!?]*?</\1>")
_PLAIN_PAYLOAD = re.compile(rf"{_SPACE}<Payload>{_SPACE}(?!<(?:[!?]|(?:\w+:)?(?:Format|Compressed|OperationSet|ID)\b))")
_PLAIN_ROOTS = {kind.value: (kind, f"</{kind.value}>") for kind in (Kind.REQUEST, Kind.RESPONSE, Kind.EVENT)}
_THAWED, _THAWED_PAYLOAD, _THAWED_PROPERTY = thawed(Message), thawed(Payload), thawed(Property)


def _plain_message(root: etree._Element, data: bytes) -> Message | None:
    """Return the message if its valid document is plain UTF-8, else None."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return None
    found = _PLAIN_HEADER.match(text)
    if found is None or found[1] not in _PLAIN_ROOTS:
        return None
    name, verb, noun, revision, context, timestamp, source, reply_address, message_id, correlation_id, comment = found.groups()
    properties = _plain_properties(text, found.end())
    if properties is None:
        return None
    kind, end_tag = _PLAIN_ROOTS[name]
    request = reply = payload = None
    rest, at = len(root) - 1, text.find("</Header>", found.end()) + 9
    if rest and (part := _PLAIN_PART.match(text, at)):
        rest, at = rest - 1, part.end()
        value = _value(root[1], ReplyPart if part[1] == "Reply" else RequestPart)
        if value.extensions:
            return None
        request, reply = (None, value) if part[1] == "Reply" else (value, None)
    if rest:
        payload = _plain_payload(root, end_tag, text, at)
        if payload is None:
            return None
    message = _THAWED(
        kind, verb, noun, revision, None, context, timestamp, source, None, reply_address, None, None,
        message_id, correlation_id, comment, properties, (), request, reply, payload,
    )  # fmt: skip
    message.__class__ = Message
    return message


def _plain_properties(text: str, at: int) -> tuple[Property, ...] | None:
    """Return the properties that fill the header from `at` to its end, or None if something else is there."""
    end = text.find("</Header>", at)
    found = _PLAIN_PROPERTY.findall(text, at, end)
    if text.count("<", at, end) != _TAGS_OF_PROPERTY * len(found):
        return None
    properties = []
    for name, value in found:
        one = _THAWED_PROPERTY(name, value)
        one.__class__ = Property
        properties.append(one)
    return tuple(properties)


_TAGS_OF_PROPERTY = 6


def _plain_payload(root: etree._Element, end_tag: str, text: str, at: int) -> Payload | None:
    """Return the Payload with its one element cut out of `text`; None if what begins at `at` is not that."""
    begin, end = _PLAIN_PAYLOAD.match(text, at), text.rfind("</Payload>")
    if begin is None or text[end + 10 :].strip() != end_tag or len(root[-1]) != 1:
        return None
    payload = _THAWED_PAYLOAD((_self_contained(text[begin.end() : end].rstrip().encode()),))
    payload.__class__ = Payload
    return payload


# ---------------------------------------------------------------- decode: typed forms, SOAP, and what is not valid


def _decode_other(root: etree._Element, reading: str) -> tuple[etree._Element, Message]:
    """Return the envelope element and the message of a document that is not plainly generic and valid."""
    envelope = _forms.find(root)
    if envelope is None:
        raise _no_envelope(root)
    name = _forms.local(envelope)
    kind, form = _forms.to_generic(envelope)
    _drop_comments(envelope)
    diagnosis = Diagnosis()
    if not _is_valid(envelope):
        complaint = _complaint(envelope, name)
        diagnosis = diagnose(envelope, kind)
        if reading != Reading.TOLERANT or diagnosis.fatal is not None or not diagnosis.findings:
            raise _invalid(complaint, diagnosis)
        if not _is_valid(envelope):
            raise _complaint(envelope, name)
    try:
        message = _message(envelope, kind)
    except InvalidMessage as exc:
        raise EnvelopeError(Rule.PAYLOAD_CHOICE, str(exc), line=envelope[-1].sourceline or 0, path=f"{name}/Payload") from None
    if message is None:
        raise AssertionError("the generic form has no foreign Format, Compressed, OperationSet or ID in Payload")
    return envelope, _with_diagnosis(replace(message, form=form), diagnosis)


def _with_diagnosis(message: Message, diagnosis: Diagnosis) -> Message:
    if not diagnosis.findings:
        return message
    payload = message.payload
    if diagnosis.items:
        payload = replace(payload or Payload(), items=(*(payload.items if payload else ()), *diagnosis.items))
    return replace(message, payload=payload, vendor=tuple(diagnosis.vendor), findings=tuple(diagnosis.findings))


def _drop_comments(envelope: etree._Element) -> None:
    """Drop comments and processing instructions, but not inside the elements of a payload or an extension: those are theirs."""
    for node in list(envelope.iter(etree.Comment, etree.ProcessingInstruction)):
        parent = node.getparent()
        if parent is not None and not _is_inside_item(parent, envelope):
            _remove(node, parent)


def _is_inside_item(element: etree._Element, envelope: etree._Element) -> bool:
    """True if `element` is, or stands in, an element of another namespace."""
    while element is not envelope:
        if _forms.split(element.tag)[0] not in ("", NAMESPACE):
            return True
        parent = element.getparent()
        if parent is None:
            return False
        element = parent
    return False


def _remove(node: etree._Element, parent: etree._Element) -> None:
    """Remove `node` and keep the text that follows it."""
    before = node.getprevious()
    if before is not None:
        before.tail = (before.tail or "") + (node.tail or "")
    else:
        parent.text = (parent.text or "") + (node.tail or "")
    node.tail = None
    parent.remove(node)


def _no_envelope(root: etree._Element) -> EnvelopeError:
    found = _forms.almost(root)
    if found is None:
        return EnvelopeError(Rule.NO_ENVELOPE, "no element has a Header with a Verb, or a Reply with a Result", line=root.sourceline or 0)
    part, missing = found
    code = "1.5" if missing == "Verb" else "1.8"
    path, line = _path(part), part.sourceline or 0
    return EnvelopeError(Rule.MISSING_ELEMENT, f"{_forms.local(part)} has no {missing}", line=line, path=path, reply_code=code)


def _invalid(complaint: EnvelopeError, diagnosis: Diagnosis) -> EnvelopeError:
    """Return libxml2's complaint under the name of what the diagnosis found."""
    if not diagnosis.findings:
        return complaint
    found = diagnosis.fatal or diagnosis.findings[0]
    path = complaint.path if complaint.line == found.line else found.element
    return EnvelopeError(found.rule, found.reason, line=found.line, path=path, reply_code=diagnosis.reply_code)


_SCHEMA_RULES = {
    "SCHEMAV_CVC_DATATYPE_VALID_1_2_1": Rule.VALUE,
    "SCHEMAV_CVC_ENUMERATION_VALID": Rule.VALUE,
    "SCHEMAV_CVC_COMPLEX_TYPE_3_2_1": Rule.ATTRIBUTE,
    "SCHEMAV_CVC_COMPLEX_TYPE_3_2_2": Rule.ATTRIBUTE,
}


def _complaint(envelope: etree._Element, name: str) -> EnvelopeError:
    """Return the first thing that libxml2 has against `envelope`, whose root was called `name`."""
    entry = next(iter(schema().error_log))
    found = next((element for element in envelope.iter("*") if element.sourceline == entry.line), envelope)
    for element in envelope.iter("*"):
        if element.sourceline == entry.line and f"Element '{element.tag}'" in entry.message:
            found = element
            break
    rule = _SCHEMA_RULES.get(entry.type_name, Rule.SCHEMA)
    if rule is Rule.VALUE and found.tag == M + "xpath":
        rule = Rule.QNAME
    reason = entry.message.replace(M, "")
    path = "/".join([name, *_path(found).split("/")[_path(envelope).count("/") + 1 :]])
    return EnvelopeError(rule, reason, line=entry.line, path=path)


def _path(element: etree._Element) -> str:
    return "/".join(_forms.local(one) for one in [*reversed(list(element.iterancestors())), element])


# ---------------------------------------------------------------- decode: what the schema does not say


def _check_compressed(message: Message, text: str, limits: Limits) -> Message:
    """Note a Compressed that is not base64(gzip(XML)); raise for one that would grow beyond the limit."""
    try:
        _inflated(text, limits)
    except InvalidMessage as exc:
        finding = Finding(rule=Rule.COMPRESSED, element="Compressed", line=0, reason=str(exc))
        return replace(message, findings=(*message.findings, finding))
    return message


_UUID = re.compile("[A-Fa-f0-9]{8}(-[A-Fa-f0-9]{4}){3}-[A-Fa-f0-9]{12}")


def _check_strict(message: Message, envelope: etree._Element) -> None:
    """Refuse a header without MessageID, CorrelationID or Timestamp, ids that are no UUIDs, and naive times."""
    if message.kind is Kind.FAULT:
        return
    header = envelope[0]
    for name, value in (("Timestamp", message.timestamp), ("MessageID", message.message_id), ("CorrelationID", message.correlation_id)):
        if value is None:
            raise _strict(Rule.MISSING_ELEMENT, header, name, f"Header has no {name}", "1.5")
        if name != "Timestamp" and not _UUID.fullmatch(value):
            raise _strict(Rule.UUID, header, name, f"{name} {value!r} is no UUID", "1.8")
    for element in envelope.iter(M + "Timestamp", M + "StartTime", M + "EndTime", M + "Created"):
        if not _HAS_ZONE.search(element.text or ""):
            name = _forms.local(element)
            raise _strict(Rule.NAIVE_TIME, header, name, f"{name} {element.text} has no zone: end it with Z or an offset", "1.8")


_HAS_ZONE = re.compile(r"(Z|[+-]\d\d:\d\d)\s*$")


def _strict(rule: Rule, header: etree._Element, name: str, reason: str, code: str) -> EnvelopeError:
    element = header.find(M + name)
    line = (header if element is None else element).sourceline or 0
    return EnvelopeError(rule, reason, line=line, path=f"Header/{name}", reply_code=code)


# ---------------------------------------------------------------- encode


def encode(message: Message) -> bytes:
    """Return `message` as UTF-8, in its typed form if it has one; valid by `schema/message.xsd`.

    Raises `InvalidMessage` for what cannot be written so: a verb that is none, a character that XML lacks, a part that the kind
    does not have, a payload element without a namespace of its own, an element that was read in tolerant mode only.
    """
    if message.vendor:
        raise InvalidMessage("the message has vendor elements, which the schema has no place for: replace(message, vendor=())")
    if (message.reply is None) == (message.kind in (Kind.RESPONSE, Kind.FAULT)):
        raise InvalidMessage(f"a {message.kind} has {'a' if message.reply is None else 'no'} Reply")
    kind = message.kind
    root, prefix, declaration = _names(message.form) if message.form else (str(kind), "", "")
    out = [f'<?xml version="1.0" encoding="UTF-8"?>\n<{root}{declaration} xmlns="{NAMESPACE}">']
    if message.kind is Kind.FAULT:
        _check_fault(message)
    else:
        out.append(_part(f"{prefix}Header", message, _HEADER_WRITERS))
    if message.request is not None:
        _check_kind(message, Kind.REQUEST, "Request")
        out.append(_part(f"{prefix}Request", message.request, _WRITERS[RequestPart]))
    if message.reply is not None:
        out.append(_part(f"{prefix}Reply", message.reply, _WRITERS[ReplyPart]))
    if message.payload is not None:
        out.append(_part(f"{prefix}Payload", message.payload, _WRITERS[Payload]))
    out.append(f"</{root}>")
    return "".join(out).encode()


def _names(form: TypedForm) -> tuple[str, str, str]:
    """Return the root's name, the prefix of the parts, and the declaration of that prefix."""
    if not _NCNAME.fullmatch(form.name) or form.namespace in ("", NAMESPACE):
        raise InvalidMessage(f"{form} is no typed form: it needs an XML name and a namespace of its own")
    return f"t:{form.name}", "t:", f' xmlns:t="{escape_attribute(form.namespace)}"'


_NCNAME = re.compile(r"[^\W\d][\w.\-·]*")


def _check_kind(message: Message, kind: Kind, part: str) -> None:
    if message.kind is not kind:
        raise InvalidMessage(f"a {message.kind} has no {part}")


def _check_fault(message: Message) -> None:
    if message.payload is not None or message.request is not None or message.verb or message.noun:
        raise InvalidMessage("a FaultMessage has only a Reply: no Header, Request or Payload")


_Writer = Callable[[Any], str]


def _part(name: str, value: Any, writers: "list[_Place]") -> str:
    """Return the element `name` with the fields of `value` in it, by the table."""
    out = [f"<{name}>"]
    for field, write, is_many, missing in writers:
        one = getattr(value, field)
        if one is None or one == ():
            if missing:
                raise InvalidMessage(f"{name} has no {missing}: the schema demands it")
        elif is_many:
            out.extend(map(write, one))
        else:
            out.append(write(one))
    out.append(f"</{name}>")
    return "".join(out)


_Place = tuple[str, _Writer, bool, str]


def _writers(sequence: Sequence) -> list[_Place]:
    """Return, for each place, the field it is filled from, how to write it, whether that holds several, and its name if it must be."""
    return [(one.field, _write_by(one), one.high == MANY, one.name if one.low else "") for one in sequence.places]


def _write_by(place: Place) -> _Writer:
    name, kind = place.name, place.type
    start, end = f"<{name}>", f"</{name}>"
    if name == "*":
        return lambda value: (value if type(value) is Xml else element(value)).decode()
    if kind is Property:
        return _property
    if kind in SEQUENCES:
        return lambda value: _part(name, value, _WRITERS[kind])
    if kind is IDENTIFIER:
        return lambda value: f"<{name}{_attributes(value)}>{escape(value.value)}{end}"
    if kind is QNAME:
        return lambda value: _qname(name, value)
    write = kind.write
    return lambda value: start + write(value) + end


def _property(one: Property) -> str:
    value = "" if one.value is None else f"<Value>{escape(one.value)}</Value>"
    return f"<Property><Name>{escape(one.name)}</Name>{value}</Property>"


_HEADER_WRITERS = _writers(HEADER)
_WRITERS = {cls: _writers(sequence) for cls, sequence in SEQUENCES.items()}


def _attributes(value: ID) -> str:
    if value.kind is not None and value.kind not in KINDS:
        raise InvalidMessage(f"{value.kind!r} is no kind of ID: use one of {', '.join(KINDS)}")
    pairs = ((name, getattr(value, field)) for name, field in ID_ATTRIBUTES.items())
    return "".join(f' {name}="{escape_attribute(text)}"' for name, text in pairs if text is not None)


def _qname(name: str, value: str) -> str:
    namespace, local = _forms.split(value)
    if not _NCNAME.fullmatch(local):
        raise InvalidMessage(f"{value!r} is no QName: write {{namespace}}name")
    if namespace == NAMESPACE:
        return f"<{name}>{local}</{name}>"
    if namespace:
        return f'<{name} xmlns:q="{escape_attribute(namespace)}">q:{local}</{name}>'
    # Without a prefix it would be a name of the default namespace, which is the message's.
    return f'<m:{name} xmlns:m="{NAMESPACE}" xmlns="">{local}</m:{name}>'


# ---------------------------------------------------------------- payloads


def element(value: str | bytes | etree._Element) -> Xml:
    """Return `value` as one element that may stand in an envelope.

    Raises `InvalidMessage` if it is not one well-formed element in a namespace of its own (61968-100: Payload).
    """
    if isinstance(value, Xml):
        return value
    root = _parse_ours(value.encode() if isinstance(value, str) else value) if isinstance(value, str | bytes) else value
    namespace = _forms.split(root.tag)[0]
    if namespace in ("", NAMESPACE):
        raise InvalidMessage(f"<{_forms.local(root)}> needs a namespace of its own: declare its profile's with xmlns=…")
    return _item(root)


def _parse_ours(data: bytes) -> etree._Element:
    try:
        return parse(data, Limits(message=max(len(data), 1), depth=256))
    except EnvelopeError as exc:
        raise InvalidMessage(f"the element is not well-formed: {exc}") from None


def payload(value: "str | bytes | etree._Element | Payload") -> Payload:
    """Return `value` as a Payload; raises `InvalidMessage` as `element` does."""
    return value if isinstance(value, Payload) else Payload(items=(element(value),))


def deflate(value: Payload) -> Payload:
    """Return `value` with its one element in Compressed: base64 of gzip."""
    packed = zlib.compressobj(9, zlib.DEFLATED, 31)
    data = packed.compress(value.xml) + packed.flush()
    return Payload(compressed=base64.b64encode(data).decode(), format=value.format)


def inflate(value: Payload, limits: Limits = _DEFAULT) -> Payload:
    """Return `value` with what is in Compressed as its element, or `value` itself if there is no Compressed.

    Raises `EnvelopeError` if that would be over `limits.inflated` octets, `InvalidMessage` if it is no gzip of one element.
    """
    if value.compressed is None:
        return value
    return Payload(items=(_inflated(value.compressed, limits),), format=value.format)


def _inflated(text: str, limits: Limits) -> Xml:
    try:
        data = _gunzip(base64.b64decode("".join(text.split()), validate=True), limits.inflated)
    except (Base64Error, ValueError, zlib.error) as exc:
        raise InvalidMessage(f"Compressed is not base64 of gzip: {exc}") from None
    return element(data)


def _gunzip(data: bytes, most: int) -> bytes:
    out = bytearray()
    while data:
        member = zlib.decompressobj(31)
        out += member.decompress(data, most + 1 - len(out))
        if len(out) > most:
            raise EnvelopeError(Rule.INFLATED, f"Compressed holds more than {most} octets", reply_code="3.1")
        if not member.eof:
            raise ValueError("it is cut off")
        data = member.unused_data
    return bytes(out)
