"""`iec62746 listen`: what a shell user sees."""

import asyncio
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from iec62746 import Domain, Payload, RequestFailed, VirtualEndNode, VirtualTopNode
from iec62746.cli._printer import Printer
from iec62746.cli.listen import Listener

Run = Callable[..., Result]
ITEM = '<A xmlns="urn:test"/>'


class Shown(Printer):
    """A printer whose lines can be waited for."""

    def __init__(self) -> None:
        super().__init__(is_json=True)
        self.lines: list[dict[str, Any]] = []
        self._more = asyncio.Condition()
        self._telling: set[asyncio.Task[None]] = set()

    def show(self, kind: str, text: str, fields: dict[str, Any] | None = None, xml: Any = ()) -> None:
        self.lines.append({"kind": kind, "text": text, **(fields or {})})
        task = asyncio.ensure_future(self._tell())
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def _tell(self) -> None:
        async with self._more:
            self._more.notify_all()

    async def wait(self, kind: str, **fields: Any) -> dict[str, Any]:
        """Wait for a line."""
        async with asyncio.timeout(10), self._more:
            await self._more.wait_for(lambda: self._find(kind, fields) is not None)
        found = self._find(kind, fields)
        assert found is not None
        return found

    def _find(self, kind: str, fields: dict[str, Any]) -> dict[str, Any] | None:
        wanted = {"kind": kind, **fields}
        return next((line for line in self.lines if wanted.items() <= {**line}.items()), None)


# ---------------------------------------------------------------- what the user gave


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--node", "price.south"], "no node fits price.south"),
        (["--node", "price.#.x"], "price.#.x"),
        (["--noun", "MarketPrice"], "did you mean 'MarketPrices'?"),
        (["--node", "price.north", "--noun", "MeterReadings"], "no node fits price.north about MeterReadings"),
        (["--answer", "get:MeterReadings"], "is no VERB:NOUN=FILE"),
        (["--answer", "get:MeterReadings=nowhere.xml"], "No such file"),
        (["--answer", "get:MarketPrices="], "nobody may ask battery to get MarketPrices"),
        (["--answer", "fetch:MeterReadings="], "'fetch' is no verb of a request"),
    ],
)
def test_what_cannot_be_listened_to_is_one_sentence_and_status_2(
    run: Run, extract: Path, url: str, words: list[str], sentence: str
) -> None:
    result = run("listen", *words, "--domain", extract, "--as", "battery", "--url", url)

    assert (2, "") == (result.exit_code, result.stdout)
    assert sentence in result.stderr
    assert 1 == len(result.stderr.splitlines())


def test_a_node_is_nothing_for_the_vtn(run: Run, north: Path, url: str) -> None:
    result = run("listen", "--node", "price.#", "--domain", north, "--as", "grid-operator", "--url", url)

    assert 2 == result.exit_code
    assert "--node is for a VEN" in result.stderr


# ---------------------------------------------------------------- from beginning to end


def test_it_says_first_what_it_listens_to(run: Run, extract: Path, url: str) -> None:
    result = run("listen", "--node", "price.#", "--domain", extract, "--as", "battery", "--url", url, "--for", "0.01")

    first, second = result.stdout.splitlines()
    assert 0 == result.exit_code
    assert f"battery listens in the domain north at {url}: " in first
    assert "requests get MeterReadings" in first
    assert "events on price.north; presence" in first
    assert "dispatch" not in first
    assert second.endswith(" connected")


def test_it_says_so_as_json(run: Run, north: Path, url: str) -> None:
    result = run("listen", "--domain", north, "--as", "grid-operator", "--url", url, "--for", "0.01", "--json")

    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert ["listening", "connected"] == [line["kind"] for line in lines]
    assert "events of VENs" in lines[0]["to"]
    assert "requests create Resources" in lines[0]["to"]


def test_too_few_in_the_time_is_status_1(run: Run, extract: Path, url: str) -> None:
    words = ["--domain", extract, "--as", "battery", "--url", url, "--for", "0.01", "--count", "1"]

    assert 1 == run("listen", *words).exit_code


def test_metrics_are_given_while_it_runs(run: Run, extract: Path, url: str) -> None:
    words = ["--domain", extract, "--as", "battery", "--url", url, "--for", "0.01", "--metrics-port", "0"]
    result = run("listen", *words)

    assert 0 == result.exit_code
    assert result.stderr.startswith("metrics: http://127.0.0.1:")


async def test_a_signal_ends_it_cleanly(north: Path, url: str) -> None:
    domain, shown = Domain.load(north), Shown()
    listener = Listener(VirtualEndNode(domain, url, "battery"), shown, frozenset(), 3)
    listening = asyncio.create_task(listener.listen(url, None))
    await shown.wait("connected")
    os.kill(os.getpid(), signal.SIGTERM)

    async with asyncio.timeout(10):
        assert await listening


# ---------------------------------------------------------------- what comes


async def test_events_are_shown_until_there_are_enough(north: Path, url: str) -> None:
    domain, shown = Domain.load(north), Shown()
    listener = Listener(VirtualEndNode(domain, url, "battery"), shown, frozenset({"MarketPrices"}), 2)
    listener.on_events(["#"])

    async with VirtualTopNode(domain, url) as vtn:
        listening = asyncio.create_task(listener.listen(url, 10.0))
        await shown.wait("connected")
        await vtn.publish("EndDeviceControls", ITEM, node="dispatch.north")
        await vtn.publish("MarketPrices", ITEM, node="price.north")
        await vtn.publish("MarketPrices", ITEM, node="price.north", verb="changed")
        is_enough = await listening

    events = [line for line in shown.lines if line["kind"] == "event"]
    assert is_enough
    assert [("created", "price.north"), ("changed", "price.north")] == [(one["verb"], one["to"]) for one in events]
    assert [[ITEM], [ITEM]] == [one["payload"] for one in events]


async def test_the_current_value_is_said_to_be_one(north: Path, url: str) -> None:
    domain, shown = Domain.load(north), Shown()
    listener = Listener(VirtualEndNode(domain, url, "battery"), shown, frozenset(), 1)
    listener.on_events(["price.north"])

    async with VirtualTopNode(domain, url) as vtn:
        await vtn.publish("MarketPrices", ITEM, node="price.north")
        await listener.listen(url, 10.0)

    event = await shown.wait("event", is_current=True)
    assert event["text"].endswith("(the current value)")


async def test_requests_are_shown_and_refused_but_for_those_with_an_answer(north: Path, url: str) -> None:
    domain, shown = Domain.load(north), Shown()
    listener = Listener(VirtualEndNode(domain, url, "battery"), shown, frozenset(), 2)
    listener.on_requests({("get", "MeterReadings"): Payload(items=(ITEM.encode(),))})

    async with VirtualTopNode(domain, url) as vtn:
        listening = asyncio.create_task(listener.listen(url, 10.0))
        await shown.wait("connected")
        with pytest.raises(RequestFailed, match=r"^5\.2 nobody answers here"):
            await vtn.request("create", "EndDeviceControls", ITEM, to="battery", options={"k": "v"}, ids=["7"])
        reply = await vtn.request("get", "MeterReadings", to="battery")
        is_enough = await listening

    requests = [line for line in shown.lines if line["kind"] == "request"]
    assert is_enough
    assert [("create", False), ("get", True)] == [(one["verb"], one["answered"]) for one in requests]
    assert ({"k": "v"}, ["7"]) == (requests[0]["options"], requests[0]["ids"])
    assert reply.payload is not None
    assert ITEM.encode() == reply.payload.xml


async def test_presence_and_events_of_vens_are_shown_to_the_vtn(north: Path, url: str) -> None:
    domain, shown = Domain.load(north), Shown()
    listener = Listener(VirtualTopNode(domain, url), shown, frozenset(), 1)
    listener.on_events([])
    listening = asyncio.create_task(listener.listen(url, 10.0))
    await shown.wait("connected")

    async with VirtualEndNode(domain, url, "battery") as ven:
        await shown.wait("presence", party="battery", state="online")
        await ven.publish("MeterReadings", ITEM)
        await listening

    assert "battery" == (await shown.wait("event", noun="MeterReadings"))["from"]


def test_text_has_a_line_and_the_payload_below_it(capsys: Any) -> None:
    Printer(is_json=False).show("event", "event created X", {}, [ITEM])

    first, second = capsys.readouterr().out.splitlines()
    assert first.endswith("Z event created X")
    assert ITEM == second
