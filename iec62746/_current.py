"""Current values: what the VTN keeps of a node for late subscribers, and how a VEN asks and takes it (62746-3, 7)."""

from collections import deque
from collections.abc import Iterable, Iterator
from typing import NamedTuple
from xml.sax.saxutils import escape

from iec62746.domain import Domain
from iec62746.envelope import payload
from iec62746.limits import Limits
from iec62746.message import (
    DESTINATION,
    EVENT_VERBS,
    Error,
    Kind,
    Message,
    Option,
    Payload,
    Property,
    ReplyPart,
    RequestPart,
    Result,
)

NODES = "urn:iec62746:nodes:1"
NODE, EVENT_ID, EVENT_VERB, EVENT_TIMESTAMP = "Node", "EventID", "EventVerb", "EventTimestamp"

ASKED_AT_ONCE = 16
"""Current values that a VEN has asked for and not got yet; it asks for the next when one has come."""

NodeNoun = tuple[str, str]


class CurrentValues:
    """The last event of each node and noun, for the nodes that have a current value."""

    def __init__(self, domain: Domain) -> None:
        """Keep nothing yet; never more than one event for each node and noun of the domain."""
        self._domain = domain
        self._pairs = {(node.name, noun) for node in domain.nodes.values() if node.is_current for noun in node.nouns}
        self._kept: dict[NodeNoun, Message] = {}

    def has(self, node: str, noun: str) -> bool:
        """Return whether `node` has a current value of `noun` at all."""
        return (node, noun) in self._pairs

    def keep(self, node: str, event: Message) -> None:
        """Keep `event`, if its node has a current value."""
        if self.has(node, event.noun):
            self._kept[node, event.noun] = event

    def answer_to(self, request: Message, asker: str) -> Message | None:
        """Return the VTN's answer to a `get` of Nodes or of a current value; None: it is another."""
        if request.noun == "Nodes":
            return _ok("Nodes", content=payload(self.nodes_xml(asker)))
        node = request.request.option(NODE) if request.request is not None else None
        return self.reply(node, request.noun) if node is not None and self.has(node, request.noun) else None

    def reply(self, node: str, noun: str) -> Message:
        """Return the reply with the current value; without Payload if there is none yet."""
        event = self._kept.get((node, noun))
        if event is None:
            return _ok(noun)
        properties = (
            Property(NODE, node),
            Property(EVENT_ID, event.message_id),
            Property(EVENT_VERB, event.verb),
            Property(EVENT_TIMESTAMP, event.timestamp),
        )
        return _ok(noun, content=event.payload, properties=properties)

    def nodes_xml(self, party: str) -> str:
        """Return the nodes that `party` may subscribe to, as XML (`schema/nodes.xsd`)."""
        rows = [
            f"<Node><name>{node.name}</name>{''.join(f'<noun>{escape(noun)}</noun>' for noun in node.nouns)}"
            f"<current>{str(node.is_current).lower()}</current></Node>"
            for node in (self._domain.nodes[name] for name in self._domain.nodes_for(party))
        ]
        return f'<Nodes xmlns="{NODES}">{"".join(rows)}</Nodes>'


def _ok(noun: str, *, content: Payload | None = None, properties: tuple[Property, ...] = ()) -> Message:
    reply = ReplyPart(result=Result.OK, errors=(Error(code="0.0"),))
    return Message(kind=Kind.RESPONSE, verb="reply", noun=noun, reply=reply, payload=content, properties=properties)


class Wanted:
    """The current values that a VEN asks for, some at a time: no more of them than the domain's `pending`."""

    def __init__(self, domain: Domain) -> None:
        """Want nothing yet; never more than the domain has nodes and nouns."""
        self._domain = domain
        self._at_once = min(ASKED_AT_ONCE, domain.limits.pending)
        self._next: deque[NodeNoun] = deque()
        self._asked: dict[str, NodeNoun] = {}

    def start(self, nodes: Iterable[str]) -> tuple[str, ...]:
        """Want the current values of `nodes`; returns the keys of earlier requests, whose answers do not count."""
        found = [self._domain.nodes[node] for node in nodes]
        self._next = deque((node.name, noun) for node in found if node.is_current for noun in node.nouns)
        earlier = tuple(self._asked)
        self._asked.clear()
        return earlier

    def ended(self, key: str) -> None:
        """Take note that the request `key` ended."""
        self._asked.pop(key, None)

    def give_up(self) -> None:
        """Ask for no more: nobody is there to answer."""
        self._next.clear()

    def requests(self) -> Iterator[tuple[str, Message]]:
        """Yield, with its node, each request that may be made now; say by `asked` under which key it was."""
        while self._next and len(self._asked) < self._at_once:
            node, noun = self._next.popleft()
            request = RequestPart(options=(Option(NODE, node),))
            yield node, Message(kind=Kind.REQUEST, verb="get", noun=noun, request=request)

    @property
    def is_waiting(self) -> bool:
        """True if there is something to ask for."""
        return bool(self._next)

    def asked(self, key: str, node: str, noun: str) -> None:
        """Take note of the key of a request."""
        self._asked[key] = (node, noun)


class _Seen(NamedTuple):
    at: float = float("-inf")
    message_id: str | None = None
    arrived: float = float("inf")
    is_current: bool = False


class Latest:
    """The latest event delivered, for each node and noun that has a current value."""

    def __init__(self, limits: Limits) -> None:
        """Have seen nothing."""
        # What is older than this by its Timestamp cannot be late: it is deliverable no more. The clock was put back.
        self._most_late = limits.real_time + limits.clock_skew
        self._seen: dict[NodeNoun, _Seen] = {}

    def saw(self, node: str, event: Message, arrived: float) -> None:
        """Take note of an event that is delivered."""
        key, at = (node, event.noun), sent_at(event)
        seen = self._seen.get(key, _NONE)
        if event.is_current or not -self._most_late <= at - seen.at < 0:
            self._seen[key] = _Seen(at, event.message_id, arrived, event.is_current)

    def is_overtaken(self, node: str, event: Message) -> bool:
        """Return whether a later event was delivered as the current value: that came by another way, and faster."""
        seen = self._seen.get((node, event.noun), _NONE)
        return seen.is_current and -self._most_late <= sent_at(event) - seen.at < 0

    def is_news(self, node: str, event: Message, asked: float) -> bool:
        """Return whether the current value `event`, asked for at `asked`, is later than what was delivered.

        Asked for after that arrived, it is no earlier, whatever the clocks say.
        """
        seen = self._seen.get((node, event.noun), _NONE)
        return event.message_id != seen.message_id and (asked > seen.arrived or sent_at(event) >= seen.at)

    def clock_put(self, by: float) -> None:
        """Take that our clock was put forward, or back, by so much."""
        self._seen = {key: seen._replace(arrived=seen.arrived + by) for key, seen in self._seen.items()}


_NONE = _Seen()


def sent_at(event: Message) -> float:
    """Return the Timestamp of `event` in seconds since 1970; 0 if there is none."""
    at = event.sent_at
    return at.timestamp() if at is not None else 0.0


def is_refused(reply: Message) -> bool:
    """Return whether `reply` is no answer to what was asked."""
    return reply.reply is None or reply.reply.result is Result.FAILED


def event_of(reply: Message, node: str, noun: str) -> Message | None:
    """Return the event that `reply` brings as the current value of `node`, or None if there is none yet."""
    message_id, verb = reply.property_value(EVENT_ID), reply.property_value(EVENT_VERB)
    if message_id is None or reply.property_value(NODE) != node:
        return None
    return Message(
        kind=Kind.EVENT,
        verb=verb if verb in EVENT_VERBS else "created",
        noun=noun,
        timestamp=reply.property_value(EVENT_TIMESTAMP),
        source=reply.source,
        message_id=message_id,
        correlation_id=message_id,
        properties=(Property(DESTINATION, node),),
        payload=reply.payload if reply.payload != Payload() else None,
        is_current=True,
    )
