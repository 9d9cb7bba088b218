"""The communication server inside the process: who is there, and who subscribed to what."""

import asyncio
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from iec62746 import Address, InvalidAddress, Presence

if TYPE_CHECKING:
    from iec62746_memory.transport import MemorySession, MemorySubscription

# The one state of the process: a broker lives as long as somebody holds it.
_BROKERS: "WeakValueDictionary[str, Broker]" = WeakValueDictionary()


def broker(name: str) -> "Broker":
    """Return the broker called `name`; it lives as long as a session, or the caller, holds it."""
    found = _BROKERS.get(name)
    if found is None:
        found = _BROKERS[name] = Broker(name)
    return found


class Broker:
    """One communication server; belongs to the event loop of its sessions."""

    def __init__(self, name: str) -> None:
        """Start with nobody there."""
        self.name = name
        self._loop: asyncio.AbstractEventLoop | None = None
        self._sessions: dict[tuple[str, str], list[MemorySession]] = {}
        self._subscriptions: dict[tuple[str, Address], dict[MemorySubscription, None]] = {}

    def enter(self, session: "MemorySession") -> None:
        """Count `session` in."""
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._move_to(loop)
        self._sessions.setdefault((session.domain, session.party), []).append(session)

    def _move_to(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._loop is not None and self._loop.is_closed():
            # Its sessions were never closed; nobody can use them any more.
            self._sessions.clear()
            self._subscriptions.clear()
        if self._sessions:
            raise InvalidAddress(f"memory://{self.name} is in use by another event loop: use another name here")
        self._loop = loop

    def leave(self, session: "MemorySession") -> None:
        """Count `session` out; if it was its party's last, tell who subscribed to that party's presence."""
        key = (session.domain, session.party)
        mine = self._sessions.get(key, [])
        if session in mine:
            mine.remove(session)
        if not mine and self._sessions.pop(key, None) is not None:
            watchers = {one.session: None for one in self.receivers(session.domain, Presence(session.party))}
            for watcher in watchers:
                watcher.tell_gone(session.party)

    def sessions(self, domain: str, party: str) -> "tuple[MemorySession, ...]":
        """Return the live sessions of `party`, the oldest first."""
        return tuple(self._sessions.get((domain, party), ()))

    def add(self, subscription: "MemorySubscription") -> None:
        """Make `subscription` live."""
        self._subscriptions.setdefault(subscription.key, {})[subscription] = None

    def remove(self, subscription: "MemorySubscription") -> None:
        """End `subscription`."""
        some = self._subscriptions.get(subscription.key)
        if some is not None:
            some.pop(subscription, None)
            if not some:
                del self._subscriptions[subscription.key]

    def receivers(self, domain: str, address: Address) -> "list[MemorySubscription]":
        """Return who subscribed to `address`; a party's presence also goes to who subscribed to everybody's."""
        found = list(self._subscriptions.get((domain, address), ()))
        if isinstance(address, Presence) and address.party is not None:
            found += self._subscriptions.get((domain, Presence()), ())
        return found
