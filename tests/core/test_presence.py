from dataclasses import replace

import pytest

from iec62746.address import Presence
from iec62746.domain import Domain
from iec62746.envelope import decode, encode
from iec62746.errors import InvalidMessage
from iec62746.message import Kind, Property
from iec62746.outputs import What
from iec62746.roster import State
from iec62746.testing.pair import Conversation, Member
from iec62746.transport import Delivery, Outgoing, Proof

NORTH = """\
[domain]
name = "north"
vtn = "vtn"
[roles.household]
publish = ["MeterReadings"]
[parties.ven-1]
roles = ["household"]
[parties.ven-2]
roles = ["household"]
"""


@pytest.fixture
def north() -> Conversation:
    return Conversation(Domain.parse(NORTH))


def deliver(member: Member, sender: str, outgoing: Outgoing) -> None:
    presence = Delivery(body=outgoing.body, address=Presence(sender), sender=sender, proof=Proof.BROKER)
    member.receive(presence)


@pytest.mark.requirement("R-5.5.5")
def test_the_vtn_knows_its_vens_and_they_know_the_vtn(north: Conversation) -> None:
    vtn, ven = north.join("vtn"), north.join("ven-1")
    north.run()
    vtn.announce(State.AWAY, "maintenance")
    north.run()

    assert State.ONLINE is vtn.exchange.roster["ven-1"].state
    assert (State.AWAY, "maintenance") == (ven.exchange.roster["vtn"].state, ven.exchange.roster["vtn"].reason)


@pytest.mark.requirement("R-4.4b")
def test_a_ven_does_not_hear_of_another_ven(north: Conversation) -> None:
    ven, other = north.join("ven-1"), north.join("ven-2")
    deliver(ven, "ven-2", other.exchange.announce(State.ONLINE, north.now).message)

    assert "ven-2" not in ven.exchange.roster.known
    assert [What.STRANGER] == ven.noticed


@pytest.mark.requirement("R-5.5.5")
def test_a_party_is_gone_after_two_and_a_half_intervals_without_a_heartbeat(north: Conversation) -> None:
    vtn = north.join("vtn")
    north.join("ven-1")
    north.run()
    north.pass_time(74.0)
    before = vtn.exchange.roster["ven-1"].state
    north.pass_time(2.0)

    assert (State.ONLINE, State.GONE) == (before, vtn.exchange.roster["ven-1"].state)


def test_a_heartbeat_keeps_a_party(north: Conversation) -> None:
    vtn, ven = north.join("vtn"), north.join("ven-1")
    for _ in range(10):
        north.run()
        north.pass_time(30.0)
        ven.announce(State.ONLINE)
    north.run()

    assert State.ONLINE is vtn.exchange.roster["ven-1"].state


def test_evidence_of_the_transport_ends_a_party(north: Conversation) -> None:
    vtn = north.join("vtn")
    north.join("ven-1")
    north.run()
    vtn.take(vtn.exchange.gone("ven-1", north.now))

    assert State.GONE is vtn.exchange.roster["ven-1"].state


def test_the_will_says_offline_however_late_it_is_published(north: Conversation) -> None:
    vtn, ven = north.join("vtn"), north.join("ven-1")
    will = ven.exchange.will(north.now)
    for _ in range(20):
        north.pass_time(30.0)
        ven.announce(State.ONLINE)
        north.run()
    deliver(vtn, "ven-1", will)

    assert (State.OFFLINE, "connection lost") == (
        vtn.exchange.roster["ven-1"].state,
        vtn.exchange.roster["ven-1"].reason,
    )


def test_the_will_of_an_earlier_session_does_not_end_the_present_one(north: Conversation) -> None:
    vtn, ven = north.join("vtn"), north.join("ven-1")
    will = ven.exchange.will(north.now)
    north.run()
    ven.lose()
    north.pass_time(1.0)
    ven.open()
    north.run()
    deliver(vtn, "ven-1", will)

    assert State.ONLINE is vtn.exchange.roster["ven-1"].state
    assert What.OUTDATED in vtn.noticed


def test_the_older_of_two_sessions_ends_and_the_vtn_reports_a_conflict(north: Conversation) -> None:
    vtn, older = north.join("vtn"), north.join("ven-1")
    north.run()
    north.pass_time(1.0)
    newer = north.join("ven-1")
    north.run()

    assert [newer.session] == older.superseded
    assert [] == newer.superseded
    assert [(older.session, newer.session)] == [(one.older, one.newer) for one in vtn.conflicts]


def test_of_two_sessions_of_one_epoch_the_one_with_the_lesser_name_ends(north: Conversation) -> None:
    first, second = north.join("ven-1"), north.join("ven-1")
    north.run()

    assert first.session < second.session
    assert ([second.session], []) == (first.superseded, second.superseded)


def test_a_newer_session_is_told_of_once(north: Conversation) -> None:
    older = north.join("ven-1")
    north.pass_time(1.0)
    newer = north.join("ven-1")
    newer.announce(State.ONLINE)
    newer.announce(State.ONLINE)
    north.run()

    assert 3 >= len(older.superseded)
    assert {newer.session} == set(older.superseded)


def test_what_a_superseded_session_says_at_last_does_not_outrank_the_newer(north: Conversation) -> None:
    vtn, older = north.join("vtn"), north.join("ven-1")
    older.session = "z-is-greater"
    older.exchange.opened("z-is-greater", north.now)
    north.pass_time(1.0)
    north.join("ven-1")
    north.run()
    older.announce(State.OFFLINE, "superseded")
    north.run()

    assert State.ONLINE is vtn.exchange.roster["ven-1"].state


def test_our_epoch_is_above_any_that_was_seen_of_us(north: Conversation) -> None:
    ahead = Conversation(north.domain, now=north.now + 3_600)
    ours, theirs = north.join("ven-1"), ahead.join("ven-1")
    deliver(ours, "ven-1", theirs.exchange.announce(State.ONLINE, ahead.now).message)
    ours.open()

    assert theirs.exchange.epoch < ours.exchange.epoch


def test_our_own_earlier_session_does_not_supersede_us(north: Conversation) -> None:
    ven = north.join("ven-1")
    will = ven.exchange.will(north.now)
    ven.open()
    deliver(ven, "ven-1", will)

    assert [] == ven.superseded


def test_presence_says_who_for_whom_and_until_when(north: Conversation) -> None:
    ven, vtn = north.join("ven-1"), north.join("vtn")
    of_ven = decode(ven.exchange.announce(State.ONLINE, north.now).message.body)
    of_vtn = decode(vtn.exchange.announce(State.ONLINE, north.now).message.body)

    assert ("ven-1", "vtn") == (of_ven.source, of_ven.destination)
    assert ("vtn", "north") == (of_vtn.source, of_vtn.destination)
    assert of_ven.deadline is not None
    assert north.now + 75.0 == pytest.approx(of_ven.deadline.timestamp())


def test_the_will_has_no_deadline(north: Conversation) -> None:
    assert decode(north.join("ven-1").exchange.will(north.now).body).deadline is None


def test_an_old_announcement_is_not_believed(north: Conversation) -> None:
    vtn, ven = north.join("vtn"), north.join("ven-1")
    announcement = ven.exchange.announce(State.ONLINE, north.now).message
    north.wire.clear()
    north.pass_time(81.0)
    deliver(vtn, "ven-1", announcement)

    assert What.EXPIRED in vtn.noticed
    assert State.GONE is vtn.exchange.roster["ven-1"].state


def test_presence_of_another_is_not_believed(north: Conversation) -> None:
    vtn, ven = north.join("vtn"), north.join("ven-1")
    announcement = ven.exchange.announce(State.ONLINE, north.now).message
    north.wire.clear()
    deliver(vtn, "ven-2", announcement)

    assert [What.SOURCE_DIFFERS] == vtn.noticed


def test_presence_for_another_domain_is_not_believed(north: Conversation) -> None:
    vtn, ven = north.join("vtn"), north.join("ven-1")
    message = decode(ven.exchange.announce(State.ONLINE, north.now).message.body)
    north.wire.clear()
    deliver(
        vtn, "ven-1", Outgoing(body=encode(replace(message, properties=(Property("Destination", "x"),))), expires=0.0)
    )

    assert [What.DESTINATION_DIFFERS] == vtn.noticed


def test_gone_cannot_be_announced(north: Conversation) -> None:
    ven = north.join("ven-1")

    with pytest.raises(InvalidMessage, match="concluded"):
        ven.announce(State.GONE)


def test_another_event_where_presence_belongs_is_dropped(north: Conversation) -> None:
    vtn, ven = north.join("vtn"), north.join("ven-1")
    north.run()
    message = decode(ven.exchange.announce(State.ONLINE, north.now).message.body)
    deliver(vtn, "ven-1", Outgoing(body=encode(replace(message, noun="MeterReadings")), expires=0.0))

    assert [What.WRONG_KIND] == vtn.noticed
    assert [] == vtn.executed
    assert message.kind is Kind.EVENT


def test_the_will_of_a_session_whose_clock_was_ahead_ends_nobody_for_good(north: Conversation) -> None:
    ahead = Conversation(north.domain, now=north.now + 3_600)
    vtn, ven, dead = north.join("vtn"), north.join("ven-1"), ahead.join("ven-1")
    north.run()
    will = dead.exchange.will(ahead.now)
    deliver(vtn, "ven-1", will)
    before = vtn.exchange.roster["ven-1"].state
    deliver(ven, "ven-1", will)
    north.run()

    assert [] == ven.superseded
    assert dead.exchange.epoch < ven.exchange.epoch
    assert (State.OFFLINE, State.ONLINE) == (before, vtn.exchange.roster["ven-1"].state)
