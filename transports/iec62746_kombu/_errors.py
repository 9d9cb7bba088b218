"""What kombu and the libraries below it raise, as errors of ours: the one place where that is decided."""

import amqp  # type: ignore[import-untyped]  # it has no types

from iec62746 import AuthenticationFailed, Outcome, PermissionDenied, SessionLost, TransportError, Unreachable

# Every transport of kombu's raises what its own library has; these are told apart by name, since a library that is
# not in use need not be installed.
_NOT_LET_IN = frozenset({"AuthenticationError", "AuthenticationWrongNumberOfArgsError", "NoPermissionError"})
_REFUSALS = ("NOAUTH", "WRONGPASS", "invalid username-password", "NOPERM")


class Removed(Exception):
    """The session's lease is gone: the others took it for dead, or the communication server lost what it had."""


def opening(exc: Exception, where: str) -> TransportError:
    """Return why no connection to `where` was opened."""
    if isinstance(exc, amqp.NotAllowed):
        return PermissionDenied(f"{where} does not let this account into that vhost, or has none of that name")
    if isinstance(exc, amqp.AccessRefused) or _is_refusal(exc):
        return AuthenticationFailed(f"{where} does not accept this account and password")
    return Unreachable(f"{where} cannot be reached: {_told(exc)}")


def _is_refusal(exc: Exception) -> bool:
    return type(exc).__name__ in _NOT_LET_IN or any(text in str(exc) for text in _REFUSALS)


def lost(exc: Exception) -> SessionLost:
    """Return how the session ended."""
    error = SessionLost(f"the connection broke: {_told(exc)}")
    error.__cause__ = exc
    return error


def unsettled(exc: Exception, *, is_alone: bool) -> TransportError:
    """Return what became of a message that was on its way when its connection ended.

    A channel error does not say which message it is about; only who `is_alone` knows.
    """
    outcome = Outcome.REFUSED if is_alone else Outcome.UNKNOWN
    if isinstance(exc, amqp.AccessRefused):
        return PermissionDenied("the communication server does not allow this account to send it", outcome=outcome)
    if isinstance(exc, amqp.NotFound):
        return Unreachable(f"it was not taken: {_told(exc)}", outcome=outcome)
    return lost(exc)


def refused(exc: Exception, what: str) -> TransportError:
    """Return why the broker did not do `what`."""
    if isinstance(exc, amqp.AccessRefused) or _is_refusal(exc):
        return PermissionDenied(f"the communication server does not allow this account to {what}")
    return lost(exc)


def _told(exc: Exception) -> str:
    return f"{type(exc).__name__}: {exc}" if str(exc) else type(exc).__name__
