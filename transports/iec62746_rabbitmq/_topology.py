"""The names and keys of `wire.md`: exchanges, queues, who may send where, and what a delivery's place proves."""

import re
from dataclasses import dataclass
from typing import Any, Final

from iec62746 import Address, Inbox, InvalidAddress, Node, PermissionDenied, Presence

EXCHANGES: Final = ("to.vtn", "to.ven", "event", "presence")
PLACES: Final = 4_096
"""Keys of deliveries whose meaning is remembered."""
EXPIRES: Final = 10_000
"""Milliseconds after its last consumer when the VTN's inbox goes, with what is in it."""
OPEN_LENGTH: Final = 10_000
"""Messages that a queue holds in the open way; in the provisioned one policies say."""
OPEN_OCTETS: Final = 67_108_864
"""Octets that a queue holds in the open way."""

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
class Queue:
    """A queue of this session's, or the VTN's inbox: how it is declared, and for what it is."""

    name: str
    is_inbox: bool
    """True if what comes there came to the inbox: the messages of events and presence may be dropped for newer ones."""
    is_shared: bool = False

    def arguments(self, *, is_open: bool, kind: str) -> dict[str, Any]:
        """Return the arguments of its declaration; in the provisioned way policies say the rest."""
        out: dict[str, Any] = {}
        if self.is_shared:
            out["x-queue-type"] = kind
        if is_open:
            out |= {"x-max-length": OPEN_LENGTH, "x-max-length-bytes": OPEN_OCTETS}
            # A full inbox refuses; but one slow VEN must not refuse what the others get.
            out["x-overflow"] = "reject-publish" if self.is_inbox else "drop-head"
            if self.is_shared:
                out["x-expires"] = EXPIRES
        return out


@dataclass(frozen=True, slots=True)
class Binding:
    """That `queue` gets what is published to `exchange` with `key`."""

    queue: Queue
    exchange: str
    key: str


@dataclass(frozen=True, slots=True)
class Place:
    """What exchange and key of a delivery say: whose it is, and at which address it came."""

    address: Address
    sender: str


class Topology:
    """The names in one domain, as one session of one party sees them."""

    def __init__(self, domain: str, party: str, vtn: str, session: str) -> None:
        """Name things for `party`."""
        self.domain, self.party, self.vtn, self.session = domain, party, vtn, session
        self.is_vtn = party == vtn
        self.to_vtn, self.to_ven, self.event, self.presence = (f"{domain}.{name}" for name in EXCHANGES)
        self.vtn_inbox = Queue(f"{domain}.vtn.in", is_inbox=True, is_shared=True)
        self.vtn_replies = Queue(f"{domain}.vtn.re.{session}", is_inbox=True)
        self.vtn_presence = Queue(f"{domain}.vtn.pr.{session}", is_inbox=False)
        self.ven_inbox = Queue(f"{domain}.ven.{party}.{session}", is_inbox=True)
        self.ven_events = Queue(f"{domain}.ven.{party}.{session}.ev", is_inbox=False)
        self._places: dict[tuple[str, str, str], Place | None] = {}
        self._ends = re.compile(rf"{re.escape(domain)}\.(?:ven\.({_WORD}{{1,64}})|(vtn)\.re)\.({_WORD}{{1,32}})")

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

    # ---------------------------------------------------------------- in

    def bindings(self, address: Address) -> tuple[Binding, ...]:
        """Return what a subscription to `address` binds; raises `PermissionDenied` where this party may not read."""
        if isinstance(address, Inbox) and address.party == self.party:
            if not self.is_vtn:
                return (Binding(self.ven_inbox, self.to_ven, self.party),)
            return (
                Binding(self.vtn_replies, self.to_vtn, f"*.re.{self.session}"),
                Binding(self.vtn_inbox, self.to_vtn, "*.in"),
            )
        if isinstance(address, Presence) and (self.is_vtn or address.party in (self.party, self.vtn)):
            queue = self.vtn_presence if self.is_vtn else self.ven_events
            return (Binding(queue, self.presence, address.party or "*"),)
        if isinstance(address, Node) and not self.is_vtn:
            return (Binding(self.ven_events, self.event, address.name),)
        raise PermissionDenied(f"{self.party} may not read {address}")

    def place(self, queue: Queue, exchange: str, key: str) -> Place | None:
        """Return what `exchange` and `key` of a delivery in `queue` say, or None if they do not belong there.

        RabbitMQ before 4.0 lets a header CC carry a message past the rights on keys: so it is looked at here again.
        """
        where = (queue.name, exchange, key)
        if where not in self._places:
            if len(self._places) >= PLACES:
                self._places.clear()
            self._places[where] = self._place(queue, exchange, key)
        return self._places[where]

    def _place(self, queue: Queue, exchange: str, key: str) -> Place | None:
        if exchange == self.presence and not queue.is_inbox:
            return Place(Presence(key), key) if _NAME.fullmatch(key) else None
        if exchange == self.to_vtn and self.is_vtn and queue.is_inbox:
            found = (_KEY_IN if queue.is_shared else _KEY_RE).fullmatch(key)
            if found is None or (not queue.is_shared and found[2] != self.session):
                return None
            return Place(Inbox(self.vtn), found[1])
        if exchange == self.to_ven and not self.is_vtn and queue.is_inbox:
            return Place(Inbox(self.party), self.vtn) if key == self.party else None
        if exchange == self.event and not self.is_vtn and not queue.is_inbox:
            try:
                return Place(Node(key), self.vtn)
            except InvalidAddress:
                return None
        return None

    def session_of(self, queue: str) -> tuple[str, str] | None:
        """Return party and session of the session whose inbox `queue` is, or None if it is none."""
        found = self._ends.fullmatch(queue)
        if found is None:
            return None
        return found[1] or self.vtn, found[3]
