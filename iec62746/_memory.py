"""What was received, against duplicates: bounded in number, in octets, and by the messages' own deadlines."""

from collections import OrderedDict
from hashlib import sha256

from iec62746._timers import Timers
from iec62746.outputs import Ticket

Key = str
"""Proven sender and MessageID, in one: a str knows its hash, and Python's collector need not look into it."""

LONGEST_ID = 128
"""Characters of a MessageID that are remembered as they are; of a longer one, its hash is."""

_GRAIN = 1.0


def key_of(sender: str, message_id: str) -> Key:
    """Return what a message is remembered by."""
    if len(message_id) > LONGEST_ID:
        message_id = sha256(message_id.encode()).hexdigest()
    return f"{sender} {message_id}"


def sender_of(key: Key) -> str:
    """Return who sent what is remembered by `key`: names of parties have no spaces."""
    return key.partition(" ")[0]


Seen = tuple[int | None, float, int]
"""Of one message: the hash of its body (None: any), when it arrived, its bucket.

A tuple of such, as a Key is: there are many, and Python's collector need not look into any.
"""
Answer = tuple[bytes, float]
"""Its octets, and when it expires."""


class Memory:
    """The messages that a duplicate of could still be delivered."""

    __slots__ = (
        "_answers",
        "_kept",
        "_most",
        "_octets",
        "_running",
        "_seen",
        "_timers",
        "forgotten",
        "reaches_back_to",
    )

    def __init__(self, *, most: int, octets: int, since: float) -> None:
        """Remember at most `most` messages and `octets` of answers; nothing is known from before `since`."""
        self._most, self._octets = most, octets
        # Not dicts: to find the first key of a dict takes the longer, the more of the first ones were deleted.
        self._seen: OrderedDict[Key, Seen] = OrderedDict()
        self._answers: OrderedDict[Key, Answer] = OrderedDict()
        self._running: dict[Key, Ticket] = {}
        self._timers: Timers[Key] = Timers(_GRAIN)
        self._kept = 0
        self.reaches_back_to = since
        self.forgotten = 0

    def __len__(self) -> int:
        """Return how many are remembered."""
        return len(self._seen)

    @property
    def octets(self) -> int:
        """How many octets of answers are kept."""
        return self._kept

    def find(self, key: Key) -> Seen | None:
        """Return what is remembered of `key`."""
        return self._seen.get(key)

    def running(self, key: Key) -> Ticket | None:
        """Return the request `key` if it has no answer yet."""
        return self._running.get(key)

    def answer(self, key: Key) -> Answer | None:
        """Return the answer to the request `key`, if it is kept."""
        return self._answers.get(key)

    def add(
        self, key: Key, digest: int | None, arrived: float, until: float, request: Ticket | None = None
    ) -> Key | None:
        """Remember the new `key` until `until`; at the bound the oldest is forgotten, counted and returned."""
        self._seen[key] = (digest, arrived, self._timers.add(key, until))
        if request is not None:
            self._running[key] = request
        return self._forget_oldest() if len(self._seen) > self._most else None

    def _forget_oldest(self) -> Key:
        key, (_, arrived, bucket) = self._seen.popitem(last=False)
        self.reaches_back_to = max(self.reaches_back_to, arrived)
        self._timers.cancel(key, bucket)
        self._forget_request(key)
        self.forgotten += 1
        return key

    def keep_answer(self, ticket: Ticket, answer: bytes, expires: float) -> None:
        """Keep `answer` for the duplicates of `ticket`; at the bound the oldest answers are forgotten."""
        if ticket.key is None or self._running.get(ticket.key) is not ticket:
            return
        del self._running[ticket.key]
        self._answers[ticket.key] = (answer, expires)
        self._kept += len(answer)
        while self._kept > self._octets:
            _, (oldest, _) = self._answers.popitem(last=False)
            self._kept -= len(oldest)

    def _forget_request(self, key: Key) -> None:
        if key in self._answers:
            self._kept -= len(self._answers.pop(key)[0])
        else:
            self._running.pop(key, None)

    def expire(self, now: float) -> None:
        """Forget what no duplicate can be delivered of any more."""
        for key in self._timers.due(now):
            del self._seen[key]
            self._forget_request(key)

    def next(self) -> float | None:
        """Return when something is to be forgotten."""
        return self._timers.next()
