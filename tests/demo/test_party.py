"""One party of the demo as a program of its own."""

import asyncio
import os
import signal

import pytest
from typer.testing import CliRunner

from iec62746.cli import app
from iec62746.demo import party
from iec62746.errors import InvalidAddress


async def test_a_neighbour_reports_and_answers_the_grid_operator_until_it_is_stopped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(party, "EACH", 0.05)
    said: asyncio.Queue[str] = asyncio.Queue()
    url = "memory://one-party"
    operator = asyncio.create_task(party.take_part(url, "grid-operator", said.put_nowait))
    async with asyncio.timeout(20):
        while await said.get() != "grid-operator is online":
            pass
        battery = asyncio.create_task(party.take_part(url, "battery", said.put_nowait))
        while await said.get() != "battery answered get MeterReadings: OK":
            pass

        os.kill(os.getpid(), signal.SIGTERM)  # the last to start hears it
        await battery
        while await said.get() != "battery is offline":
            pass
        operator.cancel()
        with pytest.raises(asyncio.CancelledError):
            await operator


async def test_without_a_grid_operator_a_neighbour_says_so_and_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(party, "EACH", 0.05)
    said: asyncio.Queue[str] = asyncio.Queue()
    alone = asyncio.create_task(party.take_part("memory://alone", "battery", said.put_nowait))
    async with asyncio.timeout(20):
        for _ in range(2):
            while not (await said.get()).startswith("  NoReceiver: "):
                pass

        os.kill(os.getpid(), signal.SIGINT)
        await alone


async def test_who_is_no_party_of_the_demo_is_told() -> None:
    with pytest.raises(InvalidAddress, match="nobody"):
        await party.take_part("memory://x", "nobody", print)


def test_party_goes_with_no_option_of_the_whole_demo() -> None:
    result = CliRunner().invoke(app, ["demo", "--party", "battery", "--json"])

    assert result.exit_code == 2
    assert "goes with --url only" in result.stderr
