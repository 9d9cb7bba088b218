"""What stands in what, by a schema's component model: alternatives, and how deep a document has to be."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import inf
from typing import Any, Final

from iec62746._xsd import XSD

ANY_TYPE: Final = f"{XSD}anyType"


Occurrence = tuple[Any, int, int | None]


@dataclass(frozen=True, slots=True)
class Alternative:
    """One way to write an element: by which declaration, and of which type; `is_derived` if xsi:type must say it."""

    element: Any
    kind: Any
    is_derived: bool


class Model:
    """The elements that `roots` can be made of."""

    def __init__(self, roots: list[Any], schema: Any) -> None:
        """Walk all that can be reached."""
        self._schema = schema
        self._alternatives = dict[int, tuple[Alternative, ...]]()
        self._kinds = dict[int, Any]()
        self._costs = dict[int, float]()
        self.is_qualified = True
        self.is_ordered = False
        waiting = list(roots)
        seen = dict[int, Any]()
        while waiting:
            element = waiting.pop()
            if id(element) not in seen:
                seen[id(element)] = element
                for one in self.alternatives(element):
                    self.is_qualified &= bool(one.element.qualified) or one.element.is_global()
                    if id(one.kind) not in self._kinds:
                        self._kinds[id(one.kind)] = one.kind
                        waiting += self.children(one.kind)
        self._measure()

    def children(self, kind: Any) -> list[Any]:
        """Return the elements that may stand in a type."""
        return [element for element, _, _ in self.occurrences(kind)]

    def occurrences(self, kind: Any) -> Iterator[Occurrence]:
        """Yield each element that may stand in a type, how often at least, and at most (None: any number)."""
        yield from self._occurrences(particle(kind), 1, 1)

    def _occurrences(self, group: Any, low: int, high: int | None) -> Iterator[Occurrence]:
        if group is None:
            return
        is_choice = group.model == "choice" and len(group) > 1
        low, high = low * group.min_occurs, _product(high, group.max_occurs)
        self.is_ordered |= is_choice and high != 1
        for one in group:
            least = 0 if is_choice else low
            if is_group(one):
                yield from self._occurrences(one, least, high)
            elif not is_wildcard(one):
                yield one, least * one.min_occurs, _product(high, one.max_occurs)

    def alternatives(self, element: Any) -> tuple[Alternative, ...]:
        """Return every way to write `element`: itself, what may stand for it, and of an abstract type, its kinds."""
        found = self._alternatives.get(id(element))
        if found is None:
            found = self._alternatives[id(element)] = tuple(self._ways(element))
        return found

    def _ways(self, element: Any) -> Iterator[Alternative]:
        own = element.ref if element.ref is not None else element
        names = [] if own.abstract else [own]
        for one in (*names, *element.iter_substitutes()):
            if getattr(one.type, "abstract", False):
                yield from (Alternative(one, kind, True) for kind in self._derived(one.type))
            else:
                yield Alternative(one, one.type, False)

    def _derived(self, kind: Any) -> list[Any]:
        known = [one for one in self._schema.maps.types.values() if one.is_complex() and not one.abstract]
        return [one for one in known if one is not kind and one.is_derived(kind)]

    # ---------------------------------------------------------------- how deep

    def _measure(self) -> None:
        """Find the least depth of each type: those that need themselves have none, until another way is known."""
        is_known = False
        while not is_known:
            is_known = True
            for key, kind in self._kinds.items():
                cost = self._cost(particle(kind))
                if cost < self._costs.get(key, inf):
                    self._costs[key], is_known = cost, False

    def cost(self, one: Any) -> float:
        """Return how many levels `one`, an element, group or wildcard, needs at least; infinity if it never ends."""
        if is_group(one):
            return self._cost(one)
        return 1 if is_wildcard(one) else min(map(self.cost_of, self.alternatives(one)), default=inf)

    def cost_of(self, way: Alternative) -> float:
        """Return how many levels an element needs that is written so."""
        return 1 + self._costs.get(id(way.kind), inf)

    def _cost(self, group: Any) -> float:
        if group is None or group.max_occurs == 0 or not len(group):
            return 0
        costs = [self.cost(one) if one.min_occurs else 0 for one in group]
        least = min(costs) if group.model == "choice" else max(costs)
        return least if group.min_occurs else 0


def _product(one: int | None, other: int | None) -> int | None:
    return None if one is None or other is None else one * other


def particle(kind: Any) -> Any:
    """Return the group that a complex type consists of, None if its content is simple, or anything."""
    is_made = kind.is_complex() and not kind.has_simple_content() and kind.name != ANY_TYPE
    return kind.content if is_made else None


def is_group(one: Any) -> bool:
    """Return whether `one` is a sequence, a choice, or xs:all."""
    return hasattr(one, "model")


def is_wildcard(one: Any) -> bool:
    """Return whether `one` is xs:any."""
    return hasattr(one, "process_contents")
