import pytest

from iec62746.envelope import payload
from iec62746.errors import EnvelopeError
from iec62746.limits import Limits
from iec62746.roster import (
    Announcement,
    Changed,
    PartyConflict,
    Roster,
    State,
    from_payload,
    to_payload,
)


def say(
    state: State = State.ONLINE, session: str = "s1", epoch: int = 1, interval: float = 30.0, reason: str = ""
) -> Announcement:
    return Announcement(state=state, session=session, epoch=epoch, interval=interval, reason=reason)


@pytest.fixture
def roster() -> Roster:
    roster = Roster()
    roster.announced("ven-1", say(), 100.0, 100.0)
    return roster


def test_who_was_never_heard_of_is_gone() -> None:
    assert State.GONE is Roster()["ven-1"].state


@pytest.mark.requirement("R-5.5.5")
def test_an_announcement_is_a_change() -> None:
    changes = Roster().announced("ven-1", say(State.AWAY, reason="maintenance"), 100.0, 100.0)

    assert changes is not None
    assert isinstance(changes[0], Changed)
    assert (State.AWAY, "maintenance", 100.0) == (
        changes[0].presence.state,
        changes[0].presence.reason,
        changes[0].presence.since,
    )


def test_a_heartbeat_is_no_change(roster: Roster) -> None:
    assert [] == roster.announced("ven-1", say(), 130.0, 130.0)
    assert 100.0 == roster["ven-1"].since


@pytest.mark.requirement("R-5.5.5")
def test_silence_for_two_and_a_half_intervals_means_gone(roster: Roster) -> None:
    early = roster.expire(174.9)
    late = roster.expire(175.1)

    assert [] == early
    assert [State.GONE] == [change.presence.state for change in late if isinstance(change, Changed)]


def test_the_interval_is_the_partys_own() -> None:
    roster = Roster()
    roster.announced("ven-1", say(interval=2.0), 100.0, 100.0)

    assert 105.0 == roster.next()


def test_a_heartbeat_renews_the_lease(roster: Roster) -> None:
    roster.announced("ven-1", say(), 170.0, 170.0)

    assert [] == roster.expire(200.0)
    assert roster["ven-1"].is_there


def test_who_went_offline_has_no_lease(roster: Roster) -> None:
    roster.announced("ven-1", say(State.OFFLINE), 110.0, 110.0)

    assert [] == roster.expire(1_000.0)
    assert State.OFFLINE is roster["ven-1"].state


def test_evidence_of_the_transport_means_gone(roster: Roster) -> None:
    changes = roster.ended("ven-1", 120.0)

    assert [State.GONE] == [change.presence.state for change in changes if isinstance(change, Changed)]


def test_evidence_after_the_goodbye_changes_nothing(roster: Roster) -> None:
    roster.announced("ven-1", say(State.OFFLINE, reason="closed"), 110.0, 110.0)

    assert [] == roster.ended("ven-1", 110.1)
    assert "closed" == roster["ven-1"].reason


def test_who_is_gone_comes_back_by_an_announcement(roster: Roster) -> None:
    roster.ended("ven-1", 120.0)
    roster.announced("ven-1", say(), 130.0, 130.0)

    assert State.ONLINE is roster["ven-1"].state


def test_the_newer_session_counts(roster: Roster) -> None:
    roster.announced("ven-1", say(session="s2", epoch=2), 110.0, 110.0)

    assert "s2" == roster["ven-1"].session


def test_of_two_sessions_of_one_epoch_the_greater_name_counts(roster: Roster) -> None:
    roster.announced("ven-1", say(session="s0", epoch=1), 110.0, 110.0)
    lesser = roster["ven-1"].session
    roster.announced("ven-1", say(session="s2", epoch=1), 111.0, 111.0)

    assert ("s1", "s2") == (lesser, roster["ven-1"].session)


def test_an_old_sessions_late_goodbye_does_not_end_the_newer(roster: Roster) -> None:
    roster.announced("ven-1", say(session="s2", epoch=2), 110.0, 110.0)

    assert roster.announced("ven-1", say(State.OFFLINE), 111.0, 111.0) is None
    assert State.ONLINE is roster["ven-1"].state


def test_two_live_sessions_are_a_conflict(roster: Roster) -> None:
    changes = roster.announced("ven-1", say(session="s2", epoch=2), 110.0, 110.0)

    assert changes is not None
    assert PartyConflict("ven-1", "s1", "s2") in changes


def test_an_older_session_that_still_speaks_is_a_conflict(roster: Roster) -> None:
    roster.announced("ven-1", say(session="s2", epoch=2), 110.0, 110.0)

    assert [PartyConflict("ven-1", "s1", "s2")] == roster.announced("ven-1", say(), 120.0, 120.0)


@pytest.mark.parametrize("state", [State.OFFLINE, State.GONE])
def test_a_session_after_one_that_ended_is_no_conflict(roster: Roster, state: State) -> None:
    if state is State.GONE:
        roster.ended("ven-1", 105.0)
    else:
        roster.announced("ven-1", say(State.OFFLINE), 105.0, 105.0)
    changes = roster.announced("ven-1", say(session="s2", epoch=2), 110.0, 110.0)

    assert changes is not None
    assert [Changed] == [type(change) for change in changes]


def test_in_one_session_the_later_announcement_counts_in_whatever_order_they_come(roster: Roster) -> None:
    roster.announced("ven-1", say(State.AWAY), 131.0, 131.0)

    assert roster.announced("ven-1", say(), 132.0, 130.0) is None
    assert State.AWAY is roster["ven-1"].state


def test_a_copy_of_what_was_said_before_the_goodbye_does_not_bring_a_party_back(roster: Roster) -> None:
    roster.announced("ven-1", say(State.OFFLINE), 100.0, 50.0)  # a will has the time at which the session began

    assert roster.announced("ven-1", say(), 101.0, 100.0) is None
    assert State.OFFLINE is roster["ven-1"].state


def test_a_clock_that_was_put_back_does_not_silence_a_party(roster: Roster) -> None:
    changes = roster.announced("ven-1", say(State.AWAY), 130.0, 130.0 - 3_600)

    assert changes is not None
    assert State.AWAY is roster["ven-1"].state


def test_an_announcement_reads_as_it_was_written() -> None:
    said = say(State.AWAY, "a-B_9", 1_790_000_000_123, 0.5, "a < b & c")

    assert said == from_payload(to_payload(said), Limits())


@pytest.mark.parametrize("interval", [86_400.0, 0.001, 12.5, 1_000.0])
def test_an_interval_is_written_without_an_exponent(interval: float) -> None:
    assert interval == from_payload(to_payload(say(interval=interval)), Limits()).interval


def test_a_long_reason_is_cut() -> None:
    assert 600 > len(from_payload(to_payload(say(reason="x" * 100_000)), Limits()).reason)


PRESENCE = '<Presence xmlns="urn:iec62746:presence:1">{}</Presence>'


@pytest.mark.parametrize(
    "inside",
    [
        "",
        "<state>gone</state><session>s</session><epoch>1</epoch><interval>1</interval>",
        "<state>online</state><session>s.s</session><epoch>1</epoch><interval>1</interval>",
        "<state>online</state><session>s</session><epoch>-1</epoch><interval>1</interval>",
        "<state>online</state><session>s</session><epoch>1</epoch><interval>0</interval>",
        "<state>online</state><session>s</session><epoch>1</epoch><interval>86401</interval>",
    ],
)
def test_what_is_no_announcement_is_the_peers_fault(inside: str) -> None:
    given = payload(PRESENCE.format(inside))

    with pytest.raises(EnvelopeError):
        from_payload(given, Limits())


def test_no_payload_is_the_peers_fault() -> None:
    with pytest.raises(EnvelopeError) as caught:
        from_payload(None, Limits())

    assert "1.7" == caught.value.reply_code


def test_after_a_session_has_ended_another_is_believed_though_its_clock_is_behind(roster: Roster) -> None:
    roster.announced("ven-1", say(State.OFFLINE), 110.0, 110.0)
    changes = roster.announced("ven-1", say(session="s0", epoch=0), 111.0, 111.0)

    assert changes is not None
    assert (State.ONLINE, "s0") == (roster["ven-1"].state, roster["ven-1"].session)


@pytest.mark.parametrize(("state", "sent"), [(State.ONLINE, 109.0), (State.ONLINE, None), (State.OFFLINE, 111.0)])
def test_what_an_earlier_session_said_before_is_not_believed_after(
    state: State, sent: float | None, roster: Roster
) -> None:
    roster.announced("ven-1", say(State.OFFLINE, "s2", 2), 110.0, 110.0)

    assert roster.announced("ven-1", say(state), 111.0, sent) is None
    assert (State.OFFLINE, "s2") == (roster["ven-1"].state, roster["ven-1"].session)


def test_a_lease_is_as_long_as_it_was_though_the_clock_is_put_back(roster: Roster) -> None:
    roster.clock_put(-50.0)

    assert 50.0 == roster["ven-1"].since
    assert [] == roster.expire(124.9)
    assert ["ven-1"] == [change.presence.party for change in roster.expire(125.1) if isinstance(change, Changed)]
