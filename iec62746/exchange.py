"""The conversation, without any I/O: deliveries and `now` in, things to do out.

Order of checks, cheap first: size, proven sender, envelope, Source, Destination, Deadline, duplicate, access, exchange. Nothing is
dropped without a `Notice`. Times are seconds since 1970, UTC.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from iec62746._current import CurrentValues, Latest, event_of
from iec62746._forms import reply_form
from iec62746._memory import Memory
from iec62746._timers import Timers
from iec62746.address import Inbox, Node, Presence
from iec62746.domain import OWN_NOUNS, Domain
from iec62746.envelope import decode, encode, inflate, payload
from iec62746.errors import (
    EnvelopeError,
    InvalidMessage,
    NoReply,
    Outcome,
    Overloaded,
    PermissionDenied,
    Rule,
    TooLarge,
    TransportError,
)
from iec62746.message import (
    DEADLINE,
    DESTINATION,
    EVENT_VERBS,
    REQUEST_VERBS,
    Error,
    Kind,
    Message,
    Property,
    ReplyPart,
    Result,
    thawed,
)
from iec62746.outputs import Completed, Execute, Failed, Notice, Send, SessionSuperseded, Ticket, What
from iec62746.policy import Policy
from iec62746.roster import LEASES, NOUN, Announcement, Changed, PartyConflict, Roster, State, from_payload, to_payload
from iec62746.transport import Delivery, Outgoing, Proof

Output = Send | Execute | Completed | Failed | Notice | Changed | PartyConflict | SessionSuperseded

WAITING_DUPLICATES = 8
"""Duplicates of a running request that wait for its answer; more are dropped."""

_OK = (Error(code="0.0"),)
_TWIN = thawed(Message)


class Exchange:
    """One party's conversation in one domain; outlives sessions."""

    def __init__(self, domain: Domain, party: str, *, now: float, new_id: Callable[[], str]) -> None:
        """Speak as `party` in `domain`; `new_id` makes MessageIDs. Raises `InvalidAddress` if the domain has no such party."""
        domain.party(party)
        self.domain, self.party, self._new_id = domain, party, new_id
        self.is_vtn = party == domain.vtn
        self.policy = Policy(domain)
        self.roster = Roster()
        self._limits = limits = domain.limits
        # A VEN hears its VTN and, for presence, itself; the VTN hears everybody (62746-3, 4.4: VENs do not talk to one another).
        self._peers = frozenset(domain.parties) if self.is_vtn else frozenset({domain.vtn, party})
        self._pending: dict[str, _Pending] = {}
        self._pending_at: dict[str, int] = {}
        self._timers: Timers[str] = Timers(0.05)
        self._memory = Memory(most=limits.remembered, octets=limits.answers, since=now)
        self._open_from: dict[str, int] = {}
        self._current = CurrentValues(domain)
        self._latest = Latest()
        self._skewed: set[str] = set()
        self._clock = _Clock()
        self.session, self.epoch = "", 0

    # ---------------------------------------------------------------- sessions and presence

    def opened(self, session: str, now: float) -> None:
        """Begin a session: its epoch is above every one that was seen of our party."""
        self.session, self.epoch = session, max(int(now * 1000), self.epoch + 1)
        self._skewed.clear()

    def announce(self, state: State, now: float, reason: str = "") -> Send:
        """Return our presence as it goes to those who may know (62746-3, 5.5.5)."""
        interval = self._limits.presence
        return Send(Presence(self.party), self._presence(state, reason, now, now + LEASES * interval))

    def will(self, now: float) -> Outgoing:
        """Return the presence that the communication server publishes for us if the connection breaks."""
        return self._presence(State.OFFLINE, "connection lost", now, None)

    def _presence(self, state: State, reason: str, now: float, deadline: float | None) -> Outgoing:
        said = Announcement(
            state=state, session=self.session, epoch=self.epoch, interval=self._limits.presence, reason=reason
        )
        template = Message(kind=Kind.EVENT, verb="changed", noun=NOUN, payload=to_payload(said))
        destination = self.domain.name if self.is_vtn else self.domain.vtn
        return self._outgoing(self._stamp(template, destination, now, deadline), deadline or float("inf"))

    def gone(self, party: str, now: float) -> list[Output]:
        """Take the transport's evidence that the last connection of `party` ended."""
        return list(self.roster.ended(party, now)) if party != self.party else []

    def lost(self, cause: TransportError) -> list[Output]:
        """End what was under way in a session that is lost: its replies cannot come any more."""
        return [output for key in list(self._pending) for output in self.bounced(key, cause)]

    def bounced(self, correlation_id: str, cause: TransportError) -> list[Output]:
        """End the request that was returned."""
        pending = self._forget(correlation_id)
        return [self._ended(correlation_id, pending, cause)] if pending is not None else []

    def _ended(self, key: str, pending: "_Pending", cause: TransportError) -> Output:
        if pending.node:
            return Notice(What.UNANSWERED, pending.to, f"no current value of {pending.node}: {cause}")
        return Failed(key, cause)

    # ---------------------------------------------------------------- sending

    def request(self, template: Message, to: str, now: float, timeout: float | None = None, *, node: str = "") -> Outgoing:
        """Return `template` as a request to `to`; its correlation id is the key under which it ends.

        `timeout` is the caller's patience in seconds (None: real_time). Raises `PermissionDenied` naming the rule, `Overloaded`
        at `pending`, `InvalidMessage`, `TooLarge`: nothing was sent.
        """
        if template.verb not in REQUEST_VERBS:
            raise InvalidMessage(f"{template.verb!r} is no verb of a request: use one of {', '.join(sorted(REQUEST_VERBS))}")
        asked = node or (template.request.option("Node") if template.request and template.verb == "get" else None)
        decision = self.policy.may_request(self.party, to, template.verb, template.noun, asked or None)
        if not decision.is_allowed:
            raise PermissionDenied(f"{decision.reason} ({decision.rule})", outcome=Outcome.NOT_SENT)
        if self._pending_at.get(to, 0) >= self._limits.pending:
            raise Overloaded(f"{self._limits.pending} requests to {to} are unanswered", outcome=Outcome.NOT_SENT)
        deadline = now + self._limits.real_time
        message = self._stamp(template, to, now, deadline)
        key = message.correlation_id or ""
        if key in self._pending:
            raise InvalidMessage(f"a request with CorrelationID {key} is unanswered: use another")
        outgoing = self._outgoing(message, deadline, expects_reply=True)
        self._pending[key] = _Pending(to, message, self._timers.add(key, now + (timeout or self._limits.real_time)), node)
        self._pending_at[to] = self._pending_at.get(to, 0) + 1
        return outgoing

    def abandon(self, key: str) -> None:
        """Forget the request `key`: nobody waits for it any more."""
        self._forget(key)

    def _forget(self, key: str) -> "_Pending | None":
        pending = self._pending.pop(key, None)
        if pending is not None:
            self._timers.cancel(key, pending.bucket)
            self._pending_at[pending.to] -= 1
        return pending

    def publish(self, template: Message, node: str | None, now: float) -> Send:
        """Return `template` as an event: the VTN's on `node`, or a VEN's to the VTN (62746-3, 5.5.4).

        Raises `PermissionDenied` naming the rule, `InvalidMessage`, `TooLarge`: nothing was sent.
        """
        if template.verb not in EVENT_VERBS:
            raise InvalidMessage(f"{template.verb!r} is no verb of an event: use one of {', '.join(sorted(EVENT_VERBS))}")
        decision = self.policy.may_publish(self.party, template.noun, node)
        if not decision.is_allowed:
            raise PermissionDenied(f"{decision.reason} ({decision.rule})", outcome=Outcome.NOT_SENT)
        deadline = now + self._limits.real_time
        message = self._stamp(template, node or self.domain.vtn, now, deadline)
        outgoing = self._outgoing(message, deadline)
        if node is not None:
            self._current.keep(node, message)
        return Send(Node(node) if node is not None else Inbox(self.domain.vtn), outgoing)

    def _stamp(
        self, given: Message, destination: str, now: float, deadline: float | None, correlation_id: str | None = None
    ) -> Message:
        """Return `given` with a new MessageID, our Source, its Destination and Deadline, and a Timestamp if it has none."""
        message_id = self._new_id()
        own = [Property(DESTINATION, destination)]
        if deadline is not None:
            own.append(Property(DEADLINE, self._clock.text(deadline)))
        others = [one for one in given.properties if one.name not in (DESTINATION, DEADLINE)] if given.properties else []
        message: Any = _TWIN(
            kind=given.kind, verb=given.verb, noun=given.noun, revision=given.revision, replay_detection=given.replay_detection,
            context=given.context, timestamp=given.timestamp or self._clock.text(now), source=self.party,
            async_reply_flag=given.async_reply_flag, reply_address=given.reply_address, ack_required=given.ack_required,
            user=given.user, message_id=message_id, correlation_id=correlation_id or given.correlation_id or message_id,
            comment=given.comment, properties=(*others, *own), extensions=given.extensions, request=given.request,
            reply=given.reply, payload=given.payload, form=given.form, vendor=given.vendor,
        )  # fmt: skip
        message.__class__ = Message
        stamped: Message = message
        return stamped

    def _outgoing(self, message: Message, expires: float, *, expects_reply: bool = False, correlation_id: str = "") -> Outgoing:
        body = encode(message)
        if len(body) > self._limits.message:
            raise TooLarge(f"{len(body)} octets: the domain's limit `message` is {self._limits.message}")
        return Outgoing(
            body=body,
            expires=expires,
            correlation_id=correlation_id or message.correlation_id or "",
            expects_reply=expects_reply,
            headers={"Verb": message.verb, "Noun": message.noun},
        )

    # ---------------------------------------------------------------- receiving

    def receive(self, delivery: Delivery, now: float) -> list[Output]:
        """Take one delivery."""
        sender = delivery.sender
        if len(delivery.body) > self._limits.message:
            reason = f"{len(delivery.body)} octets: the limit is {self._limits.message}"
            return self._fault(delivery, What.TOO_LARGE, "3.1", reason, now)
        if sender is None or delivery.proof is Proof.NONE:
            return [Notice(What.UNPROVEN, sender or "?", "nobody says who sent it")]
        if sender not in self._peers:
            return [Notice(What.STRANGER, sender, "it is no party that we talk to in this domain")]
        try:
            message = decode(delivery.body, reading=self.domain.reading, limits=self._limits)
        except EnvelopeError as exc:
            return self._fault(delivery, What.UNREADABLE, exc.reply_code, str(exc), now)
        out: list[Output] = [Notice(What.FINDING, sender, f"{one.rule.value}: {one.reason}") for one in message.findings]
        if message.kind in _REPLIES:
            out += self._receive_reply(message, delivery, now)
        elif type(delivery.address) is Presence:
            out += self._receive_presence(message, sender, now)
        else:
            out += self._receive_message(message, delivery, sender, now)
        return out

    def _receive_message(self, message: Message, delivery: Delivery, sender: str, now: float) -> list[Output]:
        """Take a request or an event: check it, and hand it on or refuse it."""
        out: list[Output] = []
        is_request = message.kind is Kind.REQUEST
        if is_request and delivery.reply_to is None:
            return [Notice(What.NO_REPLY_ADDRESS, sender, "no reply address that is proven to be the sender's")]
        message, deadline = self._filled(message, delivery, sender, now, out)
        ticket = Ticket(message, sender, deadline, delivery.reply_to if is_request else None)
        ticket.correlation_id = delivery.correlation_id or message.correlation_id or message.message_id or ""
        refusal = self._flaw(message, delivery, sender, deadline, now)
        if refusal is None:
            known = self._duplicate(ticket, delivery, now, out)
            if known is not None:
                return out + known
            refusal = self._denied(message, delivery, sender)
        if refusal is None and is_request and self._open_from.get(sender, 0) >= self._limits.pending:
            refusal = Notice(What.TOO_MANY_PENDING, sender, f"{self._limits.pending} requests are unanswered", "3.2")
        if is_request:
            self._count(ticket)
        if refusal is not None:
            out.append(refusal)
            return out + (self.refuse(ticket, refusal.reply_code, refusal.detail, now) if is_request else [])
        own = self._own_answer(ticket, now) if is_request and self.is_vtn else None
        return out + (own if own is not None else self._executed(ticket))

    def _count(self, ticket: Ticket) -> None:
        self._open_from[ticket.sender] = self._open_from.get(ticket.sender, 0) + 1
        ticket.is_counted = True

    def _executed(self, ticket: Ticket) -> list[Output]:
        message = ticket.message
        if message.kind is Kind.EVENT and not self.is_vtn:
            self._latest.saw(message)
        if message.payload is not None and message.payload.compressed is not None:
            ticket.message = _inflated(message, self._limits)
        return [Execute(ticket)]

    def _filled(
        self, message: Message, delivery: Delivery, sender: str, now: float, out: list[Output]
    ) -> tuple[Message, float]:
        """Return `message` with Source and Destination filled in where absent, and when it stops being deliverable."""
        given = message.deadline
        latest = now + self._limits.real_time + self._limits.clock_skew
        deadline = min(given.timestamp(), latest) if given is not None else now + self._limits.real_time
        if message.source is None:
            out.append(Notice(What.SOURCE_FILLED, sender, "no Source: the proven sender is taken"))
            message = replace(message, source=sender)
        if message.destination is None:
            out.append(Notice(What.DESTINATION_FILLED, sender, "no Destination: the transport's address is taken"))
            place = _name_of(delivery)
            message = replace(message, properties=(*message.properties, Property(DESTINATION, place)))
        sent = message.sent_at
        if sent is not None and sender not in self._skewed and sent.timestamp() - now > self._limits.clock_skew:
            self._skewed.add(sender)
            ahead = sent.timestamp() - now
            out.append(Notice(What.CLOCK_DIFFERS, sender, f"its clock is {ahead:.1f} s ahead of ours: set them by NTP"))
        return message, deadline

    def _flaw(
        self, message: Message, delivery: Delivery, sender: str, deadline: float, now: float
    ) -> Notice | None:
        """Return what is wrong with the header, or None."""
        if message.source != sender:
            return Notice(What.SOURCE_DIFFERS, sender, f"Source is {message.source!r}, the sender is {sender}", "2.14")
        place = _name_of(delivery)
        if message.destination != place and place not in message.destinations:
            return Notice(What.DESTINATION_DIFFERS, sender, f"Destination is {message.destination!r}, this is {place}", "7.5")
        if now > deadline + self._limits.clock_skew:
            sent = f", its Timestamp is {message.timestamp}, our clock says {self._clock.text(now)}" if message.timestamp else ""
            return Notice(What.EXPIRED, sender, f"its Deadline passed {now - deadline:.1f} s ago{sent}", "4.1")
        if (message.kind is Kind.REQUEST) != (message.verb in REQUEST_VERBS) and self.domain.reading != "tolerant":
            return Notice(What.WRONG_VERB, sender, f"{message.verb} is no verb of a {message.kind}", "2.9")
        if message.kind is Kind.REQUEST and type(delivery.address) is not Inbox:
            return Notice(What.WRONG_KIND, sender, f"a {message.kind} does not belong on a node", "1.8")
        return None

    def _duplicate(self, ticket: Ticket, delivery: Delivery, now: float, out: list[Output]) -> list[Output] | None:
        """Remember the message, or return what a duplicate gets."""
        message, sender = ticket.message, ticket.sender
        if delivery.redelivered:
            sent = message.sent_at
            if sent is None or sent.timestamp() < self._memory.reaches_back_to or message.message_id is None:
                return [Notice(What.REDELIVERED, sender, "it may have been executed before we began to remember")]
        if message.message_id is None:
            out.append(Notice(What.NO_MESSAGE_ID, sender, "no MessageID: a duplicate would not be known"))
            return None
        ticket.key = key = (sender, message.message_id)
        entry = self._memory.find(key)
        if entry is None:
            entry = self._memory.add(key, hash(delivery.body), ticket.deadline + self._limits.clock_skew, now)
            if not ticket.is_request:
                entry.answer = b""
            return None
        if entry.digest != hash(delivery.body):
            ticket.key = None
            reason = f"MessageID {message.message_id} was used for another message"
            notice = Notice(What.REUSED_ID, sender, reason, "2.15")
            return [notice, *(self.refuse(ticket, "2.15", reason, now) if ticket.is_request else [])]
        noticed: list[Output] = [Notice(What.DUPLICATE, sender, f"MessageID {message.message_id} was received before")]
        if entry.answer is None and len(entry.waiting) < WAITING_DUPLICATES:
            entry.waiting.append((ticket.reply_to, ticket.correlation_id))
        elif entry.answer and ticket.reply_to is not None:
            noticed.append(Send(ticket.reply_to, _answer(entry.answer, ticket.correlation_id, now + self._limits.real_time)))
        return noticed

    def _denied(self, message: Message, delivery: Delivery, sender: str) -> Notice | None:
        """Return why the policy does not allow it, or None."""
        noun = message.noun
        if noun not in self.domain.nouns and noun not in OWN_NOUNS:
            return Notice(What.UNKNOWN_NOUN, sender, f"no noun {noun!r} in domain {self.domain.name}", "2.5")
        if message.kind is Kind.REQUEST:
            node = message.request.option("Node") if message.request is not None and message.verb == "get" else None
            decision = self.policy.may_request(sender, self.party, message.verb, noun, node)
        elif type(delivery.address) is Node:
            decision = self.policy.may_publish(sender, noun, delivery.address.name)
            if decision.is_allowed:
                decision = self.policy.may_subscribe(self.party, delivery.address.name)
        else:
            decision = self.policy.may_publish(sender, noun)
        if decision.is_allowed:
            return None
        return Notice(What.NOT_ALLOWED, sender, f"{decision.reason} ({decision.rule})", "7.5")

    def _receive_presence(self, message: Message, sender: str, now: float) -> list[Output]:
        """Take an announcement: of a peer for the roster, of ourselves to see whether a newer session is live."""
        try:
            if message.noun != NOUN or message.kind is not Kind.EVENT or message.source not in (None, sender):
                raise EnvelopeError(Rule.SCHEMA, f"{message.kind} {message.noun} of {message.source}: only Presence belongs here")
            said = from_payload(message.payload, self._limits)
        except EnvelopeError as exc:
            return [Notice(What.UNREADABLE, sender, str(exc), exc.reply_code)]
        if sender != self.party:
            return list(self.roster.announced(sender, said, now))
        if said.rank <= (self.epoch, self.session):
            return []
        self.epoch = max(self.epoch, said.epoch)
        return [SessionSuperseded(said.session)]

    def _receive_reply(self, message: Message, delivery: Delivery, now: float) -> list[Output]:
        """Take a ResponseMessage or FaultMessage: it ends a request only if the party that was asked sent it."""
        sender = delivery.sender or "?"
        key = message.correlation_id if message.kind is Kind.RESPONSE else delivery.correlation_id
        pending = self._pending.get(key or "")
        if pending is None:
            return [Notice(What.LATE_REPLY, sender, "no request waits for it")]
        if sender != pending.to or message.source not in (None, sender):
            return [Notice(What.WRONG_REPLIER, sender, f"{pending.to} was asked")]
        if message.kind is Kind.RESPONSE and message.verb != "reply" and self.domain.reading != "tolerant":
            return [Notice(What.WRONG_VERB, sender, f"{message.verb} is no verb of a ResponseMessage")]
        if message.kind is Kind.RESPONSE and message.destination not in (None, self.party):
            return [Notice(What.DESTINATION_DIFFERS, sender, f"Destination is {message.destination!r}")]
        deadline = message.deadline
        if deadline is not None and now > deadline.timestamp() + self._limits.clock_skew:
            return [Notice(What.EXPIRED, sender, f"its Deadline passed {now - deadline.timestamp():.1f} s ago")]
        self._forget(key or "")
        if pending.node:
            return self._receive_current(pending, message)
        if message.payload is not None and message.payload.compressed is not None:
            message = _inflated(message, self._limits)
        return [Completed(key or "", message)]

    def _fault(self, delivery: Delivery, what: What, code: str, reason: str, now: float) -> list[Output]:
        """Answer what could not be read by a FaultMessage, if it asked for an answer."""
        out: list[Output] = [Notice(what, delivery.sender or "?", reason, code)]
        if delivery.reply_to is not None:
            fault = Message(kind=Kind.FAULT, reply=_failure(code, reason))
            out.append(Send(delivery.reply_to, _answer(encode(fault), delivery.correlation_id, now + self._limits.real_time)))
        return out

    # ---------------------------------------------------------------- answering

    def answer(self, ticket: Ticket, template: Message, now: float) -> list[Output]:
        """Return what to send as the answer to `ticket`: `template` with the header of a reply.

        Raises `InvalidMessage` or `TooLarge` if it cannot be written; the ticket is then still open.
        """
        if not ticket.is_open or ticket.reply_to is None:
            return []
        asked = ticket.message
        deadline = now + self._limits.real_time
        if template.kind is Kind.FAULT:
            body = encode(template)
        else:
            if template.form is None and asked.form is not None:
                template = replace(template, form=reply_form(asked.form, asked.noun))
            message = self._stamp(template, ticket.sender, now, deadline, asked.correlation_id or asked.message_id)
            body = self._outgoing(message, deadline).body
        ticket.is_open = False
        if ticket.is_counted:
            self._open_from[ticket.sender] -= 1
        out: list[Output] = [Send(ticket.reply_to, _answer(body, ticket.correlation_id, deadline))]
        entry = self._memory.find(ticket.key) if ticket.key is not None else None
        if entry is not None and ticket.key is not None:
            out += [Send(to, _answer(body, correlation, deadline)) for to, correlation in entry.waiting]
            self._memory.keep_answer(ticket.key, body)
        return out

    def refuse(self, ticket: Ticket, code: str, reason: str, now: float) -> list[Output]:
        """Return a Reply FAILED with `code` for `ticket`; nothing for an event."""
        template = Message(kind=Kind.RESPONSE, verb="reply", noun=ticket.message.noun, reply=_failure(code, reason))
        return self.answer(ticket, template, now)

    def is_expired(self, ticket: Ticket, now: float) -> bool:
        """Return whether the message of `ticket` may not be delivered any more."""
        return now > ticket.deadline + self._limits.clock_skew

    def _own_answer(self, ticket: Ticket, now: float) -> list[Output] | None:
        """Return the VTN's own answer for `get Nodes` and for a current value (62746-3, 7), or None for the handler's."""
        message = ticket.message
        if message.verb != "get":
            return None
        if message.noun == "Nodes":
            found = payload(self._current.nodes_xml(ticket.sender))
            return self.answer(ticket, _ok(message.noun, payload=found), now)
        node = message.request.option("Node") if message.request is not None else None
        if node is None or not self._current.is_kept(node, message.noun):
            return None
        return self.answer(ticket, self._current.reply(node, message.noun), now)

    # ---------------------------------------------------------------- current values, as a VEN gets them

    def current_requests(self, nodes: Iterable[str], now: float) -> list[Send]:
        """Return a request for each current value that `nodes` may have."""
        out: list[Send] = []
        if self.is_vtn:
            return out
        for node in nodes:
            for template in self._current.requests(node):
                outgoing = self.request(template, self.domain.vtn, now, node=node)
                out.append(Send(Inbox(self.domain.vtn), outgoing))
        return out

    def _receive_current(self, pending: "_Pending", reply: Message) -> list[Output]:
        event = event_of(reply, pending.node, pending.message.noun)
        if event is None:
            return []
        if not self._latest.is_news(event) or self._memory.find((pending.to, event.message_id or "")) is not None:
            return [Notice(What.OUTDATED, pending.to, f"the current value of {pending.node} is not later than what was delivered")]
        return self._executed(Ticket(event, pending.to, float("inf")))

    # ---------------------------------------------------------------- time

    def expire(self, now: float) -> list[Output]:
        """Take the time: end what nobody answered, forget what cannot come again, conclude who is gone."""
        out: list[Output] = []
        for key in self._timers.due(now):
            if pending := self._forget(key):
                asked = f"{pending.to} did not answer {pending.message.verb} {pending.message.noun} in time"
                out.append(self._ended(key, pending, NoReply(asked)))
        self._memory.expire(now)
        out.extend(self.roster.expire(now))
        return out

    def next(self) -> float | None:
        """Return when `expire` has something to do."""
        times = [at for at in (self._timers.next(), self._memory.next(), self.roster.next()) if at is not None]
        return min(times, default=None)

    @property
    def pending(self) -> int:
        """How many of our requests are unanswered."""
        return len(self._pending)

    @property
    def remembered(self) -> int:
        """How many messages are remembered against duplicates."""
        return len(self._memory)


class _Pending:
    """One request of ours; `node` if the core itself asks for that node's current value."""

    __slots__ = ("bucket", "message", "node", "to")

    def __init__(self, to: str, message: Message, bucket: int, node: str) -> None:
        self.to, self.message, self.bucket, self.node = to, message, bucket, node


class _Clock:
    """Writes times: of what is sent in the same second, most is the same."""

    __slots__ = ("_seconds",)

    def __init__(self) -> None:
        self._seconds: dict[int, str] = {}

    def text(self, at: float) -> str:
        """Return `at` as it goes on the wire: UTC, milliseconds, Z."""
        second = int(at)
        text = self._seconds.get(second)
        if text is None:
            if len(self._seconds) > 8:
                self._seconds.clear()
            text = self._seconds[second] = datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        return f"{text}.{int((at - second) * 1000):03d}Z"


def _name_of(delivery: Delivery) -> str:
    address = delivery.address
    return (address.name if type(address) is Node else address.party) or ""  # type: ignore[union-attr]  # a Presence is not asked


def _answer(body: bytes, correlation_id: str, expires: float) -> Outgoing:
    return Outgoing(body=body, expires=expires, correlation_id=correlation_id)


def _failure(code: str, reason: str) -> ReplyPart:
    return ReplyPart(result=Result.FAILED, errors=(Error(code=code, reason=reason or None),))


def _ok(noun: str, **fields: Any) -> Message:
    return Message(kind=Kind.RESPONSE, verb="reply", noun=noun, reply=ReplyPart(result=Result.OK, errors=_OK), **fields)


def _inflated(message: Message, limits: Any) -> Message:
    try:
        return replace(message, payload=inflate(message.payload, limits)) if message.payload else message
    except InvalidMessage:
        return message  # the finding says so; the handler gets it as it is


_REPLIES = (Kind.RESPONSE, Kind.FAULT)
