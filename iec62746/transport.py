"""The contract between the core and a transport: six methods, and capabilities as data.

A transport carries bytes. Correlation, deadlines, retries, re-opening, duplicates, presence and validation are the
core's. The conformance kit holds a transport to what it declares here.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field, fields
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Protocol

from iec62746.address import Address
from iec62746.errors import TransportError

if TYPE_CHECKING:
    import ssl


class ReceiptLevel(IntEnum):
    """How far a message had come when `Session.send` returned."""

    LOCAL = 0
    BROKER = 1
    ROUTED = 2
    PEER = 3


class Unroutable(IntEnum):
    """What `Session.send` can tell when nobody is there: nothing; that nobody at all is; that the party is not."""

    NOTHING = 0
    ANYWHERE = 1
    DESTINATION = 2


class Proof(IntEnum):
    """Who says that the sender is the sender: nobody; the sender; the communication server; its signature."""

    NONE = 0
    CLAIMED = 1
    BROKER = 2
    END_TO_END = 3


class AccessControl(IntEnum):
    """What the communication server keeps an account from: nothing; others' destinations; others' nodes too."""

    NONE = 0
    DESTINATION = 1
    NODE = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a transport promises; the defaults promise nothing."""

    receipt: ReceiptLevel = ReceiptLevel.LOCAL
    unroutable: Unroutable = Unroutable.NOTHING
    proof: Proof = Proof.NONE
    access_control: AccessControl = AccessControl.NONE
    keeps_order: bool = False
    """Messages of one session to one address arrive in the order in which they were sent."""
    drops_expired: bool = False
    """The communication server drops what has expired."""
    tells_blocked: bool = False
    """`Observer.blocked` is told when the communication server takes no more."""
    tells_gone_within: float | None = None
    """Seconds in which `Observer.gone` tells that a peer's connection ended; None: it does not."""
    stores_for_vtn: float = float("inf")
    """Seconds for which a message to an absent VTN is stored; 0: not at all."""
    stores_for_vens: float = float("inf")
    """Seconds for which a message to an absent VEN is stored; 0: not at all."""
    max_message: int | None = None
    """Octets of the largest message."""
    is_encrypted: bool = False
    carries_nodes: bool = True
    """False: point to point only; a domain that has nodes is refused."""
    reach: str = "network"
    """Who can meet there: parties in one `process`, on one `host`, or on the `network`."""


REAL_TIME = 30.0

PROFILES: Mapping[str, Mapping[str, Any]] = {
    "core": {"proof": Proof.CLAIMED},
    "realtime": {
        "proof": Proof.CLAIMED,
        "receipt": ReceiptLevel.BROKER,
        "unroutable": Unroutable.ANYWHERE,
        "stores_for_vtn": REAL_TIME,
        "stores_for_vens": REAL_TIME,
    },
    "secure": {"proof": Proof.BROKER, "access_control": AccessControl.NODE, "is_encrypted": True},
}
"""The least that each profile asks for; of what is stored, the most."""

_AT_MOST = frozenset({"stores_for_vtn", "stores_for_vens"})


def lacks(capabilities: Capabilities, profile: str) -> tuple[str, ...]:
    """Return what `capabilities` lack for `profile`, one sentence each (62746-3, 5.1 and 6)."""
    out = []
    for name, needed in PROFILES[profile].items():
        has, is_most = getattr(capabilities, name), name in _AT_MOST
        if has > needed if is_most else has < needed:
            out.append(f"{name} is {_shown(has)}, {profile} needs at {'most' if is_most else 'least'} {_shown(needed)}")
    return tuple(out)


def _shown(value: object) -> str:
    return value.name.lower() if isinstance(value, IntEnum) else str(value)


@dataclass(frozen=True, slots=True)
class ReplyTo:
    """Where to answer one message: opaque to the core, made by the transport and proven to belong to the sender."""

    token: Any


# Made anew for each message, and not frozen: a frozen one takes twice as long to make.
@dataclass(slots=True, kw_only=True)
class Outgoing:
    """One message to send; `expires` is seconds since 1970, UTC. `headers` are hints: the body decides."""

    body: bytes
    expires: float
    correlation_id: str = ""
    expects_reply: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class Delivery:
    """One message that came: at which address, from whom by which proof, and where it may be answered.

    `headers` are hints of whoever sent it: the body decides, and a difference is reported.
    """

    body: bytes
    address: Address
    sender: str | None
    proof: Proof
    reply_to: ReplyTo | None = None
    correlation_id: str = ""
    redelivered: bool = False
    headers: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Receipt:
    """What is known of a message that was sent."""

    level: ReceiptLevel


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """What a transport needs to open a session.

    `session` names it, in `[A-Za-z0-9_-]{1,32}`. `will` is a presence message that the communication server publishes
    should the session end without having been closed, where it can. `accounts` are those of the parties whose names
    they are not. `parties` are all that the domain names, for a transport that has to reach each singly. URLs, which
    may hold a password, are not shown.
    """

    urls: tuple[str, ...] = field(repr=False)
    domain: str
    party: str
    vtn: str
    session: str
    account: str
    password: str | None = field(default=None, repr=False)
    tls: "ssl.SSLContext | None" = None
    will: Outgoing | None = None
    accounts: Mapping[str, str] = field(default_factory=dict)
    parties: Collection[str] = ()


Deliver = Callable[[Delivery], Awaitable[None]]
"""Takes a delivery; to return settles it. What it raises ends the session."""


class Observer(Protocol):
    """The core, as a session sees it; called from the event loop, returns at once."""

    def lost(self, cause: TransportError) -> None:
        """The session broke: called once, never after `aclose`."""
        ...

    def gone(self, party: str) -> None:
        """There is evidence that the last connection of `party` ended; told to who subscribed to its presence."""
        ...

    def bounced(self, correlation_id: str, cause: TransportError) -> None:
        """A request that had been sent was returned."""
        ...

    def blocked(self, is_blocked: bool) -> None:
        """The communication server takes no more, or takes again."""
        ...


class Subscription(Protocol):
    """One live subscription."""

    async def cancel(self) -> None:
        """End it; afterwards nothing more is delivered. Idempotent."""
        ...


class Session(Protocol):
    """One open session; one-shot: when it is lost, `Observer.lost` fires once and every call raises."""

    async def send(self, to: Address | ReplyTo, message: Outgoing) -> Receipt:
        """Send `message`, or raise a `TransportError` whose outcome says what may have happened to it.

        Raises `Expired` past `message.expires`, `NoReceiver` for an inbox where nobody is (as far as the capabilities
        go; a node without subscribers is no error), `Overloaded`, `PermissionDenied`, `SessionLost`; `TooLarge` over
        `max_message`; `Closed` after `aclose`. May be called concurrently. Never waits longer than until
        `message.expires`.
        """
        ...

    async def subscribe(self, address: Address, deliver: Deliver) -> Subscription:
        """Subscribe to one exact address (`Presence()`: everybody's); live when it returns."""
        ...

    async def aclose(self) -> None:
        """Close; idempotent, never raises. The party's queues are gone afterwards, and the will is not published."""
        ...


class Transport(Protocol):
    """Found by the scheme of a URL, up to the first `+`, in the entry points of group `iec62746.transports`."""

    def capabilities(self, url: str) -> Capabilities:
        """Return what this transport promises for `url`, without any I/O; raises `LocalError` for a wrong one."""
        ...

    async def open(self, config: Config, observer: Observer) -> Session:
        """Open a session, or raise a `TransportError`: `Unreachable`, `AuthenticationFailed`, `PermissionDenied`."""
        ...


def names_of(capabilities: Capabilities) -> dict[str, str]:
    """Return every capability by name, as text."""
    return {one.name: _shown(getattr(capabilities, one.name)) for one in fields(capabilities)}
