"""Rules 36 to 42: a reply goes to the session that asked, and nowhere else."""

from iec62746.address import Inbox
from iec62746.errors import Iec62746Error, NoReceiver
from iec62746.testing.rule import rule
from iec62746.testing.sessions import RemoteSession
from iec62746.testing.stage import Stage, check
from iec62746.transport import Delivery, ReplyTo, Unroutable

MANY = 500


async def _ask(stage: Stage, asker: RemoteSession, asked: RemoteSession, body: bytes = b"request") -> Delivery:
    """Send a request, and return how it arrived."""
    had = len(asked.deliveries)
    await asker.send(Inbox(asked.party), stage.message(body, expects_reply=True))
    return (await asked.got(had + 1))[had]


def _reply_address(request: Delivery) -> ReplyTo:
    assert_there = request.reply_to
    check(assert_there is not None, "a message that expects a reply came without reply_to")
    assert assert_there is not None
    return assert_there


@rule()
async def required_36_requests_are_answered_both_ways(stage: Stage) -> None:
    """A request is answered both ways; the reply names its sender and correlates (62746-3, 5.5.2, 5.5.3)."""
    for asker, asked in [pair := await stage.pair(), pair[::-1]]:
        had = len(asker.deliveries)
        request = await _ask(stage, asker, asked)
        await asked.send(_reply_address(request), stage.message(b"reply", correlation_id=request.correlation_id))
        reply = (await asker.got(had + 1))[had]

        check(reply.body == b"reply", f"{asker.party} got {reply.body!r}")
        check(reply.correlation_id == request.correlation_id, f"it correlates with {reply.correlation_id!r}")
        check(reply.sender == asked.party, f"its sender is {reply.sender}")


@rule()
async def required_37_a_reply_goes_to_who_asked(stage: Stage) -> None:
    """A reply comes to the session that asked: not to its twin, not to another party."""
    vtn, ven = await stage.pair()
    twin, other = await stage.inbox(stage.vtn, twin=1), await stage.inbox(stage.vens[1])
    for asker, idle in ((vtn, twin), (twin, vtn)):
        had = len(idle.deliveries)
        request = await _ask(stage, asker, ven)
        await ven.send(_reply_address(request), stage.message(b"for " + asker.name.encode()))
        await asker.until(lambda who=asker: b"for " + who.name.encode() in who.bodies, "the reply")  # type: ignore[misc]
        await stage.quiet()

        check(len(idle.deliveries) == had, f"the other session of {idle.party} got it: {idle.bodies}")
    check(not other.deliveries, f"{other.party} got {other.bodies}")


@rule()
async def required_38_no_reply_address_unless_expected(stage: Stage) -> None:
    """A message that expects no reply has no reply address."""
    vtn, ven = await stage.pair()
    await vtn.send(Inbox(ven.party), stage.message())
    (delivery,) = await ven.got(1)

    check(delivery.reply_to is None, "it has one")


@rule()
async def required_39_a_made_up_reply_address_is_refused(stage: Stage) -> None:
    """A reply address that somebody made up is refused, and brings nothing to anybody (62746-3, 6)."""
    vtn, ven = await stage.pair()
    other = await stage.inbox(stage.vens[1])
    made_up = [other.party, f"{stage.domain.name}.ven.{other.party}", vtn.party, "", f"{other.party}.in"]
    outcomes = await stage.send_all(ven, ((ReplyTo(one), stage.message(b"reflected")) for one in made_up))
    await stage.quiet()

    check(not any(isinstance(one, int) for one in outcomes), f"it was sent: {outcomes}")
    check(not other.deliveries and not vtn.deliveries, "somebody got it")


@rule()
async def required_40_many_requests_at_once(stage: Stage) -> None:
    """Of many requests at once every reply comes, and once."""
    vtn, ven = await stage.pair(mode="echo")
    sent = stage.messages(MANY, expects_reply=True)
    await stage.send_all(vtn, ((Inbox(ven.party), one) for one in sent))
    await vtn.got(MANY, within=30)
    await stage.quiet()

    got = sorted((one.correlation_id, one.body) for one in vtn.deliveries)
    check(got == sorted((one.correlation_id, one.body) for one in sent), f"of {MANY} it got {len(got)}, or others")


@rule(unroutable=Unroutable.ANYWHERE)
async def optional_unroutable_41_a_reply_to_who_has_left(stage: Stage) -> None:
    """A reply to who has left is NoReceiver, and the next session does not get it."""
    vtn, ven = await stage.pair()
    request = await _ask(stage, vtn, ven)
    await vtn.aclose()
    again = await stage.inbox(stage.vtn)
    outcome: object = None
    try:
        outcome = await ven.send(_reply_address(request), stage.message(b"late"))
    except Iec62746Error as exc:
        outcome = exc
    await stage.quiet()

    check(isinstance(outcome, NoReceiver), f"send gave {outcome!r}")
    check(not again.deliveries, "the party's next session got it")


@rule()
async def required_42_a_reply_address_may_be_used_again(stage: Stage) -> None:
    """A reply address may be answered more than once, as duplicates of a request are."""
    vtn, ven = await stage.pair()
    request = await _ask(stage, vtn, ven)
    for body in (b"first", b"second"):
        await ven.send(_reply_address(request), stage.message(body))
    await vtn.got(2)

    check(sorted(vtn.bodies) == [b"first", b"second"], f"it got {vtn.bodies}")
