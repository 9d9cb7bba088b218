"""Handlers share tasks where they end at once, and nobody notices: each message is on its own."""

import asyncio
import sys
from collections.abc import Callable, Coroutine
from contextvars import ContextVar
from typing import Any, cast

import pytest

from iec62746._handlers import TURN, Handlers, Listener, Run
from iec62746._watcher import Watcher
from iec62746.address import Inbox
from iec62746.limits import Limits
from iec62746.message import Kind, Message
from iec62746.outputs import Ticket, What
from iec62746.transport import ReplyTo

Do = Callable[[int], Coroutine[Any, Any, None]]


class Bench:
    """Handlers of which each does what the test says, told the number of its message."""

    def __init__(self, do: Do, *, handlers: int = 64, waiting: int = 100, handling: float = 20.0) -> None:
        self._do = do
        self.refused = list[tuple[int, What, str]]()
        limits = Limits(handlers=handlers, waiting=waiting, handling=handling)
        self.handlers = Handlers(limits, self._work, self._refuse)

    def take(self, *numbers: int, is_request: bool = False) -> None:
        for number in numbers:
            message = Message(kind=Kind.EVENT, comment=str(number))
            reply_to = ReplyTo("x") if is_request else None
            self.handlers.take(Ticket(message, "ven-1", Inbox("vtn"), 0.0, 0.0, 0.0, reply_to))

    def _work(self, ticket: Ticket) -> Run:
        return self._do(int(ticket.message.comment or 0))

    def _refuse(self, ticket: Ticket, what: What, code: str, reason: str) -> None:
        self.refused.append((int(ticket.message.comment or 0), what, code))

    async def begun(self) -> None:
        """Return when no message waits."""
        while self.handlers.waiting:  # noqa: ASYNC110
            await asyncio.sleep(0)  # whoever takes the last one tells nobody

    async def drain(self) -> None:
        await self.handlers.drain(set())
        await self.handlers.aclose(set())


async def test_those_that_end_at_once_share_a_task() -> None:
    tasks, done = set[object](), list[int]()

    async def do(number: int) -> None:
        tasks.add(asyncio.current_task())
        done.append(number)

    bench = Bench(do)
    bench.take(*range(TURN + 1))
    await bench.drain()

    assert (2, [*range(TURN + 1)]) == (len(tasks), done)


async def test_no_task_is_made_for_what_needs_none() -> None:
    made, loop = list[object](), asyncio.get_running_loop()

    def factory(loop: asyncio.AbstractEventLoop, work: Any, **options: Any) -> Any:
        made.append(work)
        return asyncio.Task(work, loop=loop, **options)

    async def do(number: int) -> None:
        if number == TURN - 2:  # the last one has a task of its own then
            await asyncio.sleep(0)

    loop.set_task_factory(factory)
    try:
        bench = Bench(do)
        bench.take(*range(TURN))
        await bench.begun()
    finally:
        loop.set_task_factory(None)
    await bench.drain()

    assert 2 == len(made)


async def test_one_that_waits_may_go_on_after_what_is_raised_in_it() -> None:
    done, loop = list[str](), asyncio.get_running_loop()
    fails = loop.create_future()

    async def do(number: int) -> None:
        try:
            await fails
        except ValueError:
            done.append("failed")
        try:
            async with asyncio.timeout(0):
                await loop.create_future()
        except TimeoutError:
            done.append("timed out")
        await asyncio.sleep(0)
        done.append("done")

    bench = Bench(do)
    bench.take(1)
    await bench.begun()
    fails.set_exception(ValueError())
    await bench.drain()

    assert ["failed", "timed out", "done"] == done


@pytest.mark.parametrize("is_request", [False, True])
async def test_one_that_waits_holds_up_nobody(is_request: bool) -> None:
    last_came, done = asyncio.Event(), list[int]()

    async def do(number: int) -> None:
        if number == 9:
            last_came.set()
        await last_came.wait()
        done.append(number)

    bench = Bench(do, handlers=10)
    bench.take(*range(10), is_request=is_request)
    await bench.drain()

    assert [*range(10)] == sorted(done)


async def test_never_more_at_once_than_the_limit_handlers() -> None:
    running = most = 0

    async def do(number: int) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        for _ in range(number % 4):
            await asyncio.sleep(0)
        running -= 1

    bench = Bench(do, handlers=3)
    for number in range(60):
        bench.take(number, is_request=number % 3 == 0)
        if number % 5 == 0:
            await asyncio.sleep(0)
    await bench.begun()
    await bench.drain()

    assert (3, []) == (most, bench.refused)


async def test_what_has_no_place_is_refused() -> None:
    done = list[int]()

    async def do(number: int) -> None:
        done.append(number)

    bench = Bench(do, handlers=2, waiting=3)
    bench.take(*range(7))
    await asyncio.sleep(0)
    await bench.drain()

    assert ([(5, What.BUSY, "5.1"), (6, What.BUSY, "5.1")], [*range(5)]) == (bench.refused, done)


async def test_a_message_without_work_is_not_handled() -> None:
    handled = list[Ticket]()

    class Watch:
        def handled(self, ticket: Ticket, seconds: float) -> None:
            handled.append(ticket)

    handlers = Handlers(Limits(), lambda ticket: None, lambda *_: None, cast(Watcher, Watch()))
    handlers.take(Ticket(Message(kind=Kind.EVENT), "ven-1", Inbox("vtn"), 0.0, 0.0, 0.0))
    await handlers.drain(set())

    assert [] == handled


class Odd:
    """Something that cannot be compared."""

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        raise ValueError("it cannot be compared")


SEEN: ContextVar[object] = ContextVar("seen", default=None)


@pytest.mark.parametrize("value", ["set", Odd()])
@pytest.mark.parametrize("count", [1, 3, 40])
@pytest.mark.parametrize("handlers", [1, 3])
async def test_what_one_sets_in_its_context_no_other_sees(value: object, count: int, handlers: int) -> None:
    seen = list[object]()

    async def do(number: int) -> None:
        seen.append(SEEN.get())
        SEEN.set(value)
        if number % 7 == 3:
            await asyncio.sleep(0)

    bench = Bench(do, handlers=handlers)
    bench.take(*range(count))
    await bench.begun()
    bench.take(*range(count))
    await bench.begun()
    await bench.drain()

    assert (2 * count, {None}) == (len(seen), set(seen))


async def test_one_that_cancels_itself_is_alone() -> None:
    done = list[int]()

    async def do(number: int) -> None:
        task = asyncio.current_task()
        assert task is not None
        assert not task.cancelling()
        done.append(number)
        if number % 2:
            task.cancel()
        if number % 3 == 0:
            await asyncio.sleep(0)

    bench = Bench(do)
    bench.take(*range(12))
    await bench.drain()

    assert [*range(12)] == done


async def test_what_one_sets_is_no_others_though_it_is_equal() -> None:
    mine, seen = dict[str, int](), list[bool]()

    async def do(number: int) -> None:
        seen.append(SEEN.get() is mine)
        SEEN.set({})

    SEEN.set(mine)
    bench = Bench(do)
    bench.take(0, 1)
    await bench.drain()

    assert [True, True] == seen


async def test_who_is_cancelled_by_what_another_left_behind_is_told() -> None:
    done = list[int]()

    async def do(number: int) -> None:
        if number == 0:
            task = asyncio.current_task()
            assert task is not None
            asyncio.get_running_loop().call_soon(task.cancel)
        else:
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        done.append(number)

    bench = Bench(do)
    bench.take(0, 1, 2)
    await bench.drain()

    assert [0, 2] == done
    assert [(1, What.HANDLER_FAILED, "5.3")] == bench.refused


async def test_at_the_end_who_is_cancelled_is_not_told() -> None:
    async def do(number: int) -> None:
        await asyncio.Event().wait()

    bench = Bench(do)
    bench.take(0)
    await asyncio.sleep(0)
    await bench.handlers.aclose(set())

    assert [] == bench.refused


@pytest.mark.skipif(sys.version_info < (3, 12), reason="asyncio has eager tasks from Python 3.12 on")
@pytest.mark.parametrize("pause", [0, 1])
async def test_by_eager_tasks_all_are_handled(pause: int) -> None:
    done, loop = list[int](), asyncio.get_running_loop()

    async def do(number: int) -> None:
        for _ in range(pause * number):
            await asyncio.sleep(0)
        done.append(number)

    loop.set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined,unused-ignore]
    try:
        bench = Bench(do, handlers=2)
        for number in range(6):
            bench.take(number)
            await asyncio.sleep(0)
        await bench.begun()
        await bench.drain()
        listener = Listener(done.append, 3)
        for number in range(6, 9):
            listener.tell(number)
            await asyncio.sleep(0)
    finally:
        loop.set_task_factory(None)

    assert [*range(9)] == sorted(done)


async def test_an_event_between_two_presences_is_handled_between_them() -> None:
    heard = list[str]()

    async def do(number: int) -> None:
        heard.append(f"event {number}")

    bench, listener = Bench(do), Listener(heard.append, 3)
    listener.tell("online")
    bench.take(1)
    listener.tell("offline")
    await bench.drain()

    assert ["online", "event 1", "offline"] == heard


async def test_those_that_were_cancelled_before_they_began_hold_up_nobody() -> None:
    done, others = list[int](), asyncio.all_tasks()

    async def do(number: int) -> None:
        done.append(number)

    bench = Bench(do, handlers=1)
    bench.take(0)
    for task in asyncio.all_tasks() - others:
        task.cancel()
    await asyncio.sleep(0)
    bench.take(1)
    await bench.begun()
    await bench.drain()

    assert [0, 1] == done


async def test_one_that_fails_is_alone(caplog: pytest.LogCaptureFixture) -> None:
    done = list[int]()

    async def do(number: int) -> None:
        done.append(number)
        raise LookupError(str(number))

    bench = Bench(do)
    bench.take(*range(5))
    await bench.drain()

    assert [*range(5)] == done
    assert 5 == len(caplog.records)


async def test_one_that_is_over_its_time_leaves_its_place_to_the_next() -> None:
    done, is_done = list[int](), asyncio.Event()

    async def do(number: int) -> None:
        if number == 0:
            await asyncio.Event().wait()
        done.append(number)
        if number == 2:
            is_done.set()

    bench = Bench(do, handlers=1, handling=0.05)
    bench.take(0, 1, 2)
    await is_done.wait()
    await bench.drain()

    assert ([1, 2], [(0, What.HANDLER_TOO_SLOW, "4.1")]) == (done, bench.refused)


async def test_at_the_end_what_has_room_is_done_and_the_rest_is_refused() -> None:
    done = list[int]()

    async def do(number: int) -> None:
        await asyncio.sleep(0)
        done.append(number)

    bench = Bench(do, handlers=2)
    bench.take(*range(5))
    await bench.drain()
    bench.take(5)

    assert [0, 1] == sorted(done)
    assert [2, 3, 4, 5] == sorted(number for number, _, _ in bench.refused)


async def test_it_ends_though_what_was_to_begin_was_cancelled_before() -> None:
    done, others = list[int](), asyncio.all_tasks()

    async def do(number: int) -> None:
        done.append(number)

    bench = Bench(do)
    bench.take(0, 1)
    for task in asyncio.all_tasks() - others:
        task.cancel()
    await asyncio.sleep(0)
    await bench.drain()

    assert [0, 1] == done
