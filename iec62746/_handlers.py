"""Handlers at work: so many at once, so many messages waiting, each for so long; and listeners."""

import asyncio
import inspect
import logging
import types
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context, ContextVar, copy_context
from typing import Any, cast

from iec62746._watcher import Watcher
from iec62746.limits import Limits
from iec62746.outputs import Ticket, What

log = logging.getLogger(__name__)

GRACE = 1.0
"""Seconds that a handler or a listener has to end after it was cancelled."""
TURN = 16
"""Messages that one task takes before others get their turn."""


# The message whose handler runs us, or the task of the listener, in whatever task it started itself.
AT_WORK: ContextVar["Ticket | asyncio.Task[Any] | None"] = ContextVar("iec62746 at work", default=None)

Run = Coroutine[Any, Any, None]


class Handlers:
    """Runs one piece of work for each message.

    `work` returns what to run for a message, or None if there is nothing; `refuse` is told of each message that found
    no place or took too long: what, reply code, reason.

    A task takes one message after another for as long as their handlers end without waiting for anything, which saves
    making one for each. Once one waits, the next message has a task of its own.
    """

    def __init__(
        self,
        limits: Limits,
        work: Callable[[Ticket], Run | None],
        refuse: Callable[[Ticket, What, str, str], None],
        watcher: Watcher | None = None,
    ) -> None:
        """Prepare to run in the current event loop."""
        self._limits, self._work, self._refuse = limits, work, refuse
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[Ticket] = deque()
        self._beginning: set[asyncio.Task[None]] = set()
        # All may run for the same time, so those that began first, which stand first, are over it first.
        self._running: dict[asyncio.Task[None], tuple[Ticket, float]] = {}
        self._overdue: dict[asyncio.Task[None], Ticket] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._is_draining = self._is_closing = False
        self._ended = asyncio.Event()
        self._watcher = watcher

    def take(self, ticket: Ticket) -> None:
        """Run the work for `ticket`, soon or when there is room; or refuse it."""
        if self._is_draining:
            self._refuse(ticket, What.BUSY, "5.1", "closing")
        elif len(self._waiting) < self._limits.waiting or len(self._waiting) < self._limits.waiting + self._room:
            self._waiting.append(ticket)
            # Who answers a request waits until that is sent: the next one need not wait for it.
            if ticket.reply_to is not None or not self._is_beginning():
                self._begin()
        else:
            self._refuse(
                ticket, What.BUSY, "5.1", f"{self._limits.waiting} messages wait for a handler (limit waiting)"
            )

    @property
    def _room(self) -> int:
        return self._limits.handlers - len(self._running) - len(self._overdue)

    def _is_beginning(self) -> bool:
        """Return whether a task will begin soon; one that was cancelled before says nothing, and will not."""
        for task in self._beginning:  # any() of them takes thrice as long
            if not task.done():
                return True
        return False

    def _begin(self) -> None:
        """Have another task begin, if there is room for it."""
        if len(self._beginning) >= self._room:
            self._beginning = {task for task in self._beginning if not task.done()}
        if len(self._beginning) < self._room:
            task = self._loop.create_task(self._run())
            # By asyncio's eager tasks it has begun.
            if not task.done() and task not in self._running:
                self._beginning.add(task)

    def _begin_next(self) -> None:
        """Have a task for what waits begin, unless one will."""
        if self._waiting and not self._is_beginning():
            self._begin()

    async def _run(self) -> None:
        # A callback of the task would say as well that a handler ended, but each costs a turn of the loop.
        task = cast("asyncio.Task[None]", asyncio.current_task(self._loop))
        self._beginning.discard(task)
        context = copy_context()
        try:
            for _ in range(TURN):
                if not self._waiting:
                    break
                ticket = self._waiting.popleft()
                AT_WORK.set(ticket)
                context = copy_context()
                await self._handle(ticket, task, context)
                # The next one is to find neither what this one set, nor that it was cancelled.
                if _has_changed(context) or task.cancelling():
                    break
        finally:
            context.run(self._begin_next)

    async def _handle(self, ticket: Ticket, task: "asyncio.Task[None]", context: Context) -> None:
        self._running[task] = (ticket, self._loop.time() + self._limits.handling)
        if self._timer is None:
            self._timer = self._loop.call_later(self._limits.handling, self._on_time)
        work = None
        try:
            work = self._work(ticket)
            if work is not None:
                await _awaited(work, context, self._begin_next)
        except asyncio.CancelledError:
            if task in self._running and not self._is_closing:  # neither for its time nor at the end
                self._refuse(ticket, What.HANDLER_FAILED, "5.3", "the handler was cancelled")
            raise
        except Exception as exc:
            log.error("a handler broke its frame: please report this", exc_info=exc)
        finally:
            self._on_end(task, is_work=work is not None)

    def _on_end(self, task: "asyncio.Task[None]", *, is_work: bool) -> None:
        run = self._running.pop(task, None)
        if self._watcher is not None and run is not None and is_work:
            self._tell(self._watcher, *run)
        self._overdue.pop(task, None)
        if self._is_draining:
            self._ended.set()

    def _tell(self, watcher: Watcher, ticket: Ticket, until: float) -> None:
        watcher.handled(ticket, self._loop.time() - until + self._limits.handling)

    def _on_time(self) -> None:
        """Refuse and cancel what has run for too long."""
        self._timer, now = None, self._loop.time()
        for task, (ticket, until) in list(self._running.items()):
            if until > now:
                self._timer = self._loop.call_at(until, self._on_time)
                return
            del self._running[task]
            self._overdue[task] = ticket
            if self._watcher is not None:
                self._tell(self._watcher, ticket, until)
            if not ticket.is_open:
                continue  # the handler has ended: its answer is being sent, which has until that expires
            self._refuse(
                ticket, What.HANDLER_TOO_SLOW, "4.1", f"the handler took longer than {self._limits.handling:g} s"
            )
            task.cancel()

    async def drain(self, spared: set[object]) -> None:
        """Refuse what has no room or comes now; wait until all are handled, but for the `spared` and the overdue."""
        self._is_draining = True
        while len(self._waiting) > self._room:
            self._refuse(self._waiting.pop(), What.BUSY, "5.1", "closing")
        self._begin_next()
        while self._waiting or any(ticket not in spared for ticket, _ in self._running.values()):
            self._ended.clear()
            await self._ended.wait()

    def look_again(self) -> None:
        """See whether `drain` has still to wait."""
        self._ended.set()

    async def aclose(self, spared: set[object]) -> None:
        """Cancel what still runs, but for the `spared`; one that will not end is left behind, and logged."""
        self._is_draining = self._is_closing = True
        runs = [(task, ticket) for task, (ticket, _) in self._running.items()]
        await cancelled({task for task, ticket in (*runs, *self._overdue.items()) if ticket not in spared}, "a handler")
        if self._timer is not None:
            self._timer.cancel()

    @property
    def running(self) -> "set[asyncio.Task[Any]]":
        """The tasks of the handlers that run."""
        return {*self._running, *self._overdue}

    @property
    def waiting(self) -> int:
        """How many messages wait for room."""
        return len(self._waiting)


def _has_changed(context: Context) -> bool:
    """Return whether ours is not as `context` any more."""
    ours = copy_context()
    if len(ours) != len(context):
        return True
    for name, value in context.items():  # any() of them takes thrice as long
        # Not by ==: what is equal now may be changed later, and some cannot be compared.
        if ours.get(name) is not value:
            return True
    return False


@types.coroutine
def _awaited(work: Run, context: Context, waits: Callable[[], None]) -> Generator[Any, None, None]:
    """Await `work`; if it waits for something, `waits` is called in `context`, once."""
    try:
        step = work.send(None)
        context.run(waits)
        while True:
            try:
                yield step
            except BaseException as exc:
                step = work.throw(exc)
            else:
                step = work.send(None)
    except StopIteration:
        return


class Listener:
    """Calls one function for one thing after another, in order; one that is slow holds up nobody else.

    At most `most` things wait; then the oldest is left out.
    """

    def __init__(self, function: Callable[..., Any], most: int) -> None:
        """Prepare to call `function`."""
        self._function = function
        self._waiting: deque[tuple[Any, ...]] = deque(maxlen=most)
        self._task: asyncio.Task[None] | None = None

    def tell(self, *arguments: Any) -> None:
        """Have it called with `arguments`, soon."""
        if len(self._waiting) == self._waiting.maxlen:
            log.warning("%r is too slow to be told of everything", self._function)
        self._waiting.append(arguments)
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        AT_WORK.set(asyncio.current_task())
        try:
            while self._waiting:
                await self._call(self._waiting.popleft())
                if self._waiting:  # what came between the two has its turn between them
                    await asyncio.sleep(0)
        finally:
            if self._task is asyncio.current_task():
                self._task = None

    async def _call(self, arguments: tuple[Any, ...]) -> None:
        try:
            result = self._function(*arguments)
            if inspect.isawaitable(result):
                await result
        except asyncio.CancelledError:
            if is_cancelled():
                raise
            log.exception("%r failed", self._function)
        except Exception:
            log.exception("%r failed", self._function)

    def stop(self) -> "set[asyncio.Task[Any]]":
        """Forget what waits; returns the task that still runs, if there is one."""
        self._waiting.clear()
        task, self._task = self._task, None
        return {task} if task is not None else set()


class Threads:
    """A bounded pool for handlers that are not coroutines, started when first used."""

    def __init__(self, most: int, name: str) -> None:
        """Have at most `most` threads."""
        self._most, self._name = most, name
        self._pool: ThreadPoolExecutor | None = None

    async def run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Return what `function` returns in a thread; if that is awaitable, what it gives."""
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._most, f"handlers of {self._name}")
        context = copy_context()
        result = await asyncio.get_running_loop().run_in_executor(
            self._pool, lambda: context.run(_guarded, function, arguments)
        )
        return await result if inspect.isawaitable(result) else result

    def close(self) -> None:
        """Start nothing more; a thread cannot be stopped, so one that runs runs on."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = None


def _guarded(function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    try:
        return function(*arguments)
    except StopIteration as exc:
        # A future cannot carry it: whoever waits would wait for ever.
        raise RuntimeError("it raised StopIteration") from exc


def is_coroutine_function(function: Callable[..., Any]) -> bool:
    """Return whether calling `function` runs none of it yet: an async function, method or callable object."""
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(getattr(function, "__call__", None))  # noqa: B004


def is_cancelled() -> bool:
    """Return whether somebody cancelled this task, rather than that it awaited something that was cancelled."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def cancelled(tasks: "set[asyncio.Task[Any]]", what: str, grace: float = GRACE) -> None:
    """Cancel `tasks` and wait until they have ended, or for `grace` seconds."""
    for task in tasks:
        task.cancel()
    if tasks:
        _, left = await asyncio.wait(tasks, timeout=grace)
        for task in left:
            log.error("%s does not end though it was cancelled: %r", what, task)
