"""The cost of a message does not depend on how many are pending or remembered: counted, not timed, where it can be."""

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

from iec62746._memory import Memory, key_of
from iec62746.address import Inbox
from iec62746.domain import Domain
from iec62746.envelope import payload
from iec62746.message import Error, Kind, Message, ReplyPart, Result
from iec62746.outputs import Ticket
from iec62746.testing.pair import Conversation, Member
from iec62746.transport import ReplyTo

NORTH = """\
[domain]
name = "north"
vtn = "vtn"
[limits]
pending = 100000
remembered = 20000
[roles.household]
serve.create = ["EndDeviceControls"]
[parties.ven-1]
roles = ["household"]
"""
THING = payload('<Thing xmlns="urn:x"/>')
CONTROL = Message(kind=Kind.REQUEST, verb="create", noun="EndDeviceControls", payload=THING)
OK = Message(
    kind=Kind.RESPONSE,
    verb="reply",
    noun="EndDeviceControls",
    reply=ReplyPart(result=Result.OK, errors=(Error(code="0.0"),)),
)


def lines_of(work: Callable[[], object]) -> int:
    """Return how many lines of Python `work` runs: the same each time, on every machine."""
    count = 0

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return count


def a_round_trip(vtn: Member, ven: Member) -> None:
    key = vtn.request(CONTROL, "ven-1")
    vtn.conversation.run()
    ven.answer(ven.executed.pop(), OK)
    vtn.conversation.run()
    assert key in vtn.completed


def with_pending(number: int) -> int:
    north = Conversation(Domain.parse(NORTH))
    vtn, ven = north.join("vtn"), north.join("ven-1")
    north.run()
    for _ in range(number):
        vtn.request(CONTROL, "ven-1")
        north.now += 0.001
    north.wire.clear()
    a_round_trip(vtn, ven)
    return lines_of(lambda: a_round_trip(vtn, ven))


def test_a_round_trip_runs_as_many_lines_with_ten_thousand_requests_pending_as_with_a_hundred() -> None:
    assert with_pending(10_000) <= 1.1 * with_pending(100)


def remember(memory: Memory, first: int, number: int) -> None:
    for one in range(first, first + number):
        ticket = Ticket(CONTROL, "vtn", Inbox("ven-1"), 0.0, 0.0, 0.0, ReplyTo(1), key=key_of("vtn", str(one)))
        memory.add(key_of("vtn", str(one)), 1, 0.0, 1e9, ticket)
        memory.keep_answer(ticket, b"x", 0.0)


def test_to_forget_the_oldest_costs_as_much_at_a_bound_of_ten_thousand_as_at_one_of_a_hundred() -> None:
    costs = []
    for most in (100, 10_000):
        memory = Memory(most=most, octets=most // 2, since=0.0)
        remember(memory, 0, most + 100)
        costs.append(lines_of(lambda memory=memory, most=most: remember(memory, 10 * most, 100)))  # type: ignore[misc]

    assert costs[1] <= 1.1 * costs[0]


def test_the_first_of_those_remembered_is_found_without_a_search() -> None:
    """A dict searches its first key past all that were deleted before it; counted in lines, nobody would see it."""
    memory = Memory(most=10, octets=10, since=0.0)

    assert hasattr(memory._seen, "move_to_end")
    assert hasattr(memory._answers, "move_to_end")
