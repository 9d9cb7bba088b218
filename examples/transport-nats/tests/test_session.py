"""What the rules cannot know: the bounds of this transport."""

import asyncio
import time
from contextlib import suppress

import pytest
from iec62746 import Config, Delivery, Domain, Inbox, NoReceiver, Outgoing, Overloaded, TransportError
from iec62746.testing.harness import Harness

from iec62746_nats import NatsTransport, session
from iec62746_nats.harness import NatsHarness

DOMAIN = Domain.parse('[domain]\nname = "d"\nvtn = "vtn"\n[parties.ven]\n')


class Losses:
    """An observer that waits for the loss."""

    def __init__(self) -> None:
        """Begin without one."""
        self.loss: asyncio.Future[TransportError] = asyncio.get_running_loop().create_future()

    def lost(self, cause: TransportError) -> None:
        """Keep it; a second one is an error."""
        self.loss.set_result(cause)

    def gone(self, party: str) -> None:
        """NATS does not tell."""

    def bounced(self, correlation_id: str, cause: TransportError) -> None:
        """NATS does not tell."""

    def blocked(self, is_blocked: bool) -> None:
        """NATS does not tell."""


async def opened(harness: Harness, party: str, observer: Losses) -> session.NatsSession:
    """Return a session of `party`."""
    access = harness.access(DOMAIN, party)
    config = Config(urls=access.urls, domain="d", party=party, vtn="vtn", session="s", account=party)
    return await NatsTransport().open(config, observer)


async def overloaded() -> TransportError:
    """Return how a session ends that takes no delivery."""
    harness = NatsHarness("nats://private")
    try:
        await harness.set_up(DOMAIN)
        losses = Losses()
        vtn, ven = await opened(harness, "vtn", Losses()), await opened(harness, "ven", losses)

        async def never(delivery: Delivery) -> None:
            await asyncio.Event().wait()

        await ven.subscribe(Inbox("ven"), never)
        while not losses.loss.done():
            with suppress(NoReceiver):  # it may have left already
                await vtn.send(Inbox("ven"), Outgoing(body=b"x", expires=time.time() + 30))
        cause = await losses.loss
        await ven.aclose()
        await vtn.aclose()
        return cause
    finally:
        await harness.tear_down()


def test_who_is_too_slow_is_lost_and_nothing_is_dropped_in_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server has told the senders that it arrived."""
    monkeypatch.setattr(session, "_WAITING", 10)

    assert isinstance(asyncio.run(asyncio.wait_for(overloaded(), 20)), Overloaded)
