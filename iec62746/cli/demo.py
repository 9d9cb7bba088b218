"""`iec62746 demo`."""

import asyncio
import json
import ssl
import sys
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from iec62746.cli import _party
from iec62746.demo import demonstrate, read_folder, replay
from iec62746.demo.north import summary
from iec62746.demo.party import take_part
from iec62746.demo.wire import Wire
from iec62746.errors import Iec62746Error
from iec62746.metrics import LOOPBACK
from iec62746.participant import Participant


def demo(
    url: Annotated[str, typer.Option(help="Where: the URL of a transport.")] = "memory://demo",
    messages: Annotated[Path | None, typer.Option(help="Send every *.xml of this folder instead, and compare.")] = None,
    capture: Annotated[Path | None, typer.Option(help="Write every body that is on the wire into this folder.")] = None,
    party: Annotated[
        str | None, typer.Option(metavar="NAME", help="Be only this party of the demo, until interrupted.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
    metrics_port: _party.MetricsPort = None,
    metrics_host: _party.MetricsHost = LOOPBACK,
    ca_file: _party.CaFile = None,
    certificate_file: _party.CertificateFile = None,
    key_file: _party.KeyFile = None,
) -> None:
    """Run a grid operator with five neighbours through all five messaging patterns, and show what goes where.

    Examples:

      iec62746 demo

      iec62746 demo --capture /tmp/wire

      iec62746 demo --messages my-messages/

      iec62746 demo --url amqp://broker --party battery
    """
    if party is not None and (messages is not None or capture is not None or as_json):
        raise typer.BadParameter("goes with --url only", param_hint="--party")
    try:
        tls = _party.tls([url], ca_file, certificate_file, key_file)
        wire = Wire(capture, is_json=as_json)
        with _party.serving(metrics_port, metrics_host) as watch:
            if party is not None:
                asyncio.run(take_part(url, party, partial(print, flush=True), watch, tls))
                return
            is_right = (
                _replay(messages, url, wire, as_json, watch, tls)
                if messages
                else _demonstrate(url, wire, as_json, watch, tls)
            )
    except Iec62746Error as exc:
        print(f"iec62746 demo: {exc}", file=sys.stderr)
        raise typer.Exit(1) from None
    raise typer.Exit(0 if is_right else 1)


def _demonstrate(
    url: str, wire: Wire, as_json: bool, watch: Callable[[Participant], None], tls: ssl.SSLContext | None
) -> bool:
    wrong = asyncio.run(demonstrate(url, wire, watch, tls))
    if not as_json:
        print(summary(wire, wrong))
    return not wrong


def _replay(
    folder: Path,
    url: str,
    wire: Wire,
    as_json: bool,
    watch: Callable[[Participant], None],
    tls: ssl.SSLContext | None,
) -> bool:
    read = read_folder(folder)
    if not read:
        print(f"iec62746 demo: there is no *.xml in {folder}", file=sys.stderr)
        return False
    rows = asyncio.run(replay(read, url, wire, watch, tls))
    wire.title(f"{len(rows)} messages: sent, received, checked, answered, compared")
    for row in rows:
        print(json.dumps(asdict(row)) if as_json else row)
    return not any(row.differs for row in rows)
