"""Answers to what others asked of us: each once, in the form of the request, to the sender and to its duplicates."""

import re
from dataclasses import replace

from iec62746._forms import reply_form
from iec62746._memory import Key, Memory, sender_of
from iec62746._writer import Writer
from iec62746.errors import LocalError
from iec62746.limits import Limits
from iec62746.message import Error, Kind, Message, ReplyPart, Result
from iec62746.outputs import Notice, Send, Ticket, What, cut
from iec62746.transport import Outgoing, ReplyTo

WAITING_DUPLICATES = 8
"""Duplicates of a running request that wait for its answer; more get none."""

_ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class Answers:
    """The requests that we still have to answer; at most `pending` for each party."""

    def __init__(self, limits: Limits, writer: Writer, memory: Memory, peers: frozenset[str]) -> None:
        """Owe nothing yet; `memory` keeps the answers for duplicates."""
        self._real_time, self._most = limits.real_time, limits.pending
        self._writer, self._memory = writer, memory
        # One number for each party.
        self._open = dict.fromkeys(peers, 0)

    def begin(self, ticket: Ticket) -> None:
        """Count a request that is to be executed."""
        ticket.is_counted = True
        self._open[ticket.sender] += 1

    def excess(self, ticket: Ticket) -> Notice | None:
        """Return why a request is one too many, or None."""
        if self._open[ticket.sender] < self._most:
            return None
        return Notice(What.TOO_MANY_PENDING, ticket.sender, f"{self._most} requests are unanswered", "3.2")

    def answer(self, ticket: Ticket, template: Message, now: float) -> list[Send]:
        """Return `template` as the answer to `ticket` and its duplicates; raises if it cannot be written."""
        if not ticket.is_open or ticket.reply_to is None:
            return []
        asked, deadline = ticket.message, now + self._real_time
        if template.kind is not Kind.FAULT:
            if template.form is None and asked.form is not None:
                template = replace(template, form=reply_form(asked.form, asked.noun))
            correlation_id = asked.correlation_id or asked.message_id
            template = self._writer.stamped(template, ticket.sender, now, deadline, correlation_id)
        outgoing = self._writer.outgoing(template, deadline, correlation_id=ticket.correlation_id)
        ticket.is_open = False
        if ticket.is_counted:
            self._open[ticket.sender] -= 1
        self._memory.keep_answer(ticket, outgoing.body, deadline)
        out = [Send(ticket.reply_to, outgoing, ticket.sender)]
        if ticket.waiting:
            out += [Send(to, replace(outgoing, correlation_id=key), ticket.sender) for to, key in ticket.waiting]
        return out

    def again(self, key: Key, reply_to: ReplyTo, correlation_id: str) -> list[Send]:
        """Return the answer that a duplicate gets, if it is kept; while the first runs, the duplicate waits for it."""
        answer, running = self._memory.answer(key), self._memory.running(key)
        if answer is not None:
            body, expires = answer
            outgoing = Outgoing(body=body, expires=expires, correlation_id=correlation_id)
            return [Send(reply_to, outgoing, sender_of(key))]
        if running is not None and len(running.waiting) < WAITING_DUPLICATES:
            running.waiting += ((reply_to, correlation_id),)
        return []

    def refuse(self, ticket: Ticket, code: str, reason: str, now: float) -> list[Send]:
        """Return a Reply FAILED as the answer to `ticket`, or a FaultMessage if that cannot be written."""
        template = Message(kind=Kind.RESPONSE, verb="reply", noun=ticket.message.noun, reply=_failure(code, reason))
        try:
            return self.answer(ticket, template, now)
        except LocalError:
            # Its noun, its ids or its form cannot be written, or are too long.
            return self.fault(ticket, code, reason, now)

    def fault(self, ticket: Ticket, code: str, reason: str, now: float) -> list[Send]:
        """Return a FaultMessage as the answer to `ticket`."""
        return self.answer(ticket, Message(kind=Kind.FAULT, reply=_failure(cut(code), cut(reason))), now)


def _failure(code: str, reason: str) -> ReplyPart:
    # A handler may refuse with any text; of a peer's, only what XML can carry got here.
    error = Error(code=_ILLEGAL.sub("\ufffd", code), reason=_ILLEGAL.sub("\ufffd", reason) or None)
    return ReplyPart(result=Result.FAILED, errors=(error,))
