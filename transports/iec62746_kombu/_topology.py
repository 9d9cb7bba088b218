"""The names and keys of `wire.md`: exchanges, queues, who may send where, and what a delivery's place says."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from iec62746 import Address, Inbox, MissingCapability, Node, PermissionDenied, Presence

EXCHANGES: Final = ("to.vtn", "to.ven", "event", "presence")

_WORD: Final = r"[A-Za-z0-9_-]"
_KEY_IN: Final = re.compile(rf"({_WORD}{{1,64}})\.in")
_KEY_RE: Final = re.compile(rf"({_WORD}{{1,64}})\.re\.({_WORD}{{1,32}})")
_NAME: Final = re.compile(rf"{_WORD}{{1,64}}")


@dataclass(frozen=True, slots=True)
class Route:
    """Where a message is published: exchange and key."""

    exchange: str
    key: str


@dataclass(frozen=True, slots=True)
class Binding:
    """That `queue` gets what is published to `exchange` with `key`."""

    queue: str
    exchange: str
    key: str


@dataclass(frozen=True, slots=True)
class Origin:
    """What exchange and key of a delivery say: at which address it came, and who claims to have sent it."""

    address: Address
    sender: str


class Topology:
    """The names in one domain, as one session of one party sees them.

    Every queue is one session's: who is absent has none, so nothing is kept for anybody (62746-3, 5.1). Only point to
    point a party has one queue, which all know by the party's name.
    """

    def __init__(self, domain: str, party: str, vtn: str, session: str, parties: Collection[str]) -> None:
        """Name things for `party`."""
        self.domain, self.party, self.vtn, self.session = domain, party, vtn, session
        self.is_vtn = party == vtn
        self.to_vtn, self.to_ven, self.event, self.presence = (f"{domain}.{name}" for name in EXCHANGES)
        self.owner = f"vtn.{session}" if self.is_vtn else f"ven.{party}.{session}"
        """The session, as its queues name it."""
        self.inbox, self.events = f"{domain}.{self.owner}", f"{domain}.{self.owner}.ev"
        self._parties = parties
        self._owned = re.compile(rf"{re.escape(domain)}\.((?:vtn|ven\.{_WORD}{{1,64}})\.{_WORD}{{1,32}})(?:\.ev)?")

    @property
    def exchanges(self) -> tuple[str, ...]:
        """All exchanges of the domain."""
        return (self.to_vtn, self.to_ven, self.event, self.presence)

    def owner_of(self, queue: str) -> str | None:
        """Return the session whose `queue` it is; None if it is none of the domain's."""
        found = self._owned.fullmatch(queue)
        return found[1] if found is not None else None

    # ---------------------------------------------------------------- out

    def route(self, to: Address) -> Route:
        """Return where a message to `to` is published; raises `PermissionDenied` where this party may not write."""
        if isinstance(to, Inbox):
            if self.is_vtn and to.party != self.vtn:
                return Route(self.to_ven, to.party)
            if not self.is_vtn and to.party == self.vtn:
                return Route(self.to_vtn, f"{self.party}.in")
            raise PermissionDenied(f"{self.party} may not write to {to.party}: the VTN and its VENs talk to each other")
        if isinstance(to, Presence):
            if to.party != self.party:
                raise PermissionDenied(f"{self.party} may announce itself only")
            return Route(self.presence, self.party)
        if not self.is_vtn:
            raise PermissionDenied(f"only the VTN publishes on nodes: {self.party} may not publish on {to.name}")
        return Route(self.event, to.name)

    def reply_key(self, to: Address) -> str:
        """Return where the receiver at `to` answers: the key says who answers, or whom."""
        if self.is_vtn and isinstance(to, Inbox):
            return f"{to.party}.re.{self.session}"
        return self.party

    def answer(self, reply_to: str, sender: str) -> Route | None:
        """Return where `reply_to` of a message from `sender` leads, or None unless it is the sender's own."""
        if self.is_vtn:
            return Route(self.to_ven, sender) if reply_to == sender else None
        found = _KEY_RE.fullmatch(reply_to)
        return Route(self.to_vtn, reply_to) if found and found[1] == self.party and sender == self.vtn else None

    def may_answer(self, route: Route) -> bool:
        """Return whether this party may answer there."""
        return route.exchange == (self.to_ven if self.is_vtn else self.to_vtn)

    def queues_of(self, route: Route) -> tuple[str, ...]:
        """Return the queues of parties that `route` leads to, point to point; an announcement goes to every peer."""
        if route.exchange == self.to_ven:
            return (self.queue_of(route.key),)
        if route.exchange == self.to_vtn or not self.is_vtn:
            return (self.queue_of(self.vtn),)
        return tuple(self.queue_of(party) for party in self._parties if party != self.vtn)

    def queue_of(self, party: str) -> str:
        """Return the queue of `party`, point to point."""
        return f"{self.domain}.vtn" if party == self.vtn else f"{self.domain}.ven.{party}"

    # ---------------------------------------------------------------- in

    def bindings(self, address: Address) -> tuple[Binding, ...]:
        """Return what a subscription to `address` binds; raises `PermissionDenied` where this party may not read."""
        if isinstance(address, Inbox) and address.party == self.party:
            if not self.is_vtn:
                return (Binding(self.inbox, self.to_ven, self.party),)
            return (
                Binding(self.inbox, self.to_vtn, f"*.re.{self.session}"),
                Binding(self.inbox, self.to_vtn, "*.in"),
            )
        if isinstance(address, Presence) and (self.is_vtn or address.party in (self.party, self.vtn)):
            return (Binding(self.events, self.presence, address.party or "*"),)
        if isinstance(address, Node) and not self.is_vtn:
            return (Binding(self.events, self.event, address.name),)
        raise PermissionDenied(f"{self.party} may not read {address}")

    def check_point(self, address: Address) -> None:
        """Raise where point to point cannot carry `address`: a node has no queue that its publisher could know."""
        if isinstance(address, Node):
            raise MissingCapability(f"{address.name} is a node, and this transport carries none: it is point to point")

    def origin(self, exchange: str, key: str) -> Origin | None:
        """Return what a delivery published to `exchange` with `key` is, or None if it is nothing for this session."""
        if exchange == self.presence:
            return Origin(Presence(key), key) if _NAME.fullmatch(key) else None
        if exchange == self.to_vtn and self.is_vtn:
            found = _KEY_IN.fullmatch(key) or _KEY_RE.fullmatch(key)
            if found is None or (found.re is _KEY_RE and found[2] != self.session):
                return None
            return Origin(Inbox(self.vtn), found[1])
        if exchange == self.to_ven and not self.is_vtn and key == self.party:
            return Origin(Inbox(self.party), self.vtn)
        if exchange == self.event and not self.is_vtn:
            return Origin(Node(key), self.vtn)
        return None
