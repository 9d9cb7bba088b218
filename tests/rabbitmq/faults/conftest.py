"""A broker to be hurt, parties on it, and a ledger: what became of every request, and how often it was executed."""

import asyncio
import secrets
import time
import tomllib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from iec62746 import (
    Domain,
    Iec62746Error,
    Message,
    Notice,
    Outcome,
    RequestFailed,
    TransportError,
    VirtualEndNode,
    VirtualTopNode,
    What,
)
from iec62746_rabbitmq.private import NoBroker, PrivateBroker
from iec62746_rabbitmq.provision import RabbitProvisioner

TEXT = """
[domain]
name = "{name}"
vtn = "vtn"
transport = "realtime"
[limits]
{limits}
[nodes."price.north"]
nouns = ["MarketPrices"]
current = true
[roles.member]
subscribe = ["price.#"]
publish = ["MeterReadings"]
request.create = ["DERGroups"]
serve.create = ["EndDeviceControls"]
[parties.ven-1]
roles = ["member"]
[parties.ven-2]
roles = ["member"]
"""
OK = "OK"
HANGS = "hangs"
SLACK = 1.0
"""Seconds that a loaded machine may add to a deadline."""
PAUSE = 0.2
"""Seconds between two requests of one asker while they fail."""

Participant = VirtualTopNode | VirtualEndNode


@dataclass
class Call:
    """One request: how it ended, and after how long."""

    name: str
    ended: str = HANGS
    error: Iec62746Error | None = None
    seconds: float = 0.0


class Ledger:
    """Every request of a test, by its name, and how often each was executed."""

    def __init__(self, real_time: float, skew: float) -> None:
        self._real_time, self._skew = real_time, skew
        self.calls: dict[str, Call] = {}
        self.executed: Counter[str] = Counter()
        self.lateness = float("-inf")
        """Seconds after its Deadline when the latest one was executed."""
        self.gate = asyncio.Event()
        """Handlers wait for it."""
        self.gate.set()
        self.handling = 0
        """How many handlers run."""
        self._numbers = count()
        self._under_way = 0

    async def take(self, request: Message) -> None:
        """Handle a request: this is what executes it."""
        assert request.request is not None
        assert request.deadline is not None
        self.executed[request.request.ids[0].value] += 1
        self.lateness = max(self.lateness, time.time() - request.deadline.timestamp())
        self.handling += 1
        try:
            await self.gate.wait()
        finally:
            self.handling -= 1

    async def ask(self, party: Participant, to: str = "") -> Call:
        """Send a request, and note how it ends."""
        call = Call(f"{party.party}-{next(self._numbers)}")
        self.calls[call.name] = call
        self._under_way += 1
        began = time.monotonic()
        try:
            if isinstance(party, VirtualTopNode):
                await party.request("create", "EndDeviceControls", ids=[call.name], to=to or "ven-1")
            else:
                await party.request("create", "DERGroups", ids=[call.name])
            call.ended = OK
        except RequestFailed as exc:
            # 3.2 too many, 4.1 too late, 5.1 no room: refused before any handler.
            call.ended, call.error = Outcome.REFUSED.name if exc.reply_code in ("3.2", "4.1", "5.1") else str(exc), exc
        except TransportError as exc:
            call.ended, call.error = exc.outcome.name, exc
        finally:
            self._under_way -= 1
            call.seconds = time.monotonic() - began
        return call

    @property
    def outcomes(self) -> Counter[str]:
        """How many requests ended how."""
        return Counter(call.ended for call in self.calls.values())

    @property
    def errors(self) -> Counter[str]:
        """How many requests ended by which error."""
        return Counter(type(call.error).__name__ for call in self.calls.values() if call.error is not None)

    @property
    def under_way(self) -> int:
        """How many requests have not ended."""
        return self._under_way

    def check(self) -> None:
        """Hold every request to what its outcome says."""
        known = {OK, *Outcome.__members__}
        assert known >= set(self.outcomes), self.outcomes
        slow = [call for call in self.calls.values() if call.seconds > self._real_time + SLACK]
        assert not slow
        assert self.executed.keys() <= self.calls.keys()
        twice = [name for name, times in self.executed.items() if times > 1]
        assert not twice
        never = (Outcome.NOT_SENT.name, Outcome.REFUSED.name)
        denied = [call for call in self.calls.values() if call.ended in never and self.executed[call.name]]
        assert not denied
        unfounded = [call for call in self.calls.values() if call.ended == OK and not self.executed[call.name]]
        assert not unfounded
        assert self.lateness <= self._skew


@dataclass
class Life:
    """What one party was told of its connection."""

    party: Participant
    opened: int = 0
    losses: list[Iec62746Error] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.party.on_connected(self._open)
        self.party.on_lost(self.losses.append)
        self.party.on_notice(self.notices.append)

    def _open(self) -> None:
        self.opened += 1

    def noticed(self, what: What) -> int:
        """Return how many notices of this kind there were."""
        return sum(one.what is what for one in self.notices)

    @property
    def complaints(self) -> int:
        """How many notices there were of what was wrong."""
        return sum(one.what is not What.ANSWERED for one in self.notices)

    async def until_lost(self, within: float = 10) -> Iec62746Error:
        """Wait until it was told of a loss; returns the last."""
        await until(lambda: bool(self.losses), within)
        return self.losses[-1]

    async def until_back(self, opened: int = 2, within: float = 30) -> None:
        """Wait until it has been connected so often, and is."""
        await until(lambda: self.opened >= opened and self.party.is_connected, within)


async def until(is_so: Callable[[], bool], within: float = 10) -> None:
    """Wait for something that others bring about."""
    async with asyncio.timeout(within):
        while not is_so():  # noqa: ASYNC110  # there is no one event to wait for
            await asyncio.sleep(0.01)


@dataclass
class Stage:
    """One domain of the test's own on one broker, and its parties."""

    broker: PrivateBroker
    domain: Domain
    ledger: Ledger
    stack: AsyncExitStack
    group: asyncio.TaskGroup
    lane: str = ""
    has_events: bool = True
    passwords: dict[str, str] = field(default_factory=dict)
    """By account; none in the open way."""
    lives: dict[str, Life] = field(default_factory=dict)

    def url(self, party: str, *, broker: PrivateBroker | None = None, port: int | None = None) -> str:
        """Return how `party` gets to the broker, or to another one, or through `port`."""
        broker = broker or self.broker
        lane = f"lane={self.lane}" if self.lane else ""
        if self.passwords:
            url = broker.url(party, self.passwords[party], self.domain.name, lane)
        else:
            url = broker.url(query="&".join(filter(None, ("declare=true", lane))))
        return url if port is None else url.replace(f":{broker.port}/", f":{port}/")

    async def enter(self, name: str, *urls: str) -> Any:
        """Open a party; closed at the end."""
        party = self.made(name, *urls)
        await self.stack.enter_async_context(party)
        return party

    def made(self, name: str, *urls: str) -> Participant:
        """Return a party with its handlers, not open."""
        party: Participant
        all_urls = urls or (self.url(name),)
        if name == "vtn":
            party = VirtualTopNode(self.domain, all_urls)
            party.on_request("create", "DERGroups")(self.ledger.take)
        else:
            party = VirtualEndNode(self.domain, all_urls, name)
            party.on_request("create", "EndDeviceControls")(self.ledger.take)
            if self.has_events:  # then it asks for current values, too
                party.on_event(node="price.north")(_ignore)
        self.lives[name] = Life(party)
        return party

    async def hold(self, most: int) -> list[Call]:
        """Let handlers wait for the gate, and return the `most` requests that are under way when all of them do."""
        self.ledger.gate.clear()
        await until(lambda: self.ledger.handling == most)
        return [call for call in self.ledger.calls.values() if call.ended == HANGS]

    @asynccontextmanager
    async def storm(self, each: int) -> AsyncIterator[None]:
        """Have `each` askers on both sides ask one request after another; it begins when some were answered."""
        is_over = False
        begun = self.ledger.outcomes[OK]

        async def keep_asking(party: Participant) -> None:
            while not is_over:
                call = await self.ledger.ask(party)
                if call.ended != OK and not is_over:
                    await asyncio.sleep(PAUSE)

        async with asyncio.TaskGroup() as group:
            for _ in range(each):
                group.create_task(keep_asking(self.lives["vtn"].party))
                group.create_task(keep_asking(self.lives["ven-1"].party))
            try:
                await until(lambda: self.ledger.outcomes[OK] - begun > 4 * each)
                yield
            finally:
                is_over = True

    async def settle(self) -> Counter[str]:
        """Wait until every request has ended, and hold each to what its outcome says; returns how many ended how."""
        await until(lambda: not self.ledger.under_way, self.domain.limits.real_time + 2 * SLACK)
        self.ledger.gate.set()
        self.ledger.check()
        return self.ledger.outcomes

    async def works(self) -> None:
        """See a new request succeed at once, both ways."""
        self.ledger.gate.set()
        calls = [await self.ledger.ask(self.lives[name].party) for name in ("vtn", "ven-1")]
        assert [OK, OK] == [call.ended for call in calls], [call.error for call in calls]
        self.ledger.check()


async def _ignore(_: Message) -> None:
    """Take an event."""


def _provisioned(broker: PrivateBroker, domain: Domain, path: Path) -> dict[str, str]:
    """Make accounts, exchanges and rights on the broker; returns the passwords."""
    RabbitProvisioner().apply(domain, broker.management.replace("http://", "http://guest:guest@"), passwords=path)
    passwords: dict[str, str] = tomllib.loads(path.read_text("utf-8"))
    return passwords


MakeStage = Callable[..., Awaitable[Stage]]


@pytest_asyncio.fixture
async def stage(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[MakeStage]:
    """Return what makes a stage: `await stage(broker, real_time=2)`."""
    made: list[Stage] = []
    async with AsyncExitStack() as stack:

        async def make(
            broker: PrivateBroker, *, lane: str = "", is_provisioned: bool = False, **limits: float
        ) -> Stage:
            limits = {"real_time": 3, "clock_skew": 0.25} | limits
            lines = "\n".join(f"{key} = {value}" for key, value in limits.items())
            domain = Domain.parse(TEXT.format(name=f"t{secrets.token_hex(4)}", limits=lines), "faults.toml")
            ledger = Ledger(limits["real_time"], limits["clock_skew"])
            # Entered before the parties: they are closed first, and then no request is left.
            group = await stack.enter_async_context(asyncio.TaskGroup())
            one = Stage(broker, domain, ledger, stack, group, lane)
            if is_provisioned:
                path = tmp_path / f"{domain.name}.toml"
                one.passwords = await asyncio.to_thread(_provisioned, broker, domain, path)
            made.append(one)
            return one

        yield make
    for one in made:
        one.ledger.check()  # nothing was executed while it was closed, either
        request.node.add_report_section("call", "outcomes", f"{dict(one.ledger.outcomes)} {dict(one.ledger.errors)}")
        request.node.user_properties.append(("outcomes", dict(one.ledger.outcomes)))


@pytest.fixture
def hurt(mortal: PrivateBroker) -> Iterator[PrivateBroker]:
    """Return the broker to be killed or frozen; it runs when a test begins."""
    if not _runs(mortal):
        mortal.start()
    yield mortal
    if _runs(mortal):
        mortal.thaw()


def _runs(broker: PrivateBroker) -> bool:
    try:
        return broker.pid > 0
    except NoBroker:
        return False


@pytest.fixture
def waits() -> Callable[..., Awaitable[None]]:
    """Return the wait for a condition, with a deadline."""
    return until
