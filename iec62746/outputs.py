"""What the exchange asks for and reports: frozen values, one for each kind of thing."""

from dataclasses import dataclass
from enum import StrEnum

from iec62746.address import Address
from iec62746.errors import Iec62746Error
from iec62746.message import Message
from iec62746.transport import Outgoing, ReplyTo


class What(StrEnum):
    """The kinds of notice: what was dropped, refused, mended or worth knowing, and why."""

    UNPROVEN = "unproven"
    STRANGER = "stranger"
    TOO_LARGE = "too-large"
    UNREADABLE = "unreadable"
    FINDING = "finding"
    SOURCE_FILLED = "source-filled"
    SOURCE_DIFFERS = "source-differs"
    DESTINATION_FILLED = "destination-filled"
    DESTINATION_DIFFERS = "destination-differs"
    WRONG_KIND = "wrong-kind"
    WRONG_VERB = "wrong-verb"
    UNKNOWN_NOUN = "unknown-noun"
    EXPIRED = "expired"
    CLOCK_DIFFERS = "clock-differs"
    NO_MESSAGE_ID = "no-message-id"
    DUPLICATE = "duplicate"
    REUSED_ID = "reused-id"
    REDELIVERED = "redelivered"
    NOT_ALLOWED = "not-allowed"
    TOO_MANY_PENDING = "too-many-pending"
    NO_REPLY_ADDRESS = "no-reply-address"
    LATE_REPLY = "late-reply"
    WRONG_REPLIER = "wrong-replier"
    OUTDATED = "outdated"
    BUSY = "busy"
    NO_HANDLER = "no-handler"
    HANDLER_FAILED = "handler-failed"
    HANDLER_TOO_SLOW = "handler-too-slow"
    UNANSWERED = "unanswered"


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that nobody is waiting for, but somebody may count: what, with whom, and one sentence."""

    what: What
    party: str
    detail: str = ""
    reply_code: str = ""


@dataclass(slots=True, eq=False)
class Ticket:
    """One message under way to a handler; for a request, what its answer needs."""

    message: Message
    sender: str
    deadline: float
    reply_to: ReplyTo | None = None
    correlation_id: str = ""
    key: tuple[str, str] | None = None
    is_open: bool = True
    is_counted: bool = False

    @property
    def is_request(self) -> bool:
        """True if it is to be answered."""
        return self.reply_to is not None


@dataclass(frozen=True, slots=True)
class Send:
    """Send this."""

    to: Address | ReplyTo
    message: Outgoing


@dataclass(frozen=True, slots=True)
class Execute:
    """Hand this to its handler; a request wants `Exchange.answer` or `Exchange.refuse` afterwards."""

    ticket: Ticket


@dataclass(frozen=True, slots=True)
class Completed:
    """The request `key` was answered."""

    key: str
    reply: Message


@dataclass(frozen=True, slots=True)
class Failed:
    """The request `key` ended without an answer."""

    key: str
    error: Iec62746Error


@dataclass(frozen=True, slots=True)
class SessionSuperseded:
    """A newer session of our own party is live: end this one, and do not come back."""

    session: str
