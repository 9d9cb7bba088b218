"""Rules 14 to 27: what is sent arrives, once, as it was, while it is wanted."""

from collections import Counter

from iec62746.address import Inbox, Node
from iec62746.errors import Expired, SessionLost, TooLarge
from iec62746.testing.rule import rule
from iec62746.testing.stage import Stage, check, raises

EVERY_OCTET = bytes(range(256))
ODD = ("ä€𝄞", "a b\tc", "#.*/+>$SYS", "'\";<&>--", "x" * 200, "{}[]()%n%s\\u0000")
LARGEST_TRIED = 16_777_216
"""Octets: a larger message is not tried, though the transport may take it."""
MANY = 1_000


@rule()
async def required_14_bodies_are_octets(stage: Stage) -> None:
    """Bodies arrive octet for octet: none, every value, no UTF-8, 64 KiB."""
    vtn, ven = await stage.pair()
    bodies = [b"", b"\x00", EVERY_OCTET, b"\xff\xfe\xc3\x28", "ä€".encode(), EVERY_OCTET * 256, b" <a/>\r\n"]
    await stage.send_all(vtn, ((Inbox(ven.party), stage.message(body)) for body in bodies), in_turn=True)
    await ven.got(len(bodies))

    check(sorted(ven.bodies) == sorted(bodies), f"lengths sent {[*map(len, bodies)]}, got {[*map(len, ven.bodies)]}")


@rule(max_message=1, seconds=60)
async def optional_max_message_15_the_largest_arrives(stage: Stage) -> None:
    """A message of max_message octets arrives."""
    size = min(stage.capabilities.max_message or 0, LARGEST_TRIED)
    body = (EVERY_OCTET * (size // 256 + 1))[:size]
    vtn, ven = await stage.pair()
    await vtn.send(Inbox(ven.party), stage.message(body))
    await ven.got(1, within=30)

    check(ven.bodies == [body], f"of {size} octets it got {len(ven.bodies[0])}, or others")


@rule(max_message=1, seconds=60)
async def optional_max_message_16_a_larger_one_is_refused(stage: Stage) -> None:
    """A message of more than max_message octets is TooLarge, and the session goes on."""
    vtn, ven = await stage.pair()
    size = (stage.capabilities.max_message or 0) + 1

    async with raises(TooLarge, doing=f"send of {size} octets"):
        await vtn.send(Inbox(ven.party), stage.message(bytes(size)))
    await vtn.send(Inbox(ven.party), stage.message(b"small"))
    await ven.got(1)
    check(ven.bodies == [b"small"], f"it got {[*map(len, ven.bodies)]} octets")


@rule()
async def required_17_odd_characters_go_through(stage: Stage) -> None:
    """Correlation identifiers and headers of odd characters go through, the identifiers unchanged."""
    vtn, ven = await stage.pair()
    headers = {
        "Verb": "create",
        "Noun": "ä€𝄞",
        "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    }
    sends = [(Inbox(ven.party), stage.message(correlation_id=odd, headers=headers)) for odd in ODD]
    outcomes = await stage.send_all(vtn, sends, in_turn=True)
    check(all(isinstance(one, int) for one in outcomes), f"they were not all sent: {outcomes}")
    await ven.got(len(ODD))

    got = sorted(one.correlation_id for one in ven.deliveries)
    check(got == sorted(ODD), f"it got {got}")


@rule(carries_nodes=True)
async def required_18_a_subscription_is_live_on_return(stage: Stage) -> None:
    """A subscription is live when subscribe returns: the first message after it is not lost."""
    vtn = await stage.open(stage.vtn)
    for index in range(15):
        ven = await stage.open(stage.vens[0])
        await ven.subscribe(Inbox(ven.party))
        await vtn.send(Inbox(ven.party), stage.message(b"first"))
        await ven.subscribe(Node("price.north"))
        await vtn.send(Node("price.north"), stage.message(b"event"))
        await ven.got(2)
        check(sorted(ven.bodies) == [b"event", b"first"], f"in round {index} it got {ven.bodies}")
        await ven.aclose()


@rule()
async def required_19_a_thousand_at_once_arrive_once(stage: Stage) -> None:
    """Of a thousand messages sent at once each arrives, and once."""
    vtn, ven = await stage.pair()
    sent = stage.messages(MANY)
    outcomes = await stage.send_all(vtn, ((Inbox(ven.party), one) for one in sent))
    failed = [one for one in outcomes if not isinstance(one, int)]
    check(not failed, f"{len(failed)} of {MANY} were not sent: {failed[:1]}")
    await ven.got(MANY, within=30)
    await stage.quiet()

    counts = Counter(ven.bodies)
    check(counts == Counter(one.body for one in sent), _differences(counts, [one.body for one in sent]))


def _differences(counts: Counter[bytes], sent: list[bytes]) -> str:
    twice = [body for body, count in counts.items() if count > 1]
    missing = [body for body in sent if body not in counts]
    return f"{len(twice)} arrived more than once {twice[:3]}, {len(missing)} not at all {missing[:3]}"


@rule(keeps_order=True, carries_nodes=True)
async def optional_keeps_order_20_in_the_order_sent(stage: Stage) -> None:
    """Messages of one session to one address arrive in the order in which they were sent."""
    vtn, ven = await stage.pair()
    await ven.subscribe(Node("price.north"))
    for to in (Inbox(ven.party), Node("price.north")):
        before, sent = len(ven.deliveries), stage.messages(200)
        await stage.send_all(vtn, ((to, one) for one in sent), in_turn=True)
        await ven.got(before + len(sent))

        check(ven.bodies[before:] == [one.body for one in sent], f"to {to} they came in another order")


@rule(carries_nodes=True)
async def required_21_nothing_comes_after_cancel(stage: Stage) -> None:
    """After cancel nothing more is delivered, not even what waited; cancel is idempotent."""
    vtn = await stage.open(stage.vtn)
    ven = await stage.open(stage.vens[0])
    subscription = await ven.subscribe(Node("price.north"))
    await ven.mode("hold")
    await stage.send_all(vtn, ((Node("price.north"), one) for one in stage.messages(20)), in_turn=True)
    await ven.got(1)
    await stage.quiet()
    await subscription.cancel()
    await subscription.cancel()
    had = len(ven.deliveries)
    await ven.mode("take")
    await vtn.send(Node("price.north"), stage.message(b"late"))
    await stage.quiet()

    check(len(ven.deliveries) == had, f"{len(ven.deliveries) - had} were delivered after cancel")


@rule(carries_nodes=True)
async def required_22_cancel_ends_one_subscription_only(stage: Stage) -> None:
    """An address that was cancelled can be subscribed to again, and the other subscriptions stay."""
    vtn = await stage.open(stage.vtn)
    ven = await stage.open(stage.vens[0], Inbox(stage.vens[0]), Node("dispatch.north"))
    subscription = await ven.subscribe(Node("price.north"))
    await subscription.cancel()
    await vtn.send(Node("dispatch.north"), stage.message(b"other"))
    await vtn.send(Inbox(ven.party), stage.message(b"inbox"))
    await ven.got(2)
    await ven.subscribe(Node("price.north"))
    await vtn.send(Node("price.north"), stage.message(b"again"))
    await ven.got(3)

    check(sorted(ven.bodies) == [b"again", b"inbox", b"other"], f"it got {ven.bodies}")


@rule(carries_nodes=True)
async def required_23_a_slow_party_holds_up_nobody(stage: Stage) -> None:
    """A party that takes its time does not hold up the others."""
    vtn, slow = await stage.pair(mode="hold")
    await slow.subscribe(Node("dispatch.north"))
    quick = await stage.open(stage.vens[1], Inbox(stage.vens[1]), Node("dispatch.north"))
    await stage.send_all(vtn, ((Node("dispatch.north"), one) for one in stage.messages(50)), in_turn=True)
    await vtn.send(Inbox(quick.party), stage.message(b"last"))
    await quick.got(51, within=5)

    check(len(quick.deliveries) == 51, f"it got {len(quick.deliveries)}")


@rule()
async def required_24_an_error_in_a_delivery_ends_the_session(stage: Stage) -> None:
    """What a delivery raises ends the session: lost, once."""
    vtn, ven = await stage.pair(mode="raise")
    await vtn.send(Inbox(ven.party), stage.message())
    await ven.lost()
    await stage.quiet()

    check(len(ven.of("lost")) == 1, f"lost was called {len(ven.of('lost'))} times")
    async with raises(SessionLost, doing="send after the loss"):
        await ven.send(Inbox(vtn.party), stage.message())


@rule()
async def required_25_receipts_are_as_declared(stage: Stage) -> None:
    """A receipt is of the level that is declared, or a better one."""
    vtn, ven = await stage.pair()
    receipt = await vtn.send(Inbox(ven.party), stage.message())

    least = stage.capabilities.receipt
    check(receipt.level >= least, f"declared is {least.name}, the receipt says {receipt.level.name}")


@rule()
async def required_26_each_message_has_its_sender(stage: Stage) -> None:
    """Of many senders at once, each message has its sender, by the proof that is declared (62746-3, 6)."""
    vtn = await stage.inbox(stage.vtn)
    vens = [await stage.open(party) for party in stage.vens[:2]]
    for ven in vens:
        sends = ((Inbox(vtn.party), stage.message(ven.party.encode())) for _ in range(100))
        await stage.send_all(ven, sends)
    await vtn.got(200)

    wrong = [one for one in vtn.deliveries if one.sender is None or one.sender.encode() != one.body]
    check(not wrong, f"{len(wrong)} of 200 name another sender, as {wrong[:1]}")
    proofs = {one.proof for one in vtn.deliveries}
    check(proofs == {stage.capabilities.proof}, f"declared is {stage.capabilities.proof!r}, got {proofs}")


@rule()
async def required_27_one_failure_disturbs_no_other(stage: Stage) -> None:
    """A message that cannot be sent does not disturb the others of its session."""
    vtn, ven = await stage.pair()
    good = stage.messages(50)
    bad = [stage.message(b"bad", within=-1.0) for _ in range(50)]
    sends = [(Inbox(ven.party), one) for pair in zip(good, bad, strict=True) for one in pair]
    outcomes = await stage.send_all(vtn, sends)
    await ven.got(50)
    await stage.quiet()

    check(all(isinstance(one, int) for one in outcomes[::2]), "a good one was not sent")
    check(all(isinstance(one, Expired) for one in outcomes[1::2]), "a bad one was sent")
    check(sorted(ven.bodies) == sorted(one.body for one in good), f"{len(ven.bodies)} arrived, 50 were good")
