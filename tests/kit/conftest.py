"""A way to try one rule of the kit on a transport that is given."""

import asyncio
from collections.abc import Callable
from itertools import count

import pytest

from iec62746.testing.kit import conform
from iec62746.testing.report import Report, Verdict
from iec62746.testing.rule import Rule
from iec62746.testing.rules import ALL
from iec62746.testing.sessions import Times
from iec62746.transport import Transport
from iec62746_memory import MemoryTransport
from iec62746_memory.harness import MemoryHarness

_numbers = count()

Judge = Callable[..., Verdict]


def rule_of(name: str) -> Rule:
    """Return the one rule with that number and those words in its id."""
    (found,) = (rule for rule in ALL if name in rule.id)
    return found


def conformance(transport: Transport, rules: tuple[Rule, ...], times: Times | None = None) -> Report:
    """Try rules on a transport in this process."""
    url = f"memory://kit-{next(_numbers)}?queue=1500"
    return asyncio.run(conform(url, harness=MemoryHarness(url), transport=transport, rules=rules, times=times))


@pytest.fixture
def judge() -> Judge:
    """Return what tries the rule of that name on a transport."""

    def try_one(name: str, transport: Transport, times: Times | None = None) -> Verdict:
        return conformance(transport, (rule_of(name),), times).verdicts[0]

    return try_one


@pytest.fixture(scope="session")
def true_report() -> Report:
    """Return the report on the memory transport itself, from all rules."""
    return conformance(MemoryTransport(), ALL)
