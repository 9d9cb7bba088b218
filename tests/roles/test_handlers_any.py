"""Whatever handlers do: each message is handled once or refused, in order, on its own, and never too many at once."""

import asyncio
import sys
from collections import Counter
from collections.abc import Callable, Coroutine
from contextvars import ContextVar
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iec62746._handlers import AT_WORK, Handlers
from iec62746.address import Inbox
from iec62746.limits import Limits
from iec62746.message import Kind, Message
from iec62746.outputs import Ticket, What
from iec62746.transport import ReplyTo

SET: ContextVar[int | None] = ContextVar("set", default=None)


async def wait(number: int) -> None:
    await asyncio.sleep(0)


async def set_context(number: int) -> None:
    SET.set(number)


async def fail(number: int) -> None:
    raise ValueError(number)


async def be_cancelled(number: int) -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()


async def survive_cancelling(number: int) -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    try:
        await asyncio.sleep(0)
    except asyncio.CancelledError:
        task.uncancel()


async def time_out(number: int) -> None:
    try:
        async with asyncio.timeout(0):
            await asyncio.get_running_loop().create_future()
    except TimeoutError:
        pass


async def have_tasks(number: int) -> None:
    async with asyncio.TaskGroup() as group:
        for _ in range(2):
            group.create_task(asyncio.sleep(0))


Step = Callable[[int], Coroutine[Any, Any, None]]
STEPS: list[Step] = [wait, wait, set_context, fail, be_cancelled, survive_cancelling, time_out, have_tasks]


class Arrival(NamedTuple):
    """A message: whether it is a request, what its handler does, or None for no handler; and turns until the next."""

    is_request: bool
    steps: list[Step] | None
    turns: int


arrivals = st.builds(
    Arrival,
    st.booleans(),
    st.none() | st.lists(st.sampled_from(STEPS), max_size=4),
    st.sampled_from([0, 0, 0, 1, 2]),
)


class Observed:
    """What the handlers of some messages did."""

    def __init__(self, arrivals: list[Arrival]) -> None:
        self._arrivals = arrivals
        self.begun, self.ended, self.refused = list[int](), list[int](), list[int]()
        self.whole = list[int]()
        self.running = self.most = 0
        self.disturbed = Counter[str]()

    def work(self, ticket: Ticket) -> Coroutine[Any, Any, None] | None:
        number = int(ticket.message.comment or 0)
        steps = self._arrivals[number].steps
        if steps is not None:
            return self._handle(number, ticket, steps)
        self.begun.append(number)
        self.ended.append(number)
        return None

    async def _handle(self, number: int, ticket: Ticket, steps: list[Step]) -> None:
        self.begun.append(number)
        self.running += 1
        self.most = max(self.most, self.running)
        self.disturbed["by another's context"] += SET.get() is not None
        try:
            for step in steps:
                self.disturbed["in its context"] += AT_WORK.get() is not ticket
                await step(number)
            self.whole.append(number)
        finally:
            self.running -= 1
            self.ended.append(number)

    def refuse(self, ticket: Ticket, what: What, code: str, reason: str) -> None:
        if what is What.BUSY:
            self.refused.append(int(ticket.message.comment or 0))


async def observed(arrivals: list[Arrival], limits: Limits, *, is_eager: bool) -> Observed:
    if is_eager:
        asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined,unused-ignore]
    seen = Observed(arrivals)
    handlers = Handlers(limits, seen.work, seen.refuse)
    for number, one in enumerate(arrivals):
        message = Message(kind=Kind.EVENT, comment=str(number))
        reply_to = ReplyTo("x") if one.is_request else None
        handlers.take(Ticket(message, "ven-1", Inbox("vtn"), 0.0, 0.0, 0.0, reply_to))
        for _ in range(one.turns):
            await asyncio.sleep(0)
    await handlers.drain(set())
    await handlers.aclose(set())
    return seen


def _is_undisturbed(message: Arrival) -> bool:
    """Return whether nothing that its handler does ends it."""
    return message.steps is not None and not {fail, be_cancelled} & {*message.steps}


@pytest.mark.parametrize(
    "is_eager",
    [
        False,
        pytest.param(
            True, marks=pytest.mark.skipif(sys.version_info < (3, 12), reason="asyncio has eager tasks from 3.12 on")
        ),
    ],
)
@settings(max_examples=500)
@given(
    messages=st.lists(arrivals, max_size=30),
    handlers=st.sampled_from([1, 2, 3, 8]),
    waiting=st.sampled_from([0, 2, 50]),
)
def test_whatever_handlers_do_each_message_is_on_its_own(
    messages: list[Arrival], handlers: int, waiting: int, is_eager: bool
) -> None:
    limits = Limits(handlers=handlers, waiting=waiting)
    seen = asyncio.run(observed(messages, limits, is_eager=is_eager))

    assert [one for one in range(len(messages)) if one not in seen.refused] == seen.begun
    assert seen.begun == sorted(seen.ended)
    assert {one for one in seen.begun if _is_undisturbed(messages[one])} <= {*seen.whole}
    assert handlers >= seen.most
    assert 0 == seen.disturbed.total()
