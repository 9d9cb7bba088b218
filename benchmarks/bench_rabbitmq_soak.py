"""Requests and events over RabbitMQ for minutes, and the memory of both sides: python benchmarks/bench_rabbitmq_soak.py

    --url amqp://guest:guest@127.0.0.1:5672/   the broker
    --minutes 10
    --lane fast

The VTN asks a VEN, 64 at once, and publishes every tenth time. The first fifth is left out: what is remembered against
duplicates, by its limits, fills up meanwhile. Flat is a slope that the rest of the run cannot tell from nothing.
"""

import argparse
import asyncio
import logging
import multiprocessing
import os
import statistics
import time
from array import array
from collections.abc import Sequence
from multiprocessing.synchronize import Event
from pathlib import Path

import aiormq

from iec62746 import Domain, Message, VirtualEndNode, VirtualTopNode, payload

URL = "amqp://guest:guest@127.0.0.1:5672/"
IN_FLIGHT = 64
SAMPLES = 100
READINGS = "".join(
    f'<m:Reading timeStamp="2026-01-01T00:{one:02d}:00Z"><m:value>{one}.5</m:value></m:Reading>' for one in range(4)
)
PAYLOAD = f'<m:{{0}} xmlns:m="urn:bench:{{0}}">{READINGS}</m:{{0}}>'


def domain(name: str) -> Domain:
    return Domain.parse(
        f'[domain]\nname = "{name}"\nvtn = "vtn"\n[limits]\nremembered = 2000\n[nodes.price]\n'
        'nouns = ["MarketPrices"]\n[roles.ven]\nsubscribe = ["price"]\nserve.create = ["EndDeviceControls"]\n'
        '[parties.ven-0]\nroles = ["ven"]\n'
    )


def ven(url: str, name: str, ready: Event, end: Event) -> None:
    logging.disable(logging.CRITICAL)
    asyncio.run(_ven(url, name, ready, end))


async def _ven(url: str, name: str, ready: Event, end: Event) -> None:
    one = VirtualEndNode(domain(name), url, "ven-0")

    async def take(message: Message) -> None:
        return None

    one.on_request("create", "EndDeviceControls")(take)
    one.on_event(node="price")(take)
    async with one:
        ready.set()
        await asyncio.get_running_loop().run_in_executor(None, end.wait)


def resident(pid: int) -> float:
    """Return the MiB of a process that are in memory."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


async def ask_for(
    url: str, name: str, seconds: float, pids: Sequence[int]
) -> tuple[Sequence[float], list[list[float]]]:
    """Ask for so long; returns the seconds of each request, and samples: minutes, and the MiB of each process."""
    controls, prices = payload(PAYLOAD.format("EndDeviceControls")), payload(PAYLOAD.format("MarketPrices"))
    each, samples, start = array("d"), list[list[float]](), time.perf_counter()
    until = start + seconds
    async with VirtualTopNode(domain(name), url) as vtn:

        async def again() -> None:
            number = 0
            while (began := time.perf_counter()) < until:
                await vtn.request("create", "EndDeviceControls", controls, to="ven-0")
                each.append(time.perf_counter() - began)
                number += 1
                if number % 10 == 0:
                    await vtn.publish("MarketPrices", prices, node="price")

        async def sample() -> None:
            while time.perf_counter() < until:
                await asyncio.sleep(seconds / SAMPLES)
                samples.append([(time.perf_counter() - start) / 60, *map(resident, pids)])

        async with asyncio.TaskGroup() as group:
            group.create_task(sample())
            for _ in range(IN_FLIGHT):
                group.create_task(again())
    return each, samples


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default=URL)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--lane", choices=["fast", "plain"], default="fast")
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    url, name = f"{options.url}?declare=true&lane={options.lane}", f"soak-{os.getpid()}"
    context = multiprocessing.get_context("spawn")
    ready, end = context.Event(), context.Event()
    other = context.Process(target=ven, args=(url, name, ready, end), daemon=True)
    other.start()
    try:
        if not ready.wait(60.0):
            raise TimeoutError("the VEN is not ready")
        pids = os.getpid(), other.pid or 0
        each, samples = asyncio.run(ask_for(url, name, options.minutes * 60, pids))
    finally:
        end.set()
        other.join(30.0)
        other.kill()
        asyncio.run(forget(options.url, name))
    each = sorted(each)
    rest = samples[len(samples) // 5 :]
    print(f"{len(each):,} requests in {options.minutes:g} minutes, lane {options.lane}: all answered")
    print(f"  {len(each) / options.minutes / 60:,.0f} per second, p50 {each[len(each) // 2] * 1e3:.1f} ms,", end=" ")
    print(f"p99 {each[len(each) * 99 // 100] * 1e3:.1f} ms, longest {each[-1] * 1e3:.0f} ms")
    for place, party in ((1, "VTN"), (2, "VEN")):
        minutes, held = [one[0] for one in rest], [one[place] for one in rest]
        # The VTN's process also keeps the seconds of each request, in 8 octets.
        kept = len(each) * 8 / 2**20 / options.minutes if place == 1 else 0.0
        slope = statistics.linear_regression(minutes, held).slope - kept
        print(
            f"  {party}: {samples[0][place]:.1f} MiB at first, {held[0]:.1f} after a fifth, {held[-1]:.1f} at the end;"
            f" slope {slope * 1024:+.0f} KiB a minute ({slope * options.minutes / held[0]:+.2%} in the run)"
        )


async def forget(url: str, name: str) -> None:
    """Delete what is left at the broker."""
    async with aiormq.connect(url) as connection:
        channel = await connection.channel()
        for suffix in (".to.vtn", ".to.ven", ".event", ".presence"):
            await channel.exchange_delete(name + suffix)
        await channel.queue_delete(f"{name}.vtn.in")


if __name__ == "__main__":
    main()
