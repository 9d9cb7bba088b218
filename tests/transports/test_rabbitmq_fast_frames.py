"""The frames of the fast lane say what pamqp says, however they are cut, and what is no frame ends the connection."""

import asyncio
import random
from itertools import groupby
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp import frame as pamqp_frame
from pamqp.body import ContentBody
from pamqp.commands import Basic, Connection
from pamqp.header import ContentHeader
from pamqp.heartbeat import Heartbeat

from iec62746_rabbitmq._demux import FIRST_BUFFER, MOST_BUFFER, MOST_FRAME, Demux, Reader
from iec62746_rabbitmq._frames import FRAME, OVERHEAD, Assembler, BadFrame, Content, Decoder, Encoder
from iec62746_rabbitmq._links import Wire as Link

FRAME_MAX = 4_096
TEXT = st.text(max_size=60).map(lambda text: text.replace("\0", ""))


class Wire(asyncio.Transport):
    """A transport that notes."""

    def __init__(self) -> None:
        super().__init__()
        self.written, self.is_aborted, self.is_paused = b"", False, False
        self.blocks, self.link = list[bool](), Link()
        self.link.tell = self.blocks.append

    def write(self, data: Any) -> None:
        self.written += data

    def abort(self) -> None:
        self.is_aborted = True

    def is_closing(self) -> bool:
        return self.is_aborted

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self.protocol

    def pause_reading(self) -> None:
        self.is_paused = True

    def resume_reading(self) -> None:
        self.is_paused = False


class Note:
    """A fast channel that notes messages and confirms; other methods it leaves to aiormq."""

    def __init__(self) -> None:
        self.assembler, self.decoder = Assembler(), Decoder()
        self.seen: list[Any] = []

    def frame(self, kind: int, payload: bytes) -> bool:
        content = None
        if kind == 1:
            name = payload[:4]
            if name in (b"\0\x3c\0\x50", b"\0\x3c\0\x78"):
                self.seen.append((name, *self.decoder.confirmed(payload)))
                return True
            if name != b"\0\x3c\0\x3c":
                return False
            self.assembler.begin(payload)
        elif kind == 2:
            content = self.assembler.header(payload)
        elif kind == 3:
            content = self.assembler.part(payload)
        if content is not None:
            self.seen.append(
                (self.decoder.deliver(content.method), self.decoder.properties(content.head), content.body)
            )
        return True

    def lost(self, cause: BaseException | None) -> None:
        self.seen.append(cause)

    def unblocked(self) -> None:
        self.seen.append("unblocked")


def unmarshalled(octets: bytes) -> list[Any]:
    """Return every frame in `octets`, as pamqp reads it."""
    found = []
    while octets:
        size, channel, one = pamqp_frame.unmarshal(octets)
        found.append((channel, one))
        octets = octets[size:]
    return found


def demux(loop: asyncio.AbstractEventLoop, limit: int = 10_000_000) -> tuple[Demux, asyncio.StreamReader, Wire]:
    reader, wire = Reader(limit=limit), Wire()
    made = Demux(reader, loop, wire.link)
    wire.set_protocol(made)
    made.connection_made(wire)
    made.agree(FRAME_MAX)
    return made, reader, wire


def feed(made: Demux, octets: bytes) -> None:
    """Have `made` read `octets`, as the loop does."""
    while octets:
        octets = octets[feed_once(made, octets) :]


def feed_once(made: Demux, octets: bytes) -> int:
    """Have `made` read as many of `octets` as it has room for; returns how many."""
    buffer = made.get_buffer(-1)
    count = min(len(buffer), len(octets))
    buffer[:count] = octets[:count]
    made.buffer_updated(count)
    return count


def delivery(tag: int, body: bytes, **properties: Any) -> bytes:
    method = Basic.Deliver(consumer_tag="c", delivery_tag=tag, redelivered=bool(tag % 2), exchange="x", routing_key="k")
    out = pamqp_frame.marshal(method, 3)
    out += pamqp_frame.marshal(ContentHeader(body_size=len(body), properties=Basic.Properties(**properties)), 3)
    room = FRAME_MAX - OVERHEAD
    for start in range(0, len(body), room):
        out += pamqp_frame.marshal(ContentBody(body[start : start + room]), 3)
    return out


@pytest.mark.parametrize("size", [0, 1, 255, 1_021, *range(FRAME_MAX - 10, FRAME_MAX - 5), 2 * FRAME_MAX, 100_000])
def test_pamqp_reads_a_publish_of_every_size(size: int) -> None:
    body, encoder = random.Random(size).randbytes(size), Encoder(7, FRAME_MAX)

    octets = encoder.publish("x", "a.b", body, encoder.properties("1"), mandatory=True)

    (method_channel, method), (_, header), *parts = unmarshalled(octets)
    assert 7 == method_channel
    assert ("x", "a.b", True) == (method.exchange, method.routing_key, method.mandatory)
    assert size == header.body_size
    assert body == b"".join(part.value for _, part in parts)
    assert all(0 < len(part.value) <= FRAME_MAX - OVERHEAD for _, part in parts)


@given(
    texts=st.fixed_dictionaries(
        dict.fromkeys(("correlation_id", "reply_to", "expiration", "user_id", "content_type"), TEXT)
    ),
    headers=st.dictionaries(st.text(min_size=1, max_size=20), TEXT, max_size=4),
)
def test_pamqp_reads_the_same_properties(texts: dict[str, str], headers: dict[str, str]) -> None:
    encoder = Encoder(1, FRAME_MAX)
    block = encoder.properties("12", headers=headers, **texts)

    (_, _), (_, header) = unmarshalled(encoder.publish("x", "k", b"", block, mandatory=False))

    read = header.properties
    assert {name: text or None for name, text in texts.items()} == {name: getattr(read, name) for name in texts}
    assert ("12", 1, headers) == (read.message_id, read.delivery_mode, read.headers or {})
    ours = Decoder().properties(block)
    assert (texts, headers) == ({name: getattr(ours, name) for name in texts}, ours.headers)


def test_properties_of_every_kind_are_skipped_or_read() -> None:
    import datetime

    given_properties = {
        "content_type": "application/xml",
        "content_encoding": "utf-8",
        "headers": {"a": {"b": [1, True, None, {"c": "d"}]}, "Verb": "get"},
        "delivery_mode": 2,
        "priority": 4,
        "correlation_id": "c",
        "reply_to": "r",
        "expiration": "1000",
        "message_id": "m",
        "timestamp": datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC),
        "message_type": "t",
        "user_id": "u",
        "app_id": "a",
    }

    (_, read, _) = through(delivery(1, b"x", **given_properties))

    assert given_properties["headers"] == read.headers
    assert ("application/xml", "c", "r", "1000", "m", "u") == (
        read.content_type,
        read.correlation_id,
        read.reply_to,
        read.expiration,
        read.message_id,
        read.user_id,
    )


def through(octets: bytes) -> Any:
    note = Note()
    while octets:
        kind, _, size = FRAME.unpack_from(octets)
        note.frame(kind, octets[7 : 7 + size])
        octets = octets[size + OVERHEAD :]
    return note.seen[0]


@pytest.mark.parametrize("cut", range(2, 40))
def test_a_cut_property_list_is_an_error_of_its_own(cut: int) -> None:
    block = Encoder(1, FRAME_MAX).properties("1", correlation_id="c" * 20, headers={"Verb": "get"}, user_id="u")

    with pytest.raises(ValueError, match="cut short|cannot be read"):
        Decoder().properties(block[: min(cut, len(block) - 1)])


def test_text_over_255_octets_is_refused() -> None:
    encoder = Encoder(1, FRAME_MAX)

    with pytest.raises(ValueError, match="255"):
        encoder.properties("1", correlation_id="é" * 128)
    with pytest.raises(ValueError, match="255"):
        encoder.publish("x", "k" * 256, b"", b"", mandatory=True)
    with pytest.raises(ValueError, match="no room"):
        encoder.publish("x", "k", b"", bytes(FRAME_MAX), mandatory=True)


async def test_any_chunking_gives_the_same_messages_and_leaves_the_rest_to_aiormq() -> None:
    chance = random.Random(62746)
    stream, plain, messages = b"", b"", list[Any]()
    for tag in range(1, 121):
        body = chance.randbytes(chance.choice((0, 1, 700, FRAME_MAX - OVERHEAD, FRAME_MAX, 3 * FRAME_MAX)))
        stream += delivery(tag, body, correlation_id=f"c{tag}", headers={"Noun": "n" * (tag % 9)})
        messages.append((tag, body))
        if tag % 3 == 0:
            stream += pamqp_frame.marshal(Basic.Ack(delivery_tag=tag, multiple=tag % 2 == 0), 3)
        for channel, other in (
            (3, Basic.CancelOk(consumer_tag="c")),
            (0, Heartbeat()),
            (9, Basic.Ack(delivery_tag=tag)),
        ):
            octets = pamqp_frame.marshal(other, channel)
            stream, plain = stream + octets, plain + octets
    whole = await _split(stream, [stream])
    assert messages == [(one[0].tag, one[2]) for one in whole[0] if len(one) == 3 and not isinstance(one[0], bytes)]
    assert plain == whole[1]

    for _ in range(60):
        chunks, at = list[bytes](), 0
        most = chance.choice((3, 50, 5_000, 100_000))
        while at < len(stream):
            step = chance.randint(1, most)
            chunks.append(stream[at : at + step])
            at += step
        assert whole == await _split(stream, chunks)


async def _split(stream: bytes, chunks: list[bytes]) -> tuple[list[Any], bytes]:
    made, reader, wire = demux(asyncio.get_running_loop())
    note = Note()
    made.channels[3] = note
    made._fed = float("inf")  # no heartbeat of ours among them
    for chunk in chunks:
        feed(made, chunk)
    assert not wire.is_aborted
    reader.feed_eof()
    return note.seen, await reader.read()


@pytest.mark.parametrize(
    ("octets", "why"),
    [
        (b"\x01\x00\x03\x00\x00\x00\x04\x00\x3c\x00\x50\xcd", "ends in 0xcd"),
        (FRAME.pack(3, 3, FRAME_MAX - OVERHEAD + 1), "agreed on"),
        (FRAME.pack(3, 3, 1) + b"x\xce", "none was expected"),
        (FRAME.pack(2, 3, 14) + bytes(14) + b"\xce", "none was expected"),
        (delivery(1, b"")[: len(delivery(1, b"")) // 2] + b"", ""),
        (pamqp_frame.marshal(Basic.Deliver("c", 1, False, "x", "k"), 3) * 2, "content of another"),
        (b"\x01\x00\x03\x00\x00\x00\x05\x00\x3c\x00\x50\x01\xce", "confirm cannot be read"),
    ],
)
async def test_what_is_no_frame_aborts_the_connection(octets: bytes, why: str) -> None:
    made, reader, wire = demux(asyncio.get_running_loop())
    note = made.channels[3] = Note()

    feed(made, octets)

    assert bool(why) == wire.is_aborted
    if why:
        feed(made, pamqp_frame.marshal(Heartbeat(), 0))  # nothing after it is read
        made.connection_lost(None)
        assert why in str(note.seen[-1])
        with pytest.raises(ConnectionAbortedError, match=why):
            await reader.readexactly(1)


def test_bodies_of_returns_are_not_kept() -> None:
    assembler = Assembler(keeps_bodies=False)
    assembler.begin(b"method")

    assembler.header(b"\0\x3c\0\0" + (18).to_bytes(8, "big") + b"\0\0")
    parts = [assembler.part(bytes(6)) for _ in range(3)]

    assert [None, None] == parts[:2]
    assert isinstance(parts[2], Content)
    assert b"" == parts[2].body
    assert not assembler.is_amid


async def test_blocked_is_seen_and_still_told_to_aiormq() -> None:
    made, reader, wire = demux(asyncio.get_running_loop())
    note = made.channels[3] = Note()
    blocked = pamqp_frame.marshal(Connection.Blocked(reason="low on memory"), 0)
    unblocked = pamqp_frame.marshal(Connection.Unblocked(), 0)

    feed(made, blocked)
    was_blocked = made.wire.is_blocked
    feed(made, unblocked)

    assert (True, False) == (was_blocked, made.wire.is_blocked)
    assert ["unblocked"] == note.seen
    assert [True, False] == wire.blocks
    assert blocked + unblocked == await reader.readexactly(len(blocked + unblocked))


async def test_frames_of_fast_channels_only_are_told_to_aiormq_as_a_heartbeat() -> None:
    made, reader, _ = demux(asyncio.get_running_loop())
    made.channels[3] = Note()
    made._fed = asyncio.get_running_loop().time() - 2.0

    for tag in range(3):
        feed(made, pamqp_frame.marshal(Basic.Ack(delivery_tag=tag), 3))

    reader.feed_eof()
    assert pamqp_frame.marshal(Heartbeat(), 0) == await reader.read()


async def test_the_buffer_is_as_large_as_the_frame_that_is_awaited_and_no_longer() -> None:
    made, _, _ = demux(asyncio.get_running_loop())
    made.agree(131_072)
    note = made.channels[3] = Note()
    body = bytes(100_000)
    header = ContentHeader(body_size=len(body), properties=Basic.Properties())
    frames: list[Any] = [Basic.Deliver("c", 1, False, "x", "k"), header, ContentBody(body)]
    octets, sizes = b"".join(pamqp_frame.marshal(one, 3) for one in frames), list[int]()

    for at in range(0, len(octets), 1_000):
        feed(made, octets[at : at + 1_000])
        sizes.append(len(made._buffer))

    assert (1, body) == (note.seen[-1][0].tag, note.seen[-1][2])
    assert [len(body) + OVERHEAD, FIRST_BUFFER] == [size for size, _ in groupby(sizes)]


async def test_the_buffer_grows_while_reads_fill_it_up_to_a_bound() -> None:
    made, _, _ = demux(asyncio.get_running_loop())
    note = made.channels[3] = Note()
    octets, sizes = b"".join(delivery(tag, bytes(1_000)) for tag in range(1, 301)), list[int]()

    while octets:
        sizes.append(len(made._buffer))
        octets = octets[feed_once(made, octets) :]

    assert list(range(1, 301)) == [one[0].tag for one in note.seen]
    assert [size for size, _ in groupby(sizes)] == [FIRST_BUFFER << doubled for doubled in range(5)]
    assert MOST_BUFFER == sizes[-1]


async def test_no_peer_can_have_a_frame_awaited_that_is_larger_than_ours_may_be() -> None:
    made, _, wire = demux(asyncio.get_running_loop())
    made.agree(0xFFFF_FFFF)

    feed(made, FRAME.pack(3, 3, MOST_FRAME - OVERHEAD))
    assert MOST_FRAME == len(made._buffer)
    assert not wire.is_aborted

    made, _, wire = demux(asyncio.get_running_loop())
    made.agree(0xFFFF_FFFF)
    feed(made, FRAME.pack(3, 3, MOST_FRAME - OVERHEAD + 1))
    assert wire.is_aborted
    assert FIRST_BUFFER == len(made._buffer)


async def test_there_is_room_to_read_behind_a_bad_frame_too() -> None:
    made, _, wire = demux(asyncio.get_running_loop())

    feed(made, FRAME.pack(3, 3, FIRST_BUFFER - OVERHEAD) + bytes(FIRST_BUFFER - FRAME.size))

    assert wire.is_aborted
    assert len(made.get_buffer(-1))


async def test_a_protocol_header_goes_to_aiormq_as_it_is() -> None:
    made, reader, wire = demux(asyncio.get_running_loop())

    feed(made, b"A")
    feed(made, b"MQP\0\0\x09\x01")

    assert b"AMQP\0\0\x09\x01" == await reader.readexactly(8)
    assert not wire.is_aborted


async def test_who_reads_again_does_not_read_for_the_other() -> None:
    made, reader, wire = demux(asyncio.get_running_loop(), limit=20)
    many = 10 * pamqp_frame.marshal(ContentBody(b"1"), 7)

    feed(made, many)
    assert wire.is_paused  # by aiormq's reader, which has more than it wants
    made.hold("a fast channel")
    made.release("a fast channel")
    assert wire.is_paused

    made.hold("a fast channel")
    await reader.readexactly(len(many))
    assert wire.is_paused
    made.release("a fast channel")
    assert not wire.is_paused

    feed(made, many)
    assert wire.is_paused
    await reader.readexactly(len(many))
    assert not wire.is_paused


def test_tables_that_are_kept_are_bounded() -> None:
    encoder, decoder = Encoder(1, FRAME_MAX), Decoder()
    for number in range(3_000):
        block = encoder.properties("1", headers={"Noun": f"n{number}"})
        decoder.properties(block)
        assert decoder.is_usual(block)
        encoder.publish("x", f"k{number}", b"", block, mandatory=True)

    kept = encoder._routes, encoder._constants, decoder._tables, decoder._usual_tables
    assert max(len(one) for one in kept) <= 1_024


def test_a_confirm_that_is_cut_is_a_bad_frame() -> None:
    with pytest.raises(BadFrame):
        Decoder().confirmed(b"\0\x3c\0\x50\0")


@given(
    st.sampled_from(["application/xml", "text/plain", ""]),
    st.text(max_size=30),
    st.lists(st.tuples(st.integers(0, 200), st.integers(0, 255)), max_size=2),
    st.integers(0, 20),
)
def test_what_is_usual_can_be_read_by_pamqp(kind: str, text: str, spoilt: list[tuple[int, int]], cut: int) -> None:
    block = bytearray(
        Encoder(1, FRAME_MAX).properties(
            "1", content_type=kind, correlation_id=text, user_id="a", headers={"Verb": "get", "Noun": "X"}
        )
    )
    for at, octet in spoilt:
        block[at % len(block)] = octet
    head = bytes(block[: len(block) - cut])
    is_usual = Decoder().is_usual(head)

    assert is_usual or spoilt or cut
    if is_usual:
        ContentHeader().unmarshal(b"\0\x3c" + bytes(10) + head)


@pytest.mark.parametrize(
    ("proposed", "agreed"), [(0, MOST_FRAME), (2**31, MOST_FRAME), (MOST_FRAME, MOST_FRAME), (131_072, 131_072)]
)
async def test_a_larger_frame_than_we_read_is_not_agreed_on(proposed: int, agreed: int) -> None:
    made, reader, _ = demux(asyncio.get_running_loop())
    feed(made, pamqp_frame.marshal(Connection.Tune(2_047, proposed, 60), 0))
    size = len(pamqp_frame.marshal(Connection.Tune(2_047, 1, 60), 0))

    ((_, tune),) = unmarshalled(await reader.readexactly(size))
    assert (2_047, agreed, 60) == (tune.channel_max, tune.frame_max, tune.heartbeat)


async def test_a_frame_that_takes_long_is_a_sign_of_life_all_the_while(monkeypatch: pytest.MonkeyPatch) -> None:
    made, reader, _ = demux(asyncio.get_running_loop())
    made.channels[3] = Note()
    now = 0.0
    monkeypatch.setattr(made, "_loop_time", lambda: now)
    octets = delivery(1, b"x" * 3_000)
    for start in range(0, len(octets), 100):
        now += 0.6
        feed(made, octets[start : start + 100])
    reader.feed_eof()

    assert [Heartbeat] * 15 == [type(one) for _, one in unmarshalled(await reader.read())]


@pytest.mark.parametrize("by_peer", [True, False])
async def test_only_what_the_peer_ended_was_ended_by_it(by_peer: bool) -> None:
    made, _, _ = demux(asyncio.get_running_loop())
    made.channels[3] = note = Note()
    if by_peer:
        made.eof_received()
    made.connection_lost(None)

    assert [ConnectionResetError if by_peer else type(None)] == [type(one) for one in note.seen]
