"""What aiormq and the broker raise, as errors of ours: the one place where that is decided."""

import asyncio
import ssl
from collections.abc import Iterator
from contextlib import contextmanager

from aiormq.exceptions import (
    AMQPChannelError,
    AMQPError,
    AuthenticationError,
    ChannelAccessRefused,
    ChannelInvalidStateError,
    ChannelLockedResource,
    ChannelNotFoundEntity,
    ChannelPreconditionFailed,
    ConnectionClosed,
    ConnectionNotAllowed,
    InvalidFrameError,
    ProbableAuthenticationError,
)

from iec62746 import (
    AuthenticationFailed,
    Outcome,
    PermissionDenied,
    SessionLost,
    TooLarge,
    TransportError,
    Unreachable,
)

NOT_ALLOWED = 530
"""The reply code for a vhost that is not there, or not for this account; and for a limit that is reached."""
LIBRARY = (AMQPError, ChannelInvalidStateError, OSError, RuntimeError, EOFError)
"""What aiormq raises when the wire fails; a RuntimeError says that connection or channel are closed."""


def opening(exc: BaseException, where: str, vhost: str, closed: tuple[int, str] | None = None) -> TransportError:
    """Return why no connection to `where` was opened; `closed` has code and text by which the broker closed it."""
    cause = exc.__cause__ or exc
    if isinstance(exc, ProbableAuthenticationError):
        return AuthenticationFailed(f"{where} does not accept this account and password")
    if isinstance(exc, AuthenticationError):
        return AuthenticationFailed(f"{where} does not offer what we log in by: a password (PLAIN), or a certificate")
    # 3.10 and 4.x answer Connection.Open with Connection.Close, which aiormq did not expect there.
    if isinstance(exc, ConnectionNotAllowed | InvalidFrameError):
        code, text = closed or (0, _told(exc))
        if (
            code != NOT_ALLOWED or "connection limit" in text
        ):  # a limit of connections, a vhost that is down, a broker that stops
            return Unreachable(f"{where} closes the connection: {text}")
        return PermissionDenied(
            f"{where} does not let this account into vhost {vhost!r}, or has none of that name: "
            "provision the domain, or try it with ?declare=true"
        )
    if isinstance(cause, ssl.SSLError) or isinstance(exc, ssl.SSLError):
        return Unreachable(f"{where}: no TLS: {_told(cause)}")
    if isinstance(exc, ConnectionClosed) and "certificate" in str(exc).lower():
        return AuthenticationFailed(f"{where} does not accept the certificate")
    return Unreachable(f"{where} cannot be reached: {_told(exc)}")


def lost(exc: BaseException | None, what: str) -> SessionLost:
    """Return how `what`, a connection or a channel, ended."""
    if exc is None or isinstance(exc, asyncio.CancelledError):
        # aiormq ends a connection on which nothing was heard for three heartbeats by a bare CancelledError.
        error = SessionLost(f"{what} broke: nothing was heard for three heartbeats, or it was closed")
    else:
        error = SessionLost(f"{what} broke: {_told(exc)}")
    error.__cause__ = exc
    return error


def refused(exc: BaseException, what: str) -> TransportError:
    """Return why the broker did not do `what`, a command on a channel."""
    if isinstance(exc, ChannelAccessRefused):
        return PermissionDenied(f"the communication server does not allow this account to {what}")
    if isinstance(exc, ChannelNotFoundEntity):
        return Unreachable(f"cannot {what}: there is no such exchange or queue: provision the domain, or ?declare=true")
    if isinstance(exc, ChannelPreconditionFailed | ChannelLockedResource):
        return Unreachable(f"cannot {what}: it exists with other properties: {_told(exc)}")
    if isinstance(exc, TimeoutError):
        return Unreachable(f"cannot {what}: the communication server does not answer")
    return lost(exc, "the connection")


def unsettled(exc: BaseException, *, is_alone: bool) -> TransportError | TooLarge:
    """Return what became of a message that was on its way when its channel ended.

    A channel error does not say which message it is about; only who `is_alone` knows.
    """
    outcome = Outcome.REFUSED if is_alone else Outcome.UNKNOWN
    also = "" if is_alone else ", or one that was sent at the same time"
    if isinstance(exc, ChannelPreconditionFailed) and is_alone and "message size" in str(exc):
        return TooLarge(f"the communication server does not take it: {_told(exc)}")
    if isinstance(exc, ChannelAccessRefused | ChannelPreconditionFailed):
        reason = f"the communication server does not allow this account to send it{also}: {_told(exc)}"
        return PermissionDenied(reason, outcome=outcome)
    if isinstance(exc, ChannelNotFoundEntity):
        return Unreachable(f"the exchange is not there{also}: provision the domain, or ?declare=true", outcome=outcome)
    return lost(exc, "the channel" if isinstance(exc, AMQPChannelError) else "the connection")


@contextmanager
def not_cancelled() -> Iterator[None]:
    """Turn a `CancelledError` that nobody asked for, by which aiormq ends what hangs, into `SessionLost`."""
    try:
        yield
    except asyncio.CancelledError as exc:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        raise lost(exc, "the connection") from exc


def _told(exc: BaseException) -> str:
    text = str(exc) or repr(exc)
    return text if isinstance(exc, AMQPError) and text else f"{type(exc).__name__}: {text}"
