"""Elements of other namespaces as bytes: payloads and extensions, which are carried and not looked into."""

import copy
import re

from lxml import etree

from iec62746 import _tree
from iec62746._parser import parse, without_declaration
from iec62746._schema import escape_attribute
from iec62746.errors import EnvelopeError, InvalidMessage
from iec62746.limits import Limits
from iec62746.message import NAMESPACE


class Xml(bytes):
    """One element that may stand in an envelope, as `element` makes it: UTF-8, it declares all that it uses."""

    __slots__ = ()


def element(value: str | bytes | etree._Element) -> Xml:
    """Return `value` as one element that may stand in an envelope.

    Raises `InvalidMessage` if it is not one well-formed element in a namespace of its own (61968-100: Payload).
    """
    if isinstance(value, Xml):
        return value
    if not isinstance(value, str | bytes | etree._Element):
        raise InvalidMessage(f"XML is given as str, bytes or an lxml element, not as {type(value).__name__}")
    root = _parse_ours(value) if isinstance(value, str | bytes) else value
    namespace = _tree.split(root.tag)[0]
    if namespace in ("", NAMESPACE):
        raise InvalidMessage(f"<{_tree.local(root)}> needs a namespace of its own: declare its profile's with xmlns=…")
    return item(root)


def _parse_ours(value: str | bytes) -> etree._Element:
    try:
        data = without_declaration(value).encode() if isinstance(value, str) else value
        return parse(data, Limits(message=max(len(data), 1), depth=256))
    except (EnvelopeError, UnicodeEncodeError) as exc:
        raise InvalidMessage(f"the element is not well-formed: {exc}") from None


def item(element: etree._Element) -> Xml:
    """Return `element` as XML that means the same standing alone and standing in an envelope.

    A copy declares what its names use, and no more. Text may use a prefix too (xsi:type does): whatever looks like
    `prefix:` gets its declaration. The default namespace is always said, for the envelope around it will have one.
    """
    xml = etree.tostring(copy.deepcopy(element), encoding="unicode", with_tail=False).encode()
    # lxml writes every > in a start tag as &gt;.
    start = xml[: xml.index(b">")]
    scope = element.nsmap
    said = {found[1].decode() for found in _DECLARED.finditer(start)}
    lent = [prefix for prefix in scope if prefix and prefix not in said]
    wanted = _used(lent, xml) if lent else ()
    declarations = [f' xmlns:{prefix}="{escape_attribute(scope[prefix])}"' for prefix in wanted]
    if b' xmlns="' not in start:
        declarations.insert(0, f' xmlns="{escape_attribute(scope.get(None) or "")}"')
    # They come first, where lxml would write them: so it is the same after each hop.
    end = _NAME.match(xml).end()  # type: ignore[union-attr]  # an element begins with its name
    return Xml(xml[:end] + "".join(declarations).encode() + xml[end:])


def _used(prefixes: list[str], xml: bytes) -> list[str]:
    """Return those of `prefixes` that `xml` seems to use."""
    if len(prefixes) <= _FEW and not any(b"%b:" % prefix.encode() in xml for prefix in prefixes):
        return []
    seen = {found[1].decode() for found in _PREFIX.finditer(xml)}
    return [prefix for prefix in prefixes if prefix in seen]


_FEW = 8
_NAME = re.compile(rb"<[^\s/>]+")
_DECLARED = re.compile(rb' xmlns:([^=]+)="')
_NAME_OCTETS = rb"[\w.\-\x80-\xff]"
_PREFIX = re.compile(rb"(?<!%b)(%b++):" % (_NAME_OCTETS, _NAME_OCTETS))
