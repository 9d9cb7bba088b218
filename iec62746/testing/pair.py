"""A VTN and its VENs joined in memory, by bytes and a clock that stands still: no loop, no transport, nothing patched.

    conversation = Conversation(domain)
    vtn, ven = conversation.join("vtn"), conversation.join("ven-1", nodes=("price.north",))
    key = vtn.request(control, to="ven-1")
    conversation.run()
    ven.answer(ven.executed[0], ok)
    conversation.run()
    assert vtn.completed[key].reply.result == "OK"

What is under way lies in `conversation.wire`: tests may drop, copy, reorder and hold it.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from iec62746.address import Address, Inbox, Node
from iec62746.domain import Domain
from iec62746.errors import Iec62746Error, NoReceiver, SessionLost
from iec62746.exchange import Exchange, Output
from iec62746.message import Message
from iec62746.outputs import Completed, Execute, Failed, Notice, Send, SessionSuperseded, Ticket, What
from iec62746.roster import Changed, PartyConflict, State
from iec62746.transport import Delivery, Outgoing, Proof, ReplyTo

START = 1_790_000_000.0
"""When a conversation begins: seconds since 1970, UTC."""


@dataclass(frozen=True, slots=True)
class Packet:
    """One delivery under way, to one member, in the session that it had when it was sent."""

    to: "Member"
    session: str
    delivery: Delivery


class Conversation:
    """Parties of one domain, what is under way between them, and the time."""

    def __init__(self, domain: Domain, *, now: float = START) -> None:
        """Begin at `now`, with nobody."""
        self.domain, self.now = domain, now
        self.members: list[Member] = []
        self.wire: list[Packet] = []
        self._ids = 0

    def new_id(self) -> str:
        """Return another UUID each time."""
        self._ids += 1
        return f"00000000-0000-4000-8000-{self._ids:012d}"

    def join(self, party: str, *, nodes: Iterable[str] = ()) -> "Member":
        """Return a member with an exchange of its own, subscribed to `nodes`, in its first session."""
        member = Member(self, party, tuple(nodes))
        self.members.append(member)
        member.open()
        return member

    def run(self) -> None:
        """Deliver what is under way, and what comes of it, until nothing is."""
        while self.wire:
            self.deliver(0)

    def deliver(self, index: int) -> None:
        """Deliver one packet; to a session that has ended, it is lost."""
        packet = self.wire.pop(index)
        if packet.to.session == packet.session:
            packet.to.receive(packet.delivery)

    def pass_time(self, seconds: float) -> None:
        """Let time pass, and tell everybody."""
        self.now += seconds
        for member in self.members:
            member.take(member.exchange.expire(self.now))

    def receivers(self, to: Address | ReplyTo) -> "list[Member]":
        """Return the members that are there and get what is sent to `to`."""
        if isinstance(to, ReplyTo):
            member, session = to.token
            return [member] if member.session == session else []
        return [member for member in self.members if member.session and member.hears(to)]


class Member:
    """One party: its exchange, its session, and what came out so far."""

    def __init__(self, conversation: Conversation, party: str, nodes: tuple[str, ...]) -> None:
        """Prepare `party`; it has no session yet."""
        self.conversation, self.party, self.nodes = conversation, party, nodes
        self.exchange = Exchange(conversation.domain, party, now=conversation.now, new_id=conversation.new_id)
        self.session = ""
        self._sessions = 0
        self.executed: list[Ticket] = []
        self.completed: dict[str, Completed] = {}
        self.failed: dict[str, Iec62746Error] = {}
        self.ended: list[str] = []
        self.notices: list[Notice] = []
        self.changes: list[Changed] = []
        self.conflicts: list[PartyConflict] = []
        self.superseded: list[str] = []

    @property
    def events(self) -> list[Message]:
        """The events that were handed on."""
        return [ticket.message for ticket in self.executed if not ticket.is_request]

    @property
    def noticed(self) -> list[What]:
        """What was noticed."""
        return [notice.what for notice in self.notices]

    # ---------------------------------------------------------------- its session

    def open(self) -> None:
        """Open a session and announce it; a VEN then asks for current values."""
        self._sessions += 1
        self.session = f"{self.party}-{self._sessions}-{len(self.conversation.members)}"
        self.exchange.opened(self.session, self.conversation.now)
        self.announce(State.ONLINE)
        self.take(self.exchange.current_requests(self.nodes, self.conversation.now))

    def announce(self, state: State, reason: str = "") -> None:
        """Announce `state`."""
        self.send(self.exchange.announce(state, self.conversation.now, reason))

    def lose(self, cause: Iec62746Error | None = None) -> None:
        """Lose the session, without a word."""
        self.session = ""
        error = cause if isinstance(cause, SessionLost) else SessionLost(str(cause or "cut"))
        self.take(self.exchange.lost(error))

    def hears(self, to: Address) -> bool:
        """Return whether it is subscribed to `to`."""
        if isinstance(to, Inbox):
            return to.party == self.party
        if isinstance(to, Node):
            return to.name in self.nodes
        return self.exchange.is_vtn or to.party in (self.party, self.conversation.domain.vtn)

    # ---------------------------------------------------------------- what it says

    def request(self, template: Message, to: str, *, timeout: float | None = None) -> str:
        """Send a request; returns its key. Raises what the exchange raises."""
        outgoing = self.exchange.request(template, to, self.conversation.now, timeout)
        self.send(Send(Inbox(to), outgoing))
        return outgoing.correlation_id

    def publish(self, template: Message, node: str | None = None) -> None:
        """Send an event; raises what the exchange raises."""
        self.send(self.exchange.publish(template, node, self.conversation.now))

    def answer(self, ticket: Ticket, template: Message) -> None:
        """Answer a request."""
        self.take(self.exchange.answer(ticket, template, self.conversation.now))

    def refuse(self, ticket: Ticket, code: str, reason: str = "") -> None:
        """Refuse a request."""
        self.take(self.exchange.refuse(ticket, code, reason, self.conversation.now))

    def send(self, send: Send) -> None:
        """Put on the wire what goes to those who are there; to nobody, it bounces."""
        receivers = self.conversation.receivers(send.to)
        for receiver in receivers:
            self.conversation.wire.append(Packet(receiver, receiver.session, self._delivery(send, receiver)))
        if not receivers and isinstance(send.to, Inbox):
            error = NoReceiver(f"{send.to.party} is not there")
            self.take(self.exchange.bounced(send.message.correlation_id, error))

    def _delivery(self, send: Send, receiver: "Member") -> Delivery:
        message: Outgoing = send.message
        return Delivery(
            body=message.body,
            address=Inbox(receiver.party) if isinstance(send.to, ReplyTo) else send.to,
            sender=self.party,
            proof=Proof.BROKER,
            reply_to=ReplyTo((self, self.session)) if message.expects_reply else None,
            correlation_id=message.correlation_id,
        )

    # ---------------------------------------------------------------- what it gets

    def receive(self, delivery: Delivery) -> list[Output]:
        """Take a delivery, as it came or made by hand; returns what came of it."""
        outputs = self.exchange.receive(delivery, self.conversation.now)
        self.take(outputs)
        return outputs

    def take(self, outputs: Iterable[Output]) -> None:
        """Send what is to be sent, and keep the rest by its kind."""
        for output in outputs:
            if isinstance(output, Send):
                self.send(output)
            elif isinstance(output, Execute):
                self.executed.append(output.ticket)
            elif isinstance(output, Completed):
                self.completed[output.key] = output
                self.ended.append(output.key)
            elif isinstance(output, Failed):
                self.failed[output.key] = output.error
                self.ended.append(output.key)
            else:
                self._keep(output)

    def _keep(self, output: Notice | Changed | PartyConflict | SessionSuperseded) -> None:
        if isinstance(output, Notice):
            self.notices.append(output)
        elif isinstance(output, Changed):
            self.changes.append(output)
        elif isinstance(output, PartyConflict):
            self.conflicts.append(output)
        elif output.has_ended:
            self.lose()
            self.open()
        else:
            self.superseded.append(output.session)


def redelivered(delivery: Delivery) -> Delivery:
    """Return `delivery` as a communication server gives it again, not knowing whether it was taken."""
    return replace(delivery, redelivered=True)
