"""Bounded queues in one event loop, behind the same contract as a broker on the network (62746-3, R-7e)."""

import asyncio
import time
from collections import deque
from urllib.parse import parse_qs, urlsplit
from weakref import WeakValueDictionary

from iec62746 import (
    Address,
    Capabilities,
    Closed,
    Config,
    Deliver,
    Delivery,
    Expired,
    Inbox,
    InvalidAddress,
    NoReceiver,
    Observer,
    Outgoing,
    Overloaded,
    Presence,
    Proof,
    Receipt,
    ReceiptLevel,
    ReplyTo,
    SessionLost,
    TooLarge,
    TransportError,
    Unroutable,
)

QUEUE = 1_000
"""Deliveries that wait for one session, unless `?queue=` says otherwise."""
MAX_MESSAGE = 16_777_216
"""Octets of the largest message, unless `?max_message=` says otherwise."""

_ROUTED = Receipt(ReceiptLevel.ROUTED)

# The one state of the process: a broker lives as long as somebody holds it.
_BROKERS: "WeakValueDictionary[str, Broker]" = WeakValueDictionary()


def broker(name: str) -> "Broker":
    """Return the broker called `name`; it lives as long as a session, or the caller, holds it."""
    found = _BROKERS.get(name)
    if found is None:
        found = _BROKERS[name] = Broker()
    return found


class MemoryTransport:
    """The transport of `memory://NAME[?queue=N][&max_message=N]`."""

    def capabilities(self, url: str) -> Capabilities:
        """Return what the embedded broker promises; a party is who it says it is, since all share a process."""
        _, _, max_message = _read(url)
        return Capabilities(
            receipt=ReceiptLevel.ROUTED,
            unroutable=Unroutable.DESTINATION,
            proof=Proof.CLAIMED,
            keeps_order=True,
            tells_blocked=True,
            tells_gone_within=1.0,
            stores_for_vtn=0.0,
            stores_for_vens=0.0,
            max_message=max_message,
            reach="process",
        )

    async def open(self, config: Config, observer: Observer) -> "MemorySession":
        """Open a session with the broker that the first URL names."""
        name, queue, max_message = _read(config.urls[0])
        return MemorySession(broker(name), config, observer, queue, max_message)


def _read(url: str) -> tuple[str, int, int]:
    """Return name, queue and max_message of `url`."""
    parts = urlsplit(url)
    query = parse_qs(parts.query, strict_parsing=bool(parts.query))
    if not parts.netloc or parts.path or set(query) - {"queue", "max_message"}:
        raise InvalidAddress(f"{url!r} is no memory URL: write memory://NAME, or memory://NAME?queue=100&max_message=65536")
    try:
        queue, largest = int(query.get("queue", [QUEUE])[0]), int(query.get("max_message", [MAX_MESSAGE])[0])
    except ValueError:
        raise InvalidAddress(f"{url!r}: queue and max_message are whole numbers") from None
    if queue < 1 or largest < 1:
        raise InvalidAddress(f"{url!r}: queue and max_message are at least 1")
    return parts.netloc, queue, largest


class Broker:
    """One communication server: who is there, and who subscribed to what. Belongs to one event loop."""

    def __init__(self) -> None:
        """Start with nobody there."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._sessions: dict[tuple[str, str], set[MemorySession]] = {}
        self._subscriptions: dict[tuple[str, Address], dict[MemorySubscription, None]] = {}

    def enter(self, session: "MemorySession") -> None:
        """Count `session` in."""
        loop = asyncio.get_running_loop()
        if self._loop not in (None, loop) and self._sessions:
            raise Closed("this memory broker belongs to another event loop: use another name there")
        self._loop = loop
        self._sessions.setdefault((session.domain, session.party), set()).add(session)

    def leave(self, session: "MemorySession") -> None:
        """Count `session` out, and tell the others if it was its party's last."""
        mine = self._sessions.get((session.domain, session.party), set())
        mine.discard(session)
        if mine:
            return
        self._sessions.pop((session.domain, session.party), None)
        others = [one for (domain, _), some in self._sessions.items() if domain == session.domain for one in some]
        for other in others:
            other.tell_gone(session.party)

    def sessions(self, domain: str, party: str) -> tuple["MemorySession", ...]:
        """Return the live sessions of `party`."""
        return tuple(self._sessions.get((domain, party), ()))

    def add(self, subscription: "MemorySubscription") -> None:
        """Make `subscription` live."""
        self._subscriptions.setdefault(subscription.key, {})[subscription] = None

    def remove(self, subscription: "MemorySubscription") -> None:
        """End `subscription`."""
        some = self._subscriptions.get(subscription.key)
        if some is not None:
            some.pop(subscription, None)
            if not some:
                del self._subscriptions[subscription.key]

    def receivers(self, domain: str, address: Address) -> list["MemorySubscription"]:
        """Return who subscribed to `address`; a party's presence also goes to who subscribed to everybody's."""
        found = list(self._subscriptions.get((domain, address), ()))
        if isinstance(address, Presence) and address.party is not None:
            found += self._subscriptions.get((domain, Presence()), ())
        return found


class MemorySubscription:
    """One session's subscription to one address."""

    def __init__(self, session: "MemorySession", address: Address, deliver: Deliver) -> None:
        """Bind `deliver` to `address`."""
        self.session, self.address, self.deliver = session, address, deliver
        self.key = (session.domain, address)
        self.is_live = True

    async def cancel(self) -> None:
        """End it."""
        self.is_live = False
        self.session.forget(self)


class MemorySession:
    """One session: a bounded queue and the task that empties it."""

    def __init__(self, at: Broker, config: Config, observer: Observer, queue: int, max_message: int) -> None:
        """Enter the broker and start to deliver."""
        self.broker, self.observer = at, observer
        self.domain, self.party = config.domain, config.party
        self._will, self._room, self._max_message = config.will, queue, max_message
        self._waiting: deque[tuple[MemorySubscription, Delivery] | str] = deque()
        self._arrived: asyncio.Future[None] | None = None
        self._senders: deque[asyncio.Future[None]] = deque()
        self._cause: TransportError | None = None
        self._is_closed = False
        self._blocked = 0
        self._own = ReplyTo(self)
        self._subscriptions: set[MemorySubscription] = set()
        self._inbox: MemorySubscription | None = None
        at.enter(self)
        self._pump = asyncio.get_running_loop().create_task(self._deliver_all(), name=f"memory {self.party}")
        self._pump.add_done_callback(self._on_pump_ended)

    async def send(self, to: Address | ReplyTo, message: Outgoing) -> Receipt:
        """Queue `message` at every receiver; waits for room at an inbox until it expires."""
        self._check(message)
        if isinstance(to, ReplyTo):
            receivers = [to.token.inbox] if to.token.inbox is not None else []
        else:
            receivers = self.broker.receivers(self.domain, to)
        if not receivers and isinstance(to, Inbox | ReplyTo):
            raise NoReceiver(f"{to.party if isinstance(to, Inbox) else to.token.party} is not there")
        for receiver in receivers:
            delivery = Delivery(
                body=message.body,
                address=receiver.address if not isinstance(to, Presence) else to,
                sender=self.party,
                proof=Proof.CLAIMED,
                reply_to=self._own if message.expects_reply else None,
                correlation_id=message.correlation_id,
            )
            session = receiver.session
            if not session.put(receiver, delivery):
                if isinstance(to, Inbox | ReplyTo):
                    await self._wait_for_room(session, receiver, delivery, message.expires)
                else:
                    # One that is too slow must not hold up an event for the others (62746-3, 5.1).
                    session.lose(Overloaded(f"{session.party} is too slow: {session.room} deliveries wait for it"))
        return _ROUTED

    @property
    def inbox(self) -> MemorySubscription | None:
        """The subscription to the own inbox, if it is live."""
        return self._inbox if self._inbox is not None and self._inbox.is_live and not self._is_over else None

    @property
    def room(self) -> int:
        """The number of deliveries that may wait."""
        return self._room

    @property
    def _is_over(self) -> bool:
        return self._is_closed or self._cause is not None

    def _check(self, message: Outgoing) -> None:
        if self._cause is not None:
            raise SessionLost(f"the session is lost: {self._cause}", outcome=self._cause.outcome) from self._cause
        if self._is_closed:
            raise Closed("the session is closed: open another")
        if len(message.body) > self._max_message:
            raise TooLarge(f"{len(message.body)} octets: the memory transport takes {self._max_message}")
        if message.expires <= time.time():
            raise Expired("its Deadline has passed")

    def put(self, receiver: MemorySubscription, delivery: Delivery) -> bool:
        """Queue `delivery` if there is room."""
        if self._is_over:
            raise NoReceiver(f"{self.party} is not there")
        if len(self._waiting) >= self._room:
            return False
        self._put((receiver, delivery))
        return True

    def tell_gone(self, party: str) -> None:
        """Tell that `party` is gone, behind what it sent before."""
        if not self._is_over:
            self._put(party)

    def _put(self, one: "tuple[MemorySubscription, Delivery] | str") -> None:
        self._waiting.append(one)
        if self._arrived is not None and not self._arrived.done():
            self._arrived.set_result(None)

    async def _wait_for_room(self, at: "MemorySession", receiver: MemorySubscription, delivery: Delivery, expires: float) -> None:
        self._tell_blocked(+1)
        try:
            async with asyncio.timeout(expires - time.time()):
                while not at.put(receiver, delivery):
                    await at.wait()
        except TimeoutError:
            raise Overloaded(f"{at.party} takes no more: {at.room} deliveries wait for it") from None
        finally:
            self._tell_blocked(-1)

    async def wait(self) -> None:
        """Wait until there may be room."""
        room = asyncio.get_running_loop().create_future()
        self._senders.append(room)
        await room

    def _tell_blocked(self, change: int) -> None:
        was, self._blocked = self._blocked > 0, self._blocked + change
        if was != (self._blocked > 0):
            self.observer.blocked(self._blocked > 0)

    async def subscribe(self, address: Address, deliver: Deliver) -> MemorySubscription:
        """Subscribe to `address`; live when it returns."""
        if self._is_over:
            raise SessionLost("the session is lost") if self._cause else Closed("the session is closed: open another")
        subscription = MemorySubscription(self, address, deliver)
        if address == Inbox(self.party):
            self._inbox = subscription
        self._subscriptions.add(subscription)
        self.broker.add(subscription)
        return subscription

    def forget(self, subscription: MemorySubscription) -> None:
        """End `subscription`."""
        self._subscriptions.discard(subscription)
        self.broker.remove(subscription)

    async def _deliver_all(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            while self._waiting:
                one = self._waiting.popleft()
                if isinstance(one, str):
                    self.observer.gone(one)
                    continue
                self._let_in()
                subscription, delivery = one
                if subscription.is_live:
                    await subscription.deliver(delivery)
            self._arrived = loop.create_future()
            await self._arrived

    def _on_pump_ended(self, pump: "asyncio.Task[None]") -> None:
        if not pump.cancelled() and pump.exception() is not None:
            self.lose(SessionLost(f"a delivery could not be taken: {pump.exception()}"))

    def _let_in(self) -> None:
        while self._senders:
            sender = self._senders.popleft()
            if not sender.done():
                sender.set_result(None)
                return

    def lose(self, cause: TransportError) -> None:
        """End the session as a broken connection would: the will is published, `Observer.lost` fires once."""
        if self._is_over:
            return
        self._cause = cause
        self._leave()
        if self._will is not None:
            for receiver in self.broker.receivers(self.domain, Presence(self.party)):
                receiver.session.put(
                    receiver,
                    Delivery(body=self._will.body, address=Presence(self.party), sender=self.party, proof=Proof.CLAIMED),
                )
        self._pump.cancel()
        self.observer.lost(cause)

    def _leave(self) -> None:
        for subscription in list(self._subscriptions):
            subscription.is_live = False
            self.forget(subscription)
        self.broker.leave(self)
        self._waiting.clear()
        for sender in self._senders:
            if not sender.done():
                sender.set_result(None)

    async def aclose(self) -> None:
        """Close."""
        if self._is_over:
            return
        self._is_closed = True
        self._leave()
        self._pump.cancel()
        if self._pump is not asyncio.current_task():
            await asyncio.wait([self._pump])
