"""What is checked of every message, as two tables in the order in which they are walked: cheap first.

Before: its size, its proven sender, the envelope. Between the two: duplicates. After: the payload's schema, the
exchange. A check returns None, or the notice with the reply code (wire.md).
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from iec62746._payloads import Payloads
from iec62746.address import Inbox, Node, Presence
from iec62746.domain import OWN_NOUNS, Domain
from iec62746.message import DEADLINE, DESTINATION, EVENT_VERBS, REQUEST_VERBS, Kind, Property
from iec62746.outputs import Notice, Ticket, What, cut, quoted, told
from iec62746.policy import Policy

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
        limits = domain.limits
        self.real_time, self.skew = limits.real_time, limits.clock_skew
        # One for each party of the domain, until its next session or ours.
        self._skewed: set[str] = set()

    def header(self, ticket: Ticket) -> Notice | None:
        """Return what is wrong with the header of any message, or None."""
        for check in _HEADER:
            if (notice := check(self, ticket)) is not None:
                return notice
        return None

    def access(self, ticket: Ticket) -> Notice | None:
        """Return why a request or an event may not be executed, or None."""
        for check in _ACCESS:
            if (notice := check(self, ticket)) is not None:
                return notice
        return None

    # ---------------------------------------------------------------- what is filled in

    def fill(self, ticket: Ticket, out: list[Any]) -> None:
        """Fill in Source and Destination where they are absent, and set the deadline; puts out what to tell of that."""
        message = ticket.message
        if message.source is None:
            out.append(Notice(What.SOURCE_FILLED, ticket.sender, "no Source: the proven sender is taken"))
            message = replace(message, source=ticket.sender)
        if message.destination is None:
            out.append(Notice(What.DESTINATION_FILLED, ticket.sender, "no Destination: where it came is taken"))
            message = replace(message, properties=(*message.properties, Property(DESTINATION, self.place(ticket))))
        ticket.message = message
        self._set_deadline(ticket, out)
        self._compare_clocks(ticket, out)

    def hints(self, ticket: Ticket, headers: Mapping[str, Any], out: list[Any]) -> None:
        """Put out what the headers `Verb` and `Noun` say otherwise than the envelope, which decides (wire.md)."""
        message = ticket.message
        for name, value in (("Verb", message.verb), ("Noun", message.noun)):
            given = headers.get(name, value)
            if given != value:
                reason = f"header {name} is {quoted(str(given))}, the envelope says {quoted(value)}"
                out.append(Notice(What.HINT_DIFFERS, ticket.sender, reason))

    def _set_deadline(self, ticket: Ticket, out: list[Any]) -> None:
        """Set when the message stops being deliverable: no Deadline can make it later than the domain's limit."""
        given = ticket.message.deadline
        if given is not None:
            ticket.until, ticket.has_deadline = given.timestamp(), True
            ticket.deadline = min(ticket.until, ticket.arrived + self.real_time + self.skew)
        elif (text := ticket.message.property_value(DEADLINE)) is not None:
            reason = f"{quoted(text)} is no time with a zone: {self.real_time:g} s from its arrival is taken"
            out.append(Notice(What.DEADLINE_UNREADABLE, ticket.sender, reason))

    def _compare_clocks(self, ticket: Ticket, out: list[Any]) -> None:
        """Tell once per session that the clocks differ: what is late may also have been under way for long."""
        # A Deadline where ours would be says that they agree: then no Timestamp need be read.
        if -self.skew <= ticket.until - self.real_time - ticket.arrived <= self.skew and ticket.has_deadline:
            return
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


def _payload(rules: Checks, ticket: Ticket) -> Notice | None:
    fault = rules.payloads.fault(ticket.message)
    return told(What.INVALID_PAYLOAD, ticket.sender, fault) if fault is not None else None


def _difference(ahead: float) -> str:
    return f"{abs(ahead):.1f} s {'ahead of' if ahead > 0 else 'behind'} ours" + (
        "" if ahead > 0 else ", or it was late"
    )


def _source(rules: Checks, ticket: Ticket) -> Notice | None:
    source, sender = ticket.message.source, ticket.sender
    if source == sender:
        return None
    return Notice(What.SOURCE_DIFFERS, sender, f"Source is {quoted(source)}, the sender is {sender}", "2.14")


def _destination(rules: Checks, ticket: Ticket) -> Notice | None:
    place, message = rules.place(ticket), ticket.message
    if message.destination == place or place in message.destinations:
        return None
    reason = f"Destination is {quoted(message.destination)}, this is {place}"
    return Notice(What.DESTINATION_DIFFERS, ticket.sender, reason, "7.5")


def _deadline(rules: Checks, ticket: Ticket) -> Notice | None:
    if not rules.is_expired(ticket, ticket.arrived):
        return None
    reason = f"its Deadline passed {ticket.arrived - ticket.deadline:.1f} s ago"
    sent = ticket.message.sent_at
    if sent is not None and abs(ahead := sent.timestamp() - ticket.arrived) > rules.skew:
        reason += f"; by its Timestamp, its clock is {_difference(ahead)}"
    return Notice(What.EXPIRED, ticket.sender, reason, "4.1")


def _kind(rules: Checks, ticket: Ticket) -> Notice | None:
    kind, address = ticket.message.kind, ticket.address
    if kind not in _KINDS[type(address)]:
        return Notice(What.WRONG_KIND, ticket.sender, f"{kind} does not belong at {address}", "1.8")
    # What a party says there, it says of itself.
    if type(address) is Presence and (address.party or ticket.sender) != ticket.sender:
        return Notice(What.WRONG_KIND, ticket.sender, f"{address} is not the sender's", "1.8")
    # 62746-3, 5.5.4: a VEN's events go to the VTN, the VTN's to a node.
    if kind is Kind.EVENT and type(address) is Inbox and rules.party != rules.domain.vtn:
        return Notice(What.WRONG_KIND, ticket.sender, f"{kind} belongs on a node", "1.8")
    return None


def _verb(rules: Checks, ticket: Ticket) -> Notice | None:
    message = ticket.message
    if message.verb in _VERBS[message.kind] or rules.is_tolerant:
        return None
    return Notice(What.WRONG_VERB, ticket.sender, f"{message.verb} is no verb of {message.kind}", "2.9")


def _noun(rules: Checks, ticket: Ticket) -> Notice | None:
    noun, domain = ticket.message.noun, rules.domain
    if noun in domain.nouns or noun in OWN_NOUNS:
        return None
    return Notice(What.UNKNOWN_NOUN, ticket.sender, f"no noun {quoted(noun)} in domain {domain.name}", "2.5")


def _right(rules: Checks, ticket: Ticket) -> Notice | None:
    message, address, sender = ticket.message, ticket.address, ticket.sender
    if message.kind is Kind.REQUEST:
        node = message.request.option("Node") if message.request is not None and message.verb == "get" else None
        decision = rules.policy.may_request(sender, rules.party, message.verb, message.noun, node)
    elif type(address) is Node:
        decision = rules.policy.may_publish(sender, message.noun, address.name)
        if decision.is_allowed:
            decision = rules.policy.may_subscribe(rules.party, address.name)
    else:
        decision = rules.policy.may_publish(sender, message.noun)
    if decision.is_allowed:
        return None
    return Notice(What.NOT_ALLOWED, sender, cut(f"{decision.reason} ({decision.rule})"), "7.5")


_Check = Callable[[Checks, Ticket], Notice | None]
_HEADER: Final[tuple[_Check, ...]] = (_source, _destination, _deadline, _kind, _verb)
_ACCESS: Final[tuple[_Check, ...]] = (_noun, _right, _payload)
