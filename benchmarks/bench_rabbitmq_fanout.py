"""One event to many VENs with connections of their own, beside raw aio-pika: python benchmarks/bench_rabbitmq_fanout.py

    --url URL      the broker; without it a private one is started, which 5,000 connections do not trouble anybody in
    --vens 1000
    --rounds 7     interleaved; each figure is the median, and lowest to highest
    --without plain   a way that is left out: all of them have their connections at once

All VENs of one way are in one process, the VTN is in another. Ours has two connections a VEN, one to publish and one to
consume, and does all of the envelope's work; raw has one, takes the same bytes, and looks at none of them. Time is from
the publishing to the last VEN's handler, by the clock of the machine; memory is the process's resident set.
"""

import argparse
import asyncio
import gc
import logging
import multiprocessing
import os
import statistics
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from multiprocessing.connection import Connection
from typing import Any

import aio_pika
import aiormq

from iec62746 import Domain, Message, Outgoing, VirtualEndNode, VirtualTopNode, payload
from iec62746_rabbitmq._lane import PREFETCH
from iec62746_rabbitmq.private import PrivateBroker

MEMORY = "vm_memory_high_watermark.absolute = 6GB"
PATIENCE = 600.0
"""Seconds in which all VENs of one way have to be open."""
EVENT = 60.0
"""Seconds in which an event has to reach all of them."""
AT_ONCE = 20
"""Connections that are opened at once."""
READINGS = "".join(
    f'<m:Price timeStamp="2026-01-01T00:{one:02d}:00Z"><m:value>{one}.5</m:value></m:Price>' for one in range(6)
)
PAYLOAD = f'<m:MarketPrices xmlns:m="urn:bench:prices">{READINGS}</m:MarketPrices>'

Got = Callable[[], None]
LOST = list[str]()
"""Why sessions of this process were lost: with thousands in one loop, some may be too late with a sign of life."""


def domain(name: str, vens: int) -> Domain:
    return Domain.parse(
        f'[domain]\nname = "{name}"\nvtn = "vtn"\n[limits]\nset_up = 600\npresence = 600\n'
        '[nodes.price]\nnouns = ["MarketPrices"]\n[roles.ven]\nsubscribe = ["price"]\n'
        + "".join(f'[parties.ven-{number}]\nroles = ["ven"]\n' for number in range(vens))
    )


def resident() -> int:
    """Return the KiB of this process that are in memory."""
    gc.collect()
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024


async def in_turns(makers: list[Callable[[], Any]]) -> None:
    room = asyncio.Semaphore(AT_ONCE)

    async def one(make: Callable[[], Any]) -> None:
        async with room:
            await make()

    await asyncio.gather(*(one(make) for make in makers))


@asynccontextmanager
async def our_vens(lane: str, url: str, name: str, vens: int, got: Got) -> AsyncIterator[None]:
    where, made = domain(name, vens), list[VirtualEndNode]()
    for number in range(vens):
        ven = VirtualEndNode(where, f"{url}?declare=true&lane={lane}", f"ven-{number}")

        async def price(event: Message) -> None:
            got()

        ven.on_event(node="price")(price)
        ven.on_lost(lambda cause: LOST.append(str(cause)))
        made.append(ven)
    try:
        await in_turns([ven.__aenter__ for ven in made])
        yield
    finally:
        await in_turns([ven.aclose for ven in made])


@asynccontextmanager
async def our_vtn(lane: str, url: str, name: str, vens: int) -> AsyncIterator[Any]:
    prices = payload(PAYLOAD)
    async with VirtualTopNode(domain(name, vens), f"{url}?declare=true&lane={lane}") as vtn:
        yield lambda: vtn.publish("MarketPrices", prices, node="price")


@asynccontextmanager
async def raw_vens(url: str, name: str, vens: int, got: Got) -> AsyncIterator[None]:
    async def on_message(message: Any) -> None:
        await message.ack()
        got()

    async with AsyncExitStack() as stack:

        async def one() -> None:
            connection = await stack.enter_async_context(await aio_pika.connect(url))
            channel = await connection.channel()
            await channel.set_qos(prefetch_count=PREFETCH)
            queue = await channel.declare_queue(exclusive=True)
            await queue.bind(f"{name}.event", "price")
            await queue.consume(on_message)

        async with await aio_pika.connect(url) as connection:
            channel = await connection.channel()
            await channel.declare_exchange(f"{name}.event", aio_pika.ExchangeType.TOPIC, durable=True)
        await in_turns([one for _ in range(vens)])
        yield


@asynccontextmanager
async def raw_vtn(url: str, name: str, body: bytes) -> AsyncIterator[Any]:
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        exchange = await channel.get_exchange(f"{name}.event", ensure=False)

        async def publish() -> None:
            message = aio_pika.Message(body, content_type="application/xml", delivery_mode=1)
            await exchange.publish(message, "price", mandatory=False)

        yield publish


def process(pipe: Connection, way: str, url: str, name: str, vens: int) -> None:
    logging.disable(logging.CRITICAL)
    asyncio.run(_process(pipe, way, url, name, vens))


async def _process(pipe: Connection, way: str, url: str, name: str, vens: int) -> None:
    loop, count, last, all_got = asyncio.get_running_loop(), 0, 0.0, asyncio.Event()

    def got() -> None:
        nonlocal count, last
        count += 1
        if count == vens:
            last = time.perf_counter()
            all_got.set()

    empty, began = resident(), time.perf_counter()
    async with raw_vens(url, name, vens, got) if way == "raw" else our_vens(way, url, name, vens, got):
        opened = time.perf_counter() - began
        pipe.send(((resident() - empty) / vens, opened))
        while await loop.run_in_executor(None, pipe.recv):
            pipe.send(time.process_time())
            try:
                async with asyncio.timeout(EVENT):
                    await all_got.wait()
            except TimeoutError:
                # Said before they are closed: that takes minutes where there are thousands.
                lost = f"{len(LOST)} sessions lost: {LOST[:2]}"
                pipe.send(SystemExit(f"{way}: {count} of {vens} got the event within {EVENT:g} s; {lost}"))
                return
            pipe.send((last, time.process_time()))
            count = 0
            all_got.clear()


class Vens:
    """The VENs of one way, in their process."""

    def __init__(self, way: str, url: str, name: str, vens: int) -> None:
        self._pipe, there = multiprocessing.get_context("spawn").Pipe()
        self._process = multiprocessing.get_context("spawn").Process(
            target=process, args=(there, way, url, name, vens), daemon=True
        )
        self._process.start()
        self.memory = self.opened = 0.0
        self.times, self.work = list[float](), list[float]()

    async def answer(self) -> Any:
        def received() -> Any:
            if not self._pipe.poll(PATIENCE):
                raise TimeoutError("the VENs do not answer")
            answer = self._pipe.recv()
            if isinstance(answer, SystemExit):
                raise answer
            return answer

        return await asyncio.get_running_loop().run_in_executor(None, received)

    async def round(self, publish: Any, *, is_noted: bool) -> None:
        self._pipe.send(True)
        began = await self.answer()
        start = time.perf_counter()
        await publish()
        last, ended = await self.answer()
        if is_noted:
            self.times.append((last - start) * 1e3)
            self.work.append((ended - began) * 1e3)

    def close(self) -> None:
        self._pipe.send(False)
        self._process.join(60.0)
        self._process.kill()


async def body_of_an_event(name: str, vens: int) -> bytes:
    """Return the bytes of our event, as the VTN sends them."""
    from iec62746.exchange import Exchange
    from iec62746.message import Kind

    exchange = Exchange(
        domain(name, vens), "vtn", now=time.time(), new_id=lambda: "00000000-0000-4000-8000-000000000000"
    )
    event = Message(kind=Kind.EVENT, verb="created", noun="MarketPrices", payload=payload(PAYLOAD))
    sent: Outgoing = exchange.publish(event, "price", time.time()).message
    return sent.body


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url")
    parser.add_argument("--vens", type=int, default=1_000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--without", choices=["fast", "plain"])
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    ways, base = [way for way in ("fast", "plain", "raw") if way != options.without], f"fan-{os.getpid()}"
    body = await body_of_an_event(base, 1)
    async with AsyncExitStack() as stack:
        url = options.url or stack.enter_context(PrivateBroker(plugins=(), config=[MEMORY])).url().replace("%2F", "")
        sides = dict[str, tuple[Vens, Any]]()
        for way in ways:
            name = f"{base}-{way}"
            stack.push_async_callback(forget, url, name)
            vens = Vens(way, url, name, options.vens)
            stack.callback(vens.close)
            at = raw_vtn(url, name, body) if way == "raw" else our_vtn(way, url, name, options.vens)
            vens.memory, vens.opened = await vens.answer()
            sides[way] = vens, await stack.enter_async_context(at)
        for number in range(options.rounds + 1):
            for vens, publish in sides.values():
                await vens.round(publish, is_noted=number > 0)
        show(sides, len(body), options)


def show(sides: dict[str, tuple[Vens, Any]], octets: int, options: argparse.Namespace) -> None:
    # Before they are closed: that takes minutes where there are thousands.
    print(f"one event of {octets} octets to {options.vens:,} VENs, {options.rounds} rounds")
    print("acks, prefetch, delivery mode 1 and confirms alike; not mandatory")
    raw = sides["raw"][0]
    for way, (vens, _) in sides.items():
        spread = f"{min(vens.times):.0f} to {max(vens.times):.0f}"
        ratio = statistics.median(mine / its for mine, its in zip(vens.times, raw.times, strict=True))
        work = statistics.median(mine / its for mine, its in zip(vens.work, raw.work, strict=True))
        print(
            f"  {way:<6} {statistics.median(vens.times):8.0f} ms ({spread})  {ratio:5.2f} × raw (target 1.1),"
            f" {work:.2f} × its processor time;"
            f"  {vens.memory:6.0f} KiB a VEN ({vens.memory / raw.memory:.2f} × raw), opened in {vens.opened:.1f} s"
        )


async def forget(url: str, name: str) -> None:
    """Delete what a way leaves at the broker."""
    async with aiormq.connect(url) as connection:
        channel = await connection.channel()
        for suffix in (".to.vtn", ".to.ven", ".event", ".presence"):
            await channel.exchange_delete(name + suffix)
        await channel.queue_delete(f"{name}.vtn.in")


if __name__ == "__main__":
    asyncio.run(main())
