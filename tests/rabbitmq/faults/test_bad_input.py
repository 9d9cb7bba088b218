"""A client with an account of the domain that keeps no rule: it is refused and counted, and the others are served."""

import asyncio
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pika.exceptions  # type: ignore[import-untyped]  # it has no types
import pytest

from iec62746 import Kind, Message, RequestPart, What
from iec62746.exchange import Exchange
from iec62746.message import ID
from iec62746.metrics import Metrics
from iec62746_rabbitmq.private import PrivateBroker

XML = "application/xml"
BIG = 16 * 1_048_576 - 4096
"""Octets: nearly what RabbitMQ 4 takes at most."""
DTD = b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aa">]><x>&a;</x>'

# Publishes as fast as it can, without confirms; standard input has the URL, the domain and how often, then the body.
FLOOD = """
import sys, pika
url, domain, times = sys.stdin.buffer.readline().decode().split()
body = sys.stdin.buffer.read()
with pika.BlockingConnection(pika.URLParameters(url)) as connection:
    channel = connection.channel()
    user = connection._impl.params.credentials.username
    for number in range(int(times)):
        own = body.replace(b"00000000-0000-4000-8000-000000000000", b"00000000-0000-4000-8000-%012d" % number)
        properties = pika.BasicProperties(
            content_type="application/xml", user_id=user, reply_to="ven-2", correlation_id=str(number), delivery_mode=1
        )
        channel.basic_publish(f"{domain}.to.vtn", "ven-2.in", own, properties)
"""


class Rogue:
    """A bare client with the account of ven-2 (open: guest)."""

    def __init__(self, one: Any) -> None:
        self.domain, self.url = one.domain.name, one.url("ven-2").partition("?")[0]
        self.user = "ven-2" if one.passwords else "guest"
        self._connection = pika.BlockingConnection(pika.URLParameters(self.url))

    def publish(self, exchange: str, key: str, body: bytes, **properties: Any) -> str:
        """Publish with a confirm; returns "taken", or how the broker refused it."""
        channel = self._connection.channel()
        channel.confirm_delivery()
        wanted: dict[str, Any] = {"content_type": XML, "user_id": self.user} | properties
        given = pika.BasicProperties(**wanted)
        try:
            channel.basic_publish(f"{self.domain}.{exchange}", key, body, given, mandatory=True)
        except pika.exceptions.UnroutableError:
            return "unroutable"
        except pika.exceptions.NackError:
            return "full"
        except pika.exceptions.AMQPChannelError as exc:
            return str(exc.args[0])
        channel.close()
        return "taken"

    def close(self) -> None:
        """End it."""
        self._connection.close()


@pytest.fixture
def rogue() -> Iterator[Callable[[Any], Rogue]]:
    """Return what lets a rogue onto a stage."""
    made: list[Rogue] = []

    def make(one: Any) -> Rogue:
        made.append(Rogue(one))
        return made[-1]

    yield make
    for one in made:
        one.close()


def request_of(one: Any, name: str, message_id: str = "00000000-0000-4000-8000-000000000000") -> bytes:
    """Return a request of ven-2 to the VTN that is as it should be."""
    exchange = Exchange(one.domain, "ven-2", now=time.time(), new_id=lambda: message_id)
    template = Message(kind=Kind.REQUEST, verb="create", noun="DERGroups", request=RequestPart(ids=(ID(name),)))
    return exchange.request(template, "vtn", time.time()).body


async def _entered(one: Any, metrics: Metrics) -> Any:
    """Open a VTN that is watched, and ven-1; returns what the VTN is told."""
    vtn = one.made("vtn")
    metrics.watch(vtn)
    await one.stack.enter_async_context(vtn)
    await one.enter("ven-1")
    return one.lives["vtn"]


def counted(metrics: Metrics, what: What) -> float:
    """Return how often it was counted."""
    return metrics.registry.get_sample_value("iec62746_notices_total", {"what": what.value}) or 0.0


# What it publishes, and what the VTN gives notice of; None: nothing, since it never gets there.
CASES: dict[str, tuple[str, str, bytes, dict[str, Any], What | None]] = {
    "no XML": ("to.vtn", "ven-2.in", b"\x00\xff\xfenot XML", {}, What.UNREADABLE),
    "nothing": ("to.vtn", "ven-2.in", b"", {}, What.UNREADABLE),
    "JSON": ("to.vtn", "ven-2.in", b'{"a": 1}', {"content_type": "application/json"}, What.UNPROVEN),
    "JSON that says it is XML": ("to.vtn", "ven-2.in", b'{"a": 1}', {}, What.UNREADABLE),
    "other XML": ("to.vtn", "ven-2.in", b"<a/>", {}, What.UNREADABLE),
    "a DTD": ("to.vtn", "ven-2.in", DTD, {}, What.UNREADABLE),
    "16 MiB": ("to.vtn", "ven-2.in", b"x" * BIG, {}, What.TOO_LARGE),
    "CC to another": ("to.vtn", "ven-2.in", b"<a/>", {"headers": {"CC": ["ven-1.in"]}}, What.UNPROVEN),
    "CC of a wrong kind": ("to.vtn", "ven-2.in", b"<a/>", {"headers": {"CC": []}}, What.UNPROVEN),
    "a request's key too long": ("to.vtn", "ven-2.in.in", b"<a/>", {}, None),
    "no presence": ("presence", "ven-2", b"<a/>", {}, What.UNREADABLE),
}


@pytest.mark.parametrize("is_provisioned", [True, False], ids=["provisioned", "open"])
async def test_what_is_no_message_is_refused_and_counted(
    stage: Any, victim: PrivateBroker, rogue: Callable[[Any], Rogue], waits: Any, is_provisioned: bool
) -> None:
    one, metrics = await stage(victim, is_provisioned=is_provisioned, real_time=10), Metrics()
    vtn, wild = await _entered(one, metrics), rogue(one)

    for case, (exchange, key, body, properties, what) in CASES.items():
        before = vtn.noticed(what) if what else vtn.complaints
        told = await asyncio.to_thread(wild.publish, exchange, key, body, **properties)
        if what is None:
            assert (case, told) == (case, "unroutable" if not is_provisioned else "403")
        elif case == "CC to another" and is_provisioned and victim.ctl("version").startswith("4"):
            assert told == "403"  # from 4.0 on the broker looks at those keys too (docs/wire.md)
        else:
            assert (case, told) == (case, "taken")
            await waits(lambda what=what, before=before: vtn.noticed(what) > before)
        await one.works()
        if what is None:
            assert (case, before) == (case, vtn.complaints)

    assert {1} == {life.opened for life in one.lives.values()}
    for what in (What.UNREADABLE, What.UNPROVEN, What.TOO_LARGE):
        assert (what, vtn.noticed(what)) == (what, counted(metrics, what))


@pytest.mark.parametrize(
    ("exchange", "key", "properties", "told"),
    [
        ("to.vtn", "ven-2.in", {"user_id": "ven-1"}, "406"),
        ("to.vtn", "ven-1.in", {}, "403"),
        ("to.vtn", "ven-1.re.s1", {}, "403"),
        ("to.vtn", "ven-2.xx", {}, "403"),
        ("presence", "ven-1", {}, "403"),
        ("presence", "vtn", {}, "403"),
        ("to.ven", "ven-1", {}, "403"),
        ("event", "price.north", {}, "403"),
    ],
)
async def test_what_its_account_may_not_do_the_broker_refuses(
    stage: Any,
    victim: PrivateBroker,
    rogue: Callable[[Any], Rogue],
    exchange: str,
    key: str,
    properties: dict[str, Any],
    told: str,
) -> None:
    one = await stage(victim, is_provisioned=True)
    vtn, wild = await _entered(one, Metrics()), rogue(one)
    before = vtn.complaints, one.lives["ven-1"].complaints

    assert told == await asyncio.to_thread(wild.publish, exchange, key, b"<a/>", **properties)

    await one.works()
    assert before == (vtn.complaints, one.lives["ven-1"].complaints)


async def test_who_does_not_say_who_it_is_is_not_believed(
    stage: Any, victim: PrivateBroker, rogue: Callable[[Any], Rogue], waits: Any
) -> None:
    one = await stage(victim, is_provisioned=True)
    vtn, wild = await _entered(one, Metrics()), rogue(one)

    # RabbitMQ checks a user_id only where there is one.
    body = request_of(one, "rogue")
    assert "taken" == await asyncio.to_thread(
        wild.publish, "to.vtn", "ven-2.in", body, user_id=None, reply_to="ven-2", correlation_id="1"
    )

    await waits(lambda: vtn.noticed(What.UNPROVEN) == 1)
    assert not one.ledger.executed


async def test_a_blind_copy_to_another_queue_is_not_believed(
    stage: Any, victim: PrivateBroker, rogue: Callable[[Any], Rogue], waits: Any
) -> None:
    one = await stage(victim)
    vtn, wild = await _entered(one, Metrics()), rogue(one)
    names = (await asyncio.to_thread(victim.ctl, "list_queues", "--silent", "name")).split()
    [replies] = [name for name in names if name.startswith(f"{one.domain.name}.vtn.re.")]
    session = replies.rpartition(".")[2]

    headers = {"BCC": [f"ven-1.re.{session}"]}
    assert "taken" == await asyncio.to_thread(wild.publish, "to.vtn", "ven-2.in", b"<a/>", headers=headers)

    # The copy in the queue of replies has still the key of the inbox.
    await waits(lambda: vtn.noticed(What.UNPROVEN) == 1 and vtn.noticed(What.UNREADABLE) == 1)
    await one.works()


@pytest.mark.parametrize(
    "headers",
    [
        {"Verb": 7, "Noun": [1, {"a": {"b": [None, True]}}]},
        {"Verb": {"deep": {"deeper": {"deepest": [1, 2, {}]}}}},
        {"Verb": "delete", "Noun": "N" * 100_000},
        {f"h{number}": number for number in range(2_000)},
    ],
    ids=["wrong types", "nested", "huge", "many"],
)
async def test_headers_are_hints_whatever_is_in_them(
    stage: Any, victim: PrivateBroker, rogue: Callable[[Any], Rogue], waits: Any, headers: dict[str, Any]
) -> None:
    one = await stage(victim)
    vtn, wild = await _entered(one, Metrics()), rogue(one)

    told = await asyncio.to_thread(
        wild.publish, "to.vtn", "ven-2.in", request_of(one, "hinted"), headers=headers, reply_to="ven-2"
    )

    assert "taken" == told
    # The envelope decides.
    await waits(lambda: one.ledger.executed["hinted"] == 1)
    del one.ledger.executed["hinted"]
    assert 1 == vtn.opened
    await one.works()


async def test_an_answer_is_not_sent_where_another_party_would_get_it(
    stage: Any, victim: PrivateBroker, rogue: Callable[[Any], Rogue], waits: Any
) -> None:
    one = await stage(victim, is_provisioned=True)
    vtn, wild = await _entered(one, Metrics()), rogue(one)
    others = one.lives["ven-1"].complaints

    body = request_of(one, "reflected")
    assert "taken" == await asyncio.to_thread(
        wild.publish, "to.vtn", "ven-2.in", body, reply_to="ven-1", correlation_id="1"
    )

    await waits(lambda: vtn.noticed(What.NO_REPLY_ADDRESS) == 1)
    await one.works()
    assert "reflected" not in one.ledger.executed
    assert others == one.lives["ven-1"].complaints


MEMORY = 134_217_728
"""Octets by which this process may grow in a flood."""


def resident() -> int:
    """Return the octets of memory that this process has."""
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS"))


@contextmanager
def flooding(given: bytes) -> "Iterator[subprocess.Popen[bytes]]":
    """Flood, in a process of its own, until the end."""
    with subprocess.Popen([sys.executable, "-c", FLOOD], stdin=subprocess.PIPE) as flood:
        assert flood.stdin is not None
        flood.stdin.write(given)
        flood.stdin.close()
        yield flood


@pytest.mark.parametrize("lane", ["plain", "fast"])
@pytest.mark.parametrize(("what", "times"), [("garbage", 2_000), ("requests", 2_000), ("16 MiB", 12)])
async def test_a_flood_of_one_ven_leaves_the_others_their_service(
    stage: Any, victim: PrivateBroker, waits: Any, lane: str, what: str, times: int
) -> None:
    one = await stage(victim, lane=lane, is_provisioned=True, real_time=30)
    vtn, executed = await _entered(one, Metrics()), one.ledger.executed
    bodies = {
        "garbage": b"garbage",
        "requests": request_of(one, "flood"),
        "16 MiB": bytes(BIG),
    }
    began, most, calls = resident(), 0, []

    with flooding(f"{one.url('ven-2').partition('?')[0]} {one.domain.name} {times}\n".encode() + bodies[what]) as flood:
        while flood.poll() is None:
            calls.append(await one.ledger.ask(one.lives["ven-1"].party))
            most = max(most, resident())

    def taken() -> int:
        refused = (What.UNREADABLE, What.TOO_LARGE, What.TOO_MANY_PENDING)
        return sum([executed["flood"], *map(vtn.noticed, refused)])

    assert 0 == flood.returncode
    # What does not fit in the inbox, 64 MiB, the broker refuses.
    await waits(lambda: taken() >= (times if what != "16 MiB" else 4), within=30)
    assert {"OK"} == {call.ended for call in calls}
    assert max(call.seconds for call in calls) < 15
    assert most - began < MEMORY
    del executed["flood"]
    await one.works()
