"""Presence: what parties announce and what the transport has evidence of, in; changes, out (62746-3, 5.5.5)."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cache
from importlib import resources
from typing import Any

from lxml import etree

from iec62746._parser import parse
from iec62746._schema import escape
from iec62746._timers import Timers
from iec62746.envelope import element
from iec62746.errors import EnvelopeError, Rule
from iec62746.limits import Limits
from iec62746.message import Payload
from iec62746.outputs import cut

NOUN = "Presence"
NAMESPACE = "urn:iec62746:presence:1"
LEASES = 2.5
"""A party is gone after this many of its own intervals without an announcement."""


class State(StrEnum):
    """A party's state; `gone` is never announced: it is concluded."""

    ONLINE = "online"
    AWAY = "away"
    OFFLINE = "offline"
    GONE = "gone"


@dataclass(frozen=True, slots=True, kw_only=True)
class Announcement:
    """What a party says of itself: state, session, epoch (UTC ms at opening), seconds between heartbeats, and why."""

    state: State
    session: str
    epoch: int
    interval: float
    reason: str = ""

    @property
    def rank(self) -> tuple[int, str]:
        """Of two sessions of a party the one with the greater rank is live."""
        return (self.epoch, self.session)


@cache
def _schema() -> etree.XMLSchema:
    return etree.XMLSchema(etree.fromstring(resources.files("iec62746").joinpath("schema/presence.xsd").read_bytes()))


def to_payload(announcement: Announcement) -> Payload:
    """Return `announcement` as a payload; raises `InvalidMessage` for a reason that XML cannot carry."""
    reason = f"<reason>{escape(announcement.reason)}</reason>" if announcement.reason else ""
    interval = f"{announcement.interval:.6f}".rstrip("0").rstrip(".")
    xml = (
        f'<Presence xmlns="{NAMESPACE}"><state>{announcement.state}</state><session>{announcement.session}</session>'
        f"<epoch>{announcement.epoch}</epoch><interval>{interval}</interval>{reason}</Presence>"
    )
    return Payload(items=(element(xml),))


def from_payload(payload: Payload | None, limits: Limits) -> Announcement:
    """Return the announcement in `payload`; raises `EnvelopeError` if there is none."""
    if payload is None or len(payload.items) != 1:
        raise EnvelopeError(Rule.MISSING_ELEMENT, "a Presence event has one Presence in its Payload", reply_code="1.7")
    root = parse(payload.items[0], limits)
    if not _schema().validate(root):
        log: Any = _schema().error_log  # the stubs do not know that it is a sequence
        raise EnvelopeError(Rule.SCHEMA, str(log[0].message), path="Payload/Presence")
    values = {etree.QName(child).localname: child.text or "" for child in root.iterchildren("*")}
    return Announcement(
        state=State(values["state"]),
        session=values["session"],
        epoch=int(values["epoch"]),
        interval=float(values["interval"]),
        reason=cut(values.get("reason", "")),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PartyPresence:
    """What is known of a party: its state, since when (seconds since 1970, UTC), by which session, and why."""

    party: str
    state: State
    since: float
    session: str = ""
    epoch: int = 0
    reason: str = ""

    @property
    def is_there(self) -> bool:
        """True if it is online or away."""
        return self.state in (State.ONLINE, State.AWAY)


@dataclass(frozen=True, slots=True)
class Changed:
    """A party's presence is another than before."""

    presence: PartyPresence


@dataclass(frozen=True, slots=True)
class PartyConflict:
    """Two sessions of one party are live: the newer counts, the older one will end when it hears of it."""

    party: str
    older: str
    newer: str


class Roster:
    """The presence of every party that was heard of; never more than the domain has."""

    def __init__(self) -> None:
        """Know nobody."""
        self._known: dict[str, _Known] = {}
        self._leases: Timers[str] = Timers(1 / 16)

    def __getitem__(self, party: str) -> PartyPresence:
        """Return what is known of `party`; who was never heard of is gone since ever."""
        known = self._known.get(party)
        return known.presence if known is not None else PartyPresence(party=party, state=State.GONE, since=0.0)

    @property
    def known(self) -> Mapping[str, PartyPresence]:
        """Everybody who was heard of."""
        return {party: known.presence for party, known in self._known.items()}

    def announced(
        self, party: str, said: Announcement, now: float, sent: float | None = None
    ) -> list[Changed | PartyConflict] | None:
        """Take an announcement with the Timestamp `sent`; returns None if a later one was taken before it.

        Of two sessions the one with the greater rank counts; where that one has ended, another that speaks later: its
        clock may have been put back. In one session the later Timestamp counts, and its end.
        """
        known = self._known.get(party)
        was = self[party]
        rank = (was.epoch, was.session)
        is_after = not was.is_there and said.state is not State.OFFLINE and sent is not None and sent > was.since
        if said.rank < rank and not is_after:
            is_live = was.is_there and said.state is not State.OFFLINE
            return [PartyConflict(party, said.session, was.session)] if is_live else None
        if known is not None and said.rank == rank and known.is_older(said, sent):
            return None
        out: list[Changed | PartyConflict] = []
        if was.session not in ("", said.session) and was.is_there and said.state is not State.OFFLINE:
            out.append(PartyConflict(party, was.session, said.session))
        return out + self._take(party, said, now, sent)

    def _take(self, party: str, said: Announcement, now: float, sent: float | None) -> list[Changed | PartyConflict]:
        was = self[party]
        is_same = (was.state, was.session, was.reason) == (said.state, said.session, said.reason)
        presence = PartyPresence(
            party=party,
            state=said.state,
            since=was.since if is_same else now,
            session=said.session,
            epoch=said.epoch,
            reason=said.reason,
        )
        known = self._known.setdefault(party, _Known(presence))
        if said.session != known.presence.session:
            known.sent = float("-inf")
        known.presence, known.lease = presence, LEASES * said.interval
        known.sent = max(known.sent, sent if sent is not None else known.sent)
        self._leases.cancel(party, known.bucket)
        if said.state is not State.OFFLINE:
            known.bucket = self._leases.add(party, now + known.lease)
        return [] if is_same else [Changed(presence)]

    def ended(self, party: str, now: float) -> list[Changed | PartyConflict]:
        """Take the transport's evidence that the last connection of `party` ended."""
        return self._conclude(party, now, "its connection ended")

    def expire(self, now: float) -> list[Changed | PartyConflict]:
        """Return who is gone because nothing was heard for too long."""
        return [change for party in self._leases.due(now) for change in self._conclude(party, now, "no heartbeat")]

    def _conclude(self, party: str, now: float, reason: str) -> list[Changed | PartyConflict]:
        known = self._known.get(party)
        if known is None or not known.presence.is_there:
            return []
        self._leases.cancel(party, known.bucket)
        known.presence = replace(known.presence, state=State.GONE, since=now, reason=reason)
        return [Changed(known.presence)]

    def next(self) -> float | None:
        """Return when the next lease ends."""
        return self._leases.next()

    def clock_put(self, by: float) -> None:
        """Have the leases last as long as they would, though the clock was put forward, or back, by so much."""
        self._leases.clock_put(by)
        for known in self._known.values():
            known.presence = replace(known.presence, since=known.presence.since + by)


class _Known:
    """A party's presence, and by which of its announcements it is known."""

    __slots__ = ("bucket", "lease", "presence", "sent")

    def __init__(self, presence: PartyPresence) -> None:
        self.presence, self.sent, self.lease, self.bucket = presence, float("-inf"), 0.0, 0

    def is_older(self, said: Announcement, sent: float | None) -> bool:
        """Return whether `said`, of the same session, is older than what is known; its end is never too old."""
        # The will was written when the session began. A clock that was put back by more than a lease is believed.
        if said.state is State.OFFLINE or sent is None or self.sent - sent > self.lease:
            return False
        return sent < self.sent or (sent == self.sent and not self.presence.is_there)
