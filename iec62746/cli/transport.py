"""`iec62746 transport`."""

import asyncio
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from iec62746.cli import new_transport
from iec62746.errors import Iec62746Error, LocalError
from iec62746.plugins import transports
from iec62746.testing.kit import conform
from iec62746.testing.report import Report, Status, line, summary, table
from iec62746.testing.rule import Rule
from iec62746.testing.rules import ALL

app = typer.Typer(no_args_is_help=True)


@app.callback()
def _transport() -> None:
    """See which transports are installed, and hold one to the contract."""


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


@app.command("conform")
def conform_transport(
    url: Annotated[str, typer.Argument(help="The URL of a transport; a communication server that may be troubled.")],
    report: Annotated[Path | None, typer.Option(help="Write the report here, as JSON.")] = None,
    only: Annotated[str, typer.Option(help="Try only the rules whose id has this in it; then no profile.")] = "",
    seed: Annotated[int | None, typer.Option(help="Try them in another order, the same one for each seed.")] = None,
    rules: Annotated[bool, typer.Option("--rules", help="Show what the rules say, and try none.")] = False,
) -> None:
    """Try the rules of the transport contract, each with parties in processes of their own, and grant profiles.

    core, realtime and secure are what a domain may demand (`transport` in
    its file). A rule is skipped if it depends on a capability that is not
    declared. Links are cut and frozen on the way by a proxy; for more, such
    as a full inbox, a transport's authors publish a harness
    (iec62746.testing.harness); without one it is core at most. The exit
    status is 1 if a rule failed.

    Examples:

      iec62746 transport conform memory://north

      iec62746 transport conform 'amqp://localhost?declare=true' --report amqp.json

      iec62746 transport conform memory://north --only reply

      iec62746 transport conform memory://north --rules
    """
    chosen = [rule for rule in ALL if only in rule.id]
    if not chosen:
        _fail("conform", f"no rule has {only!r} in its id: see --rules")
    if rules:
        print(*table(chosen), sep="\n")
        return
    try:
        made = asyncio.run(_conform(url, chosen, seed))
    except Iec62746Error as exc:
        _fail("conform", str(exc))
    print(*summary(made), sep="\n")
    if report is not None:
        report.write_text(made.to_json() + "\n", encoding="utf-8")
    raise typer.Exit(1 if made.of(Status.FAILED) else 0)


@app.command("new")
def new(
    name: Annotated[str, typer.Argument(help="The scheme of its URLs: carrier for carrier://host.")],
    into: Annotated[Path, typer.Option(help="Write it into a new folder in this one.")] = Path(),
) -> None:
    """Write a new transport's distribution: all but what only you can know.

    It is examples/transport-nats without NATS: entry points, signatures with
    their contract, harness, tests, steps and a CI script. It can be installed
    at once, and the kit says what to write next.

    Examples:

      iec62746 transport new carrier

      iec62746 transport new carrier --into ~/src
    """
    try:
        folder = new_transport.write(name, into)
    except (LocalError, OSError) as exc:
        _fail("new", str(exc))
    print(f"{folder}: a transport for {name}://, to be written. Its README has the steps; the first are")
    print(f"  pip install --editable {folder}")
    print("  iec62746 transport list")
    print(f"  iec62746 transport conform {name}://private    # says what to write next")


async def _conform(url: str, rules: list[Rule], seed: int | None) -> Report:
    return await conform(url, rules=rules, seed=seed, progress=lambda verdict: print(line(verdict), flush=True))


def _fail(command: str, why: str) -> NoReturn:
    print(f"iec62746 transport {command}: {why}", file=sys.stderr)
    raise typer.Exit(1)
