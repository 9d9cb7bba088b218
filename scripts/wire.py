"""Write into docs/wire.md what is really on a RabbitMQ: exchanges, queues, rights, and a message of each kind.

Between `<!-- captured: NAME -->` and `<!-- end -->` stands what a bare client saw on a private broker; the rest is by
hand. Ids, sessions and times are made round. `--check` writes nothing and exits 1 where it differs. Where the machine
has no RabbitMQ, it says so, and what is captured stays as it is.
"""

import argparse
import asyncio
import json
import logging
import re
import sys
import tempfile
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pika  # type: ignore[import-untyped]  # it has no types

from iec62746 import (
    Domain,
    Message,
    Notice,
    PartyPresence,
    Refused,
    RequestFailed,
    State,
    VirtualEndNode,
    VirtualTopNode,
    What,
)
from iec62746.demo import payloads
from iec62746.demo.north import north
from iec62746_rabbitmq.private import NoBroker, PrivateBroker
from iec62746_rabbitmq.provision import RabbitProvisioner
from scripts.wire_shown import VTN, Rounding, Seen, pairs, table, yes

PAGE = "docs/wire.md"
BLOCK = re.compile(r"(<!-- captured: ([a-z -]+) -->\n).*?(<!-- end -->)", re.DOTALL)
VEN, NODE = "battery", "price.north"
Rows = Sequence[Mapping[str, Any]]
GARBAGE = b"<hello/>"
LIMIT = 30


@dataclass
class Broker:
    """What was found on the broker in one of the two ways: its vhost, its messages."""

    private: PrivateBroker
    vhost: str
    url: Callable[[str], str]
    seen: list[Seen] = field(default_factory=list)
    queues: Rows = ()
    bindings: Rows = ()

    def list(self, what: str, *columns: str) -> Rows:
        """Return what `rabbitmqctl` lists."""
        found: Rows = json.loads(self.private.ctl(f"list_{what}", "-p", self.vhost, *columns, "--formatter", "json"))
        return found

    def note_queues(self) -> None:
        """Note the queues that are there now, and what they are bound to."""
        found = self.list("queues", "name", "durable", "exclusive", "arguments")
        self.queues = sorted((one for one in found if self.is_own(one["name"])), key=lambda one: str(one["name"]))
        self.bindings = self.list("bindings")

    def is_own(self, name: str) -> bool:
        """Return whether an exchange or a queue is the domain's."""
        return name.startswith("north.")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    logging.disable(logging.WARNING)  # of the open way, which is meant here
    parser.add_argument("--check", action="store_true", help=f"fail where {PAGE} would change")
    is_check = parser.parse_args(arguments).check
    path = Path(__file__).parents[1] / PAGE
    try:
        private = PrivateBroker()
    except NoBroker as exc:
        print(f"{PAGE}: skipped, what is captured in it is not compared: {exc}")
        return 0
    with private:
        blocks = capture(private)
    old = path.read_text("utf-8")
    if unused := sorted(blocks.keys() ^ {found[2] for found in BLOCK.finditer(old)}):
        print(f"{PAGE} and scripts/wire.py do not have the same blocks: {', '.join(unused)}", file=sys.stderr)
        return 1
    new = BLOCK.sub(lambda found: f"{found[1]}{blocks[found[2]]}{found[3]}", old)
    if new == old:
        return 0
    if is_check:
        print(f"{PAGE} is stale: run scripts/generate", file=sys.stderr)
        return 1
    path.write_text(new, "utf-8")
    print(f"wrote {PAGE}")
    return 0


# ---------------------------------------------------------------- what happens


def capture(private: PrivateBroker) -> dict[str, str]:
    """Return each block of the page."""
    domain = north()
    with tempfile.TemporaryDirectory() as folder:
        provisioned = _provisioned(private, domain, Path(folder) / "passwords")
    opened = Broker(private, "/", lambda _: private.url(query="declare=true"))
    for broker in (provisioned, opened):
        asyncio.run(story(broker, domain))
    messages = dict(_messages(provisioned))
    _compare(messages, dict(_messages(opened)))
    return messages | dict(_tables(provisioned, opened))


def _provisioned(private: PrivateBroker, domain: Domain, passwords: Path) -> Broker:
    at = private.management.replace("//", "//guest:guest@")
    RabbitProvisioner().apply(domain, at, passwords=passwords)
    private.ctl("set_permissions", "-p", domain.name, "guest", ".*", ".*", ".*")
    known = tomllib.loads(passwords.read_text("utf-8"))
    return Broker(private, domain.name, lambda party: private.url(party, known[party], domain.name))


async def story(broker: Broker, domain: Domain) -> None:
    """Let a VTN and a VEN say one of each kind, and note it."""
    vtn, ven = _parties(broker, domain)
    current, fault, announced = asyncio.Event(), asyncio.Event(), asyncio.Event()

    @ven.on_event(node="price.#")
    async def price(event: Message) -> None:
        if event.is_current:
            current.set()

    @ven.on_presence
    def presence(told: PartyPresence) -> None:
        if told.party == VTN and told.state is State.ONLINE:  # said again, because the VEN came
            announced.set()

    @ven.on_notice
    def notice(told: Notice) -> None:
        if told.what is What.LATE_REPLY:  # the answer to what we do not know of
            fault.set()

    async with vtn, asyncio.timeout(LIMIT):
        connection = await asyncio.to_thread(_listen, broker)
        await vtn.publish("MarketPrices", payloads.price(91.37), node=NODE)
        async with ven:
            await current.wait()
            await vtn.request("create", "EndDeviceControls", payloads.control(VEN, 4), to=VEN)
            with suppress(RequestFailed):
                await vtn.request("change", "EndDeviceControls", payloads.control(VEN, 15), to=VEN)
            await ven.request("create", "Resources", payloads.resource(VEN, 10))
            await ven.request("get", "Nodes")
            await ven.publish("MeterReadings", payloads.reading(VEN, 0))
            await asyncio.to_thread(_send_garbage, broker)
            await fault.wait()
            await announced.wait()
            # Soon: also in the queue that captures, messages expire.
            await asyncio.to_thread(_drain, broker, connection)
            await asyncio.to_thread(broker.note_queues)
        await asyncio.to_thread(_drain, broker, connection)
    connection.close()


def _parties(broker: Broker, domain: Domain) -> tuple[VirtualTopNode, VirtualEndNode]:
    vtn = VirtualTopNode(domain, broker.url(VTN))
    ven = VirtualEndNode(domain, broker.url(VEN), VEN)

    @ven.on_request("create", "EndDeviceControls")
    @vtn.on_request("create", "Resources")
    @vtn.on_event(noun="MeterReadings")
    async def well(_: Message) -> None:
        """Answer OK."""

    @ven.on_request("change", "EndDeviceControls")
    async def refuse(_: Message) -> None:
        raise Refused("6.1", "battery is empty")

    return vtn, ven


def _listen(broker: Broker) -> pika.BlockingConnection:
    parameters = pika.URLParameters(broker.private.url(vhost=broker.vhost))
    parameters.heartbeat = 0  # nobody answers them while it waits
    connection = pika.BlockingConnection(parameters)
    channel = connection.channel()
    channel.queue_declare("capture", exclusive=True)
    for exchange in ("to.vtn", "to.ven", "event", "presence"):
        channel.queue_bind("capture", f"north.{exchange}", "#")
    return connection


def _send_garbage(broker: Broker) -> None:
    """Send, as the VEN, a request that nobody can read."""
    properties = pika.BasicProperties(
        content_type="application/xml",
        correlation_id="any-text",
        reply_to=VEN,
        user_id=VEN if broker.vhost != "/" else None,
        expiration="30000",
    )
    with pika.BlockingConnection(pika.URLParameters(broker.url(VEN).partition("?")[0])) as connection:
        connection.channel().basic_publish("north.to.vtn", f"{VEN}.in", GARBAGE, properties)


def _drain(broker: Broker, connection: pika.BlockingConnection) -> None:
    channel = connection.channel()
    while True:
        method, properties, body = channel.basic_get("capture", auto_ack=True)
        if method is None or properties is None or body is None:
            break
        broker.seen.append(Seen(method.exchange, method.routing_key, properties, body))
    channel.close()


# ---------------------------------------------------------------- what is shown of the messages


def _messages(broker: Broker) -> Iterator[tuple[str, str]]:
    """Yield each kind of message; those that a later one refers to come before it."""
    rounding = Rounding(broker.seen)
    vtn_session = rounding.session_of(VTN)
    to_ven, replies = ("north.to.ven", VEN), ("north.to.vtn", f"{VEN}.re.{vtn_session}")
    to_vtn = ("north.to.vtn", f"{VEN}.in")
    wanted = {
        "presence of the vtn": ("north.presence", VTN, ">online<"),
        "vtn event": ("north.event", NODE),
        "presence of the ven": ("north.presence", VEN, ">online<"),
        "current value": (*to_vtn, ">get<", ">MarketPrices<"),
        "current value reply": (*to_ven, ">reply<", ">MarketPrices<"),
        "request": (*to_ven, ">create<"),
        "reply": (*replies, ">OK<"),
        "failed reply": (*replies, ">FAILED<"),
        "ven request": (*to_vtn, ">create<", ">Resources<"),
        "vtn reply": (*to_ven, ">reply<", ">Resources<"),
        "get nodes": (*to_vtn, ">get<", ">Nodes<"),
        "get nodes reply": (*to_ven, ">reply<", ">Nodes<"),
        "ven event": (*to_vtn, "EventMessage"),
        "fault": (*to_ven, "FaultMessage"),
        "presence at the end": ("north.presence", VEN, ">offline<"),
    }
    for name, what in wanted.items():
        one = next((seen for seen in broker.seen if seen.is_it(*what)), None)
        if one is None:
            raise SystemExit(f"{name} was not seen on the broker")
        yield name, rounding.of(one)


def _compare(provisioned: Mapping[str, str], opened: Mapping[str, str]) -> None:
    """Hold the page to it that the two ways differ by `user_id` only."""
    for name, text in provisioned.items():
        if re.sub(r"user_id .*\n", "", text) != opened[name]:
            raise SystemExit(f"{name} is another in the open way:\n{text}\n{opened[name]}")


# ---------------------------------------------------------------- what is shown of the broker


def _tables(provisioned: Broker, opened: Broker) -> Iterator[tuple[str, str]]:
    yield "exchanges", table("exchange type durable", sorted(_exchanges(provisioned)))
    yield "queues", table("queue durable exclusive bound-to", _queues(provisioned))
    yield "arguments", table("queue arguments", _queue_arguments(opened))
    yield "arguments provisioned", table("queue arguments", _queue_arguments(provisioned))
    yield "policies", table("policy queues what-it-sets", sorted(_policies(provisioned)))
    yield "rights", table("account for configure write read", _rights(provisioned))


def _exchanges(broker: Broker) -> Iterator[tuple[str, ...]]:
    for one in broker.list("exchanges", "name", "type", "durable"):
        if broker.is_own(one["name"]):
            yield one["name"], one["type"], yes(one["durable"])


def _policies(broker: Broker) -> Iterator[tuple[str, ...]]:
    for one in broker.list("policies"):
        yield one["name"], one["pattern"], pairs(json.loads(one["definition"]).items())


def _queues(broker: Broker) -> Iterator[tuple[str, ...]]:
    round_name = Rounding(broker.seen).text
    for one in broker.queues:
        bound = [to for to in broker.bindings if to["destination_name"] == one["name"] and to["source_name"]]
        texts = sorted(f"{to['source_name']} by {round_name(to['routing_key']) or 'anything'}" for to in bound)
        yield round_name(one["name"]), yes(one["durable"]), yes(one["exclusive"]), "; ".join(texts)


def _queue_arguments(broker: Broker) -> Iterator[tuple[str, ...]]:
    for one in broker.queues:
        if arguments := [(name, value) for name, _, value in one["arguments"]]:
            yield Rounding(broker.seen).text(one["name"]), pairs(arguments)


def _rights(broker: Broker) -> Iterator[tuple[str, ...]]:
    keys = sorted(broker.list("topic_permissions"), key=lambda one: str(one["exchange"]))
    for one in sorted(broker.list("permissions"), key=lambda one: one["user"] != VTN):
        if one["user"] in (VTN, VEN):
            yield one["user"], "names", one["configure"], one["write"], one["read"]
            for key in keys:
                if key["user"] == one["user"]:
                    yield one["user"], f"keys at {key['exchange']}", "", key["write"], key["read"]


if __name__ == "__main__":
    sys.exit(main())
