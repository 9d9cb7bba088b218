"""The thread that consumes: a bounded number of deliveries ahead of the loop, acknowledged when that took them."""

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any, Final

from iec62746_kombu._wire import TICK, Incoming, Wire
from iec62746_kombu._worker import Messenger, Worker

DRAIN: Final = 0.05
"""Seconds after which the thread looks up from its connection."""
ROOM: Final = 32
"""Deliveries that are handed over and not taken yet; then the thread rests, and leaves the processor to the loop."""

Command = tuple[Callable[[Wire], None], "asyncio.Future[None]"]


class Consumer(Worker):
    """Hands what comes to `take`, in the loop, which says by `taken` when it is done with it."""

    def __init__(
        self,
        name: str,
        wire: Wire,
        messenger: Messenger,
        broken: Callable[[Exception], None],
        take: Callable[[Incoming], None],
    ) -> None:
        """Prepare."""
        super().__init__(name, wire, messenger, broken)
        self._take = take
        self._commands: SimpleQueue[Command | None] = SimpleQueue()
        self._tags: deque[Any] = deque()
        self._handed = self._taken = self._acked = 0
        self._room = threading.Event()
        self._consumed: set[str] = set()

    # ---------------------------------------------------------------- in the loop

    async def do(self, function: Callable[[Wire], None]) -> None:
        """Have the thread call `function` with its connection; raises what that raises."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._commands.put((function, done))
        await asyncio.wait([done, self.ended], return_when=asyncio.FIRST_COMPLETED)
        if not done.done():
            raise ConnectionError("the session ended")
        done.result()

    def taken(self) -> None:
        """Count one delivery as taken."""
        self._taken += 1
        if self._handed - self._taken <= ROOM // 2:
            self._room.set()

    def consume(self, queue: str, wire: Wire) -> None:
        """Consume `queue` of `wire`, if it is not consumed yet; for `do`."""
        if queue not in self._consumed:
            wire.consume(queue, self._hand_over)
            self._consumed.add(queue)

    def wake(self) -> None:
        """Have the thread look."""
        self._commands.put(None)
        self._room.set()

    # ---------------------------------------------------------------- in the thread

    def work(self) -> None:
        """Do what is asked, drain, acknowledge."""
        while not self.is_stopping:
            self._do_all()
            self.wire.tick()
            if self._consumed:
                self._drain()
            self._ack()

    def _do_all(self) -> None:
        """Do what is asked; as long as nothing is consumed there is nothing else to do."""
        try:
            while not self.is_stopping:
                command = self._commands.get(timeout=TICK) if not self._consumed else self._commands.get_nowait()
                if command is not None:
                    self._do(*command)
                self.wire.tick()
        except Empty:
            pass

    def _do(self, function: Callable[[Wire], None], done: "asyncio.Future[None]") -> None:
        try:
            function(self.wire)
        except Exception as exc:
            # Whatever it is, it is told to who asked, and then ends the session.
            self.messenger.call(_settle, done, exc)
            raise
        self.messenger.call(_settle, done, None)

    def _drain(self) -> None:
        """Drain, unless the loop has enough to take."""
        self._room.clear()
        if self._handed - self._taken < ROOM:
            self.wire.drain(DRAIN)
        else:
            # While nothing is taken, `tick` still reads what says that the other end is alive.
            self._room.wait(DRAIN)

    def _hand_over(self, incoming: Incoming, tag: Any) -> None:
        self._handed += 1
        self._tags.append(tag)
        self.messenger.call(self._take, incoming)

    def _ack(self) -> None:
        """Acknowledge what was taken."""
        tag, taken = None, self._taken
        while self._acked < taken:
            tag = self._tags.popleft()
            self._acked += 1
        if tag is not None:
            self.wire.ack(tag)


def _settle(done: "asyncio.Future[None]", error: Exception | None) -> None:
    if done.done():
        return
    if error is None:
        done.set_result(None)
    else:
        done.set_exception(error)
        done.exception()  # whoever asked may have given up
