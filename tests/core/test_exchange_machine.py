"""A VTN and three VENs over a wire that loses, copies, reorders and delays, while sessions break: what always holds."""

from dataclasses import dataclass, replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from iec62746.domain import Domain
from iec62746.envelope import payload
from iec62746.errors import Overloaded
from iec62746.message import Error, Kind, Message, ReplyPart, Result
from iec62746.outputs import Ticket
from iec62746.roster import State
from iec62746.testing.pair import Conversation, Member, redelivered
from iec62746.transport import ReplyTo

PENDING, REMEMBERED, ANSWERS, REAL_TIME, SKEW = 4, 25, 3_000, 30.0, 5.0
NORTH = f"""\
[domain]
name = "north"
vtn = "vtn"
[limits]
pending = {PENDING}
remembered = {REMEMBERED}
answers = {ANSWERS}
[nodes."price.north"]
nouns = ["MarketPrices"]
current = true
[roles.household]
subscribe = ["price.north"]
publish = ["MeterReadings"]
request.create = ["DERGroups"]
serve.create = ["EndDeviceControls"]
[parties.ven-1]
roles = ["household"]
[parties.ven-2]
roles = ["household"]
[parties.ven-3]
roles = ["household"]
"""
DOMAIN = Domain.parse(NORTH)
VENS: tuple[str, ...] = ("ven-1", "ven-2", "ven-3")
PARTIES: tuple[str, ...] = ("vtn", *VENS)
THING = payload('<Thing xmlns="urn:x"/>')
HANDLERS_REFUSAL = "6.1"


@dataclass
class Asked:
    by: Member
    to: str
    until: float


class ConversationMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.north = Conversation(DOMAIN)
        self.members = {party: self.north.join(party, nodes=["price.north"]) for party in PARTIES}
        self.asked: dict[str, Asked] = {}
        self.seen = dict.fromkeys(PARTIES, 0)
        self.executions: dict[tuple[str, str, str], int] = {}
        self.open: list[tuple[Member, Ticket]] = []

    # ---------------------------------------------------------------- what the parties do

    @rule(ven=st.sampled_from(VENS), is_down=st.booleans(), timeout=st.sampled_from([None, 0.5, 30.0, 200.0]))
    def ask(self, ven: str, is_down: bool, timeout: float | None) -> None:
        by, to = (self.members["vtn"], ven) if is_down else (self.members[ven], "vtn")
        if not by.session:
            return
        noun = "EndDeviceControls" if is_down else "DERGroups"
        before = by.exchange.pending
        try:
            key = by.request(Message(kind=Kind.REQUEST, verb="create", noun=noun, payload=THING), to, timeout=timeout)
        except Overloaded:
            assert before >= PENDING
            return
        patience = REAL_TIME if timeout is None else timeout
        self.asked[key] = Asked(by, to, self.north.now + patience)

    @rule()
    def publish(self) -> None:
        event = Message(kind=Kind.EVENT, verb="created", noun="MarketPrices", payload=THING)
        self.members["vtn"].publish(event, "price.north")

    @rule(ven=st.sampled_from(VENS))
    def report(self, ven: str) -> None:
        self.members[ven].publish(Message(kind=Kind.EVENT, verb="created", noun="MeterReadings", payload=THING))

    @rule(party=st.sampled_from(PARTIES), state=st.sampled_from([State.ONLINE, State.AWAY]))
    def announce(self, party: str, state: State) -> None:
        self.members[party].announce(state)

    @precondition(lambda self: self.open)
    @rule(data=st.data(), is_refused=st.booleans())
    def answer(self, data: st.DataObject, is_refused: bool) -> None:
        member, ticket = self.open.pop(data.draw(st.integers(0, len(self.open) - 1)))
        if is_refused:
            member.refuse(ticket, HANDLERS_REFUSAL, "no")
        else:
            part = ReplyPart(result=Result.OK, errors=(Error(code="0.0"),))
            member.answer(ticket, Message(kind=Kind.RESPONSE, verb="reply", noun=ticket.message.noun, reply=part))

    # ---------------------------------------------------------------- what the wire does

    @precondition(lambda self: self.north.wire)
    @rule(data=st.data())
    def deliver(self, data: st.DataObject) -> None:
        self.north.deliver(data.draw(st.integers(0, len(self.north.wire) - 1)))

    @rule()
    def deliver_all(self) -> None:
        self.north.run()

    @precondition(lambda self: self.north.wire)
    @rule(data=st.data())
    def drop(self, data: st.DataObject) -> None:
        self.north.wire.pop(data.draw(st.integers(0, len(self.north.wire) - 1)))

    @precondition(lambda self: self.north.wire)
    @rule(data=st.data())
    def copy(self, data: st.DataObject) -> None:
        self.north.wire.append(data.draw(st.sampled_from(self.north.wire)))

    @precondition(lambda self: self.north.wire)
    @rule(data=st.data())
    def deliver_and_keep_a_copy(self, data: st.DataObject) -> None:
        index = data.draw(st.integers(0, len(self.north.wire) - 1))
        packet = self.north.wire[index]
        self.north.deliver(index)
        self.north.wire.append(replace(packet, delivery=redelivered(packet.delivery)))

    @precondition(lambda self: self.north.wire)
    @rule(data=st.data(), forger=st.sampled_from(VENS), to=st.sampled_from(PARTIES))
    def forge(self, data: st.DataObject, forger: str, to: str) -> None:
        """Send what somebody else wrote: the communication server tells who did."""
        packet = data.draw(st.sampled_from(self.north.wire))
        member = self.members[forger]
        reply_to = ReplyTo((member, member.session)) if packet.delivery.reply_to else None
        if packet.delivery.sender != forger:
            forged = replace(packet.delivery, sender=forger, reply_to=reply_to)
            executed = len(self.members[to].executed)
            self.members[to].receive(forged)

            assert executed == len(self.members[to].executed)

    # ---------------------------------------------------------------- what happens

    @rule(seconds=st.sampled_from([0.1, 1.0, 7.0, 20.0, 36.0]))
    def pass_time(self, seconds: float) -> None:
        self.north.pass_time(seconds)
        # A communication server that gives something again so late knows that it does.
        self.north.wire = [
            replace(packet, delivery=redelivered(packet.delivery)) if seconds > REAL_TIME else packet
            for packet in self.north.wire
        ]

    @rule(party=st.sampled_from(PARTIES))
    def lose(self, party: str) -> None:
        if self.members[party].session:
            self.members[party].lose()

    @rule(party=st.sampled_from(PARTIES))
    def reopen(self, party: str) -> None:
        if not self.members[party].session:
            self.members[party].open()

    # ---------------------------------------------------------------- what always holds

    @invariant()
    def what_is_executed_is_in_time_once_and_from_whom_one_may_hear(self) -> None:
        for party, member in self.members.items():
            for ticket in member.executed[self.seen[party] :]:
                message = ticket.message
                key = (party, ticket.sender, message.message_id or "")
                self.executions[key] = self.executions.get(key, 0) + 1
                if ticket.is_request:
                    self.open.append((member, ticket))

                assert message.is_current or message.deadline is not None
                assert message.deadline is None or self.north.now <= message.deadline.timestamp() + SKEW
                assert "vtn" in (party, ticket.sender)
                assert ticket.sender != party
                assert 1 == self.executions[key] or member.exchange._duplicates.memory.forgotten
            self.seen[party] = len(member.executed)

    @invariant()
    def each_request_has_exactly_one_outcome(self) -> None:
        for key, asked in self.asked.items():
            ended = asked.by.ended.count(key)
            is_pending = asked.by.exchange._pending.get(key) is not None

            assert 1 == ended + is_pending
            assert not is_pending or self.north.now <= asked.until + 0.1

    @invariant()
    def only_the_party_asked_answers(self) -> None:
        for key, asked in self.asked.items():
            done = asked.by.completed.get(key)

            assert done is None or done.reply.source == asked.to

    @invariant()
    def what_was_refused_was_not_executed(self) -> None:
        for key, asked in self.asked.items():
            done = asked.by.completed.get(key)
            if done is None or done.reply.reply is None or done.reply.reply.result is not Result.FAILED:
                continue
            if done.reply.reply.errors[0].code != HANDLERS_REFUSAL:
                memory = self.members[asked.to].exchange._duplicates.memory

                assert memory.forgotten or (asked.to, asked.by.party, key) not in self.executions

    @invariant()
    def every_memory_is_within_its_bound(self) -> None:
        for party, member in self.members.items():
            exchange = member.exchange
            peers = len(VENS) if party == "vtn" else 1

            assert exchange.pending <= PENDING * peers
            assert exchange.remembered <= REMEMBERED
            assert exchange._duplicates.memory.octets <= ANSWERS
            assert all(count <= PENDING for count in exchange._answers._open.values())
            assert len(exchange.roster.known) <= len(PARTIES)


TestConversation = ConversationMachine.TestCase
TestConversation.settings = settings(max_examples=60, stateful_step_count=60, deadline=None)
