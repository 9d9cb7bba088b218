"""The transport of `memory://NAME`: URLs, and sessions with bounded queues (62746-3, R-7e)."""

import asyncio
import time
from collections import deque
from urllib.parse import parse_qs, urlsplit

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
    Node,
    NoReceiver,
    Observer,
    Outcome,
    Outgoing,
    Overloaded,
    PermissionDenied,
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
from iec62746_memory.broker import Broker, broker

QUEUE = 10_000
"""Deliveries that wait for one session, unless `?queue=` says otherwise."""
MAX_MESSAGE = 16_777_216
"""Octets of the largest message, unless `?max_message=` says otherwise."""
TURN = 16
"""Deliveries that a session is given before others get their turn."""

_ROUTED = Receipt(ReceiptLevel.ROUTED)


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
    if not parts.netloc or parts.username is not None or parts.path not in ("", "/") or parts.fragment:
        raise InvalidAddress(
            "a memory URL has a name, and neither path nor user: write memory://NAME, or memory://NAME?queue=100"
        )
    try:
        query = parse_qs(parts.query, strict_parsing=bool(parts.query))
    except ValueError:
        raise InvalidAddress(f"memory://{parts.netloc}: write queries like ?queue=100&max_message=65536") from None
    if unknown := set(query) - {"queue", "max_message"}:
        raise InvalidAddress(f"memory://{parts.netloc} knows queue and max_message, not {', '.join(sorted(unknown))}")
    return parts.netloc, _number(query, "queue", QUEUE), _number(query, "max_message", MAX_MESSAGE)


def _number(query: dict[str, list[str]], name: str, default: int) -> int:
    text = query.get(name, [str(default)])[-1]
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise InvalidAddress(f"{name} is {text!r}: write a whole number above 0")
    return int(text)


class MemorySubscription:
    """One session's subscription to one address."""

    __slots__ = ("address", "deliver", "is_live", "key", "session")

    def __init__(self, session: "MemorySession", address: Address, deliver: Deliver) -> None:
        """Bind `deliver` to `address`."""
        self.session, self.address, self.deliver = session, address, deliver
        self.key = (session.domain, address)
        self.is_live = True

    async def cancel(self) -> None:
        """End it; what waits in the queue for it is not delivered."""
        self.is_live = False
        self.session.forget(self)


_Waiting = tuple[MemorySubscription, Delivery]


class _Sender:
    """Somebody who waits for room in a session's queue."""

    __slots__ = ("room", "waiting")

    def __init__(self, room: "asyncio.Future[None]", waiting: _Waiting) -> None:
        self.room, self.waiting = room, waiting


class MemorySession:
    """One session: a bounded queue and the task that empties it."""

    def __init__(self, at: Broker, config: Config, observer: Observer, queue: int, max_message: int) -> None:
        """Enter the broker and start to deliver."""
        self.broker, self.observer, self.room = at, observer, queue
        self.domain, self.party = config.domain, config.party
        self._loop = asyncio.get_running_loop()
        self._will, self._max_message = config.will, max_message
        self._queue: deque[_Waiting | str] = deque()
        self._arrived: asyncio.Future[None] | None = None
        self._senders: deque[_Sender] = deque()
        self._sending: set[asyncio.Future[None]] = set()
        self._cause: TransportError | None = None
        self._is_closed = self._is_over = False
        self._token = ReplyTo(self)
        self._subscriptions: set[MemorySubscription] = set()
        self._inbox: MemorySubscription | None = None
        at.enter(self)
        self._pump = self._loop.create_task(self._deliver_all(), name=f"memory session of {self.party}")
        self._pump.add_done_callback(self._on_pump_ended)

    # ---------------------------------------------------------------- out

    async def send(self, to: Address | ReplyTo, message: Outgoing) -> Receipt:
        """Queue `message` at every receiver; waits for room at an inbox until it expires.

        An event for a session whose queue is full costs that session its life, so that it does not hold up the others.
        """
        self._check(message)
        if isinstance(to, ReplyTo):
            await self._send_to_inboxes(self._repliers(to), to.token.party, message)
        elif isinstance(to, Inbox):
            await self._send_to_inboxes(self.broker.receivers(self.domain, to), to.party, message)
        else:
            await self._publish(to, message)
        return _ROUTED

    async def _send_to_inboxes(self, receivers: "list[MemorySubscription]", party: str, message: Outgoing) -> None:
        if not receivers:
            raise NoReceiver(f"{party} is not there")
        delivery = self._delivery(receivers[0].address, message)
        taken = 0
        for receiver in receivers:
            try:
                if not receiver.session.put(receiver, delivery):
                    await self._wait_for_room(receiver, delivery, message.expires)
                taken += 1
            except (NoReceiver, Overloaded):
                # Refused means that nobody has it: while a party has two sessions, one of them may.
                if receiver is receivers[-1] and not taken:
                    raise

    async def _publish(self, to: Node | Presence, message: Outgoing) -> None:
        receivers = self.broker.receivers(self.domain, to)
        if receivers:
            delivery = self._delivery(to, message)
            for receiver in receivers:
                receiver.session.put_or_lose(receiver, delivery)
            if any(receiver.session.is_busy for receiver in receivers):
                await asyncio.sleep(0)  # a publisher that never rests must let them take what waits

    def _check(self, message: Outgoing) -> None:
        if self._is_over:
            raise self._ended()
        if len(message.body) > self._max_message:
            raise TooLarge(f"{len(message.body)} octets: this memory transport takes {self._max_message} (max_message)")
        if message.expires <= time.time():
            raise Expired("its Deadline has passed")

    def _ended(self) -> TransportError | Closed:
        if self._cause is None:
            return Closed("the session is closed: open another")
        error = SessionLost(f"the session is lost: {self._cause}", outcome=Outcome.NOT_SENT)
        error.__cause__ = self._cause
        return error

    def _repliers(self, to: ReplyTo) -> "list[MemorySubscription]":
        """Return where `to` is answered: the inbox of just the session that asked."""
        asker = to.token
        if not isinstance(asker, MemorySession) or asker.broker is not self.broker or asker.domain != self.domain:
            raise PermissionDenied("this reply address was made by another transport, broker or domain")
        inbox = asker._inbox
        return [inbox] if inbox is not None and inbox.is_live else []

    def _delivery(self, address: Address, message: Outgoing) -> Delivery:
        return Delivery(
            body=message.body,
            address=address,
            sender=self.party,
            proof=Proof.CLAIMED,
            reply_to=self._token if message.expects_reply else None,
            correlation_id=message.correlation_id,
            headers=message.headers,
        )

    async def _wait_for_room(self, receiver: MemorySubscription, delivery: Delivery, expires: float) -> None:
        room = self._loop.create_future()
        receiver.session.queue_up(_Sender(room, (receiver, delivery)))
        if not self._sending:
            self.observer.blocked(True)
        self._sending.add(room)
        try:
            async with asyncio.timeout(expires - time.time()):
                await room
        except TimeoutError:
            at = receiver.session
            raise Overloaded(f"{at.party} takes no more: {at.room} deliveries wait for it") from None
        finally:
            self._sending.discard(room)
            if not self._sending and not self._is_over:
                self.observer.blocked(False)

    # ---------------------------------------------------------------- in

    def put(self, receiver: MemorySubscription, delivery: Delivery) -> bool:
        """Queue `delivery` if there is room and nobody waits for it who came before."""
        if len(self._queue) >= self.room or self._senders:
            return False
        self._append((receiver, delivery))
        return True

    def put_or_lose(self, receiver: MemorySubscription, delivery: Delivery) -> None:
        """Queue `delivery`; without room the session is lost."""
        if not self._is_over and not self.put(receiver, delivery):
            self.lose(Overloaded(f"{self.party} is too slow: {self.room} deliveries wait for it"))

    @property
    def is_busy(self) -> bool:
        """True if half of the queue is full."""
        return 2 * len(self._queue) >= self.room

    def queue_up(self, sender: _Sender) -> None:
        """Have `sender` wait for room."""
        self._senders.append(sender)

    def tell_gone(self, party: str) -> None:
        """Tell that `party` is gone, behind what it sent before."""
        if len(self._queue) >= self.room:
            self.lose(Overloaded(f"{self.party} is too slow: {self.room} deliveries wait for it"))
        elif not self._is_over:
            self._append(party)

    def _append(self, one: _Waiting | str) -> None:
        self._queue.append(one)
        arrived = self._arrived
        if arrived is not None:
            self._arrived = None
            if not arrived.done():
                arrived.set_result(None)

    async def _deliver_all(self) -> None:
        while not self._is_over:
            for _ in range(min(len(self._queue), TURN)):
                if not self._queue:  # it was lost or closed meanwhile
                    return
                one = self._queue.popleft()
                if self._senders:
                    self._let_in()
                if type(one) is str:
                    self.observer.gone(one)
                elif one[0].is_live:  # type: ignore[union-attr]  # the str went before
                    await one[0].deliver(one[1])  # type: ignore[union-attr,arg-type]
            if self._queue:
                await asyncio.sleep(0)
            elif not self._is_over:
                self._arrived = self._loop.create_future()
                await self._arrived

    def _let_in(self) -> None:
        """Give the room to the first who waits for it and has not given up."""
        while self._senders:
            sender = self._senders.popleft()
            if not sender.room.done():
                sender.room.set_result(None)
                self._append(sender.waiting)
                return

    async def subscribe(self, address: Address, deliver: Deliver) -> MemorySubscription:
        """Subscribe to `address`; live when it returns."""
        if self._is_over:
            raise self._ended()
        if isinstance(address, Inbox) and address.party != self.party:
            raise PermissionDenied(f"{self.party} may not read the inbox of {address.party}")
        subscription = MemorySubscription(self, address, deliver)
        if isinstance(address, Inbox):
            self._inbox = subscription
        self._subscriptions.add(subscription)
        self.broker.add(subscription)
        return subscription

    def forget(self, subscription: MemorySubscription) -> None:
        """End `subscription`."""
        self._subscriptions.discard(subscription)
        self.broker.remove(subscription)

    # ---------------------------------------------------------------- the end

    def lose(self, cause: TransportError) -> None:
        """End the session as a broken connection would: the will is published, `Observer.lost` fires once."""
        if self._is_over:
            return
        self._cause = cause
        self._leave()
        if self._will is not None:
            delivery = self._delivery(Presence(self.party), self._will)
            for receiver in self.broker.receivers(self.domain, delivery.address):
                receiver.session.put_or_lose(receiver, delivery)
        self.broker.leave(self)
        self._stop_pump()
        self.observer.lost(cause)

    def _on_pump_ended(self, pump: "asyncio.Task[None]") -> None:
        if self._is_over:
            return
        error = None if pump.cancelled() else pump.exception()
        cause = SessionLost(
            f"a delivery was not taken: {type(error).__name__}: {error}" if error else "it was cancelled"
        )
        cause.__cause__ = error
        self.lose(cause)

    def _leave(self) -> None:
        self._is_over = True
        for subscription in list(self._subscriptions):
            subscription.is_live = False
            self.forget(subscription)
        self._queue.clear()
        for one in self._senders:
            if not one.room.done():
                one.room.set_exception(NoReceiver(f"{self.party} is not there any more"))
        self._senders.clear()
        for room in self._sending:
            if not room.done():
                room.set_exception(self._ended())

    def _stop_pump(self) -> None:
        # A delivery that closes its own session ends by itself.
        if self._pump is not _current_task():
            self._pump.cancel()

    async def aclose(self) -> None:
        """Close."""
        if not self._is_over:
            self._is_closed = True
            self._leave()
            self.broker.leave(self)
            self._stop_pump()
        if self._pump is not asyncio.current_task() and not self._pump.done():
            await asyncio.wait([self._pump])


def _current_task() -> "asyncio.Task[object] | None":
    try:
        return asyncio.current_task()
    except RuntimeError:  # called by the loop itself, or after it
        return None
