"""The plain case, which is most of them: the header is one pattern, the payload a slice.

To parse and validate the header and to walk its nodes costs more than all else. Where a document is plain (UTF-8, one
namespace, no comment, CDATA, processing instruction or reference in the header, nothing in it but text and properties,
one element in Payload), one pattern, made from the same table as all else, reads its text, and whatever fits it is
well-formed and valid by the schema; only what stands in Payload is parsed. What does not fit is left to `_read`. Tests
hold that both read the same, and that it is valid.

Whatever was read here is plain again when it is written, so it is read again as the same octets.
"""

import re
from typing import Any

from lxml import etree

from iec62746 import _read
from iec62746._forms import OWN_IN_PAYLOAD, is_own
from iec62746._items import Xml
from iec62746._parser import parse, parse_element
from iec62746._schema import HEADER, M, is_date_time
from iec62746._validation import is_valid
from iec62746.errors import EnvelopeError
from iec62746.limits import Limits
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

_WHITE = " \t\r\n"
_SPACE = r"[ \t\n]*+"
# No markup, nothing that XML lacks, no \r, which is read as \n, and no >, which may not stand behind ]].
_CHARACTERS = r"[^<&>\x00-\x08\x0b-\x1f\ufffe\uffff]*"
_FIELDS = (
    "verb", "noun", "revision", "context", "timestamp", "source", "reply_address", "message_id", "correlation_id",
    "comment",
)  # fmt: skip


def _text(name: str, *, is_mandatory: bool = True) -> str:
    pattern = rf"<{name}>({_CHARACTERS})</{name}>{_SPACE}"
    return pattern if is_mandatory else f"(?:{pattern})?"


_DECLARATION = rf'(?:<\?xml version="1\.0"(?: encoding="(?:UTF|utf)-8")?{_SPACE}\?>)?{_SPACE}'
_PROPERTY = re.compile(f"<Property>{_SPACE}{_text('Name')}{_text('Value')}</Property>{_SPACE}")
_HEADER = re.compile(
    rf'\ufeff?{_DECLARATION}<(\w+) xmlns="{re.escape(NAMESPACE)}">{_SPACE}<Header>{_SPACE}'
    + "".join(_text(place.name, is_mandatory=place.low > 0) for place in HEADER.places if place.field in _FIELDS)
    + f"((?:{_PROPERTY.pattern.replace('(', '(?:')})*+)</Header>"
)
_PART = re.compile(rf"{_SPACE}<(Reply|Request)>[^<]*+(?:<(?!/\1>|[!?])[^<]*+)*+</\1>")
# As most replies are: one error at most, with its code and perhaps the reason.
_REPLY = re.compile(
    rf"{_SPACE}<Reply>{_SPACE}<Result>({'|'.join(Result)})</Result>{_SPACE}"
    rf"(?:<Error>{_SPACE}{_text('code')}{_text('reason', is_mandatory=False)}</Error>{_SPACE})?</Reply>"
)
# Its element is none of Payload's own, and looks as most do: attributes in double quotes, an end tag.
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

# As long as text may be for libxml2, so that no text is longer.
_LONGEST = 10_000_000
# As deep as the pattern goes, and an element in Payload is: whether what is parsed is deeper, the parser says.
_DEPTH, _AROUND = 4, 2
# What a part is parsed and validated in.
_FRAME = f'<{{0}} xmlns="{NAMESPACE}"><Header><Verb>get</Verb><Noun/></Header>{{1}}</{{0}}>'


def message(data: bytes, limits: Limits) -> Message | None:
    """Return the message if its document is plain, and thereby valid; else None."""
    if len(data) > min(limits.message, _LONGEST) or limits.depth < _DEPTH:
        return None
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
    at, request, reply, payload = found.end(), None, None, None
    if part := _REPLY.match(text, at):
        at, reply = part.end(), _reply(part)
        if kind is not Kind.RESPONSE:
            return None
    elif part := _PART.match(text, at):
        at, value = part.end(), _part(part, name, limits)
        if value is None:
            return None
        request, reply = (None, value) if part[1] == "Reply" else (value, None)
    elif kind is Kind.RESPONSE:
        return None
    if text[at:].strip(_WHITE) != end_tag:
        payload = _payload(text, at, end_tag, limits)
        if payload is None:
            return None
    return _message(
        kind, verb, noun, revision, None, context, sent, source, None, address, None, None,
        message_id, correlation_id, comment, _properties(properties), (), request, reply, payload,
    )  # fmt: skip


def _reply(found: re.Match[str]) -> ReplyPart:
    result, code, reason = found.groups()
    return _reply_part(result=_RESULTS[result], errors=() if code is None else (_error(code=code, reason=reason),))


def _part(found: re.Match[str], name: str, limits: Limits) -> Any:
    """Return the part that was `found` in a document whose root is called `name`; None if it is not plain and valid."""
    try:
        root = parse(_FRAME.format(name, found[0]).encode(), limits)
        if len(root) != 2 or not is_valid(root, len(found[0])):
            return None
        value = _read.part(root[1], _PARTS[found[1]])
    except EnvelopeError:
        return None  # all of the document is parsed then, which says where it is wrong
    return None if value.extensions else value


def _properties(text: str) -> tuple[Property, ...]:
    """Return the properties that `text` is made of."""
    return tuple([_property(name, value) for name, value in _PROPERTY.findall(text)])


def _is_misplaced(item: etree._Element) -> bool:
    tag: str = item.tag
    return tag[0] != "{" or tag.startswith(M) or is_own(item)


def _payload(text: str, at: int, end_tag: str, limits: Limits) -> Payload | None:
    """Return the Payload that begins at `at` with its one element cut out of `text`; None if it is not that."""
    begin, end = _PAYLOAD.match(text, at), text.rfind("</Payload>")
    if begin is None or text[end + 10 :].strip(_WHITE) != end_tag:
        return None
    xml = text[begin.end() : end].rstrip(_WHITE)
    # Its one child is all that there is: what ends with its end tag has no text or CDATA behind it.
    if not xml.endswith(f"</{begin[1]}>"):
        return None
    if not _HAS_DEFAULT.match(begin[2]):
        # What has no prefix in it is in the envelope's namespace; nothing else is declared around it.
        name = len(begin[1]) + 1
        xml = f'{xml[:name]} xmlns="{NAMESPACE}"{xml[name:]}'
    data = xml.encode()
    try:
        root = parse_element(data, limits, _AROUND)
    except EnvelopeError:
        return None
    return None if _is_misplaced(root) else _payload_of((Xml(data),))
