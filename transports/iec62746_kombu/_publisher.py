"""The thread that publishes: one message after another, each with its outcome."""

import asyncio
import threading
import time
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Final

from iec62746 import Expired, Outcome, Overloaded, SessionLost, TransportError
from iec62746_kombu import _errors
from iec62746_kombu._wire import TICK, Parcel, Wire
from iec62746_kombu._worker import Messenger, Worker

WAITING: Final = 10_000
"""Messages that wait to be published, in one session."""
WAITING_OCTETS: Final = 67_108_864
"""Octets of their bodies."""


class Job:
    """One message: it is taken by the thread, or given up by who sent it, and never both."""

    __slots__ = ("_lock", "_state", "outcome", "parcel")

    def __init__(self, parcel: Parcel, outcome: "asyncio.Future[None]", lock: threading.Lock) -> None:
        self.parcel, self.outcome, self._lock, self._state = parcel, outcome, lock, ""

    def take(self) -> bool:
        """Return whether it may be published."""
        return self._become("taken") == "taken"

    def give_up(self) -> bool:
        """Return whether it will not be published."""
        return self._become("given up") == "given up"

    def _become(self, state: str) -> str:
        with self._lock:
            self._state = self._state or state
            return self._state


class Publisher(Worker):
    """Publishes what it is given, in that order."""

    def __init__(self, name: str, wire: Wire, messenger: Messenger, broken: Callable[[Exception], None]) -> None:
        """Prepare."""
        super().__init__(name, wire, messenger, broken)
        self._loop = asyncio.get_running_loop()
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._open: dict[Job, None] = {}
        self._octets = 0

    # ---------------------------------------------------------------- in the loop

    async def publish(self, parcel: Parcel) -> None:
        """Publish `parcel`, at the latest when it expires; raises `TransportError`."""
        job = self._put(parcel)
        try:
            async with asyncio.timeout(parcel.expires - time.time()):
                await job.outcome
        except TimeoutError:
            raise _late(job) from None
        except asyncio.CancelledError:
            job.give_up()
            raise
        finally:
            if self._open.pop(job, job) is None:
                self._octets -= len(parcel.body)

    def _put(self, parcel: Parcel) -> Job:
        if len(self._open) >= WAITING or (self._open and self._octets + len(parcel.body) > WAITING_OCTETS):
            raise Overloaded(f"{len(self._open)} messages wait to be published: slow down", outcome=Outcome.NOT_SENT)
        job = Job(parcel, self._loop.create_future(), self._lock)
        self._open[job] = None
        self._octets += len(parcel.body)
        self._jobs.put(job)
        return job

    def end_all(self, cause: TransportError | None) -> None:
        """End every message that waits: what the thread had taken may have been published."""
        for job in list(self._open):
            outcome = Outcome.NOT_SENT if job.give_up() else Outcome.UNKNOWN
            if not job.outcome.done():
                error = SessionLost(f"the session ended: {cause or 'it was closed'}", outcome=outcome)
                error.__cause__ = cause
                job.outcome.set_exception(error)

    def wake(self) -> None:
        """Have the thread look."""
        self._jobs.put(None)

    # ---------------------------------------------------------------- in the thread

    def work(self) -> None:
        """Publish, and give a sign of life in time."""
        while not self.is_stopping:
            self.wire.tick()
            if jobs := self._next():
                self._publish(jobs)

    def _next(self) -> list[Job]:
        """Wait for something to publish, for one tick; returns what is there, as much as may be on its way at once."""
        jobs: list[Job] = []
        try:
            job = self._jobs.get(timeout=TICK)
            while True:
                if job is not None and job.take():
                    jobs.append(job)
                if len(jobs) == self.wire.window:
                    break
                job = self._jobs.get_nowait()
        except Empty:
            pass
        return jobs

    def _publish(self, jobs: list[Job]) -> None:
        open_jobs = dict(enumerate(jobs))

        def settle(index: int, error: TransportError | None) -> None:
            self.messenger.call(_settle, open_jobs.pop(index), error)

        try:
            self.wire.publish([job.parcel for job in jobs], settle)
        except Exception as exc:
            # Whatever it is, it is told to who sent, and then ends the session.
            for job in open_jobs.values():
                self.messenger.call(_settle, job, _errors.unsettled(exc, is_alone=len(open_jobs) == 1))
            raise


def _settle(job: Job, error: TransportError | None) -> None:
    if job.outcome.done():
        return
    if error is None:
        job.outcome.set_result(None)
    else:
        job.outcome.set_exception(error)


def _late(job: Job) -> Expired:
    if job.give_up():
        return Expired("its Deadline passed before it could be sent")
    return Expired("its Deadline passed before the communication server had answered", outcome=Outcome.UNKNOWN)
