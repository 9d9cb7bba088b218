"""What a conversation over RabbitMQ costs beside aio-pika and FastStream: python benchmarks/bench_rabbitmq.py

    --url amqp://guest:guest@127.0.0.1:5672/   the broker
    --rounds 7                                 interleaved; each figure is the median, and lowest to highest
    --seconds 1.5                              of each run

Each side of each way runs in a process of its own, on the same broker and loop, with the same delivery mode, confirms,
acks and prefetch: what was seen of them on the wire and in the client library is printed and compared. Ours does all
of the envelope's work; the others send the very bytes of our event, or of our request as an argument. "ours, lane and
codec alone" is what no conversation on this lane can be faster than: every message is encoded and decoded, and nothing
else is done with it. It judges nothing but the equality: it prints figures and targets. Ratios are of the same round.
"""

import argparse
import asyncio
import logging
import multiprocessing
import os
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from importlib.metadata import version
from multiprocessing.connection import Connection
from typing import Any

import aiormq
from _rabbitmq_ways import FASTSTREAM, FLOOR, PATTERNS, RAW, WAYS, Act, Setting
from pamqp.frame import unmarshal

from iec62746_rabbitmq._frames import Encoder

URL = "amqp://guest:guest@127.0.0.1:5672/"
OUTSTANDING = 100
IN_FLIGHT = 64

# -------------------------------------------------------------------- a process


class Record:
    """What goes on the wire and what is asked of the broker, as far as it has to be equal."""

    def __init__(self) -> None:
        self.seen: dict[str, Any] = {}
        self.body = b""
        self._patch()

    def _patch(self) -> None:
        channel, record = aiormq.Channel, self
        consume, qos, publish, fast = (
            channel.basic_consume,
            channel.basic_qos,
            channel.basic_publish,
            Encoder.publish,
        )

        async def seen_consume(self: Any, queue: str, *args: Any, **options: Any) -> Any:
            # Queues of replies are each one's own affair: the libraries know but one way.
            record.seen.setdefault("acks", []).append(not options.get("no_ack", False))
            return await consume(self, queue, *args, **options)

        async def seen_qos(self: Any, **options: Any) -> Any:
            record.seen["prefetch"] = options["prefetch_count"]
            return await qos(self, **options)

        async def seen_publish(self: Any, body: bytes, **options: Any) -> Any:
            record.note(body, options["properties"].delivery_mode, options["mandatory"], self.publisher_confirms)
            return await publish(self, body, **options)

        def seen_fast(self: Any, exchange: str, key: str, body: bytes, block: bytes, *, mandatory: bool) -> bytes:
            octets = fast(self, exchange, key, body, block, mandatory=mandatory)
            method: Any
            header: Any
            size, _, method = unmarshal(octets)
            _, _, header = unmarshal(octets[size:])
            record.note(body, header.properties.delivery_mode, method.mandatory, True)
            return octets

        patched: Any = channel
        patched.basic_consume, patched.basic_qos, patched.basic_publish = seen_consume, seen_qos, seen_publish
        encoder: Any = Encoder
        encoder.publish = seen_fast

        def restore() -> None:
            patched.basic_consume, patched.basic_qos, patched.basic_publish = consume, qos, publish
            encoder.publish = fast

        self.restore = restore

    def note(self, body: bytes, delivery_mode: int, mandatory: bool, confirms: bool) -> None:
        self.body = body
        self.seen |= {"delivery mode": int(delivery_mode), "mandatory": bool(mandatory), "confirms": bool(confirms)}


def process(pipe: Connection, way: str, side: str, setting: Setting) -> None:
    logging.disable(logging.CRITICAL)
    asyncio.run(_process(pipe, way, side, setting))


async def _process(pipe: Connection, way: str, side: str, setting: Setting) -> None:
    loop, record = asyncio.get_running_loop(), Record()
    total, wanted, reached = 0, 0, asyncio.Event()

    def count() -> None:
        nonlocal total
        total += 1
        if total == wanted:
            reached.set()

    async with WAYS[way][side](setting, count) as act:
        record.seen["loop"] = type(loop).__name__
        pipe.send(None)
        while True:
            command, *arguments = await loop.run_in_executor(None, pipe.recv)
            if command == "run" and act is not None:
                pipe.send(await run(act, *arguments))
            elif command == "reach":  # until so many have come, in all
                wanted = arguments[0]
                if total < wanted:
                    reached.clear()
                    await asyncio.wait_for(reached.wait(), 60.0)
                pipe.send((time.perf_counter(), total))
            elif command == "cpu":
                pipe.send(time.process_time())
            elif command == "seen":
                record.restore()
                pipe.send((record.seen, record.body))
            else:
                break
    pipe.send(None)


async def run(act: Act, seconds: float, in_flight: int) -> tuple[float, float, float, list[float]]:
    """Act for so long, so many at once; returns start, end, processor time and the seconds of each."""
    clock, each = time.perf_counter, list[float]()
    start, cpu = clock(), time.process_time()
    until = start + seconds

    async def again() -> None:
        began = clock()
        while began < until:
            await act()
            now = clock()
            each.append(now - began)
            began = now

    await asyncio.gather(*(again() for _ in range(in_flight)))
    return start, clock(), time.process_time() - cpu, each


# -------------------------------------------------------------------- the rounds


class Remote:
    """One side of one way, in its process."""

    def __init__(self, way: str, side: str, setting: Setting) -> None:
        self._pipe, there = multiprocessing.get_context("spawn").Pipe()
        self._process = multiprocessing.get_context("spawn").Process(
            target=process, args=(there, way, side, setting), daemon=True
        )
        self._process.start()
        there.close()
        self._answer()

    def ask(self, *command: Any) -> Any:
        self._pipe.send(command)
        return self._answer()

    def _answer(self) -> Any:
        if not self._pipe.poll(90.0):
            raise TimeoutError("a side does not answer")
        return self._pipe.recv()

    def close(self) -> None:
        try:
            self.ask("close")
            self._process.join(20.0)
        finally:
            self._process.kill()


@dataclass
class Row:
    """One way's figures, a value each round."""

    rate: list[float] = field(default_factory=list)
    p50: list[float] = field(default_factory=list)
    p99: list[float] = field(default_factory=list)
    here: list[float] = field(default_factory=list)
    there: list[float] = field(default_factory=list)


class Pair:
    """Both sides of one way."""

    def __init__(self, stack: ExitStack, way: str, sides: tuple[str, str], setting: Setting) -> None:
        self.there = Remote(way, sides[0], setting)
        stack.callback(self.there.close)
        self.here = Remote(way, sides[1], setting)
        stack.callback(self.here.close)
        self.sent, self.rows = 0, dict[int, Row]()

    def run(self, seconds: float, in_flight: int, *, is_noted: bool = True) -> None:
        cpu = self.there.ask("cpu")
        start, end, here, each = self.here.ask("run", seconds, in_flight)
        self.sent += len(each)
        last, total = self.there.ask("reach", self.sent)
        if total != self.sent:
            raise AssertionError(f"{self.sent} were sent, {total} came")
        if is_noted:
            each.sort()
            row = self.rows.setdefault(in_flight, Row())
            row.rate.append(len(each) / (max(last, end) - start))
            row.p50.append(each[len(each) // 2] * 1e3)
            row.p99.append(each[len(each) * 99 // 100] * 1e3)
            row.here.append(here / len(each) * 1e6)
            row.there.append((self.there.ask("cpu") - cpu) / len(each) * 1e6)

    def seen(self) -> tuple[dict[str, Any], bytes]:
        seen, _ = self.there.ask("seen")
        mine, body = self.here.ask("seen")
        keys = ("delivery mode", "mandatory", "confirms", "loop")
        return {
            "acks": seen["acks"][-1],  # patterns.RPC consumes its own replies first, without
            "prefetch": seen["prefetch"],
            **{key: mine[key] for key in keys},
        }, body


def compare(what: str, ways: Sequence[str], sides: tuple[str, str], in_flights: Sequence[int], options: Any) -> None:
    """Run `ways`, of which the first is ours, in turns, and print them."""
    with ExitStack() as stack:
        pairs, body, settings = dict[str, Pair](), b"", dict[str, dict[str, Any]]()
        for way in ways:
            name = f"bench-{os.getpid()}-{len(pairs)}-{sides[0]}"
            stack.callback(forget, options.url, name)
            pair = pairs[way] = Pair(stack, way, sides, Setting(options.url, name, body))
            for in_flight in in_flights:
                pair.run(options.seconds / 4, in_flight, is_noted=False)
            settings[way], found = pair.seen()
            body = body or found
        print(f"\n{what}: {len(body)} octets, {options.rounds} rounds of {options.seconds:g} s")
        for way, seen in settings.items():
            print(f"  {way:<28}" + ", ".join(f"{key} {value}" for key, value in seen.items()))
        for _ in range(options.rounds):
            for in_flight in in_flights:
                for pair in pairs.values():
                    pair.run(options.seconds, in_flight)
        for in_flight in in_flights:
            show(what, in_flight, {way: pair.rows[in_flight] for way, pair in pairs.items()})
        must_be_equal(settings)


def must_be_equal(settings: Mapping[str, Mapping[str, Any]]) -> None:
    first = next(iter(settings.values()))
    for way, seen in settings.items():
        if seen != first:
            raise SystemExit(f"not a fair comparison: {way} has {seen}, ours {first}")


TARGETS = {
    (RAW, "ours, plain", OUTSTANDING): 0.9,
    (RAW, "ours, fast", OUTSTANDING): 3.0,
    (PATTERNS, "ours, plain", IN_FLIGHT): 1.0,
    (PATTERNS, "ours, fast", IN_FLIGHT): 3.0,
    (PATTERNS, "ours, fast", 1): 1.5,
    (FASTSTREAM, "ours, fast", OUTSTANDING): 5.0,
    (FASTSTREAM, "ours, fast", IN_FLIGHT): 5.0,
}


def show(what: str, in_flight: int, rows: Mapping[str, Row]) -> None:
    print(f"\n{what}, {in_flight} at once")
    print(f"  {'':<28}{'per second':>30}{'p50 ms':>9}{'p99 ms':>9}{'µs here':>9}{'there':>7}")
    for way, row in rows.items():
        middle = [statistics.median(values) for values in (row.p50, row.p99, row.here, row.there)]
        rate = f"{statistics.median(row.rate):,.0f} ({min(row.rate):,.0f} to {max(row.rate):,.0f})"
        print(f"  {way:<28}{rate:>30}{middle[0]:>9.2f}{middle[1]:>9.2f}{middle[2]:>9.0f}{middle[3]:>7.0f}")
    for base in (RAW, PATTERNS, FASTSTREAM):
        for way in rows:
            if base in rows and way.startswith("ours"):
                ratios = [mine / its for mine, its in zip(rows[way].rate, rows[base].rate, strict=True)]
                work = [
                    (its + its_there) / (mine + mine_there)
                    for its, its_there, mine, mine_there in zip(
                        rows[base].here, rows[base].there, rows[way].here, rows[way].there, strict=True
                    )
                ]
                target = TARGETS.get((base, way, in_flight))
                wanted = f"; target {target:g}" if target else ""
                spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
                print(
                    f"  {way} / {base}: {statistics.median(ratios):.2f} × ({spread}){wanted};"
                    f" by processor time {statistics.median(work):.2f} ×"
                )


def forget(url: str, name: str) -> None:
    """Delete what a way leaves at the broker."""

    async def delete() -> None:
        async with aiormq.connect(url) as connection:
            channel = await connection.channel()
            for suffix in ("", ".to.vtn", ".to.ven", ".event", ".presence"):
                await channel.exchange_delete(name + suffix)
            for suffix in ("", ".vtn.in"):
                await channel.queue_delete(name + suffix)

    asyncio.run(delete())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default=URL)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=1.5)
    parser.add_argument("--only", choices=["one-way", "request"])
    options = parser.parse_args()
    print(", ".join(f"{name} {version(name)}" for name in ("aio-pika", "aiormq", "faststream")), sys.version.split()[0])
    mine = ["ours, fast", "ours, plain", FLOOR]
    if options.only != "request":
        compare("one-way", [*mine, RAW, FASTSTREAM], ("hear", "tell"), [OUTSTANDING], options)
    if options.only != "one-way":
        compare("request and reply", [*mine, PATTERNS, FASTSTREAM], ("serve", "ask"), [IN_FLIGHT, 1], options)


if __name__ == "__main__":
    main()
