"""Why RabbitMQ ends a connection while it is opened, and whether to try again."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import pytest
from pamqp import commands, frame

from iec62746 import Config, PermissionDenied, TransportError, Unreachable
from iec62746.connection import FINAL
from iec62746_rabbitmq import RabbitTransport

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def read(reader: asyncio.StreamReader) -> None:
    head = await reader.readexactly(7)
    await reader.readexactly(int.from_bytes(head[3:]) + 1)


def closing(code: int, text: str) -> Serve:
    """Return a broker that answers Connection.Open by Connection.Close."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            await reader.readexactly(8)
            start = commands.Connection.Start(
                server_properties={"capabilities": {}}, mechanisms="PLAIN", locales="en_US"
            )
            writer.write(frame.marshal(start, 0))
            await read(reader)
            writer.write(frame.marshal(commands.Connection.Tune(2047, 131_072, 60), 0))
            await read(reader)
            await read(reader)
            writer.write(frame.marshal(commands.Connection.Close(code, text, 10, 40), 0))
            await read(reader)
        writer.close()

    return serve


@asynccontextmanager
async def broker(serve: Serve) -> AsyncIterator[int]:
    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


class Nobody:
    """An observer that is told nothing."""

    def lost(self, cause: TransportError) -> None: ...

    def gone(self, party: str) -> None: ...

    def bounced(self, correlation_id: str, cause: TransportError) -> None: ...

    def blocked(self, is_blocked: bool) -> None: ...


@pytest.mark.requirement("R-5.1b")
@pytest.mark.parametrize("lane", ["fast", "plain"])
@pytest.mark.parametrize(
    ("code", "text", "error"),
    [
        (530, "NOT_ALLOWED - vhost north not found", PermissionDenied),
        (530, "NOT_ALLOWED - access to vhost 'north' refused for user 'vtn'", PermissionDenied),
        (530, "NOT_ALLOWED - access to vhost 'north' refused: connection limit (2) is reached", Unreachable),
        (530, "NOT_ALLOWED - connection refused: node connection limit (1000) is reached", Unreachable),
        (541, "INTERNAL_ERROR - access to vhost 'north' refused for user 'vtn': vhost is down", Unreachable),
        (320, "CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'", Unreachable),
    ],
)
async def test_what_passes_is_tried_again_and_what_does_not_is_final(
    lane: str, code: int, text: str, error: type[TransportError]
) -> None:
    async with broker(closing(code, text)) as port:
        url = f"amqp://vtn:secret@127.0.0.1:{port}/north?lane={lane}"
        config = Config(urls=(url,), domain="north", party="vtn", vtn="vtn", session="s", account="vtn")
        with pytest.raises(error) as caught:
            await RabbitTransport().open(config, Nobody())

    assert (error is PermissionDenied) == isinstance(caught.value, FINAL)
    assert error is PermissionDenied or text in str(caught.value)
