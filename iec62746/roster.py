"""Presence: what parties announce and what the transport has evidence of, in; changes, out (62746-3, 5.5.5)."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cache
from importlib import resources

from lxml import etree

from iec62746._parser import parse
from iec62746._schema import escape
from iec62746._timers import Timers
from iec62746.envelope import element
from iec62746.errors import EnvelopeError, Rule
from iec62746.limits import Limits
from iec62746.message import Payload

NOUN = "Presence"
LEASES = 2.5
"""A party is gone after this many of its intervals without an announcement."""


class State(StrEnum):
    """A party's state; `gone` is never announced: it is concluded."""

    ONLINE = "online"
    AWAY = "away"
    OFFLINE = "offline"
    GONE = "gone"


@dataclass(frozen=True, slots=True, kw_only=True)
class Announcement:
    """What a party says of itself: state, session, its epoch (UTC ms at opening), seconds between two heartbeats, and why."""

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
    xml = (
        f'<Presence xmlns="urn:iec62746:presence:1"><state>{announcement.state}</state><session>{announcement.session}</session>'
        f"<epoch>{announcement.epoch}</epoch><interval>{announcement.interval:g}</interval>{reason}</Presence>"
    )
    return Payload(items=(element(xml),))


def from_payload(payload: Payload | None, limits: Limits) -> Announcement:
    """Return the announcement in `payload`; raises `EnvelopeError` if there is none."""
    if payload is None or len(payload.items) != 1:
        raise EnvelopeError(Rule.MISSING_ELEMENT, "a Presence event has one Presence in its Payload", reply_code="1.7")
    root = parse(payload.items[0], limits)
    if not _schema().validate(root):
        raise EnvelopeError(Rule.SCHEMA, str(_schema().error_log[0].message), path="Payload/Presence")
    values = {etree.QName(child).localname: child.text or "" for child in root.iterchildren("*")}
    return Announcement(
        state=State(values["state"]),
        session=values["session"],
        epoch=int(values["epoch"]),
        interval=float(values["interval"]),
        reason=values.get("reason", ""),
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
    """The presence of every party that was heard of."""

    def __init__(self) -> None:
        """Know nobody."""
        self._known: dict[str, PartyPresence] = {}
        self._leases: Timers[str] = Timers(0.05)
        self._buckets: dict[str, int] = {}

    def __getitem__(self, party: str) -> PartyPresence:
        """Return what is known of `party`; who was never heard of is gone since ever."""
        return self._known.get(party) or PartyPresence(party=party, state=State.GONE, since=0.0)

    @property
    def known(self) -> Mapping[str, PartyPresence]:
        """Everybody who was heard of."""
        return dict(self._known)

    def announced(self, party: str, said: Announcement, now: float) -> list[Changed | PartyConflict]:
        """Take an announcement; an older session's is not heard."""
        was = self[party]
        if (said.epoch, said.session) < (was.epoch, was.session):
            return []
        out: list[Changed | PartyConflict] = []
        if was.session not in ("", said.session) and was.is_there:
            out.append(PartyConflict(party, was.session, said.session))
        self._renew(party, said, now)
        is_same = (was.state, was.session, was.reason) == (said.state, said.session, said.reason)
        since = was.since if is_same else now
        self._known[party] = PartyPresence(
            party=party, state=said.state, since=since, session=said.session, epoch=said.epoch, reason=said.reason
        )
        return out if is_same else [*out, Changed(self._known[party])]

    def _renew(self, party: str, said: Announcement, now: float) -> None:
        self._leases.cancel(party, self._buckets.pop(party, 0))
        if said.state is not State.OFFLINE:
            self._buckets[party] = self._leases.add(party, now + LEASES * said.interval)

    def ended(self, party: str, now: float) -> list[Changed | PartyConflict]:
        """Take the transport's evidence that the last connection of `party` ended."""
        return self._conclude(party, now, "its connection ended")

    def expire(self, now: float) -> Iterator[Changed | PartyConflict]:
        """Yield who is gone because nothing was heard for too long."""
        for party in self._leases.due(now):
            yield from self._conclude(party, now, "no heartbeat")

    def _conclude(self, party: str, now: float, reason: str) -> list[Changed | PartyConflict]:
        self._leases.cancel(party, self._buckets.pop(party, 0))
        was = self[party]
        if not was.is_there:
            return []
        self._known[party] = replace(was, state=State.GONE, since=now, reason=reason)
        return [Changed(self._known[party])]

    def next(self) -> float | None:
        """Return when the next lease ends."""
        return self._leases.next()
