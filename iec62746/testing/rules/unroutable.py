"""Rules 43 to 46: what a sender is told of a party that is absent."""

import time

from iec62746.address import Inbox, Node
from iec62746.errors import NoReceiver, Outcome, TransportError
from iec62746.testing.rule import rule
from iec62746.testing.stage import Stage, check, raises
from iec62746.transport import Unroutable

SOON = 2.0
ABSENT = 2.0
"""Seconds in which who has closed is absent."""


@rule(unroutable=Unroutable.DESTINATION)
async def optional_unroutable_43_an_absent_ven_is_told_at_once(stage: Stage) -> None:
    """To a VEN that is absent send raises NoReceiver, outcome REFUSED, within 2 s."""
    vtn, _ = await stage.pair()

    async with raises(NoReceiver, doing="send to an absent VEN") as caught:
        await vtn.send(Inbox(stage.vens[2]), stage.message(), within=SOON)
    check(caught[0].outcome is Outcome.REFUSED, f"its outcome is {caught[0].outcome}")


@rule(unroutable=Unroutable.ANYWHERE)
async def optional_unroutable_44_outcomes_are_not_mixed_up(stage: Stage) -> None:
    """Of sends at once to present and absent VENs each has its own outcome."""
    vtn, ven = await stage.pair()
    there, absent = Inbox(ven.party), Inbox(stage.vens[2])
    messages = stage.messages(200)
    # The correlation is the same for two each: it must not tell them apart.
    sends = [(absent if index % 2 else there, messages[index - index % 2]) for index in range(200)]
    outcomes = await stage.send_all(vtn, sends)
    await ven.got(100)
    await stage.quiet()

    refused = [outcome for outcome in outcomes[::2] if not isinstance(outcome, int)]
    sent = [outcome for outcome in outcomes[1::2] if not isinstance(outcome, NoReceiver)]
    check(not refused, f"{len(refused)} of 100 to the present were refused, as {refused[:1]!r}")
    check(not sent, f"{len(sent)} of 100 to the absent were not NoReceiver, as {sent[:1]!r}")
    check(len(ven.deliveries) == 100, f"{len(ven.deliveries)} of 100 were delivered")


@rule(unroutable=Unroutable.DESTINATION)
async def optional_unroutable_45_who_has_closed_is_absent(stage: Stage) -> None:
    """A VEN that has closed is absent within 2 s."""
    vtn, ven = await stage.pair()
    await ven.aclose()

    closed = time.monotonic()
    while time.monotonic() - closed < ABSENT:
        try:
            await vtn.send(Inbox(ven.party), stage.message(), within=SOON)
        except NoReceiver:
            return
    check(False, f"sends to a VEN that closed {ABSENT:g} s ago raise no NoReceiver")


@rule(carries_nodes=True)
async def required_46_refused_means_refused(stage: Stage) -> None:
    """What was refused, or not sent, was never delivered, whatever happened around it."""
    vtn = await stage.open(stage.vtn)
    party, outcomes, sent = stage.vens[0], [], stage.messages(300)
    sessions = []
    for start in range(0, 300, 100):
        sends = [(Inbox(party), one) for one in sent[start : start + 100]]
        ven = await stage.open(party)
        sessions.append(ven)
        outcomes += await stage.send_all(vtn, sends[:50])
        await ven.subscribe(Inbox(party))
        outcomes += await stage.send_all(vtn, sends[50:])
        await ven.aclose()
    await vtn.send(Node("price.north"), stage.message())
    await stage.quiet()

    never = {Outcome.REFUSED, Outcome.NOT_SENT}
    pairs = zip(sent, outcomes, strict=True)
    refused = {one.body for one, what in pairs if isinstance(what, TransportError) and what.outcome in never}
    lies = refused & {body for session in sessions for body in session.bodies}
    check(not lies, f"{len(lies)} were delivered though they were refused, as {sorted(lies)[:2]}")
