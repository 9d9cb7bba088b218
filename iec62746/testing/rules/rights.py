"""Rules 72 to 77: what an account may not do, the communication server does not do for it (62746-3, 4.4, 6)."""

from collections.abc import Awaitable

from iec62746.address import Address, Inbox, Node, Presence
from iec62746.errors import (
    AuthenticationFailed,
    Iec62746Error,
    LocalError,
    PermissionDenied,
    SessionLost,
    TransportError,
)
from iec62746.testing.rule import rule
from iec62746.testing.stage import Stage, check, raises
from iec62746.transport import AccessControl, Proof


async def _refusal(work: Awaitable[object]) -> Iec62746Error | None:
    try:
        await work
    except Iec62746Error as exc:
        return exc
    return None


@rule(proof=Proof.BROKER)
async def optional_proof_72_nobody_speaks_for_another(stage: Stage) -> None:
    """An account cannot speak for another party: refused, or its own name is told."""
    vtn = await stage.open(stage.vtn, Inbox(stage.vtn), Presence())
    forger, victim = stage.vens[:2]
    as_forger = stage.config(forger, stage.domain)
    forged = {key: as_forger[key] for key in ("account", "password", "files", "urls")}
    try:
        session = await stage.open(victim, **forged)
        await _refusal(session.send(Inbox(vtn.party), stage.message(b"forged")))
        await _refusal(session.send(Presence(victim), stage.message(b"forged")))
    except Iec62746Error:
        pass  # refused already: as well
    await stage.quiet()

    check(not [one for one in vtn.deliveries if one.sender == victim], f"{forger} spoke for {victim}")


@rule(access_control=AccessControl.DESTINATION)
async def optional_access_control_73_nobody_reads_anothers_inbox(stage: Stage) -> None:
    """Nobody reads another party's inbox."""
    vtn, ven = await stage.pair()
    spy = await stage.open(stage.vens[1])
    async with raises(PermissionDenied, SessionLost, LocalError, doing="subscribe to another's inbox"):
        await spy.subscribe(Inbox(ven.party))
    await vtn.send(Inbox(ven.party), stage.message())
    await ven.got(1)
    await stage.quiet()

    check(not spy.deliveries, f"it got {spy.bodies}")


@rule(access_control=AccessControl.DESTINATION)
async def optional_access_control_74_vens_send_to_the_vtn_only(stage: Stage) -> None:
    """A VEN sends to no other VEN."""
    _, ven = await stage.pair()
    other = await stage.inbox(stage.vens[1])

    async with raises(TransportError, LocalError, doing="send to another VEN"):
        await ven.send(Inbox(other.party), stage.message())
    await stage.quiet()
    check(not other.deliveries, f"it got {other.bodies}")


@rule(access_control=AccessControl.NODE, carries_nodes=True)
async def optional_access_control_75_nodes_are_granted(stage: Stage) -> None:
    """A VEN subscribes to no node that it was not given, and publishes on none."""
    vtn = await stage.open(stage.vtn)
    ven = await stage.open(stage.vens[0], Node("price.north"))
    guest = await stage.open(stage.vens[1], Node("dispatch.north"))
    async with raises(PermissionDenied, SessionLost, doing="subscribe to a node without the right"):
        await guest.subscribe(Node("price.north"))
    again = await stage.open(stage.vens[1])
    async with raises(TransportError, LocalError, doing="publish by a VEN"):
        await again.send(Node("price.north"), stage.message(b"from a VEN"))
    await vtn.send(Node("price.north"), stage.message(b"from the VTN"))
    await ven.got(1)
    await stage.quiet()

    check(ven.bodies == [b"from the VTN"], f"the VEN got {ven.bodies}")
    check(not guest.deliveries and not again.deliveries, "the guest got it")


@rule(access_control=AccessControl.NODE)
async def optional_access_control_76_presence_is_granted(stage: Stage) -> None:
    """A VEN hears no other VEN's presence, and announces no other's."""
    vtn = await stage.open(stage.vtn, Presence())
    victim = stage.vens[0]
    addresses: tuple[Address, ...] = (Presence(), Presence(victim))
    for address in addresses:
        spy = await stage.open(stage.vens[1])
        async with raises(PermissionDenied, SessionLost, LocalError, doing=f"subscribe to {address}"):
            await spy.subscribe(address)
    forger = await stage.open(stage.vens[1])
    async with raises(TransportError, LocalError, doing="announce another's presence"):
        await forger.send(Presence(victim), stage.message(b"forged"))
    await stage.quiet()

    check(not vtn.deliveries, f"the VTN got {vtn.bodies}")


@rule(hook="revoked")
async def optional_revoked_77_a_right_is_taken_away(stage: Stage) -> None:
    """A right that is taken away is gone: PermissionDenied or a loss, and no message."""
    vtn, ven = await stage.pair()
    await ven.send(Inbox(vtn.party), stage.message(b"before"))
    await vtn.got(1)
    async with stage.harness.revoked(stage.domain, ven.party):
        error = await _refusal(ven.send(Inbox(vtn.party), stage.message(b"revoked"), within=15.0))
        reopened = await _refusal(stage.inbox(ven.party, twin=1))
    await stage.quiet()

    check(isinstance(error, PermissionDenied | SessionLost), f"send gave {error!r}")
    check(isinstance(reopened, PermissionDenied | AuthenticationFailed), f"open and subscribe gave {reopened!r}")
    check(vtn.bodies == [b"before"], f"the VTN got {vtn.bodies}")
