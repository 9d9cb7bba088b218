"""Handlers at work: so many at once, so many messages waiting, each for so long; and listeners."""

import asyncio
import inspect
import logging
from collections import deque
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar, copy_context
from typing import Any, cast

from iec62746._watcher import Watcher
from iec62746.limits import Limits
from iec62746.outputs import Ticket, What

log = logging.getLogger(__name__)

GRACE = 1.0
"""Seconds that a handler or a listener has to end after it was cancelled."""


Run = Callable[[], Coroutine[Any, Any, None]]

# The task of the handler that runs us, in whatever task it started itself.
AT_WORK: ContextVar["asyncio.Task[Any] | None"] = ContextVar("iec62746 at work", default=None)


class Handlers:
    """Runs one piece of work for each message.

    `work` returns what to run for a message, or None if there is nothing; `refuse` is told of each message that found
    no place or took too long: what, reply code, reason.
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
        # All may run for the same time, so those that began first, which stand first, are over it first.
        self._running: dict[asyncio.Task[None], tuple[Ticket, float]] = {}
        self._overdue: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._is_draining = False
        self._ended = asyncio.Event()
        self._watcher = watcher

    def take(self, ticket: Ticket) -> None:
        """Run the work for `ticket`, now or when there is room; or refuse it."""
        if self._is_draining:
            self._refuse(ticket, What.BUSY, "5.1", "closing")
        elif self._has_room():
            self._start(ticket)
        elif len(self._waiting) < self._limits.waiting:
            self._waiting.append(ticket)
        else:
            self._refuse(
                ticket, What.BUSY, "5.1", f"{self._limits.waiting} messages wait for a handler (limit waiting)"
            )

    def _has_room(self) -> bool:
        return len(self._running) + len(self._overdue) < self._limits.handlers

    def _start(self, ticket: Ticket) -> None:
        work = self._work(ticket)
        if work is None:
            return
        task = self._loop.create_task(self._run(work))
        self._running[task] = (ticket, self._loop.time() + self._limits.handling)
        if self._timer is None:
            self._timer = self._loop.call_later(self._limits.handling, self._on_time)

    async def _run(self, work: Run) -> None:
        # A callback of the task would say as well that it ended, but each costs a turn of the loop.
        task = cast("asyncio.Task[None]", asyncio.current_task(self._loop))
        AT_WORK.set(task)
        try:
            await work()
        except Exception as exc:
            log.error("a handler broke its frame: please report this", exc_info=exc)
        finally:
            self._on_end(task)

    def _on_end(self, task: "asyncio.Task[None]") -> None:
        run = self._running.pop(task, None)
        if self._watcher is not None and run is not None:
            self._tell(self._watcher, *run)
        self._overdue.discard(task)
        while self._waiting and self._has_room():
            self._start(self._waiting.popleft())
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
            self._overdue.add(task)
            if self._watcher is not None:
                self._tell(self._watcher, ticket, until)
            self._refuse(
                ticket, What.HANDLER_TOO_SLOW, "4.1", f"the handler took longer than {self._limits.handling:g} s"
            )
            task.cancel()

    async def drain(self, spared: "set[asyncio.Task[Any]]") -> None:
        """Refuse what waits and what comes; wait until all but the `spared` have ended, or are over their time."""
        self._is_draining = True
        while self._waiting:
            self._refuse(self._waiting.popleft(), What.BUSY, "5.1", "closing")
        while self._running.keys() - spared:
            self._ended.clear()
            await self._ended.wait()

    def look_again(self) -> None:
        """See whether `drain` has still to wait."""
        self._ended.set()

    async def aclose(self, spared: "set[asyncio.Task[Any]]") -> None:
        """Cancel what still runs, but for the `spared`; one that will not end is left behind, and logged."""
        self._is_draining = True
        await cancelled({*self._running, *self._overdue} - spared, "a handler")
        # One that was cancelled before it began says nothing at its end.
        self._running = {task: run for task, run in self._running.items() if not task.done()}
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
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        try:
            while self._waiting:
                await self._call(self._waiting.popleft())
        finally:
            if self._task is asyncio.current_task():
                self._task = None

    async def _call(self, arguments: tuple[Any, ...]) -> None:
        try:
            result = self._function(*arguments)
            if inspect.isawaitable(result):
                await result
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


async def cancelled(tasks: "set[asyncio.Task[Any]]", what: str, grace: float = GRACE) -> None:
    """Cancel `tasks` and wait until they have ended, or for `grace` seconds."""
    for task in tasks:
        task.cancel()
    if tasks:
        _, left = await asyncio.wait(tasks, timeout=grace)
        for task in left:
            log.error("%s does not end though it was cancelled: %r", what, task)
