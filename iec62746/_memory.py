"""What was received, against duplicates: bounded in number, in octets, and by the messages' own deadlines."""

from dataclasses import dataclass, field
from typing import Any

from iec62746._timers import Timers

Key = tuple[str, str]
"""Proven sender and MessageID."""


@dataclass(slots=True, eq=False)
class Entry:
    """One message: the hash of its body, and for a request who waits for the answer, then the answer."""

    digest: int
    arrived: float
    bucket: int = 0
    waiting: list[Any] = field(default_factory=list)
    answer: bytes | None = None


class Memory:
    """The messages that a duplicate of could still be delivered."""

    def __init__(self, *, most: int, octets: int, since: float) -> None:
        """Remember at most `most` messages and `octets` of answers; nothing is known from before `since`."""
        self._most, self._octets = most, octets
        self._entries: dict[Key, Entry] = {}
        self._timers: Timers[Key] = Timers(1.0)
        self._kept = 0
        self._answered: dict[Key, None] = {}
        self.reaches_back_to = since
        self.forgotten = 0

    def __len__(self) -> int:
        """Return how many are remembered."""
        return len(self._entries)

    def find(self, key: Key) -> Entry | None:
        """Return what is remembered of `key`."""
        return self._entries.get(key)

    def add(self, key: Key, digest: int, until: float, now: float) -> Entry:
        """Remember `key` until `until`; at the bound the oldest is forgotten, and counted."""
        entry = self._entries[key] = Entry(digest, now)
        entry.bucket = self._timers.add(key, until)
        if len(self._entries) > self._most:
            oldest = next(iter(self._entries))
            self.reaches_back_to = max(self.reaches_back_to, self._entries[oldest].arrived)
            self._timers.cancel(oldest, self._entries[oldest].bucket)
            self._drop(oldest)
            self.forgotten += 1
        return entry

    def keep_answer(self, key: Key, answer: bytes) -> None:
        """Keep `answer` for the duplicates of `key`; at the bound the oldest answers are forgotten."""
        entry = self._entries.get(key)
        if entry is None:
            return
        entry.answer = answer
        entry.waiting.clear()
        self._answered[key] = None
        self._kept += len(answer)
        while self._kept > self._octets:
            self._forget_answer(next(iter(self._answered)))

    def _forget_answer(self, key: Key) -> None:
        del self._answered[key]
        entry = self._entries[key]
        self._kept -= len(entry.answer or b"")
        entry.answer = b""

    def _drop(self, key: Key) -> None:
        if key in self._answered:
            self._forget_answer(key)
        del self._entries[key]

    def expire(self, now: float) -> None:
        """Forget what no duplicate can be delivered of any more."""
        for key in self._timers.due(now):
            self._drop(key)

    def next(self) -> float | None:
        """Return when something is to be forgotten."""
        return self._timers.next()
