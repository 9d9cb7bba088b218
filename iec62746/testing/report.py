"""What a run of the conformance kit found: for people, and as JSON."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from iec62746.testing.rule import Rule
from iec62746.transport import PROFILES, Capabilities, lacks

UNWRITTEN = "not written yet: "
"""How the reason begins where a transport raised NotImplementedError; what that says follows."""


class Status(StrEnum):
    """What became of a rule."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What became of one rule, why, and in how many seconds."""

    rule: Rule
    status: Status
    reason: str = ""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All verdicts on one transport, the profiles that it is granted, and why not the others."""

    transport: str
    """The URL, without user, password and query."""
    versions: Mapping[str, str]
    reach: str
    is_bare: bool
    capabilities: Capabilities
    verdicts: tuple[Verdict, ...]
    is_whole: bool = True
    """Whether every rule was tried."""

    def of(self, status: Status) -> list[Verdict]:
        """Return the verdicts of this status."""
        return [one for one in self.verdicts if one.status is status]

    @property
    def profiles(self) -> tuple[str, ...]:
        """Return the profiles that are granted: nothing failed, and nothing that they demand was skipped."""
        return tuple(profile for profile in PROFILES if not self.denied(profile))

    def denied(self, profile: str) -> str:
        """Return why `profile` is not granted, or nothing."""
        if missing := lacks(self.capabilities, profile):
            return "; ".join(missing)
        if failed := self.of(Status.FAILED):
            return f"{len(failed)} failed"
        if not self.is_whole:
            return "not every rule was tried"
        if self.is_bare and profile != "core":
            return "there is no harness for this URL, so nobody could make it fail"
        skipped = [one.rule.id for one in self.of(Status.SKIPPED) if one.rule.is_in(profile, self.reach)]
        return f"skipped: {', '.join(skipped)}" if skipped and not self.is_bare else ""

    @property
    def unwritten(self) -> Mapping[str, int]:
        """Return what is not written yet, in the order in which it was met, and how many rules met it."""
        reasons = [one.reason for one in self.of(Status.FAILED) if one.reason.startswith(UNWRITTEN)]
        return Counter(reason.removeprefix(UNWRITTEN) for reason in reasons)

    def to_json(self) -> str:
        """Return the report as JSON."""
        rules: list[dict[str, Any]] = [
            {
                "id": one.rule.id,
                "status": one.status.value,
                "reason": one.reason,
                "seconds": round(one.seconds, 3),
            }
            for one in self.verdicts
        ]
        return json.dumps(
            {
                "transport": self.transport,
                "versions": dict(self.versions),
                "rules": rules,
                "profiles": list(self.profiles),
            },
            indent=2,
        )


def line(verdict: Verdict) -> str:
    """Return one line on one rule."""
    shown = f"{verdict.status.value:<8}{verdict.seconds:7.2f} s  {verdict.rule.id}"
    return f"{shown}\n{'':19}{verdict.reason}" if verdict.reason else shown


def summary(report: Report) -> Iterator[str]:
    """Yield the lines that stand below the rules."""
    counts = ", ".join(f"{len(report.of(status))} {status.value}" for status in Status)
    took = sum(one.seconds for one in report.verdicts)
    where = ", ".join(f"{name} {version}" for name, version in report.versions.items())
    yield f"{report.transport}: {counts}, in {took:.0f} s{f' ({where})' if where else ''}"
    if report.reach == "process":
        yield "The parties ran in one process, as this transport reaches no further."
    else:
        yield "Each party ran in a process of its own."
    if report.unwritten:
        yield "To write next:"
        yield from (f"  {what} (rules that met it: {number})" for what, number in report.unwritten.items())
    for profile in PROFILES:
        denied = report.denied(profile)
        yield f"profile {profile:<9} {'granted' if not denied else f'not granted: {denied}'}"


def table(rules: Iterable[Rule]) -> Iterator[str]:
    """Yield a line on each rule: its id and what it says."""
    for one in rules:
        yield f"{one.id}\n    {one.statement}"
