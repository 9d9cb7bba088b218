"""What the exchange asks for and reports: one small value for each kind of thing."""

from dataclasses import dataclass
from enum import StrEnum

from iec62746.address import Address
from iec62746.errors import EnvelopeError, Iec62746Error, Rule
from iec62746.message import Message
from iec62746.transport import Outgoing, ReplyTo

_LONGEST_TEXT = 500


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
    DEADLINE_UNREADABLE = "deadline-unreadable"
    HINT_DIFFERS = "hint-differs"
    WRONG_KIND = "wrong-kind"
    WRONG_VERB = "wrong-verb"
    UNKNOWN_NOUN = "unknown-noun"
    EXPIRED = "expired"
    CLOCK_DIFFERS = "clock-differs"
    NO_MESSAGE_ID = "no-message-id"
    DUPLICATE = "duplicate"
    REUSED_ID = "reused-id"
    REDELIVERED = "redelivered"
    FORGOTTEN = "forgotten"
    NOT_ALLOWED = "not-allowed"
    INVALID_PAYLOAD = "invalid-payload"
    TOO_MANY_PENDING = "too-many-pending"
    NO_REPLY_ADDRESS = "no-reply-address"
    LATE_REPLY = "late-reply"
    WRONG_REPLIER = "wrong-replier"
    OUTDATED = "outdated"
    ANSWERED = "answered"
    UNANSWERABLE = "unanswerable"
    BUSY = "busy"
    NO_HANDLER = "no-handler"
    HANDLER_FAILED = "handler-failed"
    HANDLER_TOO_SLOW = "handler-too-slow"
    UNANSWERED = "unanswered"
    BROKE_US = "broke-us"


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that nobody is waiting for, but somebody may count: what, with whom, and one sentence."""

    what: What
    party: str
    detail: str = ""
    reply_code: str = ""
    rule: Rule | None = None
    """Which rule of the envelope, if it is about that."""


def told(what: What, party: str, error: EnvelopeError) -> Notice:
    """Return the notice of what `error` says of something that `party` sent."""
    return Notice(what, party, cut(str(error)), error.reply_code, error.rule)


@dataclass(slots=True, eq=False)
class Ticket:
    """One message under way to a handler; for a request, what its answer needs."""

    message: Message
    sender: str
    address: Address
    arrived: float
    deadline: float
    """When it stops being deliverable: never later than real_time and the clock skew after it arrived."""
    until: float
    """The same, however late its own Deadline: a duplicate may come until then."""
    reply_to: ReplyTo | None = None
    correlation_id: str = ""
    key: str | None = None
    waiting: tuple[tuple[ReplyTo, str], ...] = ()
    """Where duplicates wait for the answer, with their correlation ids; at most eight."""
    is_open: bool = True
    is_counted: bool = False

    @property
    def is_request(self) -> bool:
        """True if it is to be answered."""
        return self.reply_to is not None


@dataclass(slots=True, eq=False)
class Asked:
    """One request of ours: whom we asked what, and when; `node` if the core itself asks for its current value."""

    to: str
    verb: str
    noun: str
    at: float
    node: str = ""
    bucket: int = 0


# The next four are made for each message, and not frozen: a frozen one takes twice as long to make.
@dataclass(slots=True)
class Send:
    """Send this; an answer says whom it is for."""

    to: Address | ReplyTo
    message: Outgoing
    asker: str = ""


@dataclass(slots=True)
class Execute:
    """Hand this to its handler; a request wants `Exchange.answer` or `Exchange.refuse` afterwards."""

    ticket: Ticket


@dataclass(slots=True)
class Completed:
    """The request `key` was answered."""

    key: str
    reply: Message
    asked: Asked


@dataclass(slots=True)
class Failed:
    """The request `key` ended without an answer."""

    key: str
    error: Iec62746Error
    asked: Asked


@dataclass(frozen=True, slots=True)
class SessionSuperseded:
    """A newer session of our own party is live: end this one, and do not come back.

    If that one has ended already, its clock was ahead of ours: then another one of a greater epoch is needed.
    """

    session: str
    has_ended: bool = False


def cut(text: str) -> str:
    """Return `text`, or its beginning: what a peer wrote may be long, what we say of it need not be."""
    return text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]}…"


def quoted(text: str | None) -> str:
    """Return `text` in quotes, cut."""
    return repr(text if text is None else cut(text))
