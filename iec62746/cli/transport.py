"""`iec62746 transport`."""

import json
from dataclasses import asdict
from typing import Annotated

import typer

from iec62746.plugins import transports

app = typer.Typer(no_args_is_help=True)


@app.callback()
def _transport() -> None:
    """See which transports are installed."""


@app.command("list")
def list_transports(as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False) -> None:
    """List the installed transports by the scheme of their URLs, and where each comes from.

    Example:

      iec62746 transport list
    """
    for plugin in transports():
        state = plugin.error or "ready"
        line = f"{plugin.name + '://':<12} {plugin.distribution} {plugin.version:<10} {state}"
        print(json.dumps(asdict(plugin)) if as_json else line)
