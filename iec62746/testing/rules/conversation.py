"""Rules 78 to 86: real VTNs and VENs over this transport."""

import asyncio
import time
import uuid
from dataclasses import replace
from datetime import UTC, datetime

from iec62746.address import Inbox
from iec62746.envelope import decode, encode, payload
from iec62746.errors import NoReceiver, NoReply, SessionLost, TransportError
from iec62746.message import DEADLINE, DESTINATION, Kind, Message, Property
from iec62746.reply import Reply
from iec62746.testing._members import NOUN, PAYLOAD
from iec62746.testing.rule import rule
from iec62746.testing.sessions import Member
from iec62746.testing.stage import Stage, check, raises
from iec62746.transport import REAL_TIME, Unroutable

MANY = 1_000
AT_ONCE = 250

SHORT = {"real_time": 2.0, "clock_skew": 1.0, "handling": 1.0}
"""Limits of a domain in a hurry."""


@rule(carries_nodes=True)
async def required_78_the_patterns_of_conversation(stage: Stage) -> None:
    """A VTN and a VEN ask and answer each other, and tell each other events (62746-3, 5.5)."""
    vtn, ven = await stage.join(stage.vtn), await stage.join(stage.vens[0])
    answers = [await vtn.ask("down", to=ven.party), await ven.ask("up")]
    await vtn.publish("event", node="price.north")
    await ven.publish("reading")
    await ven.until(lambda: "event" in ven.handled, "the VTN's event")
    await vtn.until(lambda: "reading" in vtn.handled, "the VEN's event")

    check(answers == ["OK", "OK"], f"the replies were {answers}")
    check(ven.handled == ["down", "event"] and vtn.handled == ["up", "reading"], f"{ven.handled}, {vtn.handled}")


@rule(carries_nodes=True)
async def required_79_one_live_session_per_account(stage: Stage) -> None:
    """A second session of an account ends the first, Superseded, and that one does not come back (62746-3, 6)."""
    await stage.join(stage.vtn)
    old = await stage.join(stage.vens[0])
    new = await stage.join(stage.vens[0], twin=1)
    cause = await old.lost()
    await stage.quiet()

    check(type(cause).__name__ == "Superseded", f"the first ended by {cause!r}")
    check(not new.of("lost"), "the second ended, too")
    check(len(old.of("connected")) == 1, "the first came back")
    check(await new.ask("still here") == "OK", "the second is not answered")


@rule(carries_nodes=True)
async def required_80_only_who_was_asked_replies(stage: Stage) -> None:
    """A request is completed by the party that was asked, not by another that knows its identifier."""
    vtn = await stage.join(stage.vtn)
    ven, other = await stage.inbox(stage.vens[0]), await stage.open(stage.vens[1])
    asking = asyncio.create_task(vtn.ask("who answers", to=ven.party))
    try:
        await ven.until(lambda: any(one.reply_to for one in ven.deliveries), "the request")
        delivery = next(one for one in ven.deliveries if one.reply_to)
        request = decode(delivery.body)
        assert delivery.reply_to is not None
        # In its own name, and in the name of who was asked.
        forged, lied, true = (_reply(request, source) for source in (other.party, ven.party, ven.party))
        for body in (forged, lied):
            await other.send(Inbox(vtn.party), stage.message(body, correlation_id=delivery.correlation_id))
        await vtn.until(lambda: len(vtn.of("notice")) >= 2, "that the VTN noticed both forged replies")
        check(not asking.done(), "the request was completed by another party")
        await ven.send(delivery.reply_to, stage.message(true, correlation_id=delivery.correlation_id))
        check(await asking == "OK", "the true reply did not complete it")
    finally:
        asking.cancel()
        await asyncio.wait([asking])


def _reply(request: Message, source: str) -> bytes:
    return encode(
        _stamped(Reply().to_message(request.noun), source, request.source or "", request.correlation_id or "")
    )


def _stamped(message: Message, source: str, to: str, correlation_id: str, *, deadline: float = 30.0) -> Message:
    """Return `message` as `source` would send it now, to be delivered within so many seconds."""
    now = time.time()
    return replace(
        message,
        source=source,
        message_id=str(uuid.uuid4()),
        correlation_id=correlation_id,
        timestamp=_text(now),
        properties=(Property(name=DESTINATION, value=to), Property(name=DEADLINE, value=_text(now + deadline))),
    )


def _text(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@rule(carries_nodes=True)
async def required_81_nothing_is_handled_after_its_deadline(stage: Stage) -> None:
    """Nothing is handled after its Deadline, whatever the transport thinks of it (62746-3, 5.1)."""
    vtn, ven = await stage.inbox(stage.vtn), await stage.join(stage.vens[0])
    for text, deadline in (("late", -30.0), ("in time", 30.0)):
        request = Message(kind=Kind.REQUEST, verb="create", noun=NOUN, payload=payload(PAYLOAD.format(text)))
        body = encode(_stamped(request, vtn.party, ven.party, text, deadline=deadline))
        await vtn.send(Inbox(ven.party), stage.message(body, expects_reply=True))
    await vtn.got(2)

    check(ven.handled == ["in time"], f"its handler got {ven.handled}")
    results = [decode(one.body).reply for one in vtn.deliveries]
    codes = sorted(reply.errors[0].code for reply in results if reply is not None and reply.errors)
    check(codes == ["0.0", "4.1"], f"the replies were {codes}")


@rule(hook="link", reach="network", carries_nodes=True)
async def required_82_nothing_is_handled_after_a_long_freeze(stage: Stage) -> None:
    """What waited in a frozen link past its Deadline is not handled when it thaws."""
    vtn = await stage.join(stage.vtn, limits=SHORT)
    link = await stage.true_link()
    ven = await stage.join(stage.vens[0], link=link, limits=SHORT)
    await vtn.ask("before", to=ven.party)
    link.freeze()
    async with raises(NoReply, TransportError, doing="a request to who cannot hear"):
        await vtn.ask("frozen", to=ven.party)
    await asyncio.sleep(SHORT["clock_skew"] + 0.5)
    link.thaw()
    await _is_heard(vtn, ven.party, "after")

    check("frozen" not in ven.handled, "its handler got it after the Deadline")


async def _is_heard(vtn: Member, party: str, text: str) -> None:
    """Ask until there is an answer."""
    until = time.monotonic() + REAL_TIME
    while True:
        try:
            await vtn.ask(text, to=party)
            return
        except TransportError as exc:
            check(time.monotonic() < until, f"{party} does not answer any more: {exc}")
            await asyncio.sleep(0.05)


@rule(hook="cut", carries_nodes=True)
async def required_83_participants_come_back(stage: Stage) -> None:
    """After a loss both sides find each other again by themselves."""
    vtn = await stage.join(stage.vtn)
    ven = await stage.join(stage.vens[0], link=await stage.link())
    await vtn.ask("before", to=ven.party)
    await stage.cut(ven)
    await ven.lost()
    if ven.link is not None:
        ven.link.restore()
    await ven.until(lambda: len(ven.of("connected")) == 2, "a new connection", REAL_TIME)
    await _is_heard(vtn, ven.party, "after")
    await vtn.publish("event", node="price.north")
    await ven.until(lambda: "event" in ven.handled, "an event after it came back")

    check(await ven.ask("up") == "OK", "the VTN does not answer it")
    check(ven.handled.count("event") == 1, "the event came more than once")


@rule(carries_nodes=True)
async def required_84_a_request_to_an_absent_ven_fails(stage: Stage) -> None:
    """A request to an absent VEN fails at once where the transport can tell, and at its timeout at the latest."""
    vtn = await stage.join(stage.vtn)
    can_tell = stage.capabilities.unroutable is Unroutable.DESTINATION
    kinds = (NoReceiver,) if can_tell else (NoReceiver, NoReply)

    async with raises(*kinds, doing="a request to an absent VEN"):
        await vtn.ask("nobody", to=stage.vens[2], patience=2.0, within=3.5)


@rule(hook="cut", carries_nodes=True)
async def required_85_a_request_ends_though_the_ven_is_lost(stage: Stage) -> None:
    """A request whose VEN is cut off ends at its timeout at the latest, and says what is known."""
    vtn = await stage.join(stage.vtn)
    ven = await stage.inbox(stage.vens[0], link=await stage.link())
    asking = asyncio.create_task(vtn.ask("cut off", to=ven.party, patience=2.0, within=4.0))
    try:
        await ven.until(lambda: any(one.reply_to for one in ven.deliveries), "the request")
        await stage.cut(ven)
        async with raises(NoReply, SessionLost, doing="a request whose VEN was cut off"):
            await asking
    finally:
        asking.cancel()
        await asyncio.wait([asking])


@rule(seconds=60, carries_nodes=True)
async def required_86_many_requests_of_participants(stage: Stage) -> None:
    """A thousand requests of real participants are each answered once."""
    vtn, ven = await stage.join(stage.vtn), await stage.join(stage.vens[0])
    texts = [f"request {index}" for index in range(MANY)]
    for start in range(0, MANY, AT_ONCE):
        some = texts[start : start + AT_ONCE]
        answers = await asyncio.gather(*(vtn.ask(text, to=ven.party) for text in some))
        check(set(answers) == {"OK"}, f"the replies were {set(answers)}")

    check(sorted(ven.handled) == sorted(texts), f"{len(ven.handled)} were handled, {MANY} sent")
