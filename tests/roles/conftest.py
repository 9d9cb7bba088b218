"""A small domain, its parties over memory, and a transport that does as it is told."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import pytest
import pytest_asyncio

from iec62746 import (
    Address,
    Capabilities,
    Config,
    Deliver,
    Domain,
    Notice,
    Observer,
    Outgoing,
    Proof,
    Receipt,
    ReceiptLevel,
    ReplyTo,
    Session,
    Subscription,
    TransportError,
    What,
)

TEXT = """
[domain]
name = "{name}"
vtn = "operator"
transport = "{transport}"
[limits]
{limits}
[nodes."price.north"]
nouns = ["MarketPrices"]
current = true
[nodes."dispatch.north"]
nouns = ["EndDeviceControls"]
[roles.household]
subscribe = ["price.#", "dispatch.north"]
publish = ["MeterReadings", "EndDeviceEvents"]
request.get = ["MarketPrices"]
request.create = ["DERGroups"]
request.change = ["DERGroups"]
request.cancel = ["DERGroups"]
request.delete = ["DERGroups"]
serve.create = ["EndDeviceControls"]
serve.change = ["EndDeviceControls"]
serve.cancel = ["EndDeviceControls"]
serve.delete = ["EndDeviceControls"]
serve.get = ["MeterReadings"]
[parties.ven-1]
roles = ["household"]
[parties.ven-2]
roles = ["household"]
"""

MakeDomain = Callable[..., Domain]
_numbers = count()


@pytest.fixture
def domain() -> MakeDomain:
    """Return a function that makes the domain, with these limits."""

    def make(name: str = "north", transport: str = "core", **limits: float) -> Domain:
        lines = "\n".join(f"{key} = {value}" for key, value in limits.items())
        return Domain.parse(TEXT.format(name=name, transport=transport, limits=lines), "north.toml")

    return make


@pytest.fixture
def url() -> str:
    """Return a memory broker of the test's own."""
    return f"memory://test-{next(_numbers)}"


@pytest_asyncio.fixture(autouse=True)
async def nothing_is_left() -> AsyncIterator[None]:
    """Hold every test to it that closing leaves no task behind."""
    before = asyncio.all_tasks()
    yield
    left = {task for task in asyncio.all_tasks() - before if task is not asyncio.current_task()}
    assert not left


class Notices:
    """What a party gave notice of, to wait for."""

    def __init__(self, party: Any) -> None:
        self.seen: list[Notice] = []
        self._changed = asyncio.Condition()
        party.on_notice(self._take)

    async def _take(self, notice: Notice) -> None:
        async with self._changed:
            self.seen.append(notice)
            self._changed.notify_all()

    async def get(self, what: What) -> Notice:
        """Wait for a notice of this kind."""
        async with asyncio.timeout(10), self._changed:
            await self._changed.wait_for(lambda: any(one.what is what for one in self.seen))
        return next(one for one in self.seen if one.what is what)


@pytest.fixture
def notices() -> type[Notices]:
    """Return what collects a party's notices."""
    return Notices


@dataclass
class Script:
    """What each opening does: raise an error, wait for ever, or give a session; the last is repeated."""

    opens: list[TransportError | str] = field(default_factory=list)
    sessions: "list[ScriptedSession]" = field(default_factory=list)
    tries: int = 0
    opened: asyncio.Event = field(default_factory=asyncio.Event)

    def capabilities(self, url: str) -> Capabilities:
        return Capabilities(proof=Proof.CLAIMED)

    async def open(self, config: Config, observer: Observer) -> Session:
        step = self.opens[min(self.tries, len(self.opens) - 1)] if self.opens else "session"
        self.tries += 1
        if isinstance(step, Exception):
            raise step
        if step == "hang":
            await asyncio.Event().wait()
        session = ScriptedSession(config, observer, step)
        self.sessions.append(session)
        self.opened.set()
        return session


class ScriptedSession:
    """A session that notes what is sent, and breaks when told to."""

    def __init__(self, config: Config, observer: Observer, step: str) -> None:
        self.config, self.observer, self.step = config, observer, step
        self.sent: list[tuple[Address | ReplyTo, Outgoing]] = []
        self.delivers: dict[Address, Deliver] = {}
        self.is_closed = False
        self.hangs = asyncio.Event()
        self.raises: Exception | None = None

    async def send(self, to: Address | ReplyTo, message: Outgoing) -> Receipt:
        self.sent.append((to, message))
        if self.raises is not None:
            raise self.raises
        if self.step == "hang in send" and len(self.sent) > 1:
            self.hangs.set()
            await asyncio.Event().wait()
        return Receipt(ReceiptLevel.LOCAL)

    async def subscribe(self, address: Address, deliver: Deliver) -> Subscription:
        if self.step == "hang in subscribe":
            await asyncio.Event().wait()
        self.delivers[address] = deliver
        return self

    async def cancel(self) -> None:
        """Nothing to do."""

    async def aclose(self) -> None:
        self.is_closed = True
        if self.step == "hang in aclose":
            await asyncio.Event().wait()


@pytest.fixture
def script() -> type[Script]:
    """Return the transport that does as it is told."""
    return Script


@pytest.fixture
def soon() -> Callable[[Callable[[], bool]], Any]:
    """Return a wait for something that the loop brings about by itself."""

    async def wait(is_so: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not is_so():  # noqa: ASYNC110  # the loop itself is what is waited for
                await asyncio.sleep(0)

    return wait
