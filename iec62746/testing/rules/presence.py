"""Rules 67 to 71: who hears of whom (62746-3, 5.5.5)."""

from iec62746.address import Inbox, Presence
from iec62746.testing.rule import rule
from iec62746.testing.sessions import RemoteSession
from iec62746.testing.stage import Stage, check

EVER = 3600.0


@rule()
async def required_67_everybodys_presence(stage: Stage) -> None:
    """The VTN hears everybody's announcements, each at the address of its party."""
    vtn = await stage.open(stage.vtn, Presence())
    for party in stage.vens[:2]:
        ven = await stage.open(party)
        await ven.send(Presence(party), stage.message(party.encode()))
    await vtn.got(2)

    for one in vtn.deliveries:
        check(one.sender is not None and one.sender.encode() == one.body, f"{one.body!r} is from {one.sender}")
        check(one.address == Presence(one.body.decode()), f"{one.body!r} came at {one.address}")


@rule()
async def required_68_one_partys_presence(stage: Stage) -> None:
    """A VEN hears the VTN's announcements and its own party's, and nobody else's."""
    vtn = await stage.open(stage.vtn)
    ven = await stage.open(stage.vens[0], Presence(stage.vtn), Presence(stage.vens[0]))
    twin = await stage.open(stage.vens[0], twin=1)
    other = await stage.open(stage.vens[1])
    for session in (other, vtn, twin):
        await session.send(Presence(session.party), stage.message(session.party.encode()))
    await ven.got(2)
    await stage.quiet()

    expected = sorted(one.party.encode() for one in (vtn, twin))
    check(sorted(ven.bodies) == expected, f"it got {ven.bodies}")


async def _watched(stage: Stage, **options: object) -> tuple[RemoteSession, RemoteSession]:
    vtn = await stage.open(stage.vtn, Inbox(stage.vtn), Presence())
    ven = await stage.open(stage.vens[0], Inbox(stage.vens[0]), **options)  # type: ignore[arg-type]  # of open's own
    return vtn, ven


@rule(tells_gone_within=EVER)
async def optional_tells_gone_69_who_closed_is_gone(stage: Stage) -> None:
    """When a party closes its last session, gone tells it in time."""
    vtn, ven = await _watched(stage)
    await ven.aclose()

    await _gone(stage, vtn, ven.party)


@rule(hook="cut", tells_gone_within=EVER)
async def optional_tells_gone_70_who_was_cut_off_is_gone(stage: Stage) -> None:
    """When a party's link is cut, gone tells it in time."""
    vtn, ven = await _watched(stage, link=await stage.link())
    await stage.cut(ven)

    await _gone(stage, vtn, ven.party)


async def _gone(stage: Stage, watcher: RemoteSession, party: str) -> None:
    within = (stage.capabilities.tells_gone_within or 0.0) + 1.0
    await watcher.until(lambda: watcher.of("gone"), f"Observer.gone of {party}", within)
    names = [one["party"] for one in watcher.of("gone")]
    check(set(names) == {party}, f"gone told of {names}")


@rule(tells_gone_within=EVER)
async def optional_tells_gone_71_who_has_another_session_is_not(stage: Stage) -> None:
    """While a party has another session it is not gone."""
    vtn, ven = await _watched(stage)
    twin = await stage.inbox(ven.party, twin=1)
    await ven.aclose()
    await stage.quiet()
    check(not vtn.of("gone"), "gone was told while there is another session")
    await twin.aclose()

    await _gone(stage, vtn, ven.party)
