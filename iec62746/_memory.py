"""What was received, against duplicates: bounded in number, in octets, and by the messages' own deadlines."""

from collections import OrderedDict
from dataclasses import dataclass
from hashlib import sha256

from iec62746._timers import Timers
from iec62746.outputs import Ticket

Key = tuple[str, str]
"""Proven sender and MessageID."""

LONGEST_ID = 128
"""Characters of a MessageID that are remembered as they are; of a longer one, its hash is."""

_GRAIN = 1.0


def key_of(sender: str, message_id: str) -> Key:
    """Return what a message is remembered by."""
    if len(message_id) > LONGEST_ID:
        message_id = sha256(message_id.encode()).hexdigest()
    return (sender, message_id)


@dataclass(slots=True, eq=False)
class Entry:
    """One message: the hash of its body (None: any), the ticket of a request that runs, then its answer while kept."""

    digest: int | None
    arrived: float
    ticket: Ticket | None = None
    answer: bytes | None = None
    expires: float = 0.0
    bucket: int = 0


class Memory:
    """The messages that a duplicate of could still be delivered."""

    __slots__ = ("_answered", "_entries", "_kept", "_most", "_octets", "_timers", "forgotten", "reaches_back_to")

    def __init__(self, *, most: int, octets: int, since: float) -> None:
        """Remember at most `most` messages and `octets` of answers; nothing is known from before `since`."""
        self._most, self._octets = most, octets
        # Not dicts: to find the first key of a dict takes the longer, the more of the first ones were deleted.
        self._entries: OrderedDict[Key, Entry] = OrderedDict()
        self._answered: OrderedDict[Key, None] = OrderedDict()
        self._timers: Timers[Key] = Timers(_GRAIN)
        self._kept = 0
        self.reaches_back_to = since
        self.forgotten = 0

    def __len__(self) -> int:
        """Return how many are remembered."""
        return len(self._entries)

    @property
    def octets(self) -> int:
        """How many octets of answers are kept."""
        return self._kept

    def find(self, key: Key) -> Entry | None:
        """Return what is remembered of `key`."""
        return self._entries.get(key)

    def add(self, key: Key, entry: Entry, until: float) -> Key | None:
        """Remember the new `key` until `until`; at the bound the oldest is forgotten, counted and returned."""
        self._entries[key] = entry
        entry.bucket = self._timers.add(key, until)
        return self._forget_oldest() if len(self._entries) > self._most else None

    def _forget_oldest(self) -> Key:
        key, entry = next(iter(self._entries.items()))
        self.reaches_back_to = max(self.reaches_back_to, entry.arrived)
        self._timers.cancel(key, entry.bucket)
        self._drop(key)
        self.forgotten += 1
        return key

    def keep_answer(self, ticket: Ticket, answer: bytes, expires: float) -> None:
        """Keep `answer` for the duplicates of `ticket`; at the bound the oldest answers are forgotten."""
        entry = self._entries.get(ticket.key) if ticket.key is not None else None
        if entry is None or entry.ticket is not ticket or ticket.key is None:
            return
        entry.ticket, entry.answer, entry.expires = None, answer, expires
        self._answered[ticket.key] = None
        self._kept += len(answer)
        while self._kept > self._octets:
            self._forget_answer(next(iter(self._answered)))

    def _forget_answer(self, key: Key) -> None:
        del self._answered[key]
        entry = self._entries[key]
        self._kept -= len(entry.answer or b"")
        entry.answer = None

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
