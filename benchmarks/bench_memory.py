"""What a conversation over memory:// costs beside its own codec work: python benchmarks/bench_memory.py

Interleaved rounds; median, and spread from the lowest to the highest. It judges nothing: it prints figures and targets.
Costs are processor time, which a neighbour disturbs less; p50, p99 and the fan-out are by the clock on the wall. The
codec is measured twice: where it stands, inside the round trip, and the same bodies in a loop of their own, where the
processor has nothing else in its caches.
"""

import asyncio
import gc
import statistics
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from iec62746 import Domain, Message, VirtualEndNode, VirtualTopNode, _writer, decode, encode, exchange
from iec62746_memory import MemorySession, MemoryTransport

ROUNDS = 7
ROUND_TRIPS = 300
IN_FLIGHT = 3_000
VENS = 1_000

READINGS = "".join(
    f'<m:Reading timeStamp="2026-01-01T00:{one:02d}:00Z"><m:value>{one}.5</m:value></m:Reading>' for one in range(6)
)
PAYLOAD = f'<m:EndDeviceControls xmlns:m="urn:bench:controls">{READINGS}</m:EndDeviceControls>'


def domain(parties: int, **limits: int) -> Domain:
    """Return a domain with so many VENs."""
    return Domain.parse(
        '[domain]\nname = "bench"\nvtn = "vtn"\n[limits]\n'
        + "".join(f"{name} = {value}\n" for name, value in limits.items())
        + '[nodes.price]\nnouns = ["MarketPrices"]\n'
        '[roles.ven]\nsubscribe = ["price"]\nserve.create = ["EndDeviceControls"]\n'
        + "".join(f'[parties.ven-{number}]\nroles = ["ven"]\n' for number in range(parties))
    )


class Tap:
    """The memory transport, with the bodies that were sent."""

    def __init__(self) -> None:
        self._inner, self.bodies = MemoryTransport(), list[bytes]()
        self.is_listening = False

    def capabilities(self, url: str) -> Any:
        return self._inner.capabilities(url)

    async def open(self, config: Any, observer: Any) -> MemorySession:
        session = await self._inner.open(config, observer)
        real = session.send

        async def send(to: Any, message: Any) -> Any:
            self.bodies.append(message.body)
            return await real(to, message)

        session.send = send  # type: ignore[method-assign]  # it is a tap
        return session


def shown(name: str, values: Sequence[float], unit: str = "µs") -> str:
    return f"{name:<52} {statistics.median(values):8.1f} {unit}   ({min(values):.1f} to {max(values):.1f})"


async def bodies_of_one_round_trip(one: Domain) -> tuple[bytes, bytes]:
    tap = Tap()
    vtn, ven = (
        VirtualTopNode(one, "memory://tap", transport=tap),
        VirtualEndNode(one, "memory://tap", "ven-0", transport=tap),
    )
    ven.on_request("create", "EndDeviceControls")(_ok)
    async with vtn, ven:
        tap.bodies.clear()
        await vtn.request("create", "EndDeviceControls", PAYLOAD, to="ven-0")
        request, reply = tap.bodies[-2:]
    return request, reply


async def _ok(request: Message) -> None:
    return None


def codec_cost(bodies: tuple[bytes, bytes]) -> float:
    """Return the µs of the encodes and decodes of a round trip."""
    messages = [decode(body) for body in bodies]
    start = time.process_time()
    for _ in range(ROUND_TRIPS):
        for message, body in zip(messages, bodies, strict=True):
            encode(message)
            decode(body)
    return (time.process_time() - start) / ROUND_TRIPS * 1e6


class Stopwatch:
    """What the encodes and decodes of the conversation cost where they stand."""

    def __init__(self) -> None:
        self.spent = 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        """Time them while the context lasts."""
        real = exchange.decode, _writer.encode  # type: ignore[attr-defined]
        exchange.decode, _writer.encode = self._timed(real[0]), self._timed(real[1])  # type: ignore[attr-defined]
        try:
            yield
        finally:
            exchange.decode, _writer.encode = real  # type: ignore[attr-defined]

    def _timed(self, function: Callable[..., Any]) -> Callable[..., Any]:
        clock = time.perf_counter

        def timed(*arguments: Any, **named: Any) -> Any:
            start = clock()
            result = function(*arguments, **named)
            self.spent += clock() - start
            return result

        return timed

    def take(self) -> float:
        """Return the µs for each round trip since the last time."""
        spent, self.spent = self.spent, 0.0
        return spent / ROUND_TRIPS * 1e6


async def one_by_one(ask: Callable[[], Awaitable[Any]], each: list[float]) -> float:
    """Return the µs of a round trip with nothing else in flight; `each` gets them singly."""
    clock = time.perf_counter
    start = time.process_time()
    for _ in range(ROUND_TRIPS):
        began = clock()
        await ask()
        each.append((clock() - began) * 1e6)
    return (time.process_time() - start) / ROUND_TRIPS * 1e6


async def at_once(ask: Callable[[], Awaitable[Any]], in_flight: int) -> float:
    """Return the µs for each request with so many in flight."""
    start, batches = time.process_time(), max(1, IN_FLIGHT // in_flight)
    for _ in range(batches):
        await asyncio.gather(*(ask() for _ in range(in_flight)))
    return (time.process_time() - start) / (batches * in_flight) * 1e6


async def round_trips() -> None:
    one = domain(1, pending=20_000, waiting=20_000)
    bodies = await bodies_of_one_round_trip(one)
    url = "memory://bench?queue=20000"
    vtn, ven = VirtualTopNode(one, url), VirtualEndNode(one, url, "ven-0")
    ven.on_request("create", "EndDeviceControls")(_ok)
    payload = decode(bodies[0]).payload
    trips, codec, each = list[float](), list[float](), list[float]()
    in_place, no_collector = list[float](), list[float]()
    flights: dict[int, list[float]] = {64: [], 100: [], 10_000: []}
    async with vtn, ven:

        async def ask() -> Any:
            return await vtn.request("create", "EndDeviceControls", payload, to="ven-0")

        await one_by_one(ask, [])
        for _ in range(ROUNDS):
            trips.append(await one_by_one(ask, each))
            codec.append(codec_cost(bodies))
            for in_flight, found in flights.items():
                found.append(await at_once(ask, in_flight))
            gc.disable()
            no_collector.append(await at_once(ask, 10_000) / await at_once(ask, 100))
            gc.enable()
        stopwatch = Stopwatch()
        with stopwatch.running():
            for _ in range(ROUNDS):
                stopwatch.take()
                began = time.perf_counter()
                await one_by_one(ask, [])
                in_place.append((time.perf_counter() - began) / ROUND_TRIPS * 1e6 / stopwatch.take())
    each.sort()
    ratios = [trip / cost for trip, cost in zip(trips, codec, strict=True)]
    print(f"request of {len(bodies[0])} octets, reply of {len(bodies[1])}; {ROUNDS} rounds of {ROUND_TRIPS}")
    print(shown("round trip", trips))
    print(f"{'  p50, p99':<52} {each[len(each) // 2]:8.1f} µs   {each[len(each) * 99 // 100]:.1f} µs")
    print(shown("its two encodes and two decodes, in a loop", codec))
    print(shown("ratio to them where they stand (target: at most 2)", in_place, "×"))
    print(shown("ratio to them in a loop (target: at most 2)", ratios, "×"))
    for in_flight, found in flights.items():
        print(shown(f"each of {in_flight:,} in flight", found))
    beside = [many / hundred for many, hundred in zip(flights[10_000], flights[100], strict=True)]
    print(shown("10,000 in flight beside 100 (target: at most 1)", beside, "×"))
    print(shown("the same without Python's garbage collector", no_collector, "×"))


async def fan_out() -> None:
    one, url = domain(VENS), "memory://fan-out"
    vtn, got, all_got = VirtualTopNode(one, url), 0, asyncio.Event()
    vens = [VirtualEndNode(one, url, f"ven-{number}") for number in range(VENS)]

    async def take(event: Message) -> None:
        nonlocal got
        got += 1
        if got == VENS:
            all_got.set()

    for ven in vens:
        ven.on_event(node="price")(take)
    await asyncio.gather(vtn.__aenter__(), *(ven.__aenter__() for ven in vens))
    times = []
    for _ in range(ROUNDS):
        got = 0
        all_got.clear()
        start = time.perf_counter()
        await vtn.publish("MarketPrices", PAYLOAD, node="price")
        await all_got.wait()
        times.append((time.perf_counter() - start) * 1e3)
    await asyncio.gather(vtn.aclose(), *(ven.aclose() for ven in vens))
    print(shown(f"one event to {VENS:,} VENs, until the last has it", times, "ms"))


async def main() -> None:
    await round_trips()
    await fan_out()


if __name__ == "__main__":
    asyncio.run(main())
