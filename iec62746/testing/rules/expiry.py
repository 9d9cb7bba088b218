"""Rules 47 to 52: no store and forward (62746-3, 5.1)."""

import asyncio

from iec62746.address import Inbox, Node
from iec62746.errors import Expired, Iec62746Error, Outcome
from iec62746.testing.rule import rule
from iec62746.testing.stage import Stage, check, raises
from iec62746.transport import REAL_TIME

MARGIN = 1.0
"""Seconds by which a stored message may outlive what is declared."""


@rule(carries_nodes=True)
async def required_47_what_has_expired_is_not_sent(stage: Stage) -> None:
    """What has expired raises Expired, outcome NOT_SENT, and is delivered to nobody."""
    vtn, ven = await stage.pair()
    await ven.subscribe(Node("price.north"))
    for to in (Inbox(ven.party), Node("price.north")):
        async with raises(Expired, doing="send of what has expired") as caught:
            await vtn.send(to, stage.message(b"expired", within=-0.5))
        check(caught[0].outcome is Outcome.NOT_SENT, f"its outcome is {caught[0].outcome}")
    await vtn.send(Inbox(ven.party), stage.message(b"in time"))
    await ven.got(1)
    await stage.quiet()

    check(ven.bodies == [b"in time"], f"it got {ven.bodies}")


@rule()
async def required_48_a_reply_expires_too(stage: Stage) -> None:
    """A reply that has expired raises Expired, too."""
    vtn, ven = await stage.pair()
    await vtn.send(Inbox(ven.party), stage.message(expects_reply=True))
    (request,) = await ven.got(1)
    check(request.reply_to is not None, "there is no reply address")
    assert request.reply_to is not None

    async with raises(Expired, doing="an expired reply"):
        await ven.send(request.reply_to, stage.message(b"late", within=-0.5))
    await stage.quiet()
    check(not vtn.deliveries, f"it got {vtn.bodies}")


@rule(stores_for_vens=REAL_TIME)
async def optional_stores_for_vens_49_no_store_and_forward(stage: Stage) -> None:
    """For a VEN that is absent nothing is stored longer than declared."""
    await _stores(stage, stage.vtn, stage.vens[0], stage.capabilities.stores_for_vens)


@rule(stores_for_vtn=REAL_TIME)
async def optional_stores_for_vtn_50_no_store_and_forward(stage: Stage) -> None:
    """For the VTN when it is absent nothing is stored longer than declared."""
    await _stores(stage, stage.vens[0], stage.vtn, stage.capabilities.stores_for_vtn)


async def _stores(stage: Stage, sender: str, absent: str, seconds: float) -> None:
    """Send to a party that has just gone; it comes back when nothing may be stored any more."""
    here = await stage.open(sender)
    gone = await stage.inbox(absent)
    await here.send(Inbox(absent), stage.message(b"before"))
    await gone.got(1)
    await gone.aclose()
    sends = [(Inbox(absent), stage.message(b"while absent", within=seconds + REAL_TIME)) for _ in range(5)]
    await stage.send_all(here, sends)
    if seconds:
        await asyncio.sleep(seconds + MARGIN)
    back = await stage.inbox(absent)
    await stage.quiet()
    try:
        await here.send(Inbox(absent), stage.message(b"after"))
    except Iec62746Error as exc:
        check(False, f"it is back, but send raised {type(exc).__name__}: {exc}")
    await back.until(lambda: b"after" in back.bodies, "the message after it came back")

    check(back.bodies == [b"after"], f"after {seconds:g} s it got {back.bodies}")


@rule(drops_expired=True)
async def optional_drops_expired_51_nothing_stored_outlives_its_expiry(stage: Stage) -> None:
    """What expired while it was stored is not delivered."""
    ven, vtn = await stage.open(stage.vens[0]), await stage.inbox(stage.vtn)
    await vtn.aclose()
    await stage.send_all(ven, ((Inbox(stage.vtn), stage.message(b"short", within=1.0)) for _ in range(5)))
    await asyncio.sleep(1.5)
    back = await stage.inbox(stage.vtn)
    await ven.send(Inbox(stage.vtn), stage.message(b"fresh"))
    await back.until(lambda: b"fresh" in back.bodies, "a fresh message")

    check(b"short" not in back.bodies, f"it got {back.bodies}")


@rule()
async def required_52_any_expiry_ahead_is_taken(stage: Stage) -> None:
    """A message with little time left, or with much, is not refused for that."""
    vtn, ven = await stage.pair()
    for seconds in (1.5, 30.0, 86_400.0, 40.5 * 86_400):
        await vtn.send(Inbox(ven.party), stage.message(f"{seconds:g}".encode(), within=seconds))
    await ven.got(4)

    check(len(ven.bodies) == 4, f"it got {ven.bodies}")
