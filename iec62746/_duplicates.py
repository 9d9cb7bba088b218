"""Executed at most once: what is new is remembered, and known again by sender and MessageID (62746-3, 5.4)."""

from typing import Any

from iec62746._memory import Key, Memory, key_of, sender_of
from iec62746.limits import Limits
from iec62746.message import Message
from iec62746.outputs import Notice, Ticket, What, cut
from iec62746.transport import Delivery


class Duplicates:
    """The messages that one party received."""

    def __init__(self, limits: Limits, since: float) -> None:
        """Remember by `limits`; nothing is known from before `since`."""
        self._real_time, self._skew, self._most = limits.real_time, limits.clock_skew, limits.remembered
        # One for each party: at the bound each message that comes is told to have one forgotten.
        self._forgotten: dict[str, Notice] = {}
        self.memory = Memory(most=limits.remembered, octets=limits.answers, since=since)

    def check(self, ticket: Ticket, delivery: Delivery, out: list[Any]) -> tuple[Notice, Key | None] | None:
        """Remember what is new, and return None; else why it is not executed, and by what key a duplicate is known."""
        message, sender = ticket.message, ticket.sender
        if message.message_id is None:
            out.append(Notice(What.NO_MESSAGE_ID, sender, "no MessageID: a duplicate would not be known"))
            return (_redelivered(sender), None) if delivery.redelivered else None
        key, digest = key_of(sender, message.message_id), hash(delivery.body)
        seen = self.memory.find(key)
        if seen is None:
            if delivery.redelivered and not self._reaches_back(message, ticket.arrived):
                return _redelivered(sender), None
            ticket.key = key
            request = ticket if ticket.reply_to is not None else None
            self._add(key, digest, ticket.arrived, ticket.until, out, request)
            return None
        if seen[0] is not None and seen[0] != digest:
            reason = cut(f"MessageID {message.message_id} was used for another message")
            return Notice(What.REUSED_ID, sender, reason, "2.15"), None
        return Notice(What.DUPLICATE, sender, cut(f"MessageID {message.message_id} was received before")), key

    def _add(
        self,
        key: Key,
        digest: int | None,
        arrived: float,
        deadline: float,
        out: list[Any],
        request: Ticket | None = None,
    ) -> None:
        forgotten = self.memory.add(key, digest, arrived, deadline + self._skew, request)
        if forgotten is not None:
            out.append(self._told_of(sender_of(forgotten)))

    def _told_of(self, sender: str) -> Notice:
        notice = self._forgotten.get(sender)
        if notice is None:
            reason = f"{self._most} messages are remembered: a duplicate of the oldest would not be known"
            notice = self._forgotten[sender] = Notice(What.FORGOTTEN, sender, reason)
        return notice

    def _reaches_back(self, message: Message, now: float) -> bool:
        """Return whether the memory would know `message` had it been received before, however the clocks differ."""
        sent, since = message.sent_at, self.memory.reaches_back_to
        if message.deadline is None:
            since = max(since, now - self._real_time - self._skew)
        return sent is not None and since + self._skew <= sent.timestamp() <= now + self._skew

    def knows(self, sender: str, message_id: str | None) -> bool:
        """Return whether that message was received."""
        return message_id is not None and self.memory.find(key_of(sender, message_id)) is not None

    def expect(self, sender: str, message_id: str, deadline: float, now: float, out: list[Any]) -> None:
        """Remember a message that was got in another way: it may still come, until `deadline`."""
        if deadline + self._skew > now:
            self._add(key_of(sender, message_id), None, now, deadline, out)


def _redelivered(sender: str) -> Notice:
    return Notice(What.REDELIVERED, sender, "it may have been executed before we began to remember")
