"""What is checked of every message, in two parts, each in the order in which it stands there: cheap first.

Before: its size, its proven sender, the envelope. Between the two: duplicates. After: the exchange. What is wrong is
told by a notice with the reply code (wire.md).
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from iec62746._payloads import Payloads
from iec62746.address import Address, Inbox, Node, Presence
from iec62746.domain import OWN_NOUNS, Domain
from iec62746.message import DEADLINE, DESTINATION, EVENT_VERBS, REQUEST_VERBS, Kind, Message, Property
from iec62746.outputs import Notice, Ticket, What, cut, quoted, told
from iec62746.policy import Decision, Policy

_VERBS: Final[Mapping[Kind, frozenset[str]]] = {
    Kind.REQUEST: REQUEST_VERBS,
    Kind.EVENT: EVENT_VERBS,
    Kind.RESPONSE: frozenset({"reply"}),
}
_KINDS: Final[Mapping[type, tuple[Kind, ...]]] = {
    Inbox: (Kind.REQUEST, Kind.EVENT, Kind.RESPONSE),
    Node: (Kind.EVENT,),
    Presence: (Kind.EVENT,),
}


class Checks:
    """The rules for what one party receives in one domain."""

    def __init__(self, domain: Domain, party: str, policy: Policy, payloads: Payloads) -> None:
        """Check what `party` receives in `domain`, by `policy`."""
        self.domain, self.party, self.policy, self.payloads = domain, party, policy, payloads
        self.is_tolerant = domain.reading == "tolerant"
        self._nouns = domain.nouns | OWN_NOUNS
        limits = domain.limits
        self.real_time, self.skew = limits.real_time, limits.clock_skew
        # One for each party of the domain, until its next session or ours.
        self._skewed: set[str] = set()

    def header(self, ticket: Ticket) -> Notice | None:
        """Return what is wrong with the header of any message, or None."""
        message, sender, place = ticket.message, ticket.sender, self.place(ticket)
        if message.source != sender:
            reason = f"Source is {quoted(message.source)}, the sender is {sender}"
            return Notice(What.SOURCE_DIFFERS, sender, reason, "2.14")
        if message.destination != place and place not in message.destinations:
            reason = f"Destination is {quoted(message.destination)}, this is {place}"
            return Notice(What.DESTINATION_DIFFERS, sender, reason, "7.5")
        if self.is_expired(ticket, ticket.arrived):
            return Notice(What.EXPIRED, sender, self._lateness(ticket), "4.1")
        if (flaw := self._kind_flaw(message.kind, ticket.address, sender)) is not None:
            return Notice(What.WRONG_KIND, sender, flaw, "1.8")
        if message.verb not in _VERBS[message.kind] and not self.is_tolerant:
            return Notice(What.WRONG_VERB, sender, f"{message.verb} is no verb of {message.kind}", "2.9")
        return None

    def access(self, ticket: Ticket) -> Notice | None:
        """Return why a request or an event may not be executed, or None."""
        message, sender = ticket.message, ticket.sender
        noun = message.noun
        if noun not in self._nouns:
            reason = f"no noun {quoted(noun)} in domain {self.domain.name}"
            return Notice(What.UNKNOWN_NOUN, sender, reason, "2.5")
        decision = self._right(message, sender, ticket.address)
        if not decision.is_allowed:
            return Notice(What.NOT_ALLOWED, sender, cut(f"{decision.reason} ({decision.rule})"), "7.5")
        fault = self.payloads.fault(message)
        return told(What.INVALID_PAYLOAD, sender, fault) if fault is not None else None

    # ---------------------------------------------------------------- what is filled in

    def fill(self, ticket: Ticket, out: list[Any]) -> None:
        """Fill in Source and Destination where they are absent, and set the deadline; puts out what to tell of that.

        No Deadline can make a message deliverable for longer than the domain's limit.
        """
        message = ticket.message
        if message.source is None or message.destination is None:
            message = ticket.message = self._filled(ticket, out)
        given = message.deadline
        if given is not None:
            ticket.until = given.timestamp()
            ticket.deadline = min(ticket.until, ticket.arrived + self.real_time + self.skew)
            # A Deadline where ours would be says that the clocks agree: then no Timestamp need be read.
            if -self.skew <= ticket.until - self.real_time - ticket.arrived <= self.skew:
                return
        elif (text := message.property_value(DEADLINE)) is not None:
            reason = f"{quoted(text)} is no time with a zone: {self.real_time:g} s from its arrival is taken"
            out.append(Notice(What.DEADLINE_UNREADABLE, ticket.sender, reason))
        self._compare_clocks(ticket, out)

    def _filled(self, ticket: Ticket, out: list[Any]) -> Message:
        message = ticket.message
        if message.source is None:
            out.append(Notice(What.SOURCE_FILLED, ticket.sender, "no Source: the proven sender is taken"))
            message = replace(message, source=ticket.sender)
        if message.destination is None:
            out.append(Notice(What.DESTINATION_FILLED, ticket.sender, "no Destination: where it came is taken"))
            message = replace(message, properties=(*message.properties, Property(DESTINATION, self.place(ticket))))
        return message

    def hints(self, ticket: Ticket, headers: Mapping[str, Any], out: list[Any]) -> None:
        """Put out what the headers `Verb` and `Noun` say otherwise than the envelope, which decides (wire.md)."""
        message = ticket.message
        for name, value in (("Verb", message.verb), ("Noun", message.noun)):
            given = headers.get(name, value)
            if given != value:
                reason = f"header {name} is {quoted(str(given))}, the envelope says {quoted(value)}"
                out.append(Notice(What.HINT_DIFFERS, ticket.sender, reason))

    def _compare_clocks(self, ticket: Ticket, out: list[Any]) -> None:
        """Tell once per session that the clocks differ: what is late may also have been under way for long."""
        sent = ticket.message.sent_at
        if sent is None or ticket.sender in self._skewed:
            return
        ahead = sent.timestamp() - ticket.arrived
        if ahead > self.skew or (ahead < -self.skew and self.is_expired(ticket, ticket.arrived)):
            self._skewed.add(ticket.sender)
            out.append(Notice(What.CLOCK_DIFFERS, ticket.sender, f"its clock is {_difference(ahead)}: set both by NTP"))

    def forget_clocks(self, party: str | None = None) -> None:
        """Compare the clock of `party`, or of everybody, anew: a session began."""
        if party is None:
            self._skewed.clear()
        else:
            self._skewed.discard(party)

    # ---------------------------------------------------------------- what the checks ask

    def is_expired(self, ticket: Ticket, now: float) -> bool:
        """Return whether the message may not be delivered any more (62746-3, 5.1)."""
        return now > ticket.deadline + self.skew

    def place(self, ticket: Ticket) -> str:
        """Return the Destination that belongs to the address at which the message came (wire.md)."""
        address = ticket.address
        if type(address) is Node:
            return address.name
        if type(address) is Presence:
            return self.domain.name if ticket.sender == self.domain.vtn else self.domain.vtn
        return self.party

    def _lateness(self, ticket: Ticket) -> str:
        reason = f"its Deadline passed {ticket.arrived - ticket.deadline:.1f} s ago"
        sent = ticket.message.sent_at
        if sent is not None and abs(ahead := sent.timestamp() - ticket.arrived) > self.skew:
            reason += f"; by its Timestamp, its clock is {_difference(ahead)}"
        return reason

    def _kind_flaw(self, kind: Kind, address: Address, sender: str) -> str | None:
        """Return why a message of that kind may not come there from that sender, or None."""
        if kind not in _KINDS[type(address)]:
            return f"{kind} does not belong at {address}"
        # What a party says there, it says of itself.
        if type(address) is Presence and (address.party or sender) != sender:
            return f"{address} is not the sender's"
        # 62746-3, 5.5.4: a VEN's events go to the VTN, the VTN's to a node.
        if kind is Kind.EVENT and type(address) is Inbox and self.party != self.domain.vtn:
            return f"{kind} belongs on a node"
        return None

    def _right(self, message: Message, sender: str, address: Address) -> Decision:
        """Return whether `sender` may ask that of us, or tell us that, and why."""
        if message.kind is Kind.REQUEST:
            node = message.request.option("Node") if message.request is not None and message.verb == "get" else None
            return self.policy.may_request(sender, self.party, message.verb, message.noun, node)
        if type(address) is not Node:
            return self.policy.may_publish(sender, message.noun)
        decision = self.policy.may_publish(sender, message.noun, address.name)
        return self.policy.may_subscribe(self.party, address.name) if decision.is_allowed else decision


def _difference(ahead: float) -> str:
    return f"{abs(ahead):.1f} s {'ahead of' if ahead > 0 else 'behind'} ours" + (
        "" if ahead > 0 else ", or it was late"
    )
