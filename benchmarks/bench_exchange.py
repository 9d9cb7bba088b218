"""What the conversation costs beside the codec, with many requests in flight, and in memory. Prints; never fails."""

import time
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from statistics import median

from iec62746._ids import message_id
from iec62746._memory import Memory, key_of
from iec62746.address import Inbox
from iec62746.domain import Domain
from iec62746.envelope import decode, encode, payload
from iec62746.exchange import Exchange
from iec62746.message import Error, Kind, Message, ReplyPart, Result
from iec62746.outputs import Completed, Execute, Send, Ticket
from iec62746.transport import Delivery, Proof, ReplyTo

NORTH = """\
[domain]
name = "north"
vtn = "vtn"
[limits]
pending = 100000
[roles.household]
serve.create = ["EndDeviceControls"]
[parties.ven-1]
roles = ["household"]
"""
DEVICES = "".join(f"<EndDeviceControl><mRID>{number:036d}</mRID></EndDeviceControl>" for number in range(5))
CONTROL = Message(
    kind=Kind.REQUEST,
    verb="create",
    noun="EndDeviceControls",
    payload=payload(
        f'<EndDeviceControls xmlns="http://iec.ch/TC57/2011/EndDeviceControls#">{DEVICES}</EndDeviceControls>'
    ),
)
OK = Message(
    kind=Kind.RESPONSE,
    verb="reply",
    noun="EndDeviceControls",
    reply=ReplyPart(result=Result.OK, errors=(Error(code="0.0"),)),
)
VTN, VEN, BACK = Inbox("vtn"), Inbox("ven-1"), ReplyTo(1)
ROUNDS, TRIPS = 40, 100


def main() -> None:
    beside_the_codec()
    in_flight()
    remembered()


class Pair:
    """Two exchanges with nothing between them."""

    def __init__(self) -> None:
        domain, now = Domain.parse(NORTH), time.time()
        self.vtn = Exchange(domain, "vtn", now=now, new_id=message_id)
        self.ven = Exchange(domain, "ven-1", now=now, new_id=message_id)

    def round_trip(self) -> tuple[bytes, bytes]:
        now = time.time()
        asked = self.vtn.request(CONTROL, "ven-1", now)
        there = Delivery(
            body=asked.body,
            address=VEN,
            sender="vtn",
            proof=Proof.BROKER,
            reply_to=BACK,
            correlation_id=asked.correlation_id,
        )
        execute = self.ven.receive(there, now)[-1]
        assert isinstance(execute, Execute)
        send = self.ven.answer(execute.ticket, OK, now)[0]
        assert isinstance(send, Send)
        back = Delivery(
            body=send.message.body,
            address=VTN,
            sender="ven-1",
            proof=Proof.BROKER,
            correlation_id=send.message.correlation_id,
        )
        assert isinstance(self.vtn.receive(back, now)[-1], Completed)
        return asked.body, send.message.body


def cost(work: Callable[[], object]) -> float:
    """Return the CPU seconds of this thread that `work` takes."""
    begin = time.thread_time()
    work()
    return time.thread_time() - begin


def say(what: str, value: str, target: str) -> None:
    print(f"  {what:<58} {value:>22}   target {target}")


def many(pair: Pair) -> None:
    for _ in range(TRIPS):
        pair.round_trip()


def codec_of(trips: list[tuple[Message, Message]]) -> None:
    """Do what the codec has to do for `trips`: other ids in each, as it is."""
    for request, reply in trips:
        decode(encode(request))
        decode(encode(reply))


def fresh(trips: list[tuple[bytes, bytes]]) -> list[tuple[Message, Message]]:
    """Return other messages of the same kind: what was decoded once is cold again."""
    return [
        (replace(decode(a), message_id=message_id()), replace(decode(b), message_id=message_id())) for a, b in trips
    ]


def beside_the_codec() -> None:
    pair = Pair()
    trips = [pair.round_trip() for _ in range(TRIPS)]
    codec, whole = [], []
    for _ in range(ROUNDS):
        messages = fresh(trips)
        codec.append(cost(partial(codec_of, messages)) / TRIPS)
        whole.append(cost(partial(many, pair)) / TRIPS)
    ratios = [b / a for a, b in zip(codec, whole, strict=True)]
    beyond = [(b - a) * 1e6 for a, b in zip(codec, whole, strict=True)]
    print(f"a round trip through two exchanges, {len(trips[0][0])} + {len(trips[0][1])} octets")
    say("its two encodes and two decodes", f"{median(codec) * 1e6:.1f} µs", "-")
    say("all of it, in codec costs", f"{median(ratios):.2f} x", "2 x at most")
    say("beyond the codec: median, best round", f"{median(beyond):.1f}, {min(beyond):.1f} µs", "25 µs")
    # A busy machine slows both down: this tells what it would be beside a codec of 60 µs.
    say("the same beside a codec of 60 µs", f"{(median(ratios) - 1) * 60:.1f} µs", "25 µs")


def in_flight() -> None:
    calm, busy = pair_with(100), pair_with(10_000)
    ratios = []
    for _ in range(ROUNDS):
        ratios.append(cost(partial(many, busy)) / cost(partial(many, calm)))
    print("requests in flight")
    say("a round trip with 10,000 in flight, beside 100", f"{median(ratios):.2f} x", "about 1 x")


def pair_with(number: int) -> Pair:
    pair = Pair()
    for _ in range(number):
        pair.vtn.request(CONTROL, "ven-1", time.time(), 3_600.0)
    return pair


def remembered() -> None:
    """Measure what is remembered at a steady rate: it grows with rate x window, then stays; at the bound too."""
    print("memory of what is remembered against duplicates (window 35 s)")
    base = None
    for rate in (100, 1_000):
        number, octets = steady(rate, most=100_000)
        base = base or octets / number
        say(f"{rate} a second: {number} remembered", f"{octets / 1e6:.1f} MB", f"{number * base / 1e6:.1f} MB, linear")
    number, octets = steady(10_000, most=100_000)
    say(f"10,000 a second: {number} remembered, the bound", f"{octets / 1e6:.1f} MB", "at most 100,000")
    say("octets for each", f"{octets / number:.0f}", "-")


def steady(rate: int, most: int) -> tuple[int, int]:
    """Return how many are remembered, and in how many octets, after 100 seconds at `rate` messages a second."""
    tracemalloc.start()
    memory = Memory(most=most, octets=0, since=0.0)
    for second in range(100):
        memory.expire(float(second))
        for _ in range(rate):
            key = key_of("ven-1", message_id())
            ticket = Ticket(CONTROL, "ven-1", VTN, second, second + 30.0, second + 30.0, BACK, key=key)
            memory.add(key, 1, float(second), second + 35.0, ticket)
            memory.keep_answer(ticket, b"", 0.0)
    octets = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    return len(memory), octets


if __name__ == "__main__":
    main()
