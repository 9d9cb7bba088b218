"""The table of what is measured: names, labels and every value that a label may have."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from iec62746 import errors
from iec62746.errors import Iec62746Error, Rule
from iec62746.message import VERBS, Result
from iec62746.outputs import What
from iec62746.roster import State

OTHER: Final = "other"
"""The value of a label for whatever is not in its list."""

BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0)
"""Seconds; 62746-3, 5.1 has limits of 30 s (real_time) and 60 s (set_up), and a handler by default 20 s."""


class Type(StrEnum):
    """The types of Prometheus that are used."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Direction(StrEnum):
    """Which way a message went."""

    IN = "in"
    OUT = "out"


class Pattern(StrEnum):
    """The messaging patterns (62746-3, 5.5), a request and its reply apart."""

    REQUEST = "request"
    REPLY = "reply"
    EVENT = "event"
    VEN_EVENT = "ven_event"
    PRESENCE = "presence"


class Taken(StrEnum):
    """The results of messages that are not answered."""

    SENT = "sent"
    TAKEN = "taken"


CANCELLED: Final = "Cancelled"
ERRORS: Final = tuple(
    name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, Iec62746Error)
)

VALUES: Final[dict[str, tuple[str, ...]]] = {
    "direction": tuple(Direction),
    "pattern": tuple(Pattern),
    "verb": (*sorted(VERBS), OTHER),
    "result": (*Result, *Taken, *ERRORS, CANCELLED, OTHER),
    "what": tuple(What),
    "rule": (*Rule, OTHER),
    "state": tuple(State),
    "cause": (*ERRORS, OTHER),
}
"""Every value of each label: there can be no more series than these give, whatever peers send."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """One metric: its name as Prometheus shows it, and what it says."""

    name: str
    type: Type
    labels: tuple[str, ...] = ()
    help: str


def _counter(name: str, help: str, *labels: str) -> Measure:
    return Measure(name=f"iec62746_{name}_total", type=Type.COUNTER, labels=labels, help=help)


def _gauge(name: str, help: str, *labels: str) -> Measure:
    return Measure(name=f"iec62746_{name}", type=Type.GAUGE, labels=labels, help=help)


def _histogram(name: str, help: str, *labels: str) -> Measure:
    return Measure(name=f"iec62746_{name}_seconds", type=Type.HISTOGRAM, labels=labels, help=help)


MESSAGES = _counter(
    "messages",
    "Messages. A request sent has how it ended as its result, an error's name where it had no reply; a reply has its "
    "Result; all else is sent or taken, or has the name of the error why it was not sent. What was refused before it "
    "came to a handler, and the core's own refusals of it, are among the notices. "
    "What the core asks for itself, the current values, is counted where it is answered.",
    "direction",
    "pattern",
    "verb",
    "result",
)
REQUEST = _histogram(
    "request",
    "Seconds from the call of request to its end, however it ended (62746-3, 5.1: in real time is within 30 s).",
    "verb",
)
HANDLER = _histogram(
    "handler", "Seconds that the handlers of a message ran, up to the limit handling, past which it is 4.1.", "pattern"
)
NOTICES = _counter(
    "notices",
    "What was dropped, refused, mended or is worth knowing, by the kind of Notice: late-reply, duplicate, expired, "
    "not-allowed, busy, and so on.",
    "what",
)
FINDINGS = _counter("findings", "Faults of documents that were read all the same, by the rule that they break.", "rule")
UNREADABLE = _counter("unreadable", "Documents that could not be read, by the rule that they break.", "rule")
CONFLICTS = _counter("conflicts", "Times that two sessions of one party were live: two programs use one account.")
RECONNECTS = _counter("reconnects", "Sessions that were opened after an earlier one: often means an unstable line.")
LOST = _counter(
    "lost", "Sessions that were lost, or connections that ended for good, by the error that says why.", "cause"
)
WATCHED = _gauge("participants", "Participants that are watched in this process: VTN and VENs.")
CONNECTED = _gauge(
    "connected", "Participants that are connected, subscribed and announced; alert where it is less than those watched."
)
BLOCKED = _gauge(
    "blocked", "Participants from which the communication server takes no messages, for want of memory or disk."
)
PENDING = _gauge("pending", "Requests sent and not yet answered; the limit pending is for each peer.")
RUNNING = _gauge("handlers_running", "Handlers that run; at the limit handlers, messages wait.")
WAITING = _gauge(
    "handlers_waiting", "Messages that wait for a handler; at the limit waiting, they are refused with 5.1."
)
PRESENCE = _gauge(
    "parties", "Parties by the state of their presence, as those watched see them (62746-3, 5.5.5).", "state"
)

COUNTERS: Final = (MESSAGES, NOTICES, FINDINGS, UNREADABLE, CONFLICTS, RECONNECTS, LOST)
HISTOGRAMS: Final = (REQUEST, HANDLER)
GAUGES: Final = (WATCHED, CONNECTED, BLOCKED, PENDING, RUNNING, WAITING, PRESENCE)
MEASURES: Final = (*COUNTERS, *HISTOGRAMS, *GAUGES)


def name_of(error: BaseException) -> str:
    """Return the name of the class of our tree that `error` is of."""
    return next((kind.__name__ for kind in type(error).__mro__ if kind.__name__ in _ERRORS), OTHER)


_ERRORS = frozenset(ERRORS)
