"""Our requests that are unanswered: by correlation id, each with the time at which our patience ends."""

from collections.abc import Iterator

from iec62746._timers import Timers
from iec62746.outputs import Asked

_GRAIN = 1 / 16


class Pending:
    """What we asked; at most `most` unanswered requests for each party (limit `pending`)."""

    __slots__ = ("_asked", "_counts", "_most", "_timers")

    def __init__(self, most: int) -> None:
        """Start with none."""
        self._most = most
        self._asked: dict[str, Asked] = {}
        # One for each party of the domain: who else is asked is refused before.
        self._counts: dict[str, int] = {}
        self._timers: Timers[str] = Timers(_GRAIN)

    def __len__(self) -> int:
        """Return how many are unanswered."""
        return len(self._asked)

    def get(self, key: str | None) -> Asked | None:
        """Return what was asked under `key`."""
        return self._asked.get(key) if key is not None else None

    def is_full(self, to: str) -> bool:
        """Return whether `to` owes as many answers as a party may."""
        return self._counts.get(to, 0) >= self._most

    def add(self, key: str, asked: Asked, until: float) -> None:
        """Wait for the answer to `asked` until `until`."""
        asked.bucket = self._timers.add(key, until)
        self._asked[key] = asked
        self._counts[asked.to] = self._counts.get(asked.to, 0) + 1

    def take(self, key: str | None) -> Asked | None:
        """Return what was asked under `key`, and wait for it no longer."""
        asked = self._asked.pop(key, None) if key is not None else None
        if asked is not None and key is not None:
            self._timers.cancel(key, asked.bucket)
            self._counts[asked.to] -= 1
        return asked

    def take_all(self) -> Iterator[tuple[str, Asked]]:
        """Yield everything that was asked, and wait for it no longer."""
        for key in list(self._asked):
            if asked := self.take(key):
                yield key, asked

    def due(self, now: float) -> Iterator[tuple[str, Asked]]:
        """Yield what was not answered in time, and wait for it no longer."""
        for key in self._timers.due(now):
            if asked := self.take(key):
                yield key, asked

    def next(self) -> float | None:
        """Return when our patience with the next one ends."""
        return self._timers.next()

    def clock_put(self, by: float) -> None:
        """Be as patient as we would, though the clock was put forward, or back, by so much."""
        self._timers.clock_put(by)
