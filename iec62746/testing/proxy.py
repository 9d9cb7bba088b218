"""A TCP proxy that does to a link what networks do: cut it, freeze it, thaw it."""

import asyncio
import socket
import struct
from types import TracebackType
from typing import Self

from iec62746.testing.harness import Endpoint

_CHUNK = 65_536
# On, and 0 seconds: what is not sent is thrown away and the other side gets an RST.
_NO_LINGER = struct.pack("ii", 1, 0)


class Link:
    """A way to `target` that can be broken: `async with Link(target) as link`, then connect to `link.endpoint`."""

    def __init__(self, target: Endpoint) -> None:
        """Prepare a way to `target`."""
        self._target = target
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._carriers: set[asyncio.Task[None]] = set()
        self._flows = asyncio.Event()
        self._flows.set()
        self._is_open = True
        self.octets = 0
        """Octets that were carried, both ways."""

    async def __aenter__(self) -> Self:
        """Listen on a free port of the loopback interface."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, limit=_CHUNK)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Cut it, and listen no more."""
        self.cut()
        for carrier in self._carriers:
            carrier.cancel()
        await asyncio.gather(*self._carriers, return_exceptions=True)
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    @property
    def endpoint(self) -> Endpoint:
        """Return where it listens."""
        assert self._server is not None
        host, port = self._server.sockets[0].getsockname()[:2]
        return host, port

    def cut(self) -> None:
        """Reset every connection; new ones are accepted and reset until `restore`."""
        self._is_open = False
        for writer in self._writers:
            _reset(writer)
        self._flows.set()

    def restore(self) -> None:
        """Let new connections through again."""
        self._is_open = True

    def freeze(self) -> None:
        """Carry nothing any more, neither octets nor the end of a connection; the sockets stay open."""
        self._flows.clear()

    def thaw(self) -> None:
        """Carry again, and first what was held."""
        self._flows.set()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._carriers.add(task)
        self._writers.add(writer)
        try:
            await self._flows.wait()
            if self._is_open:
                await self._join(reader, writer)
        except (OSError, asyncio.CancelledError):
            pass  # the connection is over, which is all that there is to it
        finally:
            _reset(writer)
            self._writers.discard(writer)
            self._carriers.discard(task)

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there_writer = await asyncio.open_connection(*self._target, limit=_CHUNK)
        self._writers.add(there_writer)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._carry(reader, there_writer))
                group.create_task(self._carry(there_reader, writer))
        except* OSError:
            pass  # one side was reset: so is the other
        finally:
            _reset(there_writer)
            self._writers.discard(there_writer)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(_CHUNK):
            await self._flows.wait()
            self.octets += len(data)
            writer.write(data)
            await writer.drain()
        await self._flows.wait()
        writer.write_eof() if writer.can_write_eof() and not writer.is_closing() else None


def _reset(writer: asyncio.StreamWriter) -> None:
    raw: socket.socket | None = writer.get_extra_info("socket")
    if raw is not None and not writer.is_closing():
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    writer.transport.abort()
