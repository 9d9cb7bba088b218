"""The rules of the conformance kit, by theme; a number is never given twice."""

from collections.abc import Iterator
from types import ModuleType

from iec62746.testing.rule import Rule
from iec62746.testing.rules import (
    addresses,
    conversation,
    expiry,
    life,
    loss,
    messages,
    presence,
    pressure,
    replies,
    rights,
    unroutable,
)


def _rules(*modules: ModuleType) -> Iterator[Rule]:
    for module in modules:
        yield from (one for one in vars(module).values() if isinstance(one, Rule))


ALL: tuple[Rule, ...] = tuple(
    _rules(life, messages, addresses, replies, unroutable, expiry, loss, pressure, presence, rights, conversation)
)
"""Every rule, in the order of their numbers."""

__all__ = ["ALL"]
