"""What a conversation over kombu costs beside kombu, and what it does to the loop: python benchmarks/bench_kombu.py

    --url pyamqp://guest:guest@127.0.0.1:5672//   the broker, as kombu writes it
    --rounds 7                                    interleaved; each figure is the median, and lowest to highest
    --seconds 2                                   of each run
    --run 30                                      seconds of the run in which the loop is watched
    --rate 500                                    events per second of that run; 0: as many as go
    --only one-way|loop

One-way: a VEN tells the VTN events by kombu+pyamqp, 100 at a time; raw kombu sends the very bytes of such an event,
with the same delivery mode, confirms, mandatory, acks and prefetch, one after another, since it knows no other way.
Each side has a process of its own. The loop: how late a timer of 5 ms comes in the VTN that hears all that, and in a
process beside it that does nothing; with more than the VTN can take, what is seen is Python's garbage collector over
what waits, and the processor that everybody wants. It judges nothing: it prints figures and targets. Ratios are of
the same round.
"""

import argparse
import asyncio
import contextlib
import multiprocessing
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from multiprocessing.connection import Connection as Pipe
from typing import Any
from uuid import uuid4

from kombu import Connection, Consumer, Exchange, Producer, Queue  # type: ignore[attr-defined]  # it says __all__ late

from iec62746 import Domain, Message, Overloaded, VirtualEndNode, VirtualTopNode, payload
from iec62746_kombu._amqp import PREFETCH
from iec62746_kombu.transport import KombuTransport

URL = "pyamqp://guest:guest@127.0.0.1:5672//"
AT_ONCE = 100
TIMER = 0.005
WARM_UP = 0.5
READINGS = "".join(
    f'<m:Reading timeStamp="2026-01-01T00:{one:02d}:00Z"><m:value>{one}.5</m:value></m:Reading>' for one in range(4)
)
PAYLOAD = f'<m:MeterReadings xmlns:m="urn:bench:MeterReadings">{READINGS}</m:MeterReadings>'

Side = Callable[[str, str, bytes, float, Pipe], None]


def domain(name: str) -> Domain:
    return Domain.parse(
        f'[domain]\nname = "{name}"\nvtn = "vtn"\n[limits]\nwaiting = 100000\n'
        '[roles.ven]\npublish = ["MeterReadings"]\n[parties.ven-0]\nroles = ["ven"]\n'
    )


# -------------------------------------------------------------------- ours


def our_hearer(url: str, name: str, body: bytes, seconds: float, pipe: Pipe) -> None:
    async def hear() -> None:
        vtn, count = VirtualTopNode(domain(name), f"kombu+{url}"), 0

        @vtn.on_event(noun="MeterReadings")
        async def readings(event: Message) -> None:
            nonlocal count
            count += 1

        async with vtn:
            pipe.send("ready")
            watch = asyncio.create_task(watched())
            expected = await asyncio.to_thread(pipe.recv)
            while count < expected:  # noqa: ASYNC110  # an event for each would cost what is measured
                await asyncio.sleep(0.001)
            pipe.send((time.time(), await ended(watch)))

    asyncio.run(hear())


def our_teller(url: str, name: str, body: bytes, seconds: float, pipe: Pipe, rate: float = 0.0) -> None:
    async def tell() -> None:
        readings = payload(PAYLOAD)
        async with VirtualEndNode(domain(name), f"kombu+{url}", "ven-0") as ven:
            sent, until = 0, 0.0

            async def publish() -> None:
                nonlocal sent
                while time.perf_counter() < until:
                    try:
                        await ven.publish("MeterReadings", readings)
                        sent += 1
                    except Overloaded:  # faster than its receiver, until 10,000 wait
                        await asyncio.sleep(0.01)
                    if rate:
                        await asyncio.sleep(AT_ONCE / rate)

            async def for_seconds(length: float) -> None:
                nonlocal until
                until = time.perf_counter() + length
                await asyncio.gather(*(publish() for _ in range(AT_ONCE)))

            await for_seconds(WARM_UP)
            before, began = sent, time.time()
            await for_seconds(seconds)
            pipe.send((before, sent, began))

    asyncio.run(tell())


# -------------------------------------------------------------------- kombu


def _queue(name: str) -> Any:
    exchange = Exchange(name, "topic", durable=True, auto_delete=True)
    return Queue(name, exchange, routing_key="*.in", durable=False, exclusive=True)


def raw_hearer(url: str, name: str, body: bytes, seconds: float, pipe: Pipe) -> None:
    count = 0

    def on_message(message: Any) -> None:
        nonlocal count
        count += 1
        message.ack()

    with Connection(url) as connection, connection.channel() as channel:
        channel.basic_qos(0, PREFETCH // 2, False)
        with Consumer(channel, [_queue(name)], on_message=on_message):
            pipe.send("ready")
            expected = sys.maxsize
            while count < expected:
                with contextlib.suppress(TimeoutError):
                    connection.drain_events(timeout=0.01)
                if pipe.poll():
                    expected = pipe.recv()
            pipe.send((time.time(), []))


def raw_teller(url: str, name: str, body: bytes, seconds: float, pipe: Pipe) -> None:
    with Connection(url, transport_options={"confirm_publish": True}) as connection, connection.channel() as channel:
        producer = Producer(channel, auto_declare=False)

        def for_seconds(length: float) -> int:
            sent, until = 0, time.perf_counter() + length
            while time.perf_counter() < until:
                producer.publish(
                    body,
                    exchange=name,
                    routing_key="ven-0.in",
                    content_type="application/xml",
                    content_encoding="binary",
                    headers={"Verb": "created", "Noun": "MeterReadings"},
                    delivery_mode=1,
                    mandatory=True,
                    message_id=uuid4().hex,
                    correlation_id=uuid4().hex,
                    expiration=30.0,
                )
                sent += 1
            return sent

        before, began = for_seconds(WARM_UP), time.time()
        pipe.send((before, before + for_seconds(seconds), began))


# -------------------------------------------------------------------- the loop


async def watched() -> list[float]:
    """Return how late a timer came, each time, in ms, until it is cancelled."""
    late: list[float] = []
    try:
        while True:
            began = time.perf_counter()
            await asyncio.sleep(TIMER)
            late.append((time.perf_counter() - began - TIMER) * 1e3)
    except asyncio.CancelledError:
        return late


async def ended(watch: "asyncio.Task[list[float]]") -> list[float]:
    watch.cancel()
    return await watch


def idle(url: str, name: str, body: bytes, seconds: float, pipe: Pipe) -> None:
    async def wait() -> None:
        pipe.send("ready")
        watch = asyncio.create_task(watched())
        await asyncio.to_thread(pipe.recv)
        pipe.send((0, await ended(watch)))

    asyncio.run(wait())


# -------------------------------------------------------------------- processes


class Process:
    """One side of one way."""

    def __init__(self, side: Side, url: str, name: str, body: bytes, seconds: float) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=side, args=(url, name, body, seconds, theirs))
        self._process.start()
        theirs.close()

    def said(self) -> Any:
        """Wait for what it says."""
        return self._pipe.recv()

    def stop(self, word: Any = None) -> Any:
        """Have it end; returns what it says last."""
        self._pipe.send(word)
        last = self._pipe.recv()
        self.join()
        return last

    def join(self) -> None:
        self._process.join()


def run(hear: Side, tell: Side, url: str, body: bytes, seconds: float) -> tuple[float, list[float]]:
    """Return how many messages per second were heard, and how late the hearer's loop was."""
    name = f"bench-{uuid4().hex[:8]}"
    hearer = Process(hear, url, name, body, seconds)
    hearer.said()
    teller = Process(tell, url, name, body, seconds)
    before, sent, began = teller.said()
    at, late = hearer.stop(sent)
    teller.join()
    forget(url, name)
    return (sent - before) / (at - began), late


def forget(url: str, name: str) -> None:
    """Delete the exchanges that ours leave."""
    with Connection(url) as connection, connection.channel() as channel:
        for suffix in ("to.vtn", "to.ven", "event", "presence"):
            channel.exchange_delete(f"{name}.{suffix}")


async def an_event(url: str) -> bytes:
    """Return the bytes of one of our events."""
    bodies: list[bytes] = []
    transport = KombuTransport()
    real = transport.open

    async def opened(config: Any, observer: Any) -> Any:
        session = await real(config, observer)
        send = session.send

        async def seen(to: Any, message: Any) -> Any:
            bodies.append(message.body)
            return await send(to, message)

        session.send = seen  # type: ignore[method-assign]  # it is a tap
        return session

    transport.open = opened  # type: ignore[method-assign]  # it is a tap
    name = f"bench-{uuid4().hex[:8]}"
    vtn = VirtualTopNode(domain(name), f"kombu+{url}")
    ven = VirtualEndNode(domain(name), f"kombu+{url}", "ven-0", transport=transport)
    async with vtn, ven:
        await ven.publish("MeterReadings", PAYLOAD)
    forget(url, name)
    return next(body for body in bodies if b"urn:bench" in body)


def shown(what: str, values: list[float], unit: str) -> str:
    return f"{what:<44} {statistics.median(values):9.2f} {unit}   ({min(values):.2f} to {max(values):.2f})"


def one_way(url: str, body: bytes, rounds: int, seconds: float) -> None:
    ours, raw = list[float](), list[float]()
    for _ in range(rounds):
        ours.append(run(our_hearer, our_teller, url, body, seconds)[0])
        raw.append(run(raw_hearer, raw_teller, url, body, seconds)[0])
    print(f"one-way, event of {len(body)} octets; {rounds} rounds of {seconds:g} s")
    print(shown("ours, kombu+pyamqp", ours, "msg/s"))
    print(shown("raw kombu", raw, "msg/s"))
    ratios = [mine / its for mine, its in zip(ours, raw, strict=True)]
    print(shown("ours / raw (target: at least 0.7)", ratios, "×"))


def loop(url: str, body: bytes, seconds: float, pace: float) -> None:
    control = Process(idle, url, "", b"", seconds)
    control.said()
    rate, late = run(our_hearer, partial(our_teller, rate=pace), url, body, seconds)
    _, idle_late = control.stop()
    ours, its = (sorted(one)[int(len(one) * 0.999)] for one in (late, idle_late))
    print(f"the loop of a VTN that hears {rate:.0f} msg/s for {seconds:g} s")
    print(f"  p99.9 of its delay         {ours:8.2f} ms")
    print(f"  of an idle process beside  {its:8.2f} ms")
    print(f"  difference                 {ours - its:8.2f} ms (target: at most 50)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default=URL)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--run", type=float, default=30.0)
    parser.add_argument("--rate", type=float, default=500.0)
    parser.add_argument("--only", choices=["one-way", "loop"])
    options = parser.parse_args()
    print(", ".join(f"{name} {version(name)}" for name in ("kombu", "amqp")), sys.version.split()[0])
    body = asyncio.run(an_event(options.url))
    if options.only != "loop":
        one_way(options.url, body, options.rounds, options.seconds)
    if options.only != "one-way":
        loop(options.url, body, options.run, options.rate)


if __name__ == "__main__":
    main()
