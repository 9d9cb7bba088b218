"""Rules 1 to 13: what is promised, opening and closing."""

import asyncio
import random
import time

from iec62746.address import Inbox, Node, Presence
from iec62746.errors import AuthenticationFailed, Closed, Unreachable
from iec62746.testing import _wire
from iec62746.testing.rule import rule
from iec62746.testing.stage import Stage, check, raises
from iec62746.transport import AccessControl, Capabilities, Proof, ReceiptLevel, Unroutable

ROUNDS = 20
LEFT_AFTER = 15.0
"""Seconds in which a session's queues vanish."""
SPARE = 3
"""Tasks or files more than before that may be somebody else's, such as a pool of the loop."""


@rule()
async def required_01_capabilities_are_sane(stage: Stage) -> None:
    """The capabilities that a transport declares are of the right kinds, and within their bounds."""
    has = stage.capabilities
    kinds = {"receipt": ReceiptLevel, "unroutable": Unroutable, "proof": Proof, "access_control": AccessControl}

    check(isinstance(has, Capabilities), f"capabilities() returned a {type(has).__name__}")
    for name, kind in kinds.items():
        check(isinstance(getattr(has, name), kind), f"{name} is {getattr(has, name)!r}, no {kind.__name__}")
    check(has.reach in ("process", "host", "network"), f"reach is {has.reach!r}")
    check(has.max_message is None or has.max_message >= 65_536, f"max_message is {has.max_message}")
    check(has.stores_for_vtn >= 0 and has.stores_for_vens >= 0, "it stores for less than 0 s")
    check(has.tells_gone_within is None or has.tells_gone_within > 0, "it tells within 0 s or less")


@rule()
async def required_02_an_open_session_is_ready(stage: Stage) -> None:
    """What open returned is ready: a message goes both ways at once (62746-3, 5.1)."""
    vtn, ven = await stage.pair()
    await vtn.send(Inbox(ven.party), stage.message(b"down"))
    await ven.send(Inbox(vtn.party), stage.message(b"up"))
    await ven.got(1)
    await vtn.got(1)

    check(ven.bodies == [b"down"] and vtn.bodies == [b"up"], f"got {ven.bodies} and {vtn.bodies}")


@rule(hook="link", reach="network")
async def required_03_nobody_listening_is_unreachable(stage: Stage) -> None:
    """Where nobody listens, open raises Unreachable, which is worth another try."""
    link = await stage.true_link()
    link.cut()

    async with raises(Unreachable, doing="open, cut at once") as caught:
        await stage.open(stage.vens[0], link=link)
    check(caught[0].is_retryable, "Unreachable is not marked as worth another try")
    check(caught[0].outcome == "not sent", f"its outcome is {caught[0].outcome}")


@rule()
async def stochastic_04_a_cancelled_opening_leaves_nothing(stage: Stage) -> None:
    """An opening that is cancelled at any moment leaves no task and no connection."""
    peer = await stage.peer(stage.vens[0])
    await (await stage.open(stage.vens[0])).aclose()
    before = await peer.call("census")
    for _ in range(ROUNDS):
        config = stage.config(stage.vens[0], stage.domain) | {"session": "given-up"}
        await peer.call("open_and_give_up", within=20.0, config=config, after=random.random() * 0.03)
    await _settles(stage, before, "cancelled openings")

    await (await stage.open(stage.vens[0])).aclose()


@rule(proof=Proof.BROKER)
async def optional_proof_05_a_wrong_password_is_refused(stage: Stage) -> None:
    """A wrong password is AuthenticationFailed, and trying again is no use (62746-3, 6)."""
    async with raises(AuthenticationFailed, doing="open with a wrong password") as caught:
        await stage.open(stage.vens[0], password="kit-wrong", files=_without_certificate(stage))
    check(not caught[0].is_retryable, "it is marked as worth another try")


def _without_certificate(stage: Stage) -> list[str]:
    files: list[str] = stage.config(stage.vens[0], stage.domain)["files"]
    return [files[0], "", ""]


@rule()
async def required_06_closing_is_idempotent(stage: Stage) -> None:
    """Closing is idempotent, may be called ten times at once, and raises nothing."""
    _, ven = await stage.pair()
    await ven.aclose(times=10)
    await ven.aclose()


@rule()
async def required_07_a_closed_session_is_closed(stage: Stage) -> None:
    """A closed session raises Closed for every call."""
    vtn, ven = await stage.pair()
    await ven.aclose()

    async with raises(Closed, doing="send after aclose"):
        await ven.send(Inbox(vtn.party), stage.message())
    async with raises(Closed, doing="subscribe after aclose"):
        await ven.subscribe(Inbox(ven.party))


@rule()
async def required_08_closing_is_no_loss(stage: Stage) -> None:
    """A session that was closed never tells that it is lost, and its will is not published."""
    vtn = await stage.open(stage.vtn, Presence())
    will = _wire.outgoing(stage.message(b"my will"))
    ven = await stage.open(stage.vens[0], Inbox(stage.vens[0]), will=will)
    await ven.aclose()
    await stage.quiet()

    check(not ven.of("lost"), "Observer.lost was called after aclose")
    check(b"my will" not in vtn.bodies, "the will was published though the session was closed")


@rule(carries_nodes=True)
async def required_09_rounds_leave_nothing(stage: Stage) -> None:
    """Rounds of open, subscribe, send and close leave no task and no open file behind."""
    vtn = await stage.inbox(stage.vtn)
    peer = await stage.peer(stage.vens[0])
    await _round(stage)
    before = await peer.call("census")
    for _ in range(ROUNDS):
        await _round(stage)
    await vtn.got(ROUNDS + 1)

    await _settles(stage, before, f"{ROUNDS} rounds")


async def _round(stage: Stage) -> None:
    ven = await stage.open(stage.vens[0], Inbox(stage.vens[0]), Node("price.north"))
    await ven.send(Inbox(stage.vtn), stage.message())
    await ven.aclose()


async def _settles(stage: Stage, before: dict[str, int], what: str) -> None:
    """Wait until the party has no more tasks and files than before."""
    peer = await stage.peer(stage.vens[0])
    now = before
    try:
        async with asyncio.timeout(stage.times.signal):
            while True:
                now = await peer.call("census")
                if all(now[key] <= before[key] + SPARE for key in before):
                    return
                await asyncio.sleep(0.02)
    except TimeoutError:
        check(False, f"after {what} there are {now}, before there were {before}")


@rule()
async def required_10_a_delivery_may_close_its_session(stage: Stage) -> None:
    """A delivery may close the session that it came by."""
    vtn, ven = await stage.pair(mode="close")
    await vtn.send(Inbox(ven.party), stage.message())
    await ven.got(1)
    await ven.aclose()

    check(not ven.of("lost"), "it is lost by being closed")


@rule()
async def required_11_sessions_are_independent(stage: Stage) -> None:
    """Closing one session does not disturb another session of the same process and party."""
    vtn, ven = await stage.pair()
    other = await stage.open(stage.vens[0], Presence(stage.vtn))
    await other.aclose()
    await vtn.send(Inbox(ven.party), stage.message(b"still here"))
    await ven.got(1)

    check(not ven.of("lost"), "it was lost when the other closed")


@rule(hook="leftovers")
async def optional_leftovers_12_no_queue_after_closing(stage: Stage) -> None:
    """No queue is left 15 s after a clean end."""
    vtn, ven = await stage.pair()
    await ven.subscribe(Node("price.north"))
    await vtn.subscribe(Presence())
    await ven.aclose()
    await vtn.aclose()

    await _vanish(stage)


@rule(hook="leftovers", reach="network")
async def optional_leftovers_13_no_queue_after_a_kill(stage: Stage) -> None:
    """No queue is left 15 s after a process was killed."""
    for party in (stage.vtn, stage.vens[0]):
        await stage.inbox(party, twin=9)
        await (await stage.peer(party, 9)).kill()

    await _vanish(stage)


async def _vanish(stage: Stage) -> None:
    """Ask until nothing is left; the answer to a question asked after 15 s is the last."""
    until = time.monotonic() + LEFT_AFTER
    is_last = False
    while left := await stage.harness.leftovers(stage.domain):
        check(not is_last, f"after {LEFT_AFTER:g} s there is still {', '.join(left)}")
        await asyncio.sleep(0.25)
        is_last = time.monotonic() > until
