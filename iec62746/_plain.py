"""The plain case, which is most of them: the header is one pattern, the payload a slice.

To walk the header's nodes costs as much as to parse them. Where a valid document is plain (UTF-8, one namespace, no
comment, CDATA, processing instruction or reference in the header, nothing in it but text and properties), its text says
the same, and one pattern, made from the same table, reads it. What is not plain is left to `_read`. A test holds that
both read the same.

Whatever was read here is plain again when it is written, so it is read again as the same octets.
"""

import re
from typing import cast

from lxml import etree

from iec62746 import _read
from iec62746._forms import OWN_IN_PAYLOAD
from iec62746._items import Xml
from iec62746._schema import HEADER
from iec62746.message import NAMESPACE, Kind, Message, Payload, Property, ReplyPart, RequestPart, thawed

_SPACE = r"[ \t\n]*"
_FIELDS = (
    "verb", "noun", "revision", "context", "timestamp", "source", "reply_address", "message_id", "correlation_id",
    "comment",
)  # fmt: skip


def _text(name: str, *, is_mandatory: bool = True) -> str:
    pattern = rf"<{name}>([^<&\r]*)</{name}>{_SPACE}"
    return pattern if is_mandatory else f"(?:{pattern})?"


_DECLARATION = r'(?:<\?xml version="1\.0"(?: encoding="(?:UTF|utf)-8")?\s*\?>)?\s*'
_HEADER = re.compile(
    rf'\ufeff?{_DECLARATION}<(\w+) xmlns="{NAMESPACE}">{_SPACE}<Header>{_SPACE}'
    + "".join(_text(place.name, is_mandatory=place.low > 0) for place in HEADER.places if place.field in _FIELDS)
)
_PROPERTY = re.compile(f"<Property>{_SPACE}{_text('Name')}{_text('Value')}</Property>{_SPACE}")
_TAGS_OF_PROPERTY = 6
_PART = re.compile(rf"{_SPACE}<(Reply|Request)>[^<]*(?:<(?!/\1>|[!?])[^<]*)*</\1>")
# Its element is none of Payload's own, and looks as most do: it declares its default namespace in double quotes.
_OWN = rf"<(?:[^\s<>/:]*:)?(?:{'|'.join(sorted(OWN_IN_PAYLOAD))})[\s/>]"
_PAYLOAD = re.compile(rf"""{_SPACE}<Payload>{_SPACE}(?!{_OWN})(?=<[^\s<>/!?]+(?: [^\s='"<>]+="[^"<>]*")*? xmlns=")""")
_ROOTS = {kind.value: (kind, f"</{kind.value}>") for kind in (Kind.REQUEST, Kind.RESPONSE, Kind.EVENT)}
_PARTS = {"Reply": ReplyPart, "Request": RequestPart}
_THAWED, _THAWED_PAYLOAD, _THAWED_PROPERTY = thawed(Message), thawed(Payload), thawed(Property)


def message(root: etree._Element, data: bytes) -> Message | None:
    """Return the message if its valid document is plain, else None."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return None
    found = _HEADER.match(text)
    if found is None or found[1] not in _ROOTS:
        return None
    name, verb, noun, revision, context, timestamp, source, reply_address, message_id, correlation_id, comment = (
        found.groups()
    )
    end = text.find("</Header>", found.end())
    properties = _properties(text, found.end(), end)
    if properties is None:
        return None
    kind, end_tag = _ROOTS[name]
    request = reply = payload = None
    rest, at = len(root) - 1, end + 9
    if rest and (part := _PART.match(text, at)):
        rest, at = rest - 1, part.end()
        value = _read.part(root[1], _PARTS[part[1]])
        if value.extensions:
            return None
        request, reply = (None, value) if part[1] == "Reply" else (value, None)
    if rest:
        payload = _payload(root, end_tag, text, at)
        if payload is None:
            return None
    result = _THAWED(
        kind, verb, noun, revision, None, context, timestamp, source, None, reply_address, None, None,
        message_id, correlation_id, comment, properties, (), request, reply, payload,
    )  # fmt: skip
    result.__class__ = Message
    return cast(Message, result)


def _properties(text: str, at: int, end: int) -> tuple[Property, ...] | None:
    """Return the properties that fill the header from `at` to `end`, or None if something else is there."""
    found = _PROPERTY.findall(text, at, end)
    if text.count("<", at, end) != _TAGS_OF_PROPERTY * len(found):
        return None
    properties = []
    for name, value in found:
        one = _THAWED_PROPERTY(name, value)
        one.__class__ = Property
        properties.append(one)
    return tuple(properties)


def _payload(root: etree._Element, end_tag: str, text: str, at: int) -> Payload | None:
    """Return the Payload with its one element cut out of `text`; None if what begins at `at` is not that."""
    begin, end = _PAYLOAD.match(text, at), text.rfind("</Payload>")
    if begin is None or text[end + 10 :].strip() != end_tag or len(root[-1]) != 1:
        return None
    xml = text[begin.end() : end].rstrip()
    if xml.endswith("]]>"):
        return None
    payload = _THAWED_PAYLOAD((Xml(xml.encode()),))
    payload.__class__ = Payload
    return cast(Payload, payload)
