"""A thread of a session's: it alone uses its connection, and what it has to say comes to the loop in one go."""

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from iec62746_kombu._wire import Wire

log = logging.getLogger(__name__)


class Messenger:
    """Calls functions in the loop's thread, many by one wake-up; may be used by any thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Call them in `loop`."""
        self._loop = loop
        self._calls: deque[tuple[Callable[..., None], tuple[Any, ...]]] = deque()
        self._is_due = False

    def call(self, function: Callable[..., None], *arguments: Any) -> None:
        """Call `function` soon; in the order of the calls."""
        self._calls.append((function, arguments))
        if not self._is_due:
            self._wake()

    @property
    def is_over(self) -> bool:
        """True if the loop is closed: nobody is there to hear anything."""
        return self._loop.is_closed()

    def _wake(self) -> None:
        self._is_due = True
        try:
            self._loop.call_soon_threadsafe(self._run)
        except RuntimeError:
            log.debug("the loop is closed")

    def _run(self) -> None:
        # First this: what is appended from now on is seen below, or runs once more.
        self._is_due = False
        try:
            for _ in range(len(self._calls)):
                function, arguments = self._calls.popleft()
                function(*arguments)
        finally:
            if self._calls and not self._is_due:  # one of them raised
                self._wake()


class Worker:
    """Opens a connection, works with it until it is stopped or breaks, and closes it; all in its own thread."""

    def __init__(self, name: str, wire: Wire, messenger: Messenger, broken: Callable[[Exception], None]) -> None:
        """Prepare; `broken` is called in the loop with what ended it, unless it was stopped."""
        self.wire = wire
        self.messenger = messenger
        self.is_started = self._is_stopped = False
        self._broken = broken
        loop = asyncio.get_running_loop()
        self.opened: asyncio.Future[None] = loop.create_future()
        self.ended: asyncio.Future[None] = loop.create_future()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    @property
    def is_stopping(self) -> bool:
        """True if it was stopped, or the loop was closed under it."""
        return self._is_stopped or self.messenger.is_over

    def start(self) -> None:
        """Start the thread."""
        self.is_started = True
        self._thread.start()

    def stop(self) -> None:
        """Have it end; `ended` tells when it has."""
        self._is_stopped = True
        self.wake()

    def wake(self) -> None:
        """Have it look whether there is something to do."""

    def work(self) -> None:
        """Work until it is stopped; in the thread."""
        raise NotImplementedError

    def _run(self) -> None:
        is_lost = False
        try:
            self.wire.open()
            self.messenger.call(_settle, self.opened, None)
            self.work()
        # kombu names the errors of each transport, and not all that come are among them; a thread that dies without
        # a word would be worse. They become ours in one place, when the session hears of them.
        except Exception as exc:
            is_lost = True
            self.messenger.call(self._fail, exc)
        finally:
            self._close(is_lost)
            self.messenger.call(_settle, self.ended, None)

    def _close(self, is_lost: bool) -> None:
        try:
            self.wire.close(is_lost=is_lost)
        except Exception as exc:  # as above, and nobody waits for it
            log.debug("closing: %r", exc)

    def _fail(self, cause: Exception) -> None:
        if not self.opened.done():
            self.opened.set_exception(cause)
            self.opened.exception()  # whoever waited may have given up
        elif not self.is_stopping:
            self._broken(cause)


def _settle(future: "asyncio.Future[None]", cause: Exception | None) -> None:
    if not future.done():
        future.set_result(None)
