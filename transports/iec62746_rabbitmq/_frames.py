"""AMQP 0-9-1 frames of the fast lane, without any I/O: publishes and acks out; deliveries, confirms and returns in.

What is the same for many messages is marshalled by pamqp and kept; what differs is four short strings and lengths.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from pamqp.commands import Basic
from pamqp.decode import field_table as decoded_table
from pamqp.encode import field_table as encoded_table
from pamqp.frame import marshal

METHOD, HEADER, BODY, HEARTBEAT_KIND = 1, 2, 3, 8
FRAME_END = 0xCE
FRAME = struct.Struct(">BHI")
"""Kind, channel and size before each payload."""
OVERHEAD = FRAME.size + 1
HEARTBEAT = b"\x08\x00\x00\x00\x00\x00\x00\xce"

DELIVER, RETURN, ACK, NACK = b"\0\x3c\0\x3c", b"\0\x3c\0\x32", b"\0\x3c\0\x50", b"\0\x3c\0\x78"
CHANNEL_CLOSE = b"\0\x14\0\x28"
BLOCKED, UNBLOCKED = b"\0\x0a\0\x3c", b"\0\x0a\0\x3d"
TUNE, CONNECTION_CLOSE = b"\0\x0a\0\x1e", b"\0\x0a\0\x32"

KEPT = 1_024
"""Encoded routes and tables of headers that are kept for the next message."""
KEPT_TABLE = 512
"""Octets of the largest table of headers that is kept."""

_USUAL = 0xB790
"""The flags of content_type, headers, delivery_mode, correlation_id, reply_to, expiration, message_id, user_id."""
_END = b"\xce"
_HEADER = struct.Struct(">BHIHHQ")
_TAG = struct.Struct(">QB")
_ACK = struct.Struct(">BHI4sQBB")
_NO_HEADERS: Mapping[str, Any] = {}
_TEXTS = ((0, 0x0400), (1, 0x0200), (2, 0x0100), (3, 0x0080))
"""The flags of correlation_id, reply_to, expiration and message_id."""
_SHORTS = tuple(bytes((size,)) for size in range(256))


class BadFrame(ValueError):
    """The peer broke AMQP 0-9-1: nothing after it can be understood."""


class Encoder:
    """Publishes and acks of one channel."""

    def __init__(self, channel: int, frame_max: int) -> None:
        """Encode for `channel`, in frames of `frame_max` octets at most; 0 stands for no bound."""
        self._channel = channel
        self._room = frame_max - OVERHEAD if frame_max else 0xFFFF_FFFF
        self._routes: dict[tuple[str, str, bool], bytes] = {}
        self._constants: dict[tuple[str, tuple[tuple[str, str], ...]], tuple[int, bytes]] = {}

    def publish(self, exchange: str, key: str, body: bytes, block: bytes, *, mandatory: bool) -> bytes:
        """Return the frames of one message; `block` is its properties. Raises `ValueError` for what has no room."""
        route = self._routes.get((exchange, key, mandatory)) or self._route(exchange, key, mandatory)
        if len(block) + 12 > self._room:
            raise ValueError(f"properties of {len(block)} octets have no room in a frame of {self._room + OVERHEAD}")
        size = len(body)
        header = _HEADER.pack(HEADER, self._channel, 12 + len(block), 60, 0, size)
        if not size:  # an empty body has no frame: the broker closes the connection for one
            return b"".join((route, header, block, _END))
        if size <= self._room:
            return b"".join((route, header, block, _END, FRAME.pack(BODY, self._channel, size), body, _END))
        parts = [route, header, block, _END]
        for start in range(0, size, self._room):
            chunk = body[start : start + self._room]
            parts += (FRAME.pack(BODY, self._channel, len(chunk)), chunk, _END)
        return b"".join(parts)

    def _route(self, exchange: str, key: str, mandatory: bool) -> bytes:
        if len(key.encode()) > 255:  # pamqp would cut it short, and the message would go elsewhere
            raise ValueError(f"a routing key has 255 octets at most, this one {len(key.encode())}")
        if len(self._routes) >= KEPT:
            self._routes.clear()
        method = marshal(Basic.Publish(exchange=exchange, routing_key=key, mandatory=mandatory), self._channel)
        self._routes[exchange, key, mandatory] = method
        return method

    def ack(self, tag: int) -> bytes:
        """Return the ack of `tag` and of all before it."""
        return _ACK.pack(METHOD, self._channel, 13, ACK, tag, 1, FRAME_END)

    def properties(
        self,
        message_id: str,
        *,
        correlation_id: str = "",
        reply_to: str = "",
        expiration: str = "",
        user_id: str = "",
        content_type: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> bytes:
        """Return the property list of a transient message; what is empty is left out.

        Raises `ValueError` if a text has more than 255 octets.
        """
        flags, first = self._constant(content_type, tuple(headers.items()) if headers else ())
        parts = [b"", first]
        for text, flag in (
            (correlation_id, 0x0400),
            (reply_to, 0x0200),
            (expiration, 0x0100),
            (message_id, 0x0080),
            (user_id, 0x0010),
        ):
            if text:
                flags |= flag
                parts.append(_short(text))
        parts[0] = flags.to_bytes(2, "big")
        return b"".join(parts)

    def _constant(self, content_type: str, headers: tuple[tuple[str, str], ...]) -> tuple[int, bytes]:
        """Return content_type, headers and delivery_mode 1, which come first, and their flags."""
        kept = self._constants.get((content_type, headers))
        if kept is None:
            flags = 0x1000 | (0x8000 if content_type else 0) | (0x2000 if headers else 0)
            octets = _short(content_type) if content_type else b""
            kept = flags, octets + (encoded_table(dict(headers)) if headers else b"") + b"\x01"
            if len(self._constants) >= KEPT:
                self._constants.clear()
            self._constants[content_type, headers] = kept
        return kept


def _short(text: str) -> bytes:
    octets = text.encode()
    if len(octets) > 255:
        raise ValueError(f"a property has 255 octets at most, this one {len(octets)}")
    return _SHORTS[len(octets)] + octets


class Properties(NamedTuple):
    """What a message says about itself; "" stands for what it does not say."""

    content_type: str = ""
    headers: Mapping[str, Any] = {}
    correlation_id: str = ""
    reply_to: str = ""
    expiration: str = ""
    message_id: str = ""
    user_id: str = ""


UNREADABLE = Properties("unreadable")
"""Of a message whose property list cannot be read: no content type that anybody takes."""


@dataclass(slots=True)
class Content:
    """A message that is coming in: its method frame first, then its header, then its body."""

    method: bytes
    head: bytes = b""
    """The property list as it came."""
    left: int = -1
    """Octets of the body that have not come; -1: the header has not."""
    body: bytes = b""
    parts: list[bytes] | None = None


class Assembler:
    """Puts the content frames of one channel together."""

    def __init__(self, *, keeps_bodies: bool = True) -> None:
        """Expect a method that carries content."""
        self._keeps_bodies = keeps_bodies
        self._content: Content | None = None

    @property
    def is_amid(self) -> bool:
        """True if there is more to come of a message."""
        return self._content is not None

    def begin(self, method: bytes) -> None:
        """Take a method that carries content."""
        if self._content is not None:
            raise BadFrame("a method came where the content of another was expected")
        self._content = Content(method)

    def header(self, payload: bytes) -> Content | None:
        """Take a header; returns the message if its body is empty."""
        content = self._content
        if content is None or content.left >= 0 or len(payload) < 14:
            raise BadFrame("a content header came where none was expected")
        size = int.from_bytes(payload[4:12], "big")
        content.head, content.left = payload[12:], size
        return self._ended(content) if not size else None

    def part(self, payload: bytes) -> Content | None:
        """Take a part of a body; returns the message if it was the last."""
        content = self._content
        if content is None or not 0 < len(payload) <= content.left:
            raise BadFrame("a part of a body came where none was expected")
        content.left -= len(payload)
        if not self._keeps_bodies:
            return self._ended(content) if not content.left else None
        if content.parts is None:
            if not content.left:
                content.body = payload
                return self._ended(content)
            content.parts = []
        content.parts.append(payload)
        return self._ended(content) if not content.left else None

    def _ended(self, content: Content) -> Content:
        if content.parts is not None:
            content.body, content.parts = b"".join(content.parts), None
        self._content = None
        return content


class Delivered(NamedTuple):
    """What Basic.Deliver says."""

    tag: int
    redelivered: bool
    exchange: str
    key: str


class Decoder:
    """Deliveries, confirms and returns of one channel."""

    def __init__(self) -> None:
        """Know no table of headers yet."""
        self._tables: dict[bytes, Mapping[str, Any]] = {}
        self._routes: dict[bytes, tuple[str, str]] = {}
        self._usual_tables: set[bytes] = set()

    def deliver(self, method: bytes) -> Delivered:
        """Return what the payload of a Basic.Deliver says; raises `BadFrame`."""
        try:
            at = 5 + method[4]
            tag, redelivered = _TAG.unpack_from(method, at)
            route = method[at + 9 :]
            exchange, key = self._routes.get(route) or self._route(route)
        except (IndexError, struct.error) as exc:
            raise BadFrame(f"a Basic.Deliver cannot be read: {exc}") from exc
        return Delivered(tag, redelivered & 1 == 1, exchange, key)

    def _route(self, route: bytes) -> tuple[str, str]:
        """Return exchange and key, which are the same for all that one party sends to one address."""
        # A key that is no text would come again and again if it ended the connection: it belongs nowhere.
        exchange, at = _short_at(route, 0, "replace")
        key, _ = _short_at(route, at, "replace")
        if len(self._routes) >= KEPT:
            self._routes.clear()
        self._routes[route] = exchange, key
        return exchange, key

    def returned(self, method: bytes) -> tuple[int, str]:
        """Return code and text of a Basic.Return; raises `BadFrame`."""
        try:
            return int.from_bytes(method[4:6], "big"), _short_at(method, 6)[0]
        except (IndexError, UnicodeDecodeError) as exc:
            raise BadFrame(f"a Basic.Return cannot be read: {exc}") from exc

    def confirmed(self, method: bytes) -> tuple[int, bool]:
        """Return tag and multiple of a Basic.Ack or Basic.Nack; raises `BadFrame`."""
        try:
            tag, bits = _TAG.unpack_from(method, 4)
        except struct.error as exc:
            raise BadFrame(f"a confirm cannot be read: {exc}") from exc
        return tag, bool(bits & 1)

    def properties(self, head: bytes) -> Properties:
        """Return the property list `head`; raises `ValueError` if it cannot be read."""
        try:
            return self._properties(head)[0]
        except (IndexError, OverflowError, OSError, RecursionError, TypeError, struct.error) as exc:
            raise ValueError(f"a property list cannot be read: {type(exc).__name__}: {exc}") from exc

    def is_usual(self, head: bytes) -> bool:
        """Return whether all of `head` can be read, and holds nothing but what `Encoder.properties` writes."""
        flags = int.from_bytes(head[:2], "big")
        try:
            _, end = self._properties(head)
            is_whole = end == len(head) and not flags & ~_USUAL
            return is_whole and (not flags & 0x2000 or self._has_usual_table(head, flags))
        except Exception:  # whatever a hostile table makes of pamqp
            return False

    def _properties(self, head: bytes) -> tuple[Properties, int]:
        """Return what `head` says, and where that ends."""
        flags = head[0] << 8 | head[1]
        at, content_type, headers, found = 2, "", _NO_HEADERS, ["", "", "", "", ""]
        # No call for each text: there are six in most messages.
        if flags & 0x8000:
            end = at + 1 + head[at]
            content_type, at = head[at + 1 : end].decode(), end
        if flags & 0x4000:  # content_encoding
            at += 1 + head[at]
        if flags & 0x2000:
            size = 4 + int.from_bytes(head[at : at + 4], "big")
            headers = self._table(head[at : at + size], size)
            at += size
        at += (flags >> 12 & 1) + (flags >> 11 & 1)  # delivery_mode, priority
        for place, flag in _TEXTS:
            if flags & flag:
                end = at + 1 + head[at]
                found[place], at = head[at + 1 : end].decode(), end
        if flags & 0x0070:
            if flags & 0x0040:  # timestamp
                at += 8
            if flags & 0x0020:  # type
                at += 1 + head[at]
            if flags & 0x0010:
                end = at + 1 + head[at]
                found[4], at = head[at + 1 : end].decode(), end
        if at > len(head):
            raise IndexError("it is cut short")
        return Properties(content_type, headers, *found), at

    def _has_usual_table(self, head: bytes, flags: int) -> bool:
        """Return whether the table is as `Encoder` writes it: pamqp reads on behind one that is none."""
        at = 3 + head[2] if flags & 0x8000 else 2
        size = 4 + int.from_bytes(head[at : at + 4], "big")
        raw = head[at : at + size]
        if raw not in self._usual_tables:
            if size > KEPT_TABLE or encoded_table(dict(self._table(raw, size))) != raw:
                return False
            if len(self._usual_tables) >= KEPT:
                self._usual_tables.clear()
            self._usual_tables.add(raw)
        return True

    def _table(self, raw: bytes, size: int) -> Mapping[str, Any]:
        table = self._tables.get(raw)
        if table is None:
            if len(raw) != size:
                raise ValueError("the headers are cut short")
            table = decoded_table(raw)[1]
            if size <= KEPT_TABLE:
                if len(self._tables) >= KEPT:
                    self._tables.clear()
                self._tables[raw] = table
        return table


def _short_at(octets: bytes, at: int, errors: str = "strict") -> tuple[str, int]:
    end = at + 1 + octets[at]
    if end > len(octets):
        raise IndexError("a text is cut short")
    return octets[at + 1 : end].decode(errors=errors), end
