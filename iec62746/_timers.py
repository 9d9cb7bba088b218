"""Deadlines of many things at once, each added, cancelled and found due in constant time."""

import heapq
from collections.abc import Hashable, Iterator
from math import ceil
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)

_EMPTY_BUCKETS = 64


class Timers(Generic[K]):
    """Keys by the time at which they are due, in buckets of `grain` seconds: nothing is due early, or a grain late.

    Bounded by what is added and not yet due or cancelled: buckets that became empty are swept when they are most.
    """

    __slots__ = ("_ahead", "_buckets", "_empty", "_grain", "_order")

    def __init__(self, grain: float) -> None:
        """Start with none; a `grain` that is a power of two keeps the arithmetic exact."""
        self._grain = grain
        # How far the time in the buckets is ahead of the clock: what that was put back since.
        self._ahead = 0.0
        self._buckets: dict[int, dict[K, None]] = {}
        self._order: list[int] = []
        self._empty = 0

    def add(self, key: K, at: float) -> int:
        """Make `key` due at `at`; returns the bucket that `cancel` wants."""
        number = ceil((at + self._ahead) / self._grain)
        bucket = self._buckets.get(number)
        if bucket is None:
            bucket = self._buckets[number] = {}
            heapq.heappush(self._order, number)
        elif not bucket:
            self._empty -= 1
        bucket[key] = None
        return number

    def cancel(self, key: K, number: int) -> None:
        """Forget `key` in the bucket `number`, if it is still there."""
        bucket = self._buckets.get(number)
        if bucket and key in bucket:
            del bucket[key]
            if not bucket:
                self._empty += 1
                if self._empty > _EMPTY_BUCKETS and 2 * self._empty > len(self._buckets):
                    self._sweep()

    def _sweep(self) -> None:
        self._buckets = {number: bucket for number, bucket in self._buckets.items() if bucket}
        self._order = sorted(self._buckets)
        self._empty = 0

    def due(self, now: float) -> Iterator[K]:
        """Yield, and forget, every key that is due."""
        while self._order and self._order[0] * self._grain <= now + self._ahead:
            yield from self._pop()

    def _pop(self) -> dict[K, None]:
        bucket = self._buckets.pop(heapq.heappop(self._order))
        if not bucket:
            self._empty -= 1
        return bucket

    def next(self) -> float | None:
        """Return when the next key is due, or None."""
        while self._order and not self._buckets[self._order[0]]:
            self._pop()
        return self._order[0] * self._grain - self._ahead if self._order else None

    def clock_put(self, by: float) -> None:
        """Have all be due when they would have been, though the clock was put forward, or back, by so much."""
        self._ahead -= round(by / self._grain) * self._grain

    @property
    def buckets(self) -> int:
        """How many buckets there are, empty ones too."""
        return len(self._buckets)
