"""Rules 63 to 66: what happens when there is no room."""

import asyncio
import time

from iec62746.address import Inbox
from iec62746.errors import Outcome, TransportError
from iec62746.testing.rule import rule
from iec62746.testing.sessions import RemoteSession
from iec62746.testing.stage import Stage, check

PATIENCE = 1.0
LATE = 1.5
"""Seconds: how long a send may wait, and how much later it may end."""
TOLD = 4.0
"""Seconds: how long a send may wait where the server has to tell meanwhile that it takes no more."""


async def _send(
    stage: Stage, session: RemoteSession, to: str, body: bytes, patience: float = PATIENCE
) -> tuple[object, float]:
    """Send with little patience; returns the outcome and the seconds."""
    began = time.monotonic()
    outcome: object
    try:
        outcome = await session.send(Inbox(to), stage.message(body, within=patience), within=patience + 2 * LATE)
    except TransportError as exc:
        outcome = exc
    return outcome, time.monotonic() - began


async def _held(stage: Stage) -> tuple[RemoteSession, RemoteSession]:
    """Return sessions of the VTN and a VEN, neither of which takes a delivery."""
    vtn, ven = await stage.pair(mode="hold")
    await vtn.mode("hold")
    return vtn, ven


@rule(hook="full")
async def optional_full_63_a_full_inbox_refuses(stage: Stage) -> None:
    """A send to a full inbox ends by its expiry with an error, and what was refused is not delivered."""
    vtn, ven = await stage.pair(mode="hold")
    async with stage.harness.full(stage.domain, ven.party):
        outcome, took = await _send(stage, vtn, ven.party, b"no room")
    await ven.mode("take")
    await stage.quiet()

    check(took < PATIENCE + LATE, f"it took {took:.1f} s, {PATIENCE:g} s were left")
    check(isinstance(outcome, TransportError), f"send gave {outcome}")
    if isinstance(outcome, TransportError) and outcome.outcome is not Outcome.UNKNOWN:
        check(b"no room" not in ven.bodies, f"it was {outcome.outcome}, and was delivered")


@rule(hook="full")
async def optional_full_64_a_full_inbox_is_one_partys(stage: Stage) -> None:
    """A full inbox does not hold up sends to the others."""
    vtn, ven = await stage.pair(mode="hold")
    other = await stage.inbox(stage.vens[1])
    async with stage.harness.full(stage.domain, ven.party):
        stuck = asyncio.create_task(_send(stage, vtn, ven.party, b"no room"))
        await vtn.send(Inbox(other.party), stage.message(b"room"), within=5.0)
        await other.got(1, within=5.0)
        await stuck

    check(other.bodies == [b"room"], f"it got {other.bodies}")


@rule(hook="pressure", tells_blocked=True)
async def optional_tells_blocked_65_pressure_is_told(stage: Stage) -> None:
    """When the server takes no more, blocked tells it, sends end by their expiry, and blocked tells the end."""
    vtn, ven = await _held(stage)
    async with stage.harness.pressure():
        outcome, took = await _send(stage, vtn, ven.party, b"just before or under pressure", TOLD)
        if not isinstance(outcome, TransportError):  # it was taken just before
            outcome, took = await _send(stage, vtn, ven.party, b"under pressure", TOLD)
        await vtn.until(lambda: vtn.of("blocked"), "Observer.blocked")
    check(vtn.of("blocked")[0]["is_blocked"], "blocked told the end first")
    check(took < TOLD + LATE, f"it took {took:.1f} s, {TOLD:g} s were left")
    check(isinstance(outcome, TransportError), f"send gave {outcome}")
    for session in (vtn, ven):
        await session.mode("take")
    if not vtn.of("lost"):
        await vtn.until(lambda: not vtn.of("blocked")[-1]["is_blocked"], "the end of blocked")


@rule(hook="pressure", tells_blocked=True)
async def optional_tells_blocked_66_nothing_given_up_comes_later(stage: Stage) -> None:
    """What was given up under pressure is not delivered when it ends."""
    vtn, ven = await _held(stage)
    async with stage.harness.pressure():
        outcome, _ = await _send(stage, vtn, ven.party, b"given up")
    for session in (vtn, ven):
        await session.mode("take")
    again = vtn if not vtn.of("lost") else await stage.open(stage.vtn)
    await again.send(Inbox(ven.party), stage.message(b"after"))
    await ven.until(lambda: b"after" in ven.bodies, "a message after the pressure")
    await stage.quiet()

    check(isinstance(outcome, TransportError), f"send gave {outcome}")
    check(b"given up" not in ven.bodies, f"it was delivered though it had expired: {outcome!r}")
