"""One session: a connection to the communication server, what it sends, and what comes."""

import asyncio
import re
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from typing import Final
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from iec62746 import (
    Address,
    AuthenticationFailed,
    Closed,
    Config,
    Deliver,
    Delivery,
    Expired,
    Iec62746Error,
    Inbox,
    MissingCapability,
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
    Unreachable,
)
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error, SlowConsumerError

from iec62746_nats.subjects import Subjects, sender_of

MAX_MESSAGE: Final = 1_000_000
"""Octets of the largest message."""
_MAX_HEADERS: Final = 32_768
_PATIENCE: Final = 10.0
_BEAT: Final = 5.0
_CLOSING: Final = 2.0
_WAITING: Final = 10_000
_WAITING_OCTETS: Final = 67_108_864
_SESSION: Final = re.compile(r"[A-Za-z0-9_-]{1,32}")
# nats-py has no class for it, and writes the subject in small letters.
_DENIED: Final = re.compile(r'permissions violation for \w+ to "([^"]*)"')
_CORRELATION, _HINTS, _ANSWER = "Iec62746-Correlation", "Iec62746-Hints", "Iec62746-Session"


@dataclass(frozen=True, slots=True)
class _Asker:
    """Who asked: the token of a reply address, which nobody but a session makes."""

    domain: str
    party: str
    session: str


@dataclass(frozen=True, slots=True)
class _Question:
    """What the server has to tell of a subject: whether anybody is there."""

    subject: str
    answer: "asyncio.Future[bool]"


class NatsSubscription:
    """One live subscription."""

    def __init__(self, session: "NatsSession", address: Address, deliver: Deliver) -> None:
        """Keep who takes what comes at `address`, one delivery after another."""
        self.session, self.address, self.deliver = session, address, deliver
        self.is_live = True
        self._interests: list[Subscription] = []

    async def cancel(self) -> None:
        """End it: afterwards nothing more is delivered, not even what waits here.

        Idempotent; raises nothing. Other subscriptions go on, and so does a delivery that is under way.
        """
        self.is_live = False
        self.session._subscriptions.discard(self)
        interests, self._interests = self._interests, []
        for one in interests:
            with suppress(Error):  # the connection has ended, and it with it
                await one.unsubscribe()

    async def _add(self, client: Client, subject: str) -> None:
        self._interests.append(await client.subscribe(subject, cb=self._take))

    async def _take(self, message: Msg) -> None:
        self.session._queue_up(self, message)


class NatsSession:
    """One connection; one-shot: when it is lost, `Observer.lost` is told once, and every call raises.

    It knows nothing of deadlines but its own, of duplicates or of requests: it carries bytes.
    """

    def __init__(self, config: Config, observer: Observer, proof: Proof) -> None:
        """Keep what is needed, without any I/O; `proof` is what the capabilities say of its senders."""
        self._config, self._observer, self._proof = config, observer, proof
        self._subjects = Subjects(config.domain, config.vtn, config.party)
        self._client = Client()
        self._numbers, self._questions = count(1), dict[str, _Question]()
        self._waiting = deque[tuple[NatsSubscription, Msg]]()
        self._octets = 0
        self._subscriptions = set[NatsSubscription]()
        self._arrived = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._closing: asyncio.Task[None] | None = None
        self._cause: TransportError | None = None
        self._is_over = False

    async def attach(self) -> None:
        """Connect, log in, and return when messages can be sent; raises what `open` raises."""
        try:
            async with asyncio.timeout(_PATIENCE):
                await self._connect()
                await self._client.subscribe(self._subjects.ack(self._config.session, "*"), cb=self._hear)
                await self._ask(self._subjects.ack(self._config.session, "*"))
        except (OSError, Error, TimeoutError) as exc:
            if "authorization" in str(exc).lower():
                raise AuthenticationFailed(f"{self._config.account} may not log in: {exc}") from exc
            raise Unreachable(f"no connection: {self._client.last_error or str(exc) or 'no answer'}") from exc
        if self._client.max_payload < MAX_MESSAGE + _MAX_HEADERS:
            raise MissingCapability(f"the server takes {self._client.max_payload} octets: set its max_payload to 1MB")
        self._tasks = [asyncio.create_task(work) for work in (self._deliver_all(), self._beat())]

    async def _connect(self) -> None:
        parts = urlsplit(self._config.urls[0])
        account = unquote(parts.username) if parts.username else self._config.account
        password = unquote(parts.password) if parts.password else self._config.password
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
        await self._client.connect(
            f"nats://{host}:{parts.port or 4222}",
            name=f"{self._config.domain}.{self._config.party}.{self._config.session}",
            user=account if password is not None else None,
            password=password,
            allow_reconnect=False,  # to open again is the core's
            max_reconnect_attempts=1,  # 0 would be without end
            reconnect_time_wait=0,
            pending_size=0,  # nothing waits in publish, which does not let itself be cancelled: see _check
            error_cb=self._on_error,
            closed_cb=self._on_closed,
        )

    # ---------------------------------------------------------------- out

    async def send(self, to: Address | ReplyTo, message: Outgoing) -> Receipt:
        """Send `message`, and return when as much is known of it as the capability `receipt` says.

        May be called many times at once, and never waits longer than until `message.expires`. Raises a
        `TransportError` whose outcome is true: NOT_SENT and REFUSED only where nobody gets it any more.

        - `Expired`, past `message.expires`: NOT_SENT before it was sent, UNKNOWN while nothing is known of it.
        - `NoReceiver`, where nobody reads the inbox, or who asked has left; for a node or a presence that is no error.
        - `PermissionDenied`, for what the account may not do, and for a reply address that was made up.
        - `Overloaded`, where there is no room; `TooLarge`, over `max_message`.
        - `SessionLost` on a session that is lost, or is lost meanwhile; `Closed` after `aclose`.
        """
        self._check(message)
        subject = self._answer_subject(to) if isinstance(to, ReplyTo) else self._subjects.to(to)
        headers = self._headers(message)
        try:
            async with asyncio.timeout(message.expires - time.time()):
                is_there = await self._ask(subject, message.body, headers)
        except TimeoutError:
            raise Expired("the server said nothing of it before its Deadline", outcome=Outcome.UNKNOWN) from None
        except Error as exc:
            raise SessionLost(f"it could not be sent: {exc}") from exc
        if not is_there and not isinstance(to, Node | Presence):
            raise NoReceiver(f"nobody subscribes to {subject}")
        return Receipt(ReceiptLevel.ROUTED)

    def _check(self, message: Outgoing) -> None:
        self._check_live()
        if len(message.body) > MAX_MESSAGE:
            raise TooLarge(f"{len(message.body)} octets: this transport takes {MAX_MESSAGE}")
        if message.expires <= time.time():
            raise Expired("its Deadline has passed")
        if self._client.pending_data_size > _WAITING_OCTETS:
            raise Overloaded("the server does not read: too much waits to be sent", outcome=Outcome.NOT_SENT)

    def _check_live(self) -> None:
        if self._cause is not None:
            raise SessionLost(f"the session is lost: {self._cause}", outcome=Outcome.NOT_SENT) from self._cause
        if self._is_over:
            raise Closed("the session is closed: open another")

    def _answer_subject(self, to: ReplyTo) -> str:
        asker = to.token
        if not isinstance(asker, _Asker) or asker.domain != self._config.domain:
            raise PermissionDenied("this reply address was made by another transport, or for another domain")
        return self._subjects.answer(asker.party, asker.session)

    def _headers(self, message: Outgoing) -> dict[str, str]:
        # Quoted, since nats-py strips the values of headers, and takes them for lines.
        headers = {_CORRELATION: quote(message.correlation_id, safe=""), _HINTS: urlencode(message.headers)}
        if message.expects_reply:
            headers[_ANSWER] = self._config.session
        if sum(map(len, headers.values())) > _MAX_HEADERS:
            raise TooLarge(f"its headers have more than {_MAX_HEADERS} octets")
        return headers

    async def _ask(self, subject: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> bool:
        """Return whether somebody got `body`; by then the server has done all that it was told before.

        It does one thing after another: where nobody is there it says so at the reply subject (NATS 2.2), and what we
        publish there ourselves comes right behind. So the first word decides.
        """
        ack = self._subjects.ack(self._config.session, str(next(self._numbers)))
        question = self._questions[ack] = _Question(subject, asyncio.get_running_loop().create_future())
        try:
            if body is not None:
                await self._client.publish(subject, body, ack, headers)
            await self._client.publish(ack)
            return await question.answer
        finally:
            del self._questions[ack]

    async def _hear(self, message: Msg) -> None:
        question = self._questions.get(message.subject)
        if question is not None and not question.answer.done():
            question.answer.set_result(not (message.headers and message.headers.get("Status") == "503"))

    # ---------------------------------------------------------------- in

    async def subscribe(self, address: Address, deliver: Deliver) -> NatsSubscription:
        """Subscribe to one exact address, `Presence()` being everybody's; it is live when this returns.

        Each delivery names the address that was sent to, its sender and by which proof, and, if a reply is expected, a
        reply address that is proven to be the sender's: answers to it come to the inbox of just the session that
        asked. `deliver` is awaited for one delivery after another; what it raises ends the session. What waits for it
        is bounded. Raises `PermissionDenied`, `SessionLost`, `Closed`.
        """
        self._check_live()
        subjects = [self._subjects.of(address)]
        if address == Inbox(self._config.party):
            subjects.append(self._subjects.answers(self._config.session))
        subscription = NatsSubscription(self, address, deliver)
        self._subscriptions.add(subscription)
        try:
            async with asyncio.timeout(_PATIENCE):
                for subject in subjects:
                    await subscription._add(self._client, subject)
                    await self._ask(subject)
        except BaseException as exc:
            await subscription.cancel()
            if isinstance(exc, Error | TimeoutError):
                raise SessionLost(f"subscribing to {address}: {str(exc) or 'no answer'}") from exc
            raise
        return subscription

    def _queue_up(self, subscription: NatsSubscription, message: Msg) -> None:
        if self._is_over:
            return
        self._waiting.append((subscription, message))
        self._octets += len(message.data)
        self._arrived.set()
        # NATS has told the sender that it came: to drop it would be a lie, to end the session is none.
        if len(self._waiting) > _WAITING or self._octets > _WAITING_OCTETS:
            self._lose(Overloaded(f"{self._config.party} is too slow: {len(self._waiting)} deliveries wait for it"))

    async def _deliver_all(self) -> None:
        while not self._is_over:
            while self._waiting:
                subscription, message = self._waiting.popleft()
                self._octets -= len(message.data)
                if subscription.is_live:
                    await self._deliver(subscription, message)
                await asyncio.sleep(0)  # others have their turn
            self._arrived.clear()
            await self._arrived.wait()

    async def _deliver(self, subscription: NatsSubscription, message: Msg) -> None:
        try:
            await subscription.deliver(self._delivery(subscription.address, message))
        except Exception as exc:  # it is the core's code, and the user's
            self._lose(SessionLost(f"a delivery was not taken: {type(exc).__name__}: {exc}"))

    def _delivery(self, address: Address, message: Msg) -> Delivery:
        sender, headers = sender_of(message.subject), message.headers or {}
        session = headers.get(_ANSWER, "")
        return Delivery(
            body=message.data,
            address=Presence(sender) if isinstance(address, Presence) else address,
            sender=sender,
            proof=self._proof,
            # Of the sender's word only the session is used: the answer goes to nobody else than the proven sender.
            reply_to=ReplyTo(_Asker(self._config.domain, sender, session)) if _SESSION.fullmatch(session) else None,
            correlation_id=unquote(headers.get(_CORRELATION, "")),
            headers=dict(parse_qsl(headers.get(_HINTS, ""))),
        )

    # ---------------------------------------------------------------- the end

    async def _beat(self) -> None:
        """Ask the server again and again whether it is there, and end the session when it is not."""
        try:
            while True:
                await asyncio.sleep(_BEAT)
                async with asyncio.timeout(_PATIENCE):
                    await self._ask(self._subjects.ack(self._config.session, "*"))
        except (TimeoutError, Error, Iec62746Error) as exc:
            self._lose(SessionLost(f"the server does not answer: {str(exc) or f'not for {_PATIENCE:g} s'}"))

    async def _on_error(self, error: Exception) -> None:
        if isinstance(error, SlowConsumerError):
            self._lose(Overloaded(f"{self._config.party} is too slow: {error}"))
        elif denied := _DENIED.search(str(error)):
            for question in self._questions.values():
                if question.subject.lower() == denied[1] and not question.answer.done():
                    question.answer.set_exception(PermissionDenied(f"the server says: {error}"))

    async def _on_closed(self) -> None:
        self._lose(SessionLost(f"the connection ended: {self._client.last_error or 'the server closed it'}"))

    def _lose(self, cause: TransportError) -> None:
        if not self._is_over:
            self._cause = cause
            self._end(SessionLost(f"the session was lost meanwhile: {cause}"))
            if self._tasks:  # else there is no session yet, and open raises it
                self._observer.lost(cause)

    def _end(self, why: Iec62746Error) -> None:
        self._is_over = True
        self._closing = asyncio.create_task(self._disconnect())
        self._waiting.clear()
        self._arrived.set()
        for question in self._questions.values():
            if not question.answer.done():
                question.answer.set_exception(why)

    async def _disconnect(self) -> None:
        # On a dead link nats-py would wait until all is sent; what it holds then goes when TCP gives up.
        for step in (self._leave, self._client.close):
            with suppress(Error, OSError, TimeoutError, Iec62746Error):
                async with asyncio.timeout(_CLOSING / 2):
                    await step()

    async def _leave(self) -> None:
        """Return when the server knows that nobody is here any more: who sends afterwards is told so."""
        for subscription in list(self._subscriptions):
            await subscription.cancel()
        if self._tasks and self._cause is None:
            await self._ask(self._subjects.ack(self._config.session, "*"))

    async def aclose(self) -> None:
        """Close within some seconds, on a dead link too; nothing is delivered any more, and the will not published.

        Idempotent, may be called many times at once, by a delivery of this session too, and raises nothing. It is no
        loss: `Observer.lost` is not told.
        """
        if not self._is_over:
            self._end(Closed("the session was closed meanwhile"))
        for task in (others := [task for task in self._tasks if task is not asyncio.current_task()]):
            task.cancel()
        if self._closing is not None:
            await asyncio.wait([self._closing, *others])
