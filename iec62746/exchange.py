"""The conversation, without any I/O: deliveries and `now` in, things to do out.

Order of checks, cheap first: size, proven sender, envelope, header (Source, Destination, Deadline, kind, verb),
duplicate, access, exchange. Nothing is dropped without a `Notice`. Times are seconds since 1970, UTC.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from math import isfinite

from iec62746._answers import Answers
from iec62746._checks import Checks
from iec62746._current import CurrentValues, Latest, Wanted, event_of, is_refused, sent_at
from iec62746._duplicates import Duplicates
from iec62746._memory import Key
from iec62746._payloads import Payloads
from iec62746._pending import Pending
from iec62746._presence import OwnPresence
from iec62746._writer import Writer
from iec62746.address import Inbox, Node, Presence
from iec62746.domain import Domain
from iec62746.envelope import decode, inflate
from iec62746.errors import (
    EnvelopeError,
    InvalidMessage,
    LocalError,
    NoReply,
    Outcome,
    Overloaded,
    PermissionDenied,
    Rule,
    SessionLost,
    TransportError,
)
from iec62746.message import EVENT_VERBS, REQUEST_VERBS, Finding, Kind, Message
from iec62746.outputs import Asked, Completed, Execute, Failed, Notice, Send, SessionSuperseded, Ticket, What, cut, told
from iec62746.policy import Decision, Policy
from iec62746.profiles import Profiles
from iec62746.roster import NOUN, Changed, PartyConflict, Roster, State, from_payload
from iec62746.transport import Delivery, Outgoing, Proof

Output = Send | Execute | Completed | Failed | Notice | Changed | PartyConflict | SessionSuperseded


_NO_PROFILES = Profiles({})


class Exchange:
    """One party's conversation in one domain; outlives sessions."""

    def __init__(
        self, domain: Domain, party: str, *, now: float, new_id: Callable[[], str], profiles: Profiles = _NO_PROFILES
    ) -> None:
        """Speak as `party` in `domain`; `new_id` makes MessageIDs. Raises `InvalidAddress` for a stranger.

        By `profiles` payloads are checked, as the domain has it.
        """
        domain.party(party)
        self.domain, self.party = domain, party
        self.is_vtn = party == domain.vtn
        self.policy = Policy.of(domain)
        self.roster = Roster()
        self._limits = limits = domain.limits
        # 62746-3, 4.4: VENs do not talk to one another. Of itself a party hears its presence.
        self._peers = {name: name for name in (domain.parties if self.is_vtn else (domain.vtn, party))}
        self._payloads = payloads = Payloads(domain, profiles)
        self._writer = Writer(domain, party, new_id, payloads)
        self._checks = Checks(domain, party, self.policy, payloads)
        self._pending = Pending(limits.pending)
        self._duplicates = Duplicates(limits, now)
        self._reading = domain.reading
        self._answers = Answers(limits, self._writer, self._duplicates.memory, frozenset(self._peers))
        self._own = OwnPresence(domain, party, self._writer)
        self._current, self._wanted, self._latest = CurrentValues(domain), Wanted(domain), Latest(limits)

    # ---------------------------------------------------------------- sessions and presence

    @property
    def epoch(self) -> int:
        """The epoch of our session: UTC milliseconds at its opening, or more."""
        return self._own.epoch

    @property
    def session(self) -> str:
        """The name of our session."""
        return self._own.session

    def opened(self, session: str, now: float) -> None:
        """Begin a session: its epoch is above every one that was seen of our party."""
        self._own.opened(session, now)
        self._checks.forget_clocks()

    def announce(self, state: State, now: float, reason: str = "") -> Send:
        """Return our presence as it goes to those who may know (62746-3, 5.5.5); raises `InvalidMessage` for gone."""
        return Send(Presence(self.party), self._own.announcement(state, now, reason))

    def will(self, now: float) -> Outgoing:
        """Return the presence that the communication server publishes for us if the connection breaks."""
        return self._own.will(now)

    def gone(self, party: str, now: float) -> list[Output]:
        """Take the transport's evidence that the last connection of `party` ended."""
        return list(self.roster.ended(party, now)) if party != self.party else []

    def lost(self, cause: TransportError) -> list[Output]:
        """End what was under way in a session that is lost: its replies cannot come any more."""
        self._wanted.give_up()
        error = cause
        if type(cause) is not SessionLost or cause.outcome is not Outcome.UNKNOWN:
            # Whatever ended the session, what had been sent may have been executed.
            error = SessionLost(f"the session ended: {cause}")
            error.__cause__ = cause
        return [self._ended(key, asked, error) for key, asked in self._pending.take_all()]

    def bounced(self, correlation_id: str, cause: TransportError) -> list[Output]:
        """End the request that was returned."""
        asked = self._pending.take(correlation_id)
        if asked is None:
            return []
        if asked.node:
            self._wanted.give_up()
        return [self._ended(correlation_id, asked, cause)]

    def _ended(self, key: str, asked: Asked, cause: TransportError | EnvelopeError) -> Output:
        if asked.node:
            self._wanted.ended(key)
            return Notice(What.UNANSWERED, asked.to, cut(f"no current value of {asked.node}: {cause}"))
        return Failed(key, cause, asked)

    # ---------------------------------------------------------------- sending

    def request(self, template: Message, to: str, now: float, timeout: float | None = None) -> Outgoing:
        """Return `template` as a request to `to`; its correlation id is the key under which it ends.

        `timeout` is the caller's patience in seconds (None: real_time). Raises `PermissionDenied` naming the rule,
        `Overloaded` at `pending`, `InvalidMessage`, `TooLarge`: nothing was sent.
        """
        if template.verb not in REQUEST_VERBS or template.kind is not Kind.REQUEST:
            raise _wrong_verb(template, "request", REQUEST_VERBS)
        patience = self._limits.real_time if timeout is None else timeout
        if not (isfinite(patience) and patience >= 0):
            raise InvalidMessage(f"timeout={timeout!r}: give seconds, or None for {self._limits.real_time:g}")
        node = template.request.option("Node") if template.request is not None and template.verb == "get" else None
        _demand(self.policy.may_request(self.party, to, template.verb, template.noun, node))
        return self._ask(template, to, now, patience)

    def _ask(self, template: Message, to: str, now: float, patience: float, node: str = "") -> Outgoing:
        if self._pending.is_full(to):
            raise Overloaded(f"{self._limits.pending} requests to {to} are unanswered", outcome=Outcome.NOT_SENT)
        deadline = now + self._limits.real_time
        outgoing = self._writer.outgoing(
            self._writer.stamped(template, to, now, deadline), deadline, expects_reply=True
        )
        key = outgoing.correlation_id
        if self._pending.get(key) is not None:
            raise InvalidMessage(f"a request with CorrelationID {key} is unanswered: use another")
        self._pending.add(key, Asked(to, template.verb, template.noun, now, node), now + patience)
        return outgoing

    def abandon(self, key: str) -> None:
        """Forget the request `key`: nobody waits for it any more."""
        self._pending.take(key)

    def publish(self, template: Message, node: str | None, now: float) -> Send:
        """Return `template` as an event: the VTN's on `node`, or a VEN's to the VTN (62746-3, 5.5.4).

        What the VTN publishes is the node's current value from now on, even if it cannot be sent. Raises
        `PermissionDenied` naming the rule, `InvalidMessage`, `TooLarge`: nothing was sent.
        """
        if template.verb not in EVENT_VERBS or template.kind is not Kind.EVENT:
            raise _wrong_verb(template, "event", EVENT_VERBS)
        _demand(self.policy.may_publish(self.party, template.noun, node))
        deadline = now + self._limits.real_time
        message = self._writer.stamped(template, node or self.domain.vtn, now, deadline)
        outgoing = self._writer.outgoing(message, deadline)
        if node is None:
            return Send(Inbox(self.domain.vtn), outgoing)
        self._current.keep(node, message)
        return Send(Node(node), outgoing)

    # ---------------------------------------------------------------- receiving

    def receive(self, delivery: Delivery, now: float) -> list[Output]:
        """Take one delivery."""
        sender = self._peers.get(delivery.sender or "") if delivery.proof is not Proof.NONE else None
        if len(delivery.body) > self._limits.message:
            reason = f"{len(delivery.body)} octets: the limit is {self._limits.message}"
            too_large = EnvelopeError(Rule.TOO_LONG, reason, reply_code="3.1")
            return self._unread(delivery, sender, What.TOO_LARGE, too_large, now)
        if sender is None:
            return [_turned_away(delivery)]
        try:
            message = decode(delivery.body, reading=self._reading, limits=self._limits)
        except EnvelopeError as exc:
            return self._unread(delivery, sender, What.UNREADABLE, exc, now)
        deadline = now + self._limits.real_time
        key = delivery.correlation_id or message.correlation_id or message.message_id or ""
        ticket = Ticket(message, sender, delivery.address, now, deadline, deadline, None, key)
        out: list[Output] = []
        if message.kind is Kind.FAULT:
            self._receive_reply(ticket, delivery.correlation_id, now, out)
            return out
        if message.findings:
            out += [_found(sender, one) for one in message.findings]
        if delivery.headers:
            self._checks.hints(ticket, delivery.headers, out)
        self._checks.fill(ticket, out)
        self._receive_read(ticket, delivery, self._checks.header(ticket), now, out)
        return out

    # Each of these puts out what it has to say: a list for each would be most of their cost.

    def _receive_read(
        self, ticket: Ticket, delivery: Delivery, refusal: Notice | None, now: float, out: list[Output]
    ) -> None:
        kind = ticket.message.kind
        if kind is Kind.REQUEST:
            self._receive_request(ticket, delivery, refusal, now, out)
        elif refusal is not None:
            out.append(refusal)
        elif kind is Kind.RESPONSE:
            self._receive_reply(ticket, ticket.message.correlation_id, now, out)
        elif type(ticket.address) is Presence:
            out += self._receive_presence(ticket, now)
        else:
            self._receive_event(ticket, delivery, out)

    def _unread(
        self, delivery: Delivery, sender: str | None, what: What, error: EnvelopeError, now: float
    ) -> list[Output]:
        """Answer what was not read by a FaultMessage, or end the request of ours that it was to answer."""
        notice = told(what, sender or delivery.sender or "?", error)
        if sender is None:
            return [notice]
        key = delivery.correlation_id
        if delivery.reply_to is not None:
            ticket = Ticket(_UNREAD, sender, delivery.address, now, now, now, delivery.reply_to, key)
            return [notice, *self._answers.fault(ticket, notice.reply_code, notice.detail, now)]
        asked = self._pending.get(key)
        if asked is None or asked.to != sender:
            return [notice]
        self._pending.take(key)
        return [notice, self._ended(key, asked, error), *self._ask_next(now)]

    def _receive_request(
        self, ticket: Ticket, delivery: Delivery, refusal: Notice | None, now: float, out: list[Output]
    ) -> None:
        """Check a request further, and hand it on, answer it, or refuse it."""
        if delivery.reply_to is None:
            reason = "no reply address that is proven to be the sender's"
            out.append(Notice(What.NO_REPLY_ADDRESS, ticket.sender, reason))
            return
        ticket.reply_to = delivery.reply_to
        if refusal is not None and refusal.what is What.EXPIRED:
            # Of what may have been executed when it came first, nobody is told that it was refused.
            if self._duplicates.knows(ticket.sender, ticket.message.message_id):
                refusal = None
            elif delivery.redelivered:
                out.append(refusal)
                return
        if refusal is None:
            if (known := self._duplicates.check(ticket, delivery, out)) is not None:
                self._receive_again(ticket, *known, out)
                return
            refusal = self._checks.access(ticket) or self._answers.excess(ticket)
        if refusal is not None:
            out += (refusal, *self.refuse(ticket, refusal.reply_code, refusal.detail, now))
            return
        self._answers.begin(ticket)
        own = self._own_answer(ticket, now) if self.is_vtn and ticket.message.verb == "get" else None
        if own:
            out += own
        else:
            out.append(self._executed(ticket))

    def _receive_event(self, ticket: Ticket, delivery: Delivery, out: list[Output]) -> None:
        """Check an event further, and hand it on or drop it."""
        if (known := self._duplicates.check(ticket, delivery, out)) is not None:
            self._receive_again(ticket, *known, out)
            return
        refusal = self._checks.access(ticket)
        if refusal is not None:
            out.append(refusal)
            return
        address = ticket.address
        if type(address) is Node and self._current.has(address.name, ticket.message.noun):
            if self._latest.is_overtaken(address.name, ticket.message):
                out.append(_outdated(ticket.sender, f"a later current value of {address.name} was delivered"))
                return
            self._latest.saw(address.name, ticket.message, ticket.arrived)
        out.append(self._executed(ticket))

    def _executed(self, ticket: Ticket) -> Execute:
        ticket.message = self._inflated(ticket.message)
        return Execute(ticket)

    def _inflated(self, message: Message) -> Message:
        if message.payload is None or message.payload.compressed is None:
            return message
        try:
            return replace(message, payload=inflate(message.payload, self._limits))
        except InvalidMessage:
            return message  # a finding says so: it is handed on as it is

    def _receive_again(self, ticket: Ticket, notice: Notice, key: Key | None, out: list[Output]) -> None:
        """Give the sender of a duplicate the answer that the first one got, or say why it is not executed."""
        out.append(notice)
        if key is not None and ticket.reply_to is not None:
            out += self._answers.again(key, ticket.reply_to, ticket.correlation_id)
        elif notice.reply_code:
            out += self.refuse(ticket, notice.reply_code, notice.detail, ticket.arrived)

    def _receive_presence(self, ticket: Ticket, now: float) -> list[Output]:
        """Take an announcement: of a peer for the roster, of ourselves to see whether a newer session is live."""
        message, sender = ticket.message, ticket.sender
        if message.noun != NOUN:
            return [Notice(What.WRONG_KIND, sender, cut(f"{message.noun!r}: only Presence belongs there"))]
        try:
            said = from_payload(message.payload, self._limits)
        except EnvelopeError as exc:
            return [told(What.UNREADABLE, sender, exc)]
        if sender == self.party:
            superseded = self._own.hear(said)
            return [] if superseded is None else [superseded]
        if said.session != self.roster[sender].session:
            self._checks.forget_clocks(sender)
        changes = self.roster.announced(sender, said, now, sent_at(message) or None)
        if changes is None:
            return [_outdated(sender, f"a later announcement than this {said.state} was taken before")]
        return list(changes)

    def _receive_reply(self, ticket: Ticket, key: str | None, now: float, out: list[Output]) -> None:
        """Take a ResponseMessage or FaultMessage: it ends a request only if the party that was asked sent it."""
        asked = self._pending.get(key)
        if asked is None or key is None:
            out.append(Notice(What.LATE_REPLY, ticket.sender, "no request waits for it"))
            return
        if ticket.sender != asked.to:
            out.append(Notice(What.WRONG_REPLIER, ticket.sender, f"{asked.to} was asked"))
            return
        self._pending.take(key)
        if (fault := self._payloads.fault(ticket.message)) is not None:
            out += (told(What.INVALID_PAYLOAD, ticket.sender, fault), self._ended(key, asked, fault))
        elif asked.node:
            self._wanted.ended(key)
            out += self._receive_current(ticket, asked)
        else:
            out.append(Completed(key, self._inflated(ticket.message), asked))
        if self._wanted.is_waiting:
            out += self._ask_next(now)

    # ---------------------------------------------------------------- answering

    def answer(self, ticket: Ticket, template: Message, now: float) -> list[Output]:
        """Return what to send as the answer to `ticket`: `template` with the header of a reply, and to its duplicates.

        Raises `InvalidMessage` or `TooLarge` if it cannot be written; the ticket is then still open.
        """
        return [*self._answers.answer(ticket, template, now)]

    def refuse(self, ticket: Ticket, code: str, reason: str, now: float) -> list[Output]:
        """Return a Reply FAILED with `code` for `ticket`; nothing for an event. Never raises."""
        return [*self._answers.refuse(ticket, code, reason, now)]

    def is_expired(self, ticket: Ticket, now: float) -> bool:
        """Return whether the message of `ticket` may not be delivered any more."""
        return self._checks.is_expired(ticket, now)

    def _own_answer(self, ticket: Ticket, now: float) -> list[Output]:
        """Return the VTN's own answer to `get Nodes` or for a current value (62746-3, 7); none: it is the handler's."""
        template = self._current.answer_to(ticket.message, ticket.sender)
        if template is None:
            return []
        notice = Notice(What.ANSWERED, ticket.sender, f"get {template.noun}")
        try:
            return [notice, *self._answers.answer(ticket, template, now)]
        except LocalError as exc:
            notice = Notice(What.UNANSWERABLE, ticket.sender, str(exc), "3.1")
            return [notice, *self.refuse(ticket, "3.1", str(exc), now)]

    # ---------------------------------------------------------------- current values, as a VEN gets them

    def current_requests(self, nodes: Iterable[str], now: float) -> list[Send]:
        """Begin to ask for the current values of `nodes`, some at a time; what was asked before is asked anew."""
        if self.is_vtn:
            return []
        for key in self._wanted.start(nodes):
            self._pending.take(key)
        return self._ask_next(now)

    def _ask_next(self, now: float) -> list[Send]:
        out: list[Send] = []
        vtn = self.domain.vtn
        if self._pending.is_full(vtn):
            return out
        for node, template in self._wanted.requests():
            outgoing = self._ask(template, vtn, now, self._limits.real_time, node)
            self._wanted.asked(outgoing.correlation_id, node, template.noun)
            out.append(Send(Inbox(vtn), outgoing))
            if self._pending.is_full(vtn):
                break
        return out

    def _receive_current(self, ticket: Ticket, asked: Asked) -> list[Output]:
        if is_refused(ticket.message):
            return [Notice(What.UNANSWERED, asked.to, f"no current value of {asked.node}: it was refused")]
        event = event_of(ticket.message, asked.node, asked.noun)
        if event is None:
            return []
        message_id = event.message_id or ""
        if not self._latest.is_news(asked.node, event, asked.at) or self._duplicates.knows(asked.to, message_id):
            reason = f"the current value of {asked.node} is not later than what was delivered"
            return [_outdated(asked.to, reason)]
        notices: list[Output] = []
        # The event itself may still come: then it is a duplicate.
        self._duplicates.expect(asked.to, message_id, sent_at(event) + self._limits.real_time, ticket.arrived, notices)
        self._latest.saw(asked.node, event, ticket.arrived)
        ticket.message, ticket.address = event, Node(asked.node)
        return [*notices, self._executed(ticket)]

    # ---------------------------------------------------------------- time

    def expire(self, now: float) -> list[Output]:
        """Take the time: end what nobody answered, forget what cannot come again, conclude who is gone."""
        out: list[Output] = []
        for key, asked in self._pending.due(now):
            out.append(self._ended(key, asked, NoReply(f"{asked.to} did not answer {asked.verb} {asked.noun} in time")))
        if out:
            out += self._ask_next(now)
        self._duplicates.memory.expire(now)
        out.extend(self.roster.expire(now))
        return out

    def clock_put(self, by: float) -> None:
        """Take that our clock was put forward, or back, by so many seconds: what lasts is to last as long as it would.

        What was received stays remembered by the deadlines that it came with.
        """
        self._pending.clock_put(by)
        self.roster.clock_put(by)
        self._latest.clock_put(by)

    def next(self) -> float | None:
        """Return when `expire` has something to do."""
        times = [
            at for at in (self._pending.next(), self._duplicates.memory.next(), self.roster.next()) if at is not None
        ]
        return min(times, default=None)

    @property
    def pending(self) -> int:
        """How many of our requests are unanswered."""
        return len(self._pending)

    @property
    def remembered(self) -> int:
        """How many messages are remembered against duplicates."""
        return len(self._duplicates.memory)


_UNREAD = Message(kind=Kind.FAULT)


def _wrong_verb(template: Message, what: str, verbs: frozenset[str]) -> InvalidMessage:
    if not isinstance(template.kind, Kind):
        return InvalidMessage(f"kind is {template.kind!r}: give a Kind, such as Kind.{what.upper()}")
    listed = ", ".join(sorted(verbs))
    return InvalidMessage(f"{template.kind} with verb {template.verb!r} is no {what}: its verb is one of {listed}")


def _demand(decision: Decision) -> None:
    if not decision.is_allowed:
        raise PermissionDenied(f"{decision.reason} ({decision.rule})", outcome=Outcome.NOT_SENT)


def _found(sender: str, finding: Finding) -> Notice:
    return Notice(What.FINDING, sender, cut(f"{finding.rule.value}: {finding.reason}"), rule=finding.rule)


def _outdated(sender: str, reason: str) -> Notice:
    return Notice(What.OUTDATED, sender, reason)


def _turned_away(delivery: Delivery) -> Notice:
    sender = delivery.sender
    if sender is None or delivery.proof is Proof.NONE:
        return Notice(What.UNPROVEN, cut(sender or "?"), "nobody proves who sent it")
    return Notice(What.STRANGER, cut(sender), "it is no party that we talk to in this domain")
