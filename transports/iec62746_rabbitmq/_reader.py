"""Keeps what nobody can decode from ending the plain lane's connection.

RabbitMQ carries properties and keys as they came; aiormq takes one that is no UTF-8, or a time beyond the calendar, for
a broken connection. From an inbox that is acked it would come again, and end the next session as well.
"""

import asyncio
from collections.abc import Callable

from pamqp.header import ContentHeader

from iec62746_rabbitmq._frames import DELIVER, HEADER, METHOD, Decoder

_FIXED = 12
"""Octets of a content header before the flags that say which properties follow."""


class TolerantReader(asyncio.StreamReader):
    """A reader of frames, as aiormq reads them: one octet, six more, the payload with its end."""

    def __init__(self, loop: asyncio.AbstractEventLoop, see: Callable[[bytes], None]) -> None:
        """Read in `loop`; `see` is given each method but deliveries."""
        super().__init__(loop=loop)
        self._see = see

    _kind = 0
    _head = b""
    # Nobody decodes twice what is as our own peers send it.
    _decoder = Decoder()

    async def readexactly(self, n: int) -> bytes:
        """Return the next `n` octets; in those of a payload, what cannot be decoded is blotted out."""
        data = await super().readexactly(n)
        if n == 1 and not self._head:
            self._head = data
        elif n == 6 and len(self._head) == 1:
            self._kind, self._head = self._head[0], self._head + data
        else:
            self._head = b""
            if self._kind == HEADER:
                return data if self._decoder.is_usual(data[_FIXED:-1]) else _readable_header(data)
            if self._kind == METHOD and data.startswith(DELIVER):
                return _readable_delivery(data)
            if self._kind == METHOD:
                self._see(data[:-1])
        return data


def _readable_header(payload: bytes) -> bytes:
    """Return a content header whose properties can be decoded, or one that has none."""
    try:
        ContentHeader().unmarshal(payload[:-1])
    except Exception:  # whatever a hostile table makes of pamqp
        return payload[:_FIXED] + b"\0\0" + payload[_FIXED + 2 :]
    return payload


def _readable_delivery(payload: bytes) -> bytes:
    """Return a Basic.Deliver whose exchange and key are UTF-8: `?` stands for what is not."""
    names = 4 + 1 + payload[4] + 8 + 1  # method, consumer tag, delivery tag, redelivered
    try:
        payload[names:-1].decode()
    except UnicodeDecodeError:
        end = names + 1 + payload[names]  # of the exchange
        key = bytes(octet if octet < 0x80 else 0x3F for octet in payload[end + 1 : -1])
        return payload[: end + 1] + key + payload[-1:]
    return payload
