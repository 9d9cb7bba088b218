"""Our own presence: which session of our party speaks, and whether a newer one is live (62746-3, 5.5.5)."""

from iec62746._writer import Writer
from iec62746.domain import Domain
from iec62746.errors import InvalidMessage
from iec62746.message import Kind, Message
from iec62746.outputs import SessionSuperseded
from iec62746.roster import LEASES, NOUN, Announcement, State, to_payload
from iec62746.transport import Outgoing


class OwnPresence:
    """The session in which our party speaks, and the greatest epoch that was seen of it."""

    def __init__(self, domain: Domain, party: str, writer: Writer) -> None:
        """Have no session yet."""
        self._interval, self._writer = domain.limits.presence, writer
        self._destination = domain.name if party == domain.vtn else domain.vtn
        self.session, self.epoch, self._greatest = "", 0, 0

    def opened(self, session: str, now: float) -> None:
        """Begin a session: its epoch is above every one that was seen of our party."""
        self.session = session
        self.epoch = self._greatest = max(int(now * 1000), self._greatest + 1)

    def announcement(self, state: State, now: float, reason: str) -> Outgoing:
        """Return what we announce; deliverable as long as it is believed."""
        if state is State.GONE:
            raise InvalidMessage("gone is concluded, never announced: use offline")
        return self._written(state, reason, now, now + LEASES * self._interval)

    def will(self, now: float) -> Outgoing:
        """Return what is announced for us when the connection breaks; nobody knows when that will be."""
        return self._written(State.OFFLINE, "connection lost", now, None)

    def _written(self, state: State, reason: str, now: float, deadline: float | None) -> Outgoing:
        said = Announcement(state=state, session=self.session, epoch=self.epoch, interval=self._interval, reason=reason)
        template = Message(kind=Kind.EVENT, verb="changed", noun=NOUN, payload=to_payload(said))
        message = self._writer.stamped(template, self._destination, now, deadline)
        return self._writer.outgoing(message, float("inf") if deadline is None else deadline)

    def hear(self, said: Announcement) -> SessionSuperseded | None:
        """Take what a session of our own party announced; returns what follows if it is newer than ours and any."""
        is_newer = said.rank > (self.epoch, self.session) and said.epoch >= self._greatest
        self._greatest = max(self._greatest, said.epoch)
        # What has ended may have been opened before ours: by a clock that was ahead.
        return SessionSuperseded(said.session, said.state is State.OFFLINE) if is_newer else None
