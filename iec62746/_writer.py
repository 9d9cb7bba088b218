"""Writes what we send: a new MessageID, our Source, its Destination and Deadline, a Timestamp, then bytes (wire.md)."""

from collections.abc import Callable
from datetime import UTC, datetime

from iec62746._payloads import Payloads
from iec62746.domain import Domain
from iec62746.envelope import encode
from iec62746.errors import TooLarge
from iec62746.message import DEADLINE, DESTINATION, Kind, Message, Property, maker
from iec62746.transport import Outgoing

_message, _property = maker(Message), maker(Property)
_SECONDS_KEPT = 8
_OWN = frozenset({DEADLINE, DESTINATION})


class Writer:
    """Turns templates into messages of one party."""

    def __init__(self, domain: Domain, party: str, new_id: Callable[[], str], payloads: Payloads) -> None:
        """Write as `party`; `new_id` makes MessageIDs."""
        self._payloads = payloads
        self._party, self._new_id, self._most = party, new_id, domain.limits.message
        self._clock = Clock()
        # One for each party and node of the domain, and for the domain: what else is a destination is refused before.
        self._destinations: dict[str, Property] = {}

    def stamped(
        self, given: Message, destination: str, now: float, deadline: float | None, correlation_id: str | None = None
    ) -> Message:
        """Return `given` as a message of its own; CorrelationID: the one here, else its own, else its MessageID."""
        message_id = self._new_id()
        own = self._destinations.get(destination)
        if own is None:
            own = self._destinations[destination] = Property(DESTINATION, destination)
        properties = (own,) if deadline is None else (own, self._deadline(deadline))
        if given.properties:
            properties = (*(one for one in given.properties if one.name not in _OWN), *properties)
        return _message(
            given.kind, given.verb, given.noun, given.revision, given.replay_detection, given.context,
            given.timestamp or self._clock.text(now), self._party, given.async_reply_flag, given.reply_address,
            given.ack_required, given.user, message_id, correlation_id or given.correlation_id or message_id,
            given.comment, properties, given.extensions, given.request, given.reply, given.payload, given.form,
            given.vendor,
        )  # fmt: skip

    def _deadline(self, at: float) -> Property:
        return _property(DEADLINE, self._clock.text(at))

    def outgoing(
        self, message: Message, expires: float, *, expects_reply: bool = False, correlation_id: str = ""
    ) -> Outgoing:
        """Return `message` ready to send; raises `InvalidMessage`, or `TooLarge` over the limit `message`."""
        self._payloads.demand(message)
        body = encode(message)
        if len(body) > self._most:
            raise TooLarge(f"{len(body)} octets: the domain's limit `message` is {self._most}")
        return Outgoing(
            body=body,
            expires=expires,
            correlation_id=correlation_id or message.correlation_id or "",
            expects_reply=expects_reply,
            headers={} if message.kind is Kind.FAULT else {"Verb": message.verb, "Noun": message.noun},
        )


class Clock:
    """Writes times: of what is sent in the same second, most is the same."""

    __slots__ = ("_seconds",)

    def __init__(self) -> None:
        """Know no second yet; never more than eight."""
        self._seconds: dict[int, str] = {}

    def text(self, at: float) -> str:
        """Return `at` as it goes on the wire: UTC, milliseconds, Z."""
        milliseconds = int(at * 1000)
        second = milliseconds // 1000
        text = self._seconds.get(second)
        if text is None:
            if len(self._seconds) >= _SECONDS_KEPT:
                self._seconds.clear()
            text = self._seconds[second] = datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        return f"{text}.{milliseconds % 1000:03d}Z"
