"""One example document: a tree of elements, made from the root down, by chance."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any, Final

from lxml import etree

from iec62746 import _tree
from iec62746._example_model import ANY_TYPE, Alternative, Model, is_group, is_wildcard, particle
from iec62746._example_values import Impossible, Values, is_reference
from iec62746._xsd import XSD

_XSI: Final = "http://www.w3.org/2001/XMLSchema-instance"
_XML: Final = "http://www.w3.org/XML/1998/namespace"
_FOREIGN: Final = "urn:example:extension"
_MOST_ELEMENTS: Final = 250
_REPEATED: Final = 2
_THINNING: Final = 0.85
_NIL: Final = 0.05
_TRIES: Final = 100


@dataclass(frozen=True, slots=True)
class Style:
    """How a document is made: how much of what may be left out is in it, from 0 to 1; whether all elements are of a
    namespace, so that it can be the default.
    """

    plenty: float
    is_qualified: bool


class Document:
    """Makes one document; whoever wants another makes another."""

    def __init__(self, model: Model, schema: Any, style: Style, random: Random) -> None:
        """Choose by `random`."""
        self._model, self._schema, self._style, self._random = model, schema, style, random
        self._values = Values(random)
        self._count = 0
        self._prefixes = _prefixes(schema, style.is_qualified)
        self._kept = set[str]()
        self._references = list[tuple[etree._Element, str, Any]]()
        self._constrained = list[tuple[etree._Element, Any]]()
        # What sets a value anew, for each element and attribute: a key may need another.
        self._makers = dict[tuple[etree._Element, str], Callable[[], str]]()

    def make(self, element: Any) -> bytes:
        """Return the document that begins with `element`; raises `Impossible`."""
        way = self._way(element, 0)
        spaces = {prefix: space for space, prefix in self._prefixes.items()}
        root = etree.Element(way.element.name, nsmap={**spaces, "xsi": _XSI})  # type: ignore[dict-item]  # None is a key
        self._fill(root, way, 0)
        self._refer()
        self._identify()
        etree.cleanup_namespaces(root, keep_ns_prefixes=sorted(self._kept))
        return etree.tostring(root, xml_declaration=True, encoding="UTF-8", pretty_print=True)

    # ---------------------------------------------------------------- elements

    def _is_wanted(self, depth: int) -> bool:
        plenty = self._style.plenty
        if self._count >= _MOST_ELEMENTS or not plenty:
            return False
        # A root without children shows nothing; and without thinning out, nearly all of a document is at its bottom.
        return depth == 0 or plenty == 1 or self._random.random() < plenty * _THINNING**depth

    def _way(self, element: Any, depth: int) -> Alternative:
        ways = self._model.alternatives(element)
        if not ways:
            raise Impossible(f"{element.local_name} is abstract, and nothing stands for it")
        if not self._is_lean(depth):
            return self._random.choice([way for way in ways if self._model.cost_of(way) < float("inf")] or ways)
        return min(ways, key=self._model.cost_of)

    def _is_lean(self, depth: int) -> bool:
        """Return whether the shortest way to the end is to be taken."""
        return self._style.plenty == 0 or self._count >= _MOST_ELEMENTS or depth >= _DEEP

    def _fill(self, node: etree._Element, way: Alternative, depth: int) -> None:
        """Write the attributes and the content of `node`."""
        self._count += 1
        element, kind = way.element, way.kind
        if way.is_derived:
            node.set(f"{{{_XSI}}}type", self._prefixed(kind.name))
        for name, attribute in kind.attributes.items() if kind.is_complex() else ():
            self._set_attribute(node, name, attribute, depth)
        if _identities(element):
            self._constrained.append((node, element))
        if element.nillable and element.fixed is None and not self._is_lean(depth) and self._random.random() < _NIL:
            node.set(f"{{{_XSI}}}nil", "true")
        elif element.fixed is not None:
            node.text = element.fixed
        elif kind.name == ANY_TYPE:
            node.text = self._values.word()
        elif (simple := _simple(kind)) is not None:
            self._set(node, "", simple, element.local_name)
        elif (group := particle(kind)) is not None:
            self._write(node, group, depth)

    def _write(self, node: etree._Element, group: Any, depth: int) -> None:
        """Write what `group` says, as often as it is to stand there."""
        for _ in range(self._times(group, depth)):
            parts = list(group)
            if group.model == "choice":
                parts = [self._chosen(parts, depth)] if parts else []
            elif group.model == "all":
                self._random.shuffle(parts)
            for part in parts:
                self._write_part(node, part, depth)

    def _write_part(self, node: etree._Element, part: Any, depth: int) -> None:
        if is_group(part):
            self._write(node, part, depth)
        elif is_wildcard(part):
            for _ in range(part.min_occurs):
                self._write_foreign(node, part, depth)
        else:
            for _ in range(self._times(part, depth)):
                way = self._way(part, depth + 1)
                self._fill(etree.SubElement(node, way.element.name), way, depth + 1)

    def _times(self, part: Any, depth: int) -> int:
        """Return how often `part` is to stand there."""
        low, high = part.min_occurs, part.max_occurs
        if high == low or self._model.cost(part) == float("inf") or not self._is_wanted(depth):
            return int(low)
        least, most = max(low, 1), max(low, 1) + _REPEATED
        return self._random.randint(least, most if high is None else min(high, most))

    def _chosen(self, parts: list[Any], depth: int) -> Any:
        costs = [self._model.cost(part) if part.min_occurs else 0 for part in parts]
        if self._is_lean(depth):
            return parts[costs.index(min(costs))]
        return self._random.choice([part for part, cost in zip(parts, costs, strict=True) if cost < float("inf")])

    def _write_foreign(self, node: etree._Element, wildcard: Any, depth: int) -> None:
        """Write an element that a wildcard demands: one that is known, or where that need not be, one of our own."""
        known = [one for one in self._schema.maps.elements.values() if not (one.name or "").startswith(XSD)]
        ways = [way for one in known for way in self._model.alternatives(one) if _allows(wildcard, way.element.name)]
        if wildcard.process_contents == "strict" or not _allows(wildcard, f"{{{_FOREIGN}}}note"):
            if not ways:
                raise Impossible("a wildcard demands an element of a namespace that the schema does not import")
            way = min(ways, key=self._model.cost_of)
            self._fill(etree.SubElement(node, way.element.name), way, depth + 1)
        else:
            etree.SubElement(node, f"{{{_FOREIGN}}}note", nsmap={"e": _FOREIGN}).text = self._values.word()

    # ---------------------------------------------------------------- values

    def _set_attribute(self, node: etree._Element, name: str | None, attribute: Any, depth: int) -> None:
        # The key None is that of xs:anyAttribute.
        if name is None or attribute.use == "prohibited":
            return
        if attribute.use == "required" or self._is_wanted(depth):
            if attribute.fixed is not None:
                node.set(name, attribute.fixed)
            else:
                self._set(node, name, attribute.type, attribute.local_name)

    def _set(self, node: etree._Element, name: str, kind: Any, hint: str) -> None:
        """Give the attribute `name` of `node`, or where that is empty its text, a value of `kind`."""

        def make() -> str:
            text = self._values.text(kind, hint)
            _put(node, name, text)
            return text

        make()
        self._makers[node, name] = make
        if is_reference(kind):
            self._references.append((node, name, kind))

    def _prefixed(self, name: str) -> str:
        namespace, local = _tree.split(name)
        prefix = self._prefixes.get(namespace)
        if prefix:
            self._kept.add(prefix)
        return f"{prefix}:{local}" if prefix else local

    # ---------------------------------------------------------------- what refers to what

    def _refer(self) -> None:
        """Let every IDREF name an ID that there is."""
        for node, name, _ in self._references:
            if not self._values.ids:
                raise Impossible("an IDREF has no ID to refer to")
            count = len(_got(node, name).split())
            _put(node, name, " ".join(self._random.choice(self._values.ids) for _ in range(count)))

    def _identify(self) -> None:
        """Let keys differ, and what refers to them name one that there is."""
        rows = dict[str, list[list[str]]]()
        for node, element in self._constrained:
            for one in _identities(element):
                if not hasattr(one, "refer") or one.refer is None:
                    rows.setdefault(one.name, []).extend(self._distinct(node, one))
        for node, element in self._constrained:
            for one in _identities(element):
                if getattr(one, "refer", None) is not None:
                    self._point(node, one, rows.get(one.refer.name, []))

    def _distinct(self, node: etree._Element, identity: Any) -> list[list[str]]:
        """Return the values of a key, each row other than those before."""
        seen = list[list[str]]()
        for fields in _rows(node, identity):
            row = [_got(*field) for field in fields]
            for _ in range(_TRIES):
                if row not in seen or not row:
                    break
                for field in fields:
                    if field in self._makers:
                        self._makers[field]()
                row = [_got(*field) for field in fields]
            seen.append(row)
        return seen

    def _point(self, node: etree._Element, identity: Any, known: list[list[str]]) -> None:
        """Let each row of a keyref be one of the `known` rows."""
        for fields in _rows(node, identity):
            if not fields:
                continue
            if not known:
                raise Impossible(f"{identity.local_name} has no key to refer to")
            for field, value in zip(fields, self._random.choice(known), strict=False):
                _put(*field, value)


_DEEP: Final = 12


def _prefixes(schema: Any, is_qualified: bool) -> dict[str, str | None]:
    """Return the prefix of each namespace that a document may need; None is the default."""
    target = schema.target_namespace
    made: dict[str, str | None] = {target: None if is_qualified else "p"} if target else {}
    own = {space: prefix for prefix, space in schema.namespaces.items() if prefix and prefix not in ("p", "e", "xsi")}
    for number, space in enumerate(sorted(one for one in schema.maps.namespaces if one)):
        if space not in made and space not in (_XSI, _XML, XSD[1:-1]):
            made[space] = own.get(space, f"n{number}")
    return made


def _simple(kind: Any) -> Any:
    """Return the simple type of what has text only, or None."""
    if kind.is_simple():
        return kind
    return kind.content if kind.has_simple_content() else None


def _allows(wildcard: Any, name: str) -> bool:
    return bool(wildcard.is_namespace_allowed(_tree.split(name)[0]))


def _put(node: etree._Element, name: str, text: str) -> None:
    if name:
        node.set(name, text)
    else:
        node.text = text


def _got(node: etree._Element, name: str) -> str:
    return str(node.get(name, "")) if name else node.text or ""


def _identities(element: Any) -> list[Any]:
    found = element.identities
    return list(found.values()) if isinstance(found, dict) else list(found)


def _rows(node: etree._Element, identity: Any) -> list[list[tuple[etree._Element, str]]]:
    """Return, for each element that a constraint selects, where its fields stand; none if one of them is missing."""
    spaces = {prefix: space for prefix, space in identity.schema.namespaces.items() if prefix}
    found = list[list[tuple[etree._Element, str]]]()
    for one in _select(node, identity.selector.path, spaces):
        fields = [_select(one, field.path, spaces) for field in identity.fields]
        found.append([_place(one, some[0]) for some in fields] if all(fields) else [])
    return found


def _select(node: etree._Element, path: str, spaces: dict[str, str]) -> list[Any]:
    selected: Any = node.xpath(path, namespaces=spaces)
    return list(selected)


def _place(node: etree._Element, found: Any) -> tuple[etree._Element, str]:
    """Return where a selected field stands: an element, or an attribute of one."""
    if isinstance(found, etree._Element):
        return found, ""
    parent = found.getparent()
    return (parent if parent is not None else node), str(found.attrname)
