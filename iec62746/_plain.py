"""The plain case, which is most of them: the header is one pattern, the payload a slice.

To validate the header and to walk its nodes costs as much as to parse them. Where a document is plain (UTF-8, one
namespace, no comment, CDATA, processing instruction or reference in the header, nothing in it but text and properties,
one element in Payload), one pattern, made from the same table as all else, reads its text, and whatever fits it is
valid by the schema. What does not fit is left to `_read`. Tests hold that both read the same, and that it is valid.

Whatever was read here is plain again when it is written, so it is read again as the same octets.
"""

import re

from lxml import etree

from iec62746 import _read
from iec62746._forms import OWN_IN_PAYLOAD
from iec62746._items import Xml
from iec62746._schema import HEADER, M, is_date_time
from iec62746._validation import is_valid
from iec62746.message import (
    NAMESPACE,
    VERBS,
    Error,
    Kind,
    Message,
    Payload,
    Property,
    ReplyPart,
    RequestPart,
    Result,
    maker,
)

_SPACE = r"[ \t\n]*"
_FIELDS = (
    "verb", "noun", "revision", "context", "timestamp", "source", "reply_address", "message_id", "correlation_id",
    "comment",
)  # fmt: skip


def _text(name: str, *, is_mandatory: bool = True) -> str:
    pattern = rf"<{name}>([^<&\r]*)</{name}>{_SPACE}"
    return pattern if is_mandatory else f"(?:{pattern})?"


_DECLARATION = r'(?:<\?xml version="1\.0"(?: encoding="(?:UTF|utf)-8")?\s*\?>)?\s*'
_PROPERTY = re.compile(f"<Property>{_SPACE}{_text('Name')}{_text('Value')}</Property>{_SPACE}")
_HEADER = re.compile(
    rf'\ufeff?{_DECLARATION}<(\w+) xmlns="{NAMESPACE}">{_SPACE}<Header>{_SPACE}'
    + "".join(_text(place.name, is_mandatory=place.low > 0) for place in HEADER.places if place.field in _FIELDS)
    + f"((?:{_PROPERTY.pattern.replace('(', '(?:')})*+)</Header>"
)
_PART = re.compile(rf"{_SPACE}<(Reply|Request)>[^<]*(?:<(?!/\1>|[!?])[^<]*)*</\1>")
# Its element is none of Payload's own, and looks as most do: attributes in double quotes, an end tag.
# As most replies are: one error at most, with its code and perhaps the reason.
_REPLY = re.compile(
    rf"{_SPACE}<Reply>{_SPACE}<Result>({'|'.join(Result)})</Result>{_SPACE}"
    rf"(?:<Error>{_SPACE}{_text('code')}{_text('reason', is_mandatory=False)}</Error>{_SPACE})?</Reply>"
)
_ATTRIBUTE = r"""(?: [^\s='"<>]+="[^"<>]*")"""
_PAYLOAD = re.compile(
    rf"{_SPACE}<Payload>{_SPACE}(?=<(?!(?:{'|'.join(sorted(OWN_IN_PAYLOAD))})[\s/>])([^\s<>/!?]+)({_ATTRIBUTE}*)>)"
)
_HAS_DEFAULT = re.compile(f'{_ATTRIBUTE}*? xmlns="')
_ROOTS = {kind.value: (kind, f"</{kind.value}>") for kind in (Kind.REQUEST, Kind.RESPONSE, Kind.EVENT)}
_PARTS = {"Reply": ReplyPart, "Request": RequestPart}
_RESULTS = {one.value: one for one in Result}
_message, _payload_of, _property = maker(Message), maker(Payload), maker(Property)
_reply_part, _error = maker(ReplyPart), maker(Error)


def message(root: etree._Element, data: bytes) -> Message | None:
    """Return the message if its document is plain, and thereby valid; else None."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return None
    found = _HEADER.match(text)
    if found is None or found[1] not in _ROOTS:
        return None
    name, verb, noun, revision, context, sent, source, address, message_id, correlation_id, comment, properties = (
        found.groups()
    )
    if verb not in VERBS or (sent is not None and not is_date_time(sent)):
        return None
    kind, end_tag = _ROOTS[name]
    request = reply = payload = None
    rest, at = len(root) - 1, found.end()
    if part := _REPLY.match(text, at):
        rest, at = rest - 1, part.end()
        reply = _reply(part)
        if kind is not Kind.RESPONSE:
            return None
    elif part := _PART.match(text, at):
        rest, at = rest - 1, part.end()
        if not is_valid(root, len(data)):
            return None
        value = _read.part(root[1], _PARTS[part[1]])
        if value.extensions:
            return None
        request, reply = (None, value) if part[1] == "Reply" else (value, None)
    elif kind is Kind.RESPONSE:
        return None
    if rest == 1:
        payload = _payload(root[-1], end_tag, text, at)
        if payload is None:
            return None
    elif rest or text[at:].strip() != end_tag:
        return None
    return _message(
        kind, verb, noun, revision, None, context, sent, source, None, address, None, None,
        message_id, correlation_id, comment, _properties(properties), (), request, reply, payload,
    )  # fmt: skip


def _reply(found: re.Match[str]) -> ReplyPart:
    result, code, reason = found.groups()
    return _reply_part(result=_RESULTS[result], errors=() if code is None else (_error(code=code, reason=reason),))


def _properties(text: str) -> tuple[Property, ...]:
    """Return the properties that `text` is made of."""
    return tuple([_property(name, value) for name, value in _PROPERTY.findall(text)])


def _is_misplaced(tag: str) -> bool:
    return tag[0] != "{" or tag.startswith(M)


def _payload(part: etree._Element, end_tag: str, text: str, at: int) -> Payload | None:
    """Return the Payload `part` with its one element cut out of `text`; None if what begins at `at` is not that."""
    begin, end = _PAYLOAD.match(text, at), text.rfind("</Payload>")
    if begin is None or text[end + 10 :].strip() != end_tag or len(part) != 1:
        return None
    xml = text[begin.end() : end].rstrip()
    # Its one child is all that there is: what ends with its end tag has no text or CDATA behind it.
    if not xml.endswith(f"</{begin[1]}>") or _is_misplaced(part[0].tag):
        return None
    if not _HAS_DEFAULT.match(begin[2]):
        # What has no prefix in it is in the envelope's namespace; nothing else is declared around it.
        name = len(begin[1]) + 1
        xml = f'{xml[:name]} xmlns="{NAMESPACE}"{xml[name:]}'
    return _payload_of((Xml(xml.encode()),))
