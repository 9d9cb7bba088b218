"""One connection's bytes, split into frames: those of fast channels go to their handlers, all others to aiormq.

aiormq keeps handshake, TLS, heartbeat and topology. It stands on exported names only: `aiormq.TransportFactory`, and
the pair of reader and writer that it returns.
"""

import asyncio
from typing import Any, Protocol

from yarl import URL

from iec62746_rabbitmq._frames import (
    FRAME,
    FRAME_END,
    HEARTBEAT,
    METHOD,
    OVERHEAD,
    TUNE,
    UNBLOCKED,
    BadFrame,
)
from iec62746_rabbitmq._links import CLOSE, Wire

FIRST_FRAME_MAX = 131_072
"""Octets of the largest frame until `frame_max` is agreed on."""
MOST_FRAME = 1_048_576
"""Octets of the largest frame that is agreed on, whatever larger the peer proposes (frame_max; 0 stands for any)."""
FIRST_BUFFER = 4_096
"""Octets read at once, or as many as the awaited frame has; twice as many after a read that fills the buffer."""
MOST_BUFFER = 65_536
"""Octets up to which that grows."""
SIGN_OF_LIFE = 1.0
"""Seconds after which frames that aiormq does not see are told to it as one heartbeat."""


class Channel(Protocol):
    """The handler of one fast channel."""

    def frame(self, kind: int, payload: bytes) -> bool:
        """Take a frame; False: it is aiormq's. Raises `BadFrame`: the connection is aborted."""
        ...

    def lost(self, cause: BaseException | None) -> None:
        """The connection broke."""
        ...

    def unblocked(self) -> None:
        """The broker takes messages again."""
        ...


class Demux(asyncio.StreamReaderProtocol, asyncio.BufferedProtocol):
    """The protocol of one connection.

    It is read into one buffer: for an `asyncio.Protocol`, the loop has the kernel map, cut and unmap 256 KiB at each
    read, which costs more than to split what was read.

    A bad frame aborts the connection: a wrong end octet, one over `frame_max`, one that a channel cannot take.
    """

    transport: asyncio.Transport

    def __init__(self, reader: "Reader", loop: asyncio.AbstractEventLoop, wire: Wire) -> None:
        """Feed `reader` with what is not for a fast channel; `wire` sees whether the broker takes messages."""
        super().__init__(reader, loop=loop)
        self.channels: dict[int, Channel] = {}
        """The handlers of fast channels, by number."""
        self.wire = wire
        """Knows whether the broker takes messages by this connection."""
        self._loop_time = loop.time
        self._size = FIRST_BUFFER
        self._buffer = bytearray(FIRST_BUFFER)
        self._filled, self._wanted = 0, FRAME.size
        self._most = FIRST_FRAME_MAX
        self._is_first = True
        self._is_foreign = False
        self._fed = 0.0
        self._holders: set[object] = set()
        self._flaw: Exception | None = None
        self._is_ended_by_peer = False
        self.is_lost = False
        """True when the connection has ended."""

    def drop(self, number: int, channel: Channel) -> None:
        """Forget `channel`, whose number may be given to another."""
        if self.channels.get(number) is channel:
            del self.channels[number]

    def agree(self, frame_max: int) -> None:
        """Take what was agreed on in Connection.TuneOk."""
        self._most = min(frame_max or MOST_FRAME, MOST_FRAME)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        super().connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell everybody, those who wait on fast channels first."""
        cause = self._flaw or exc
        if cause is None and self._is_ended_by_peer:
            cause = ConnectionResetError("the connection was closed by the peer")
        self.is_lost = True
        for channel in list(self.channels.values()):
            channel.lost(cause)
        super().connection_lost(ConnectionAbortedError(str(self._flaw)) if self._flaw is not None else exc)

    def eof_received(self) -> bool | None:
        """Note that it is the peer who ends it."""
        self._is_ended_by_peer = True
        return super().eof_received()

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return where to read to."""
        return memoryview(self._buffer)[self._filled :]

    def buffer_updated(self, nbytes: int) -> None:
        """Split what was read into frames."""
        self._filled += nbytes
        if self._filled == self._size < MOST_BUFFER:
            self._size *= 2
        if self._is_first:
            self._is_first = False
            self._is_foreign = self._buffer[:1] == b"A"  # a peer that refuses the version sends a protocol header
        if self._is_foreign:
            super().data_received(bytes(self._buffer[: self._filled]))
            self._filled = 0
        elif self._flaw is not None:
            self._filled = 0
        elif self._filled >= self._wanted:
            try:
                self._split(bytes(memoryview(self._buffer)[: self._filled]))
            except BadFrame as exc:
                self._filled = 0
                self.abort(exc)
        else:
            self._show_life(is_seen=False)  # a large frame may take longer than a peer may be silent

    def abort(self, flaw: Exception) -> None:
        """End the connection at once, because of `flaw`."""
        if self._flaw is None:
            self._flaw = flaw
            self.transport.abort()

    def _split(self, data: bytes) -> None:
        at, end, wanted = 0, len(data), FRAME.size
        unpack, channels, is_seen = FRAME.unpack_from, self.channels, False
        while end - at >= FRAME.size:
            kind, number, size = unpack(data, at)
            after = at + OVERHEAD + size
            if size + OVERHEAD > self._most:
                raise BadFrame(f"a frame of {size + OVERHEAD} octets: {self._most} are the most that were agreed on")
            if after > end:
                wanted = OVERHEAD + size
                break
            if data[after - 1] != FRAME_END:
                raise BadFrame(f"a frame ends in {data[after - 1]:#04x}, not in 0xce")
            channel = channels.get(number)
            if channel is None or not channel.frame(kind, data[at + 7 : after - 1]):
                frame = data[at:after]
                super().data_received(self._seen(frame) if number == 0 and kind == METHOD else frame)
                is_seen = True
            at = after
        self._keep(data[at:], wanted)
        self._show_life(is_seen=is_seen)

    def _keep(self, rest: bytes, wanted: int) -> None:
        """Begin the buffer with `rest`, the beginning of a frame of `wanted` octets."""
        size = max(wanted, self._size)
        if len(self._buffer) != size:
            self._buffer = bytearray(size)
        self._buffer[: len(rest)] = rest
        self._filled, self._wanted = len(rest), wanted

    def _show_life(self, *, is_seen: bool) -> None:
        """See that aiormq does not take a peer for dead whose frames are all for fast channels."""
        now = self._loop_time()
        if is_seen:
            self._fed = now
        elif now - self._fed > SIGN_OF_LIFE and self.channels:
            super().data_received(HEARTBEAT)
            self._fed = now

    def _seen(self, frame: bytes) -> bytes:
        """Return a frame that concerns the whole connection as aiormq is to read it."""
        method = frame[7:-1]
        self.wire.see(method)
        if method[:4] == UNBLOCKED:
            for channel in list(self.channels.values()):
                channel.unblocked()
        elif method[:4] == TUNE:
            proposed = int.from_bytes(method[6:10])
            agreed = min(proposed or MOST_FRAME, MOST_FRAME)
            return frame[:13] + agreed.to_bytes(4) + frame[17:]
        return frame

    # ---------------------------------------------------------------- flow control

    def hold(self, holder: object) -> None:
        """Read no more until `holder` releases it."""
        self._holders.add(holder)
        if not self.is_lost:
            self.transport.pause_reading()

    def release(self, holder: object) -> None:
        """Read again, if nobody else holds it."""
        self._holders.discard(holder)
        if not self._holders and not self.is_lost and not self.transport.is_closing():
            self.transport.resume_reading()


class _Flow(asyncio.ReadTransport):
    """What aiormq's reader pauses and resumes: it is one of those who hold the connection."""

    def __init__(self, demux: Demux) -> None:
        super().__init__()
        self._demux = demux

    def pause_reading(self) -> None:
        self._demux.hold(self)

    def resume_reading(self) -> None:
        self._demux.release(self)


class Reader(asyncio.StreamReader):
    """aiormq's end of a `Demux`, which shares the flow control of its connection with the fast channels."""

    def set_transport(self, transport: asyncio.BaseTransport) -> None:
        """Take part in the flow control of `transport`, whose protocol is a `Demux`."""
        demux = transport.get_protocol()
        assert isinstance(demux, Demux)
        super().set_transport(_Flow(demux))


class DemuxWire(Wire):
    """Opens the socket of one connection, whose frames `demux` splits."""

    demux: Demux

    async def create(self, url: URL, **kwargs: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Return reader and writer, as aiormq asks."""
        provider = kwargs.pop("ssl_context_provider")
        tls = await provider.get_context() if url.scheme == "amqps" else None
        loop, reader = asyncio.get_running_loop(), Reader()
        transport, self.demux = await loop.create_connection(
            lambda: Demux(reader, loop, self),
            url.host or "localhost",
            url.port or 5672,
            ssl=tls,
            ssl_shutdown_timeout=CLOSE if tls else None,
        )
        self.transport = transport
        return reader, asyncio.StreamWriter(transport, self.demux, reader, loop)
