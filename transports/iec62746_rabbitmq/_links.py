"""The two connections of a session, one to publish and one to consume, and what can be asked of them.

Two, because an alarm of the broker stops whoever publishes: acks and heartbeats of the other go on.
"""

import asyncio
import logging
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar, cast

import aiormq
from aiormq.abc import AbstractChannel
from yarl import URL

from iec62746 import SessionLost, TransportError, Unreachable
from iec62746_rabbitmq import _errors
from iec62746_rabbitmq._frames import BLOCKED, CONNECTION_CLOSE, UNBLOCKED
from iec62746_rabbitmq._reader import TolerantReader
from iec62746_rabbitmq._writer import GatheringWriter

log = logging.getLogger(__name__)
T = TypeVar("T")

HEARTBEAT = 5
"""Seconds: a dead broker is noticed after three times one more, 18 s; the broker notices us after 14 s."""
CONNECT = 10.0
"""Seconds that opening the connections may take."""
COMMAND = 10.0
"""Seconds that declaring, binding or consuming may take: on 4.x it can hang."""
CLOSE = 0.8
"""Seconds that closing may take; then the sockets are reset."""


FRAMES = 256
"""Frames that may wait between the parts of aiormq: with its 10, there would be a turn of the loop for few of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where to connect, and as whom."""

    host: str
    port: int
    vhost: str
    user: str
    password: str | None = field(repr=False)
    """None: by certificate (EXTERNAL)."""
    tls: ssl.SSLContext | None = None
    name: str = ""
    """What the broker's operator sees of us."""

    @property
    def where(self) -> str:
        """Return it as it may be shown."""
        return f"{'amqps' if self.tls else 'amqp'}://{self.host}:{self.port}"

    def url(self) -> URL:
        """Return it as aiormq reads it."""
        query = {"heartbeat": str(HEARTBEAT), "name": self.name}
        if self.password is None:
            query["auth"] = "external"
        # Its `%2F` is read as it stands, so that the vhost `/` and one with a slash in its name arrive as they are.
        path = "/" + self.vhost.replace("/", "%2F") if self.vhost != "/" else "/"
        built = URL.build(
            scheme="amqps" if self.tls else "amqp",
            host=self.host,
            port=self.port,
            user=self.user,
            password=self.password,
            query=query,
        )
        return built.with_path(path, encoded="%2F" in path, keep_query=True)


class Watch(Protocol):
    """Who is told what happens to a session's connections."""

    def lost(self, cause: TransportError) -> None:
        """One of them broke: nothing works any more. May be called more than once."""
        ...

    def blocked(self, is_blocked: bool) -> None:
        """The broker takes no more, or takes again."""
        ...


def _nobody(_: bool) -> None:
    """Hear it for nobody."""


class Wire(aiormq.TransportFactory):
    """Opens the socket of one connection, sees whether the broker takes messages by it, and can reset it."""

    transport: asyncio.Transport | None = None

    def __init__(self) -> None:
        """Begin with a broker that takes messages."""
        self.is_blocked = False
        """True while the broker takes no messages: its memory or disk is full."""
        self.tell: Callable[[bool], None] = _nobody
        """Is told whenever the broker says so."""
        self.closed: tuple[int, str] | None = None
        """Code and text by which the broker closed the connection."""

    def see(self, method: bytes) -> None:
        """Note what `method`, which concerns the whole connection, says and aiormq tells nobody."""
        name = method[:4]
        if name == BLOCKED or name == UNBLOCKED:
            self.is_blocked = name == BLOCKED
            self.tell(self.is_blocked)
        elif name == CONNECTION_CLOSE:
            text = method[7 : 7 + method[6]].decode(errors="replace")
            self.closed = (int.from_bytes(method[4:6]), text)

    async def create(self, url: URL, **kwargs: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Return reader and writer, as aiormq asks."""
        provider = kwargs.pop("ssl_context_provider")
        tls = await provider.get_context() if url.scheme == "amqps" else None
        loop = asyncio.get_running_loop()
        reader = TolerantReader(loop, self.see)
        protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
        self.transport, _ = await loop.create_connection(
            lambda: protocol, url.host or "", url.port or 0, ssl=tls, ssl_shutdown_timeout=CLOSE if tls else None
        )
        return reader, GatheringWriter(self.transport, protocol, reader, loop)

    def reset(self) -> None:
        """End the connection at once: what waits in the kernel does not go out any more (SO_LINGER 0)."""
        transport = self.transport
        if transport is None or transport.is_closing():
            return
        sock = transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()


class _Connection(aiormq.Connection):
    FRAME_BUFFER_SIZE = FRAMES


class Link:
    """One connection, and a channel on it for topology."""

    def __init__(self, target: Target, what: str, wire: Wire) -> None:
        """Prepare to connect to `target`, by `wire`, to do `what`."""
        self.wire, self._what, self._target = wire, what, target
        self.connection = _Connection(target.url(), context=target.tls, transport_factory=wire)
        self.is_closing = False
        """True once we have begun to close it: what ends now is no loss."""
        self._commands: AbstractChannel | None = None
        self._one_at_a_time = asyncio.Lock()

    async def open(self, watch: Watch) -> None:
        """Connect; from then on `watch` is told when it breaks.

        Raises `Unreachable`, `AuthenticationFailed`, `PermissionDenied`.
        """
        try:
            with _errors.not_cancelled():
                async with asyncio.timeout(CONNECT):
                    await self.connection.connect()
        except TimeoutError:
            raise Unreachable(f"{self._target.where} did not answer within {CONNECT:g} s") from None
        except _errors.LIBRARY as exc:
            raise _errors.opening(exc, self._target.where, self._target.vhost, self.wire.closed) from exc
        self.connection.closing.add_done_callback(lambda closing: self._on_closing(closing, watch))

    def _on_closing(self, closing: "asyncio.Future[Any]", watch: Watch) -> None:
        exc = None if closing.cancelled() else closing.exception()
        if not self.is_closing:
            watch.lost(_errors.lost(exc, f"the connection to {self._what}"))

    async def channel(self, *, has_confirms: bool) -> aiormq.Channel:
        """Return a new channel; raises what aiormq raises, `TimeoutError` after `COMMAND` seconds."""
        # Without a limit it hangs while the connection is blocked.
        made = await self.connection.channel(publisher_confirms=has_confirms, frame_buffer_size=FRAMES, timeout=COMMAND)
        return cast(aiormq.Channel, made)

    async def ask(self, what: str, do: Callable[[AbstractChannel], Awaitable[T]]) -> T:
        """Return what `do` returns, given a channel for topology; errors say that we cannot do `what`."""
        try:
            with _errors.not_cancelled():
                async with asyncio.timeout(COMMAND), self._one_at_a_time:
                    if self._commands is None or self._commands.is_closed:
                        self._commands = await self.channel(has_confirms=False)
                    return await do(self._commands)
        except (*_errors.LIBRARY, TimeoutError) as exc:
            raise _errors.refused(exc, what) from exc

    async def close(self) -> None:
        """Close it, within `CLOSE` seconds; never raises."""
        self.is_closing = True
        try:
            async with asyncio.timeout(CLOSE):
                await self.connection.close(aiormq.exceptions.ConnectionClosed(200, "closed by us"))
        except TimeoutError:
            self.wire.reset()
        except _errors.LIBRARY as exc:
            log.debug("closing the connection to %s: %r", self._what, exc)
        finally:
            if self.wire.transport is not None:
                self.wire.transport.abort()


class Links:
    """The two connections of one session."""

    def __init__(self, target: Target, watch: Watch, wire: Callable[[], Wire] = Wire) -> None:
        """Prepare to connect to `target`, and to tell `watch`."""
        self._watch = watch
        self.publishing = Link(target, "publish", wire())
        self.consuming = Link(target, "consume", wire())

    async def open(self) -> None:
        """Connect; raises as `Link.open` does."""
        try:
            # One after the other: two refusals at once would cost two of the tries that a broker may allow.
            await self.publishing.open(self._watch)
            await self.consuming.open(self._watch)
        except BaseException:
            await self.aclose()
            raise
        self.publishing.wire.tell = self._watch.blocked
        if self.publishing.wire.is_blocked:
            self._watch.blocked(True)

    def fail(self, cause: SessionLost) -> None:
        """End the session: what it has not sent yet is not sent any more."""
        self.publishing.wire.reset()
        self.consuming.wire.reset()
        self._watch.lost(cause)

    async def aclose(self) -> None:
        """Close; idempotent, never raises, takes at most about `CLOSE` seconds."""
        await asyncio.gather(self.publishing.close(), self.consuming.close())
