"""The one XML parser: no DTD, no entities, no network, and every size bounded."""

import re
from collections.abc import Iterable
from functools import cache
from typing import Any, cast

from lxml import etree

from iec62746._tree import line, path
from iec62746.errors import EnvelopeError, Rule
from iec62746.limits import Limits

MEMORY_MULTIPLE = 128
"""Octets of memory that reading takes at most, for each octet of `Limits.message`; a test measures it."""

# By its first octets, with and without a byte order mark. XML asks for UTF-8 and UTF-16; UTF-32 begins like the latter.
_WIDE = {
    b"\xff\xfe\0\0": "utf-32", b"\0\0\xfe\xff": "utf-32", b"<\0\0\0": "utf-32-le", b"\0\0\0<": "utf-32-be",
    b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16", b"<\0": "utf-16-le", b"\0<": "utf-16-be",
}  # fmt: skip
_DECLARATION = re.compile(r"\ufeff?(<\?xml\s[^>]*\?>)?")
_UTF_8 = tuple(f'<?xml version="1.0" encoding="{name}"?>'.encode() for name in ("UTF-8", "utf-8"))
_PROLOG = re.compile(rb"(?:\xef\xbb\xbf)?(?:\s|<\?.*?\?>|<!--.*?-->)*+<!DOCTYPE(.*)", re.DOTALL)
_LIBXML2_DEPTH = 256
_SAFE: dict[str, Any] = {"resolve_entities": False, "no_network": True, "load_dtd": False, "huge_tree": False}


@cache
def _parser() -> etree.XMLParser:
    return etree.XMLParser(collect_ids=False, **_SAFE)


def parse(data: bytes, limits: Limits) -> etree._Element:
    """Return the root of `data`; raises `EnvelopeError` for what is not XML, not allowed in it, or over a limit."""
    if len(data) > limits.message:
        raise EnvelopeError(Rule.TOO_LONG, f"{len(data)} octets: the limit is {limits.message}", reply_code="3.1")
    is_utf_8 = data.startswith(_UTF_8)
    if not is_utf_8 and b"\0" in data:
        data = _from_wide(data)
    if b"!" in data and b"<!DOCTYPE" in data:
        _refuse_dtd(data)
    root = _root(data, limits, limits.depth)
    if not is_utf_8:
        _refuse_hidden_dtd(root)
    return root


def parse_element(data: bytes, limits: Limits, around: int) -> etree._Element:
    """Return the root of `data`, one element of a document in UTF-8; raises as `parse` does.

    It stood in `around` others, which declared one namespace among them.
    """
    return _root(data, limits, min(limits.depth, _LIBXML2_DEPTH) - around, declared=1)


def _root(data: bytes, limits: Limits, depth: int, declared: int = 0) -> etree._Element:
    """Return the root of `data`, which may be `depth` elements deep; around it so many namespaces are `declared`."""
    try:
        root = etree.fromstring(data, _parser())
    except etree.XMLSyntaxError as exc:
        raise _syntax(exc, data, depth) from None
    except ValueError as exc:
        raise EnvelopeError(Rule.NOT_XML, str(exc)) from None
    # Nothing is over its limit without that many of these octets: most messages are not looked at again.
    if data.count(b"<") > depth:
        _check_depth(root, depth)
    if data.count(b"=") + declared > limits.attributes:
        _check_attributes(root, limits.attributes)
        _check_namespaces(root, limits.attributes, declared)
    return root


def skim(chunks: Iterable[bytes]) -> etree._Element:
    """Return the root of what comes in `chunks`, without its content: nothing of it is kept. Raises as `parse` does."""
    root: etree._Element | None = None
    beginning = etree.XMLPullParser(events=("start",), **_SAFE)
    whole = etree.XMLParser(target=cast(Any, _Nothing()), **_SAFE)
    try:
        for chunk in chunks:
            if root is None:
                beginning.feed(chunk)
                root = next((cast(etree._Element, found) for _, found in beginning.read_events()), None)
            whole.feed(chunk)
        whole.close()
    except etree.XMLSyntaxError as exc:
        raise EnvelopeError(Rule.NOT_XML, exc.msg or "it is not XML", line=exc.lineno or 0) from None
    if root is None:
        raise EnvelopeError(Rule.NOT_XML, "it has no element")
    _refuse_hidden_dtd(root)
    return root


def fault_in_stream(data: bytes, schema: etree.XMLSchema) -> Any:
    """Return the first fault that `schema` finds in `data`, as lxml's log has it, or None."""
    found = _fed(data, schema, _chunks(data))
    return found and found[0]


def element_at_fault(data: bytes, schema: etree.XMLSchema) -> tuple[str, int] | None:
    """Return the first fault that `schema` finds in `data`, and how many elements had begun; None if it is valid."""
    # libxml2 knows no line there. The second time it is fed in small pieces where the first time it found the fault.
    found = _fed(data, schema, _chunks(data))
    if found is None:
        return None
    begin, end = found[2] - _CHUNK, found[2]
    ends = [begin, *(piece.end() for piece in _PIECE.finditer(data, begin, end)), end, len(data)]
    fault, begun, _ = _fed(data, schema, ends) or found
    return fault.message, begun


_PIECE = re.compile(b">")


def _chunks(data: bytes) -> Iterable[int]:
    return range(_CHUNK, len(data) + _CHUNK, _CHUNK)


def _fed(data: bytes, schema: etree.XMLSchema, ends: Iterable[int]) -> tuple[Any, int, int] | None:
    """Return the first fault in lxml's log, how many elements had begun, and at which of `ends`; None if none."""
    target = _Count()
    parser = etree.XMLParser(target=cast(Any, target), schema=schema, **_SAFE)
    begin = 0
    for end in ends:
        parser.feed(data[begin:end])
        begin = end
        if len(log := cast(Any, parser.feed_error_log)):
            return log[0], target.begun, end
    try:
        parser.close()
    except etree.XMLSyntaxError:
        return cast(Any, parser.feed_error_log)[0], target.begun, begin
    return None


_CHUNK = 8_192


class _Count:
    """A parser's target that counts the elements that begin."""

    def __init__(self) -> None:
        self.begun = 0

    def start(self, tag: str, attributes: Any) -> None:
        """Count."""
        self.begun += 1

    def close(self) -> None:
        """Return nothing."""


class _Nothing:
    """A parser's target that keeps nothing."""

    def close(self) -> None:
        """Return nothing."""


def without_declaration(text: str) -> str:
    """Return `text` without the declaration of an encoding, which text no longer has."""
    return _DECLARATION.sub("", text, count=1)


def _from_wide(data: bytes) -> bytes:
    """Return UTF-16 or UTF-32 as UTF-8, without the declaration that says otherwise."""
    codec = _WIDE.get(data[:4]) or _WIDE.get(data[:2])
    if codec is None:
        raise EnvelopeError(Rule.NOT_XML, "it has NUL octets and is no UTF-16: it is not XML")
    try:
        return without_declaration(data.decode(codec)).encode()
    except UnicodeError as exc:
        raise EnvelopeError(Rule.ENCODING, f"it looks like {codec} but is not: {exc}") from None


def _refuse_dtd(data: bytes) -> None:
    # The words may also stand in a comment or in CDATA: only the prolog has a DTD.
    found = _PROLOG.match(data)
    if not found:
        return
    declaration = found[1]
    line = data[: found.start(1)].count(b"\n") + 1
    if b"SYSTEM" in declaration or b"PUBLIC" in declaration:
        raise EnvelopeError(Rule.EXTERNAL, "it refers to an external DTD or entity: send it without", line=line)
    if b"<!ENTITY" in declaration:
        raise EnvelopeError(Rule.ENTITY, "it declares entities: send it without", line=line)
    raise EnvelopeError(Rule.DTD, "it has a document type declaration: send it without", line=line)


def _refuse_hidden_dtd(root: etree._Element) -> None:
    # UTF-7 and its like can write <!DOCTYPE in other octets.
    if root.getroottree().docinfo.internalDTD is not None:
        raise EnvelopeError(Rule.DTD, "it has a document type declaration: send it without", line=1)


def _check_depth(root: etree._Element, depth: int) -> None:
    found = cast(list[etree._Element], _first_below(depth)(root))
    if found:
        raise _too_deep(depth, line(found[0]), path(found[0]))


@cache
def _first_below(depth: int) -> etree.XPath:
    return etree.XPath(f"({'/*' * (depth + 1)})[1]")


def _too_deep(depth: int, at: int, place: str = "") -> EnvelopeError:
    reason = f"elements are nested deeper than {depth}"
    return EnvelopeError(Rule.TOO_DEEP, reason, line=at, path=place, reply_code="3.1")


def _check_attributes(root: etree._Element, most: int) -> None:
    found = next((element for element in root.iter("*") if len(element.attrib) > most), None)
    if found is not None:
        raise _too_many(f"an element has {len(found.attrib)} attributes: the limit is {most}", found)


def _check_namespaces(root: etree._Element, most: int, declared: int) -> None:
    """Raise for more than `most` namespaces that hold at once: to cut out an element takes time for each of them."""
    count = declared
    for event, _ in etree.iterwalk(root, events=("start-ns", "end-ns")):
        count += 1 if event == "start-ns" else -1
        if count > most:
            raise _too_many(f"more than {most} namespaces are declared in one place", root)


def _too_many(reason: str, element: etree._Element) -> EnvelopeError:
    return EnvelopeError(Rule.ATTRIBUTES, reason, line=line(element), path=path(element), reply_code="3.1")


_CODES = etree.ErrorTypes
_RULES = {
    _CODES.ERR_UNDECLARED_ENTITY: Rule.ENTITY,
    _CODES.WAR_UNDECLARED_ENTITY: Rule.ENTITY,
    _CODES.ERR_UNKNOWN_ENCODING: Rule.ENCODING,
    _CODES.ERR_UNSUPPORTED_ENCODING: Rule.ENCODING,
    _CODES.ERR_INVALID_ENCODING: Rule.ENCODING,
    _CODES.NS_ERR_XML_NAMESPACE: Rule.QNAME,
    _CODES.NS_ERR_UNDEFINED_NAMESPACE: Rule.QNAME,
    _CODES.NS_ERR_QNAME: Rule.QNAME,
    _CODES.NS_ERR_COLON: Rule.QNAME,
    _CODES.NS_ERR_ATTRIBUTE_REDEFINED: Rule.QNAME,
    _CODES.ERR_TAG_NOT_FINISHED: Rule.TRUNCATED,
}


def _syntax(exc: etree.XMLSyntaxError, data: bytes, depth: int) -> EnvelopeError:
    """Return `exc` under a rule of ours."""
    at, reason = exc.lineno or 0, (exc.msg or "").rpartition(", line ")[0].strip() or "it is not XML"
    if "Excessive depth" in reason:
        return _too_deep(min(depth, _LIBXML2_DEPTH), at)
    rule = _RULES.get(_code(exc), Rule.NOT_XML)
    # An end in the middle of a tag has many codes.
    if "Extra content" in reason:
        rule = Rule.NOT_XML
    elif rule is Rule.NOT_XML and data.lstrip()[:1] == b"<" and not data.rstrip().endswith(b">"):
        rule = Rule.TRUNCATED
    return EnvelopeError(rule, reason, line=at)


def _code(exc: etree.XMLSyntaxError) -> int:
    return int(exc.code)  # type: ignore[attr-defined]  # lxml sets it; the stubs do not know
