"""How the conformance kit and its party processes write the values of the SPI in JSON."""

import base64
import zlib
from collections.abc import Callable
from typing import Any

from iec62746 import errors
from iec62746.address import Address, Inbox, Node, Presence
from iec62746.errors import Iec62746Error, Outcome, TransportError
from iec62746.transport import Delivery, Outgoing, Proof, ReplyTo

_KINDS: dict[str, Callable[..., Address]] = {"inbox": Inbox, "node": Node, "presence": Presence}
_SHORT = 4096


class Foreign(Exception):
    """An adapter raised something that is not of our tree of errors, or a bare cancellation."""


class Unwritten(Foreign):
    """An adapter raised NotImplementedError: it is not finished, and says what is missing."""


def target(to: Address | ReplyTo) -> list[Any]:
    """Return an address, or the handle of a reply address, for JSON."""
    if isinstance(to, ReplyTo):
        return ["reply", to.token]
    return [type(to).__name__.lower(), to.name if isinstance(to, Node) else to.party]


def address(written: list[Any]) -> Address:
    """Return what `target` wrote of an address."""
    return _KINDS[written[0]](written[1])


def body(octets: bytes) -> list[str]:
    """Return a body for JSON; a long one compressed, since the kit's own are of a pattern."""
    kind, data = ("z", zlib.compress(octets, 1)) if len(octets) > _SHORT else ("p", octets)
    return [kind, base64.b64encode(data).decode()]


def octets(written: list[str]) -> bytes:
    """Return what `body` wrote."""
    data = base64.b64decode(written[1])
    return zlib.decompress(data) if written[0] == "z" else data


def outgoing(message: Outgoing) -> dict[str, Any]:
    """Return a message for JSON."""
    return {
        "body": body(message.body),
        "expires": message.expires,
        "correlation_id": message.correlation_id,
        "expects_reply": message.expects_reply,
        "headers": dict(message.headers),
    }


def message(written: dict[str, Any]) -> Outgoing:
    """Return what `outgoing` wrote."""
    return Outgoing(**{**written, "body": octets(written["body"])})


def delivery(got: Delivery, reply: str | None) -> dict[str, Any]:
    """Return a delivery for JSON; `reply` is the handle of its reply address."""
    return {
        "body": body(got.body),
        "address": target(got.address),
        "sender": got.sender,
        "proof": int(got.proof),
        "reply_to": reply,
        "correlation_id": got.correlation_id,
        "redelivered": got.redelivered,
    }


def delivered(written: dict[str, Any]) -> Delivery:
    """Return what `delivery` wrote."""
    reply = written["reply_to"]
    return Delivery(
        body=octets(written["body"]),
        address=address(written["address"]),
        sender=written["sender"],
        proof=Proof(written["proof"]),
        reply_to=None if reply is None else ReplyTo(reply),
        correlation_id=written["correlation_id"],
        redelivered=written["redelivered"],
    )


def error(exc: BaseException) -> dict[str, Any]:
    """Return an exception for JSON; of one that comes of NotImplementedError, that."""
    exc = _unwritten(exc) or exc
    out: dict[str, Any] = {"error": type(exc).__name__, "text": str(exc), "ours": isinstance(exc, Iec62746Error)}
    if isinstance(exc, TransportError):
        out["outcome"], out["is_retryable"] = exc.outcome.value, exc.is_retryable
    return out


def _unwritten(exc: BaseException) -> NotImplementedError | None:
    if isinstance(exc, NotImplementedError):
        return exc
    causes = [*(exc.exceptions if isinstance(exc, BaseExceptionGroup) else ()), exc.__cause__]
    return next((found for cause in causes if cause and (found := _unwritten(cause))), None)


def raised(written: dict[str, Any]) -> Iec62746Error | Foreign:
    """Return what `error` wrote."""
    if written["error"] == "NotImplementedError":
        return Unwritten(written["text"])
    kind = getattr(errors, written["error"], None) if written["ours"] else None
    if not (isinstance(kind, type) and issubclass(kind, Iec62746Error)):
        return Foreign(f"{written['error']}: {written['text']}")
    made = kind.__new__(kind)
    made.args = (written["text"],)
    if isinstance(made, TransportError):
        made.outcome, made.is_retryable = Outcome(written["outcome"]), written["is_retryable"]
    return made
