"""What is in Compressed: base64 of gzip of the payload's element."""

import base64
import zlib
from binascii import Error as Base64Error
from collections.abc import Iterator

from iec62746 import _tree
from iec62746._items import element
from iec62746._parser import skim
from iec62746.errors import EnvelopeError, InvalidMessage, Rule
from iec62746.limits import Limits
from iec62746.message import NAMESPACE, Payload

_DEFAULT = Limits()
_GZIP = 31
_CHUNK = 65_536


def deflate(value: Payload) -> Payload:
    """Return `value` with its one element in Compressed: base64 of gzip."""
    packer = zlib.compressobj(9, zlib.DEFLATED, _GZIP)
    data = packer.compress(value.xml) + packer.flush()
    return Payload(compressed=base64.b64encode(data).decode(), format=value.format)


def inflate(value: Payload, limits: Limits = _DEFAULT) -> Payload:
    """Return `value` with what is in Compressed as its element, or `value` itself if there is no Compressed.

    Raises `EnvelopeError` if that would be over `limits.inflated` octets, `InvalidMessage` if it is no gzip of one
    element.
    """
    if value.compressed is None:
        return value
    return Payload(items=(element(b"".join(_chunks(value.compressed, limits.inflated))),), format=value.format)


def check(text: str, limits: Limits) -> None:
    """Raise what `inflate` would raise for the Compressed `text`, without ever holding what comes out of it."""
    try:
        root = skim(_chunks(text, limits.inflated))
    except EnvelopeError as exc:
        if exc.rule is Rule.INFLATED:
            raise
        raise InvalidMessage(f"Compressed holds no XML: {exc.reason}") from None
    if _tree.split(root.tag)[0] in ("", NAMESPACE):
        raise InvalidMessage(f"Compressed holds <{_tree.local(root)}>, which has no namespace of its own")


def _chunks(text: str, most: int) -> Iterator[bytes]:
    """Yield what comes out of the Compressed `text`, in pieces."""
    try:
        data = base64.b64decode("".join(text.split()), validate=True)
        yield from _gunzip(data, most)
    except (Base64Error, ValueError, zlib.error) as exc:
        raise InvalidMessage(f"Compressed is not base64 of gzip: {exc}") from None


def _gunzip(data: bytes, most: int) -> Iterator[bytes]:
    if not data:
        raise ValueError("it is empty")
    while data:
        member = zlib.decompressobj(_GZIP)
        while not member.eof:
            chunk = member.decompress(data, _CHUNK)
            data = member.unconsumed_tail
            most -= len(chunk)
            if most < 0:
                raise EnvelopeError(Rule.INFLATED, "Compressed holds more octets than the limit", reply_code="3.1")
            if not chunk and not member.eof:
                raise ValueError("it is cut off")
            yield chunk
        data = member.unused_data
