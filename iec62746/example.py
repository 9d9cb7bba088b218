"""Makes example documents of a schema: each is valid, and the same for the same seed.

The schema is read by `xmlschema`, which `pip install 'iec62746[profiles]'` brings.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from random import Random
from typing import Any, Final

from lxml import etree

from iec62746 import _xsd
from iec62746._example_document import Document, Style
from iec62746._example_model import Model, Occurrence
from iec62746._example_values import Impossible
from iec62746.errors import InvalidSchema, NoExample

NEEDED: Final = "pip install 'iec62746[profiles]'"

# One that a key or an IDREF makes impossible may be valid with everything in it, or with nothing that may be left out.
_PLENTY: Final = (0.6, 0.6, 0.6, 1.0, 0.3, 1.0, 0.8, 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Element:
    """An element of a schema: how deep it stands, its name, how often at least and at most (None: any number)."""

    depth: int
    name: str
    low: int
    high: int | None


class Examples:
    """Example documents of one schema."""

    def __init__(self, schema: Path) -> None:
        """Read `schema`; raises `InvalidSchema` with file and line, `NoExample` if xmlschema is not installed."""
        self.schema = _xsd.load(schema)
        self._libxml2 = _xsd.compiled(self.schema.main)
        self._xmlschema = _read(self.schema.main)
        self._models = dict[str, Model]()

    @property
    def roots(self) -> tuple[str, ...]:
        """The names of the elements that may begin a document."""
        return self.schema.roots()

    @cached_property
    def is_ordered(self) -> bool:
        """Whether elements of several names may follow one another in any order, which says something then."""
        return any(self._model(root).is_ordered for root in self.roots)

    def make(self, root: str = "", *, seed: int = 0, is_minimal: bool = False) -> bytes:
        """Return a valid document that begins with `root`, the schema's first root element if empty.

        With `is_minimal` nothing is in it that may be left out. Raises `NoExample`: some types, such as ENTITY, some
        patterns, and some constraints have none.
        """
        root = root or self.roots[0]
        element, model = self._element(root), self._model(root)
        why = "it needs itself, without end"
        for attempt, plenty in enumerate(_PLENTY if model.cost(element) < float("inf") else ()):
            style = Style(plenty=0.0 if is_minimal else plenty, is_qualified=model.is_qualified)
            try:
                made = Document(model, self._xmlschema, style, Random(f"{seed}/{attempt}")).make(element)
            except Impossible as exc:
                why = str(exc)
                continue
            if not (faults := list(self._faults(made))):
                return made
            why = faults[0]
        raise NoExample(f"no valid example of {element.local_name} was made from {self.schema.main}: {why}")

    def tree(self, root: str, depth: int) -> Iterator[Element]:
        """Yield `root` and each element under it, down to `depth` levels."""
        yield from _tree(self._model(root), (self._element(root), 1, 1), depth, 0)

    def _model(self, root: str) -> Model:
        if root not in self._models:
            self._models[root] = Model([self._element(root)], self._xmlschema)
        return self._models[root]

    def _element(self, name: str) -> Any:
        namespace = f"{{{self.schema.namespace}}}" if self.schema.namespace else ""
        found = self._xmlschema.maps.elements.get(namespace + name)
        if found is None or found.abstract:
            known = ", ".join(self.roots) or "none"
            raise NoExample(f"{self.schema.main} has no root element {name!r}: its root elements are {known}")
        return found

    def _faults(self, xml: bytes) -> Iterator[str]:
        """Yield what libxml2 and xmlschema find wrong; where they differ, a document is to be valid for both."""
        if not self._libxml2.validate(etree.fromstring(xml)):
            log: Any = self._libxml2.error_log
            yield str(log[0].message)
        for error in self._xmlschema.iter_errors(xml.decode()):
            yield f"{error.reason} ({error.path})"


def _read(path: Path) -> Any:
    try:
        import xmlschema
    except ModuleNotFoundError as exc:
        raise NoExample(f"examples of a schema need {exc.name!r}: {NEEDED}") from exc
    try:
        return xmlschema.XMLSchema(str(path), allow="local")
    except xmlschema.XMLSchemaException as exc:
        reason = str(getattr(exc, "message", "") or exc).strip().splitlines()[0]
        raise InvalidSchema(f"{reason} (at {getattr(exc, 'path', '') or '/'})", file=path) from exc


def _tree(model: Model, occurrence: Occurrence, depth: int, level: int) -> Iterator[Element]:
    element, low, high = occurrence
    yield Element(depth=level, name=element.local_name, low=low, high=high)
    if level < depth:
        for way in model.alternatives(element)[:1]:
            for child in model.occurrences(way.kind):
                yield from _tree(model, child, depth, level + 1)
