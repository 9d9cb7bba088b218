"""The one XML parser: no DTD, no entities, no network, and every size bounded."""

import re
from functools import cache

from lxml import etree

from iec62746.errors import EnvelopeError, Rule
from iec62746.limits import Limits

MEMORY_MULTIPLE = 80
"""Octets of memory that reading takes at most, for each octet of `Limits.message`; a test measures it."""

# By its first two octets, with and without a byte order mark.
_UTF_16 = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16", b"<\0": "utf-16-le", b"\0<": "utf-16-be"}
_DECLARATION = re.compile(r"\ufeff?(<\?xml\s[^>]*\?>)?")
_PROLOG = re.compile(rb"(?:\xef\xbb\xbf)?(?:\s|<\?.*?\?>|<!--.*?-->)*+<!DOCTYPE(.*)", re.DOTALL)


@cache
def _parser() -> etree.XMLParser:
    return etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False, collect_ids=False)


def parse(data: bytes, limits: Limits) -> etree._Element:
    """Return the root of `data`; raises `EnvelopeError` for what is not XML, not allowed in it, or over a limit."""
    if len(data) > limits.message:
        raise EnvelopeError(Rule.TOO_LONG, f"{len(data)} octets: the limit is {limits.message}", reply_code="3.1")
    if b"\0" in data:
        data = _from_utf_16(data)
    if b"!" in data and b"<!DOCTYPE" in data:
        _refuse_dtd(data)
    try:
        root = etree.fromstring(data, _parser())
    except etree.XMLSyntaxError as exc:
        raise _syntax(exc, data, limits) from None
    except ValueError as exc:
        raise EnvelopeError(Rule.NOT_XML, str(exc)) from None
    # Neither can be over its limit without that many of these octets; most messages are not looked at again.
    if data.count(b"<") > limits.depth:
        _check_depth(root, limits.depth)
    if len(data) > limits.attributes * len(' a=""') and data.count(b"=") > limits.attributes:
        _check_attributes(root, limits.attributes)
    return root


def _from_utf_16(data: bytes) -> bytes:
    """Return UTF-16 as UTF-8, without the declaration that says otherwise."""
    codec = _UTF_16.get(data[:2])
    if codec is None:
        raise EnvelopeError(Rule.NOT_XML, "it has NUL octets and is no UTF-16: it is not XML")
    try:
        return _DECLARATION.sub("", data.decode(codec), count=1).encode()
    except UnicodeError as exc:
        raise EnvelopeError(Rule.ENCODING, f"it looks like UTF-16 but is not: {exc}") from None


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


def _check_depth(root: etree._Element, depth: int) -> None:
    if _deeper_than(depth)(root):
        raise EnvelopeError(Rule.TOO_DEEP, f"elements are nested deeper than {depth}", reply_code="3.1")


@cache
def _deeper_than(depth: int) -> etree.XPath:
    return etree.XPath(f"boolean({'/*' * (depth + 1)})")


def _check_attributes(root: etree._Element, attributes: int) -> None:
    found = next((element for element in root.iter("*") if len(element.attrib) > attributes), None)
    if found is not None:
        reason = f"an element has {len(found.attrib)} attributes: the limit is {attributes}"
        raise EnvelopeError(Rule.ATTRIBUTES, reason, line=found.sourceline or 0, reply_code="3.1")


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
    _CODES.ERR_TAG_NOT_FINISHED: Rule.TRUNCATED,
}


def _syntax(exc: etree.XMLSyntaxError, data: bytes, limits: Limits) -> EnvelopeError:
    reason = (exc.msg or "it is not XML").rpartition(", line ")[0].strip() or "it is not XML"
    rule = _RULES.get(exc.code, Rule.NOT_XML)
    if "Excessive depth" in reason:
        return EnvelopeError(Rule.TOO_DEEP, f"elements are nested deeper than {limits.depth}", line=exc.lineno or 0, reply_code="3.1")
    if rule is Rule.NOT_XML and data.lstrip().startswith(b"<") and not data.rstrip().endswith(b">"):
        rule = Rule.TRUNCATED
    return EnvelopeError(rule, reason, line=exc.lineno or 0)
