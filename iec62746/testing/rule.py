"""A rule of the conformance kit: what it says, what it depends on, and the function that tries it."""

import inspect
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final

from iec62746.testing.harness import Harness
from iec62746.testing.stage import Stage
from iec62746.transport import PROFILES, Capabilities, names_of

Try = Callable[[Stage], Awaitable[None]]

AT_MOST: Final = frozenset({"stores_for_vtn", "stores_for_vens", "tells_gone_within"})
"""Capabilities that promise the more the smaller they are; None promises nothing."""
LONGEST: Final = 90.0
"""Seconds that a rule may take, unless it says otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule: `needs` is the least of each capability without which it does not apply, `hook` one of the harness's.

    `link` is a hook too: the kit's proxy before the harness's `endpoint`; `cut` is that, or the harness's own.
    """

    id: str
    statement: str
    run: Try = field(repr=False)
    needs: Mapping[str, Any] = field(default_factory=dict)
    hook: str = ""
    seconds: float = LONGEST

    def lacks(self, capabilities: Capabilities) -> str:
        """Return the first capability that is not declared, in words, or nothing."""
        for name, least in self.needs.items():
            if not _is_met(name, getattr(capabilities, name), least):
                return f"{name} is declared as {names_of(capabilities)[name]}"
        return ""

    def misses(self, harness: Harness) -> str:
        """Return what the harness has not, in words, or nothing."""
        if not self.hook or (self.hook in ("cut", "link") and harness.endpoint() is not None):
            return ""
        if self.hook != "link" and harness.has(self.hook):
            return ""
        return {"link": "the harness has no endpoint", "cut": "the harness has no endpoint and no hook cut"}.get(
            self.hook, f"the harness has no hook {self.hook}"
        )

    def is_in(self, profile: str, reach: str) -> bool:
        """Return whether `profile` demands it, of a transport of that reach."""
        if not self.id.startswith("required_") and not self.needs:
            return False
        least = Capabilities(**{**PROFILES[profile], "reach": reach})
        return not self.lacks(least)


def rule(*, hook: str = "", seconds: float = LONGEST, **needs: Any) -> Callable[[Try], Rule]:
    """Make a rule of an async function: its name is the rule's id, its docstring what the rule says."""
    unknown = set(needs) - {one.name for one in fields(Capabilities)}
    assert not unknown, f"{unknown} are no capabilities"

    def make(function: Try) -> Rule:
        return Rule(
            id=getattr(function, "__name__", ""),
            statement=inspect.getdoc(function) or "",
            run=function,
            needs=needs,
            hook=hook,
            seconds=seconds,
        )

    return make


def _is_met(name: str, has: Any, least: Any) -> bool:
    if name in AT_MOST:
        return has is not None and has <= least
    if isinstance(least, str | bool):
        return bool(has == least)
    return has is not None and bool(has >= least)
