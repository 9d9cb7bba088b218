"""Rules 53 to 62: links are cut and frozen, servers restart, and nobody is deceived."""

import asyncio
import time

from iec62746.address import Inbox, Node
from iec62746.errors import Closed, Iec62746Error, Outcome, SessionLost, TransportError
from iec62746.testing.rule import rule
from iec62746.testing.sessions import RemoteSession
from iec62746.testing.stage import Stage, check, raises
from iec62746.transport import REAL_TIME, ReceiptLevel

SOON = 5.0
"""Seconds in which a cut link is noticed."""


async def _cut_off(stage: Stage, **options: str) -> tuple[RemoteSession, RemoteSession]:
    """Return sessions of the VTN and of a VEN that has lost its link."""
    vtn, ven = await stage.pair(link=await stage.link(), **options)
    await stage.cut(ven)
    return vtn, ven


@rule(hook="cut")
async def required_53_a_cut_is_told_once(stage: Stage) -> None:
    """When the link is cut the session is lost: told once, within 5 s."""
    _, ven = await _cut_off(stage)
    cause = await ven.lost(SOON)
    await stage.quiet()
    await ven.aclose()
    await stage.quiet()

    check(isinstance(cause, TransportError), f"the cause is {cause!r}")
    check(len(ven.of("lost")) == 1, f"lost was called {len(ven.of('lost'))} times")


@rule(hook="cut")
async def required_54_a_lost_session_is_dead(stage: Stage) -> None:
    """A session that is lost stays lost: every call raises SessionLost, and aclose nothing."""
    vtn, ven = await _cut_off(stage)
    await ven.lost(SOON)
    if ven.link is not None:
        ven.link.restore()

    for _ in range(2):
        async with raises(SessionLost, doing="send on a lost session"):
            await ven.send(Inbox(vtn.party), stage.message(), within=SOON)
        async with raises(SessionLost, doing="subscribe on a lost session"):
            await ven.call("subscribe", SOON, name="dead", address=["inbox", ven.party])
    await ven.aclose(times=3)


@rule(hook="cut")
async def required_55_sends_under_way_end_with_the_truth(stage: Stage) -> None:
    """When the link is cut every send under way ends, with an outcome that is true."""
    vtn, ven = await stage.pair(link=await stage.link())
    sent = stage.messages(1_000)
    sending = asyncio.create_task(stage.send_all(ven, ((Inbox(vtn.party), one) for one in sent)))
    try:
        await vtn.got(1)
        await stage.cut(ven)
        async with asyncio.timeout(SOON):
            outcomes = await sending
    except TimeoutError:
        check(False, f"sends were still under way {SOON:g} s after the cut")
        return
    finally:
        sending.cancel()
    pairs = list(zip(sent, outcomes, strict=True))
    arrived = {one.body for one, what in pairs if isinstance(what, int) and what >= ReceiptLevel.ROUTED}
    await vtn.until(lambda: arrived <= set(vtn.bodies), "the messages that a receipt said were routed")
    await stage.quiet()

    _check_kinds([what for _, what in pairs if not isinstance(what, int)])
    never = {Outcome.REFUSED, Outcome.NOT_SENT}
    denied = {one.body for one, what in pairs if isinstance(what, TransportError) and what.outcome in never}
    lies = denied & set(vtn.bodies)
    check(not lies, f"{len(lies)} were delivered though it said they were not sent")
    check(len(vtn.bodies) == len(set(vtn.bodies)), "some were delivered twice")


def _check_kinds(raised: list[int | Iec62746Error]) -> None:
    strange = [what for what in raised if not isinstance(what, SessionLost)]
    check(not strange, f"{len(strange)} raised something else than SessionLost, as {strange[:1]!r}")


@rule(hook="cut")
async def required_56_a_new_session_after_a_loss(stage: Stage) -> None:
    """After a loss a new session of the same party works; the old one delivers nothing more."""
    vtn, old = await _cut_off(stage)
    await old.lost(SOON)
    new = await stage.inbox(old.party)
    await vtn.send(Inbox(new.party), stage.message(b"to the new one"))
    await new.got(1)
    await new.send(Inbox(vtn.party), stage.message(b"back"))
    await vtn.got(1)
    await stage.quiet()

    check(not old.deliveries, f"the old one got {old.bodies}")


@rule(hook="cut")
async def required_57_what_is_handled_is_not_repeated(stage: Stage) -> None:
    """A delivery that is being handled when the link is cut is neither ended nor repeated."""
    vtn, ven = await stage.pair(link=await stage.link(), mode="hold")
    await vtn.send(Inbox(ven.party), stage.message(b"once", expects_reply=True))
    await ven.got(1)
    await stage.cut(ven)
    await ven.lost(SOON)
    new = await stage.inbox(ven.party)
    await ven.mode("take")
    await stage.quiet()

    again = [one for one in new.deliveries if one.body == b"once" and not one.redelivered]
    check(not again, "it came again, and is not marked as redelivered")


@rule(hook="link", reach="network")
async def required_58_a_send_ends_at_its_expiry(stage: Stage) -> None:
    """On a frozen link send ends at the expiry, and what it says was not sent is not."""
    vtn = await stage.inbox(stage.vtn)
    link = await stage.true_link()
    ven = await stage.inbox(stage.vens[0], link=link)
    link.freeze()
    began = time.monotonic()
    outcome: object = None
    try:
        outcome = await ven.send(Inbox(vtn.party), stage.message(b"frozen", within=2.0), within=10.0)
    except TransportError as exc:
        outcome = exc
    took = time.monotonic() - began
    link.thaw()
    await stage.quiet()

    check(took < 3.5, f"it took {took:.1f} s, 2 s were left")
    check(isinstance(outcome, TransportError) or stage.capabilities.receipt is ReceiptLevel.LOCAL, f"it gave {outcome}")
    if isinstance(outcome, TransportError) and outcome.outcome is not Outcome.UNKNOWN:
        check(b"frozen" not in vtn.bodies, f"it was delivered, though it was {outcome.outcome}")


@rule(hook="link", reach="network")
async def required_59_a_short_stop_is_no_loss(stage: Stage) -> None:
    """A link that stands still for a moment is no loss, and loses nothing."""
    vtn = await stage.inbox(stage.vtn)
    link = await stage.true_link()
    ven = await stage.inbox(stage.vens[0], link=link)
    link.freeze()
    sending = asyncio.create_task(stage.send_all(ven, ((Inbox(vtn.party), one) for one in stage.messages(20))))
    await stage.send_all(vtn, ((Inbox(ven.party), one) for one in stage.messages(20)))
    await asyncio.sleep(1.0)
    link.thaw()
    await sending
    await vtn.got(20)
    await ven.got(20)

    check(not ven.of("lost"), "the session was lost")


@rule(hook="link", reach="network")
async def required_60_a_dead_link_is_noticed(stage: Stage) -> None:
    """A link that is dead without a word is noticed within 30 s (62746-3, 5.1)."""
    link = await stage.true_link()
    ven = await stage.inbox(stage.vens[0], link=link)
    link.freeze()
    cause = await ven.lost(REAL_TIME)
    await stage.quiet()

    check(isinstance(cause, TransportError), f"the cause is {cause!r}")
    check(len(ven.of("lost")) == 1, f"lost was called {len(ven.of('lost'))} times")


@rule(hook="link", reach="network")
async def required_61_closing_a_dead_link(stage: Stage) -> None:
    """Closing on a dead link takes 5 s at most, and is no loss."""
    link = await stage.true_link()
    ven = await stage.inbox(stage.vens[0], link=link)
    link.freeze()
    began = time.monotonic()
    await ven.aclose()
    took = time.monotonic() - began

    check(took < SOON, f"it took {took:.1f} s")
    check(not ven.of("lost"), "it was told as lost")


@rule(hook="restart")
async def optional_restart_62_the_server_restarts(stage: Stage) -> None:
    """When the communication server dies every session is lost, once; when it is back, new ones work."""
    vtn, ven = await stage.pair()
    await stage.harness.restart()
    for session in (vtn, ven):
        await session.lost(REAL_TIME)
    new_vtn, new_ven = await stage.pair()
    await new_ven.subscribe(Node("price.north"))
    await new_vtn.send(Node("price.north"), stage.message(b"again"))
    await new_ven.got(1)

    check(all(len(session.of("lost")) == 1 for session in (vtn, ven)), "lost was called more than once")
    async with raises(SessionLost, Closed, doing="send on the old session"):
        await vtn.send(Inbox(ven.party), stage.message())
