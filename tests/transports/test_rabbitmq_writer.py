"""What aiormq sends in one turn of the loop is one write, in order, and nothing of it is lost at the end."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from iec62746_rabbitmq._writer import GatheringWriter


class Transport(asyncio.Transport):
    """One that notes what is written to it."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.is_over = self.is_at_end = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.is_over, "written to when closed"
        self.written.append(bytes(data))

    def write_eof(self) -> None:
        self.is_at_end = True

    def close(self) -> None:
        self.is_over = True

    def is_closing(self) -> bool:
        return self.is_over


@pytest_asyncio.fixture
async def transport() -> Transport:
    return Transport()


@pytest_asyncio.fixture
async def writer(transport: Transport) -> AsyncIterator[GatheringWriter]:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(loop=loop)
    protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
    protocol.connection_made(transport)
    made = GatheringWriter(transport, protocol, reader, loop)
    yield made
    transport.close()


async def test_what_is_written_in_one_turn_is_one_write(transport: Transport, writer: GatheringWriter) -> None:
    for part in (b"one ", bytearray(b"two "), memoryview(b"three")):
        writer.write(part)
    assert transport.written == []
    await asyncio.sleep(0)
    assert transport.written == [b"one two three"]
    writer.write(b"four")
    await asyncio.sleep(0)
    assert transport.written == [b"one two three", b"four"]


async def test_lines_go_in_their_turn(transport: Transport, writer: GatheringWriter) -> None:
    writer.write(b"1")
    writer.writelines([b"2", bytearray(b"3")])
    writer.write(b"4")
    await asyncio.sleep(0)
    assert transport.written == [b"1234"]


async def test_what_is_changed_afterwards_goes_as_it_was(transport: Transport, writer: GatheringWriter) -> None:
    data = bytearray(b"before")
    writer.write(data)
    data[:] = b"behind"
    await asyncio.sleep(0)
    assert transport.written == [b"before"]


@pytest.mark.parametrize("end", ["drain", "write_eof", "close"])
async def test_the_end_writes_what_is_held(transport: Transport, writer: GatheringWriter, end: str) -> None:
    writer.write(b"last words")
    ended = getattr(writer, end)()
    if ended is not None:
        await ended
    assert transport.written == [b"last words"]
    assert transport.is_at_end == (end == "write_eof")
    await asyncio.sleep(0)
    assert transport.written == [b"last words"]


async def test_nothing_is_written_to_a_connection_that_was_reset(transport: Transport, writer: GatheringWriter) -> None:
    writer.write(b"too late")
    transport.close()
    await asyncio.sleep(0)
    assert transport.written == []
