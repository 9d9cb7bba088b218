"""`iec62746 publish`: what a shell user gets."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from iec62746 import Domain, Kind, Message, Payload, VirtualEndNode, VirtualTopNode
from iec62746.cli import publish as module

Run = Callable[..., Result]
PRICE = ["publish", "MarketPrices", "--as", "grid-operator"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["MarketPrices"], "say on which node it publishes, with --node"),
        (["MarketPrices", "--node", "price.south"], "the node price.south is not defined"),
        (["MarketPrice", "--node", "price.north"], "did you mean 'MarketPrices'?"),
        (["MeterReadings", "--node", "price.north"], "the nouns of price.north do not list MeterReadings"),
        (["MarketPrices", "--node", "price.north", "--verb", "create"], "'create' is no verb of an event"),
        (["MarketPrices", "--node", "price.north", "--payload", "-"], "standard input is no payload"),
    ],
)
def test_what_cannot_be_published_is_one_sentence_and_status_2(
    run: Run, north: Path, url: str, words: list[str], sentence: str
) -> None:
    result = run("publish", *words, "--domain", north, "--as", "grid-operator", "--url", url, given="nothing")

    assert (2, "") == (result.exit_code, result.stdout)
    assert sentence in result.stderr
    assert 1 == len(result.stderr.splitlines())


def test_a_payload_over_the_limit_is_refused_before_anything_is_opened(
    run: Run, tmp_path: Path, north: Path, url: str
) -> None:
    text = north.read_text("utf-8").replace("[nodes", "[limits]\nmessage = 1024\n\n[nodes", 1)
    small = tmp_path / "small.toml"
    small.write_text(text, "utf-8")
    body = f'<A xmlns="urn:test">{"x" * 2000}</A>'
    words = ["--node", "price.north", "--payload", "-", "--domain", small, "--url", url]
    result = run(*PRICE, *words, given=body)

    assert 2 == result.exit_code
    assert "more than 1024 octets" in result.stderr


def test_the_vtn_publishes_though_nobody_listens(run: Run, north: Path, payload_file: Path, url: str) -> None:
    result = run(*PRICE, "--node", "price.north", "--payload", payload_file, "--domain", north, "--url", url)

    assert (0, "created MarketPrices was sent to the node price.north\n") == (result.exit_code, result.stdout)


def test_a_ven_whose_vtn_is_away_is_told_so(run: Run, extract: Path, url: str) -> None:
    result = run("publish", "MeterReadings", "--domain", extract, "--as", "battery", "--url", url)

    assert 1 == result.exit_code
    assert "NoReceiver" in result.stderr


async def test_the_event_of_a_ven_arrives_at_the_vtn(north: Path, url: str) -> None:
    domain, got = Domain.load(north), asyncio.Queue[Message]()
    vtn = VirtualTopNode(domain, url)
    vtn.on_event(noun="MeterReadings")(got.put)
    item = Payload(items=(b'<A xmlns="urn:test"/>',))

    async with vtn:
        template = Message(kind=Kind.EVENT, verb="changed", noun="MeterReadings", payload=item)
        await module._send(VirtualEndNode(domain, url, "battery"), template, None)
        async with asyncio.timeout(10):
            event = await got.get()

    assert ("changed", "battery", item) == (event.verb, event.source, event.payload)


def test_the_help_has_examples(run: Run) -> None:
    text = " ".join(run("publish", "--help").stdout.split())

    assert "iec62746 publish MarketPrices --node price.north --payload price.xml" in text
