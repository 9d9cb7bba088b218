"""Rules 28 to 35: a message comes to whom it is addressed, and to nobody else."""

from iec62746.address import Address, Inbox, Node, Presence
from iec62746.testing.rule import rule
from iec62746.testing.stage import Stage, check

NODES = ("price.north", "price.northern", "price.north.west", "dispatch.north")


@rule()
async def required_28_an_inbox_is_one_partys(stage: Stage) -> None:
    """What is sent to one party's inbox comes to that party only."""
    vtn, first = await stage.pair()
    second = await stage.inbox(stage.vens[1])
    await vtn.send(Inbox(first.party), stage.message(b"for the first"))
    await vtn.send(Inbox(second.party), stage.message(b"for the second"))
    await first.got(1)
    await second.got(1)
    await stage.quiet()

    check(first.bodies == [b"for the first"], f"the first got {first.bodies}")
    check(second.bodies == [b"for the second"], f"the second got {second.bodies}")
    check(not vtn.deliveries, f"the VTN got {vtn.bodies}")


@rule(carries_nodes=True)
async def required_29_a_node_is_exact(stage: Stage) -> None:
    """A node is one node: not its siblings, not those below, not those that begin alike (62746-3, 5.6)."""
    vtn = await stage.open(stage.vtn)
    ven = await stage.open(stage.vens[0], Node("price.north"))
    for name in (*NODES[1:], NODES[0]):
        await vtn.send(Node(name), stage.message(name.encode()))
    await ven.got(1)
    await stage.quiet()

    check(ven.bodies == [b"price.north"], f"subscribed to price.north, it got {ven.bodies}")


@rule(carries_nodes=True)
async def required_30_nobody_subscribed_is_no_error(stage: Stage) -> None:
    """An event on a node without subscribers is no error, and who comes later does not get it."""
    vtn = await stage.open(stage.vtn)
    await vtn.send(Node("price.north"), stage.message(b"too early"))
    ven = await stage.open(stage.vens[0], Node("price.north"))
    await vtn.send(Node("price.north"), stage.message(b"in time"))
    await ven.got(1)
    await stage.quiet()

    check(ven.bodies == [b"in time"], f"it got {ven.bodies}")


@rule(carries_nodes=True)
async def required_31_every_subscriber_gets_an_event(stage: Stage) -> None:
    """An event comes to every session that subscribed to its node, once."""
    vtn = await stage.open(stage.vtn)
    node = Node("dispatch.north")
    vens = [await stage.open(party, node) for party in stage.vens[:2]]
    vens.append(await stage.open(stage.vens[0], node, twin=1))
    await stage.send_all(vtn, ((node, one) for one in stage.messages(20)))
    for ven in vens:
        await ven.got(20)
    await stage.quiet()

    counts = [len(set(ven.bodies)) if len(set(ven.bodies)) == len(ven.bodies) else -1 for ven in vens]
    check(counts == [20, 20, 20], f"of 20 events they got {[len(ven.bodies) for ven in vens]}")


@rule(carries_nodes=True)
async def required_32_domains_are_isolated(stage: Stage) -> None:
    """Domains are worlds apart, though their parties and nodes have the same names (62746-3, 4.2)."""
    addresses: tuple[Address, ...] = (Inbox(stage.vens[0]), Node("price.north"), Presence(stage.vtn))
    here = await stage.open(stage.vens[0], *addresses)
    there = await stage.open(stage.vens[0], *addresses, domain=stage.other)
    senders = (await stage.open(stage.vtn), await stage.open(stage.vtn, domain=stage.other))
    for sender, body in zip(senders, (b"here", b"there"), strict=True):
        for to in (Inbox(stage.vens[0]), Node("price.north"), Presence(stage.vtn)):
            await sender.send(to, stage.message(body))
    await here.got(3)
    await there.got(3)
    await stage.quiet()

    check(set(here.bodies) == {b"here"} and len(here.bodies) == 3, f"here came {here.bodies}")
    check(set(there.bodies) == {b"there"} and len(there.bodies) == 3, f"there came {there.bodies}")


@rule(carries_nodes=True)
async def required_33_a_delivery_names_its_address(stage: Stage) -> None:
    """A delivery names the address that was sent to."""
    vtn, ven = await stage.pair()
    sent: tuple[Address, ...] = (Inbox(ven.party), Node("price.north"), Node("price.north.west"), Presence(vtn.party))
    for address in sent[1:]:
        await ven.subscribe(address)
    for address in sent:
        await vtn.send(address, stage.message(repr(address).encode()))
    await ven.got(len(sent))

    wrong = [one for one in ven.deliveries if repr(one.address).encode() != one.body]
    check(not wrong, f"{[(one.body, one.address) for one in wrong]}")


@rule()
async def required_34_two_sessions_of_a_party(stage: Stage) -> None:
    """While a party has two sessions a message reaches one at least, and when one closes, the other."""
    vtn, old = await stage.pair()
    new = await stage.inbox(old.party, twin=1)
    await vtn.send(Inbox(old.party), stage.message(b"to one or both"))
    await new.until(lambda: new.deliveries or old.deliveries, "a delivery to one of two sessions", 5)
    await old.aclose()
    sent = stage.messages(20)
    outcomes = await stage.send_all(vtn, ((Inbox(old.party), one) for one in sent))
    check(all(isinstance(one, int) for one in outcomes), f"not all were sent: {outcomes}")
    await new.until(lambda: {one.body for one in sent} <= set(new.bodies), "20 deliveries to the one that is left")


@rule(carries_nodes=True)
async def required_35_twins_do_not_share_subscriptions(stage: Stage) -> None:
    """Two sessions of a party are two: each can send, and hears by its own subscriptions."""
    vtn = await stage.inbox(stage.vtn)
    one = await stage.open(stage.vens[0], Node("price.north"))
    two = await stage.open(stage.vens[0], Node("dispatch.north"), twin=1)
    for name in ("price.north", "dispatch.north"):
        await vtn.send(Node(name), stage.message(name.encode()))
    for ven in (one, two):
        await ven.send(Inbox(vtn.party), stage.message(b"hello"))
        await ven.got(1)
    await vtn.got(2)
    await stage.quiet()

    check(one.bodies == [b"price.north"], f"one got {one.bodies}")
    check(two.bodies == [b"dispatch.north"], f"two got {two.bodies}")
