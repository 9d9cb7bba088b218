"""Deadlines of many things at once, each added, cancelled and found due in constant time."""

import heapq
from collections.abc import Hashable, Iterator
from math import ceil
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


class Timers(Generic[K]):
    """Keys by the time at which they are due, in buckets of `grain` seconds: nothing is due early, or a grain late."""

    def __init__(self, grain: float) -> None:
        """Start with none."""
        self._grain = grain
        self._buckets: dict[int, dict[K, None]] = {}
        self._order: list[int] = []

    def add(self, key: K, at: float) -> int:
        """Make `key` due at `at`; returns the bucket that `cancel` wants."""
        number = ceil(at / self._grain)
        bucket = self._buckets.get(number)
        if bucket is None:
            bucket = self._buckets[number] = {}
            heapq.heappush(self._order, number)
        bucket[key] = None
        return number

    def cancel(self, key: K, bucket: int) -> None:
        """Forget `key`, if it is still there."""
        self._buckets.get(bucket, {}).pop(key, None)

    def due(self, now: float) -> Iterator[K]:
        """Yield, and forget, every key that is due."""
        while self._order and self._order[0] * self._grain <= now:
            yield from self._buckets.pop(heapq.heappop(self._order))

    def next(self) -> float | None:
        """Return when the next key is due, or None."""
        while self._order and not self._buckets[self._order[0]]:
            del self._buckets[heapq.heappop(self._order)]
        return self._order[0] * self._grain if self._order else None
