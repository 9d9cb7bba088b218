"""From a payload's tree to typed objects and back, by xsdata: imported only when somebody binds."""

from typing import Any, cast

from lxml import etree
from xsdata.exceptions import ParserError, SerializerError
from xsdata.formats.dataclass.context import XmlContext
from xsdata.formats.dataclass.parsers import XmlParser
from xsdata.formats.dataclass.parsers.config import ParserConfig
from xsdata.formats.dataclass.parsers.mixins import XmlHandler
from xsdata.formats.dataclass.serializers import XmlSerializer
from xsdata.formats.dataclass.serializers.config import SerializerConfig

from iec62746.errors import EnvelopeError, InvalidMessage, Rule

# What the classes do not know is never lost in silence.
_STRICT = ParserConfig(
    fail_on_unknown_properties=True, fail_on_unknown_attributes=True, fail_on_converter_warnings=True
)
_PLAIN = SerializerConfig(xml_declaration=False)


class _Walk(XmlHandler):
    """Walks a tree that has been read already; most declare every prefix at their root, so it is looked up once."""

    def parse(self, source: Any, ns_map: dict[str | None, str]) -> Any:
        """Return the object for the element `source`."""
        for prefix, namespace in source.nsmap.items():
            self.parser.register_namespace(ns_map, prefix, namespace)
        self._visit(source, source.nsmap)
        return self.objects[-1][1] if self.objects else None

    def _visit(self, element: etree._Element, scope: dict[str | None, str]) -> None:
        tag, attributes = element.tag, element.attrib
        given = cast(dict[str, str], dict(attributes)) if attributes else {}
        self.parser.start(self.clazz, self.queue, self.objects, tag, given, scope)
        for child in element:
            self._visit(child, child.nsmap if self.is_deep else scope)
        self.parser.end(self.queue, self.objects, tag, element.text, element.tail)

    is_deep = False


class _DeepWalk(_Walk):
    """The same where elements below the root declare prefixes of their own."""

    is_deep = True


def read(root: etree._Element, kind: type[Any], xml: bytes, context: XmlContext) -> Any:
    """Return the object of `kind` that `root`, read from `xml`, says; raises `EnvelopeError` for what it cannot."""
    if b"<!--" in xml or b"<?" in xml:
        etree.strip_tags(root, etree.Comment, etree.ProcessingInstruction)
    handler = _Walk if xml.count(b"xmlns") <= len(root.nsmap) else _DeepWalk
    try:
        return XmlParser(context=context, config=_STRICT, handler=handler).parse(root, kind)
    except (ParserError, ValueError, TypeError) as exc:
        raise EnvelopeError(Rule.PAYLOAD, f"it cannot be bound to {kind.__name__}: {exc}") from exc


def write(value: Any, context: XmlContext) -> bytes:
    """Return the XML of `value`; raises `InvalidMessage` for what cannot be written."""
    namespace = type(value).Meta.namespace
    try:
        return XmlSerializer(context=context, config=_PLAIN).render(value, ns_map={None: namespace}).encode()
    except (SerializerError, ValueError, TypeError, AttributeError) as exc:
        raise InvalidMessage(f"{type(value).__name__} cannot be written: {exc}") from exc
