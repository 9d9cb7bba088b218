"""What the conformance kit needs to test `memory://NAME`: all parties are in one process, and nothing is set up."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from iec62746 import Delivery, Domain, Inbox, Proof, SessionLost, __version__
from iec62746.testing.harness import Access, Endpoint, Harness
from iec62746_memory.broker import Broker, broker


class MemoryHarness(Harness):
    """The embedded communication server of the URL's name."""

    reach = "process"

    def __init__(self, url: str) -> None:
        """Hold the broker for the time of the run."""
        super().__init__(url)
        self._broker: Broker | None = None
        self._domains: list[Domain] = []

    async def set_up(self, domain: Domain) -> None:
        """Remember the domain: who comes is there."""
        self._broker = broker(urlsplit(self.url).netloc)
        self._domains.append(domain)

    async def tear_down(self) -> None:
        """Let the broker go."""
        self._broker = None

    def access(self, domain: Domain, party: str, via: Endpoint | None = None) -> Access:
        """Return the URL as it is: everybody in this process may come."""
        return Access(urls=(self.url,))

    def versions(self) -> Mapping[str, str]:
        """Return the version of the framework, of which the broker is a part."""
        return {"iec62746": __version__}

    @property
    def _here(self) -> Broker:
        assert self._broker is not None, "set up first"
        return self._broker

    async def cut(self, domain: Domain, party: str) -> None:
        """Lose the party's sessions."""
        for session in self._here.sessions(domain.name, party):
            session.lose(SessionLost("the link was cut"))

    @asynccontextmanager
    async def full(self, domain: Domain, party: str) -> AsyncIterator[None]:
        """Fill the queue of the party's sessions, which the kit holds meanwhile."""
        delivery = Delivery(body=b"filler", address=Inbox(party), sender=None, proof=Proof.NONE, correlation_id="kit.")
        for receiver in self._here.receivers(domain.name, Inbox(party)):
            while receiver.session.put(receiver, delivery):
                while receiver.session.put(receiver, delivery):
                    pass
                await asyncio.sleep(0)  # the first one is taken out, and then held
        yield

    @asynccontextmanager
    async def pressure(self) -> AsyncIterator[None]:
        """Fill every inbox: a broker in the process has no other bound."""
        for domain in self._domains:
            for party in domain.parties:
                async with self.full(domain, party):
                    pass
        yield

    async def leftovers(self, domain: Domain) -> list[str]:
        """Return the parties that have a session still, each of which is a queue."""
        return [party for party in domain.parties if self._here.sessions(domain.name, party)]
