"""The conformance kit as a test class, for a transport's own tests.

    class TestMine(TransportConformance):
        url = "mine://localhost"
        harness = MineHarness        # left out: the installed one, by entry point

Each rule is a test; they may run in any order. The class needs pytest: `pip install 'iec62746[testing]'`.
"""

import asyncio
from collections.abc import Callable, Iterator
from typing import ClassVar

import pytest

from iec62746.testing.harness import Harness
from iec62746.testing.kit import Kit
from iec62746.testing.report import Status
from iec62746.testing.rule import Rule
from iec62746.testing.rules import ALL


class TransportConformance:
    """Derive from it, and say what to test."""

    url: ClassVar[str]
    harness: ClassVar[type[Harness] | None] = None

    @pytest.fixture(scope="class")
    @classmethod
    def kit(cls) -> Iterator[Callable[[Rule], tuple[Status, str]]]:
        """Return what tries one rule, for the time of the class, in a loop of its own."""
        harness = cls.harness
        with asyncio.Runner() as runner:
            kit = Kit(cls.url, harness=harness(cls.url) if harness is not None else None)
            runner.run(kit.__aenter__())

            def attempt(rule: Rule) -> tuple[Status, str]:
                verdict = runner.run(kit.verdict(rule))
                return verdict.status, verdict.reason

            try:
                yield attempt
            finally:
                runner.run(kit.__aexit__(None, None, None))

    @pytest.mark.timeout(120)
    @pytest.mark.parametrize("rule", ALL, ids=lambda rule: rule.id)
    def test_rule(self, rule: Rule, kit: Callable[[Rule], tuple[Status, str]]) -> None:
        """Hold the transport to the rule."""
        status, reason = kit(rule)
        if status is Status.SKIPPED:
            pytest.skip(reason)
        assert status is Status.PASSED, f"{rule.statement} {reason}"
