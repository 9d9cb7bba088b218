"""Every error of the framework.

Iec62746Error
├── LocalError                nothing was sent: our caller's fault
│   ├── DomainError           the domain file: which file, key and line
│   ├── UnknownTransport      no installed transport has that URL scheme
│   ├── UnknownProfile        no installed payload profile has that name or namespace
│   ├── InvalidSchema         a schema cannot be used: which file and line
│   ├── NoExample             no valid example was made of a schema
│   ├── MissingCapability     the transport lacks what the domain demands
│   ├── InvalidMessage        it could not be written as a valid envelope
│   ├── InvalidAddress        no such party or node, or not a legal name
│   ├── TooLarge              over a named limit
│   └── Closed                used before it was open, or after it was closed
├── RemoteError               the peer's fault; knows the reply code to send back
│   ├── EnvelopeError         the bytes are no legal envelope: by which rule, where
│   ├── Refused               raised by a handler, or for it: a Reply FAILED
│   └── RequestFailed         the peer answered FAILED: carries its Reply
└── TransportError            the wire's fault; says what may have happened to the message
    ├── Unreachable           no connection
    ├── AuthenticationFailed  the credentials are wrong
    ├── PermissionDenied      the communication server refuses
    ├── NoReceiver            nobody is there to take it
    ├── Overloaded            refused for now: full
    ├── Expired               its Deadline passed before it could be sent
    ├── SessionLost           the connection broke
    ├── Superseded            a newer session of the same account is live
    └── NoReply               no answer in time
"""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from iec62746.message import Message


class Outcome(StrEnum):
    """What may have happened to a message that could not be sent."""

    NOT_SENT = "not sent"
    REFUSED = "refused"
    UNKNOWN = "unknown"


class Rule(StrEnum):
    """What is wrong with a document: the name of a finding, or of an `EnvelopeError`."""

    NOT_XML = "not-xml"
    TRUNCATED = "truncated"
    ENCODING = "encoding"
    DTD = "dtd"
    ENTITY = "entity"
    EXTERNAL = "external"
    TOO_LONG = "too-long"
    TOO_DEEP = "too-deep"
    ATTRIBUTES = "attributes"
    QNAME = "qname"
    INFLATED = "inflated"
    NO_ENVELOPE = "no-envelope"
    EDITION = "edition"
    NAMESPACE = "namespace"
    VERB = "verb"
    VERB_CASE = "verb-case"
    RESULT = "result"
    VALUE = "value"
    ATTRIBUTE = "attribute"
    UNQUALIFIED = "unqualified"
    MISSING_ELEMENT = "missing-element"
    REPEATED_ELEMENT = "repeated-element"
    ELEMENT_ORDER = "element-order"
    VENDOR_ELEMENT = "vendor-element"
    PAYLOAD_NAMESPACE = "payload-namespace"
    PAYLOAD_CHOICE = "payload-choice"
    COMPRESSED = "compressed"
    UUID = "uuid"
    NAIVE_TIME = "naive-time"
    SCHEMA = "schema"
    PAYLOAD = "payload"


class Iec62746Error(Exception):
    """The root of the tree; each can be copied and pickled, whatever its constructor takes."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Say how to make an equal one."""
        return _restored, (type(self), self.args, self.__dict__)


def _restored(kind: type[Iec62746Error], arguments: tuple[Any, ...], state: dict[str, Any]) -> Iec62746Error:
    error: Iec62746Error = kind.__new__(kind, *arguments)
    error.__dict__.update(state)
    return error


class LocalError(Iec62746Error):
    """Our caller's fault: nothing was sent."""


class DomainError(LocalError):
    """The domain file is wrong: in which file, at which dotted key, on which line."""

    def __init__(self, reason: str, *, file: str = "", key: str = "", line: int = 0) -> None:
        """Say `reason`, and where."""
        place = ":".join(part for part in (file, str(line) if line else "") if part)
        super().__init__(": ".join(part for part in (place, key, reason) if part))
        self.reason, self.file, self.key, self.line = reason, file, key, line


class UnknownTransport(LocalError):
    """No installed transport has the URL's scheme."""


class UnknownProfile(LocalError):
    """No installed payload profile is asked for by that name or namespace, or it cannot be used."""


class InvalidSchema(LocalError):
    """A schema cannot be used: which file, on which line."""

    def __init__(self, reason: str, *, file: Path, line: int = 0) -> None:
        """Say `reason`, and where."""
        super().__init__(f"{file}:{line}: {reason}" if line else f"{file}: {reason}")
        self.reason, self.file, self.line = reason, file, line


class NoExample(LocalError):
    """No valid example was made of a schema: what is in the way, and what to do."""


class MissingCapability(LocalError):
    """The transport lacks what the domain demands: the message lists it."""


class InvalidMessage(LocalError):
    """The message could not be written as a valid envelope."""


class InvalidAddress(LocalError):
    """No such party or node, or not a legal name."""


class TooLarge(LocalError):
    """The message is over a named limit."""


class Closed(LocalError):
    """Used before it was open, or after it was closed."""


class RemoteError(Iec62746Error):
    """The peer's fault; `reply_code` is what to send back."""

    reply_code: str = "1.8"


class EnvelopeError(RemoteError):
    """The bytes are no legal envelope: by which rule, on which line, at which element."""

    def __init__(self, rule: Rule, reason: str, *, line: int = 0, path: str = "", reply_code: str = "1.8") -> None:
        """Say `reason`, and where."""
        place = ", ".join(part for part in (f"line {line}" if line else "", path) if part)
        super().__init__(f"{rule.value}: {reason}" + (f" ({place})" if place else ""))
        self.rule, self.reason, self.line, self.path, self.reply_code = rule, reason, line, path, reply_code


class Refused(RemoteError):
    """Raised by a handler: the request is answered FAILED with this Reply/Error/code and reason."""

    def __init__(self, code: str, reason: str = "") -> None:
        """Answer `code`, such as "6.1", and say why in `reason`; raises `InvalidMessage` without a code."""
        if not (isinstance(code, str) and code and isinstance(reason, str)):
            raise InvalidMessage(f'Refused({code!r}, {reason!r}): give a code such as "6.1", and a reason, as text')
        super().__init__(f"{code} {reason}".strip())
        self.reply_code, self.reason = code, reason


class RequestFailed(RemoteError):
    """The peer answered FAILED; `reply` is its message."""

    def __init__(self, reply: "Message") -> None:
        """Carry the peer's ResponseMessage or FaultMessage."""
        errors = reply.reply.errors if reply.reply else ()
        super().__init__("; ".join(f"{error.code} {error.reason or ''}".strip() for error in errors) or "FAILED")
        self.reply = reply
        self.reply_code = errors[0].code if errors else "5.3"


class TransportError(Iec62746Error):
    """The wire's fault; `outcome` says what may have happened, `is_retryable` whether trying again can help."""

    outcome: Outcome = Outcome.UNKNOWN
    is_retryable: bool = False

    def __init__(self, reason: str = "", *, outcome: Outcome | None = None) -> None:
        """Say `reason`; `outcome` where it differs from the class's own."""
        super().__init__(reason)
        if outcome is not None:
            self.outcome = outcome


class Unreachable(TransportError):
    """There is no connection to the communication server."""

    outcome, is_retryable = Outcome.NOT_SENT, True


class AuthenticationFailed(TransportError):
    """The communication server does not accept the credentials."""

    outcome = Outcome.NOT_SENT


class PermissionDenied(TransportError):
    """The communication server does not allow this account to do that."""

    outcome = Outcome.REFUSED


class NoReceiver(TransportError):
    """Nobody is there to take it: the party is absent."""

    outcome = Outcome.REFUSED


class Overloaded(TransportError):
    """Refused for now: a bounded queue is full."""

    outcome, is_retryable = Outcome.REFUSED, True


class Expired(TransportError):
    """The Deadline passed before it could be sent (62746-3, 5.1: no store and forward)."""

    outcome = Outcome.NOT_SENT


class SessionLost(TransportError):
    """The connection broke while the message was under way."""

    outcome, is_retryable = Outcome.UNKNOWN, True


class Superseded(TransportError):
    """A newer session of the same account is live; this one ended and does not come back."""

    outcome = Outcome.NOT_SENT


class NoReply(TransportError):
    """No answer came in time: the request may or may not have been executed."""

    outcome = Outcome.UNKNOWN
