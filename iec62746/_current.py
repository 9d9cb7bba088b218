"""Current values: what the VTN keeps of a node for those who come late, and how a VEN asks and takes it (62746-3, 7)."""

from collections.abc import Iterator
from xml.sax.saxutils import escape

from iec62746.domain import Domain
from iec62746.message import Error, Kind, Message, Option, Payload, Property, ReplyPart, RequestPart, Result

NODES = "urn:iec62746:nodes:1"
NODE, EVENT_ID, EVENT_VERB, EVENT_TIMESTAMP = "Node", "EventID", "EventVerb", "EventTimestamp"


class CurrentValues:
    """The last event of each node and noun, for the nodes that have a current value."""

    def __init__(self, domain: Domain) -> None:
        """Keep nothing yet; never more than the domain has nodes and nouns."""
        self._domain = domain
        self._kept: dict[tuple[str, str], Message] = {}

    def is_kept(self, node: str, noun: str) -> bool:
        """Return whether `node` has a current value of `noun` at all."""
        found = self._domain.nodes.get(node)
        return found is not None and found.is_current and noun in found.nouns

    def keep(self, node: str, event: Message) -> None:
        """Keep `event`, if its node has a current value."""
        if self.is_kept(node, event.noun):
            self._kept[node, event.noun] = event

    def reply(self, node: str, noun: str) -> Message:
        """Return the reply with the current value; without Payload if there is none yet."""
        reply = ReplyPart(result=Result.OK, errors=(Error(code="0.0"),))
        event = self._kept.get((node, noun))
        if event is None:
            return Message(kind=Kind.RESPONSE, verb="reply", noun=noun, reply=reply)
        properties = (
            Property(NODE, node),
            Property(EVENT_ID, event.message_id),
            Property(EVENT_VERB, event.verb),
            Property(EVENT_TIMESTAMP, event.timestamp),
        )
        return Message(
            kind=Kind.RESPONSE, verb="reply", noun=noun, reply=reply, payload=event.payload or Payload(), properties=properties
        )

    def requests(self, node: str) -> Iterator[Message]:
        """Yield what a VEN asks for, to know the current values of `node`."""
        found = self._domain.nodes[node]
        for noun in found.nouns if found.is_current else ():
            yield Message(kind=Kind.REQUEST, verb="get", noun=noun, request=RequestPart(options=(Option(NODE, node),)))

    def nodes_xml(self, party: str) -> str:
        """Return the nodes that `party` may subscribe to, as XML (`schema/nodes.xsd`)."""
        rows = [
            f"<Node><name>{node.name}</name>{''.join(f'<noun>{escape(noun)}</noun>' for noun in node.nouns)}"
            f"<current>{str(node.is_current).lower()}</current></Node>"
            for node in (self._domain.nodes[name] for name in self._domain.nodes_for(party))
        ]
        return f'<Nodes xmlns="{NODES}">{"".join(rows)}</Nodes>'


class Latest:
    """The Timestamp of the latest event that was delivered, by node and noun; never more than the domain has."""

    def __init__(self) -> None:
        """Have seen nothing."""
        self._seen: dict[tuple[str, str], float] = {}

    def saw(self, event: Message) -> None:
        """Take note of an event that is delivered."""
        key = (event.destination or "", event.noun)
        self._seen[key] = max(self._seen.get(key, 0.0), _time(event))

    def is_news(self, event: Message) -> bool:
        """Return whether `event` is later than what was delivered."""
        return _time(event) > self._seen.get((event.destination or "", event.noun), 0.0)


def _time(event: Message) -> float:
    at = event.sent_at
    return at.timestamp() if at is not None else 0.0


def event_of(reply: Message, node: str, noun: str) -> Message | None:
    """Return the event that `reply` brings as the current value of `node`, or None if there is none yet."""
    result = reply.reply.result if reply.reply is not None else Result.FAILED
    if result is Result.FAILED or reply.property_value(EVENT_ID) is None or reply.property_value(NODE) != node:
        return None
    return Message(
        kind=Kind.EVENT,
        verb=reply.property_value(EVENT_VERB) or "created",
        noun=noun,
        timestamp=reply.property_value(EVENT_TIMESTAMP),
        source=reply.source,
        message_id=reply.property_value(EVENT_ID),
        correlation_id=reply.property_value(EVENT_ID),
        properties=(Property("Destination", node),),
        payload=reply.payload if reply.payload != Payload() else None,
        is_current=True,
    )
