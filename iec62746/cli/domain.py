"""`iec62746 domain`: look at a domain file, ask it who may what, and write what one VEN is given."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Final, TypeVar

import typer

from iec62746._toml import dotted
from iec62746.domain import VERBS, Domain, Party, read_text
from iec62746.errors import DomainError, InvalidAddress
from iec62746.policy import Action, Decision, Policy

app = typer.Typer(no_args_is_help=True, help="Look at a domain file, and ask it who may what.")

_SPECIFICATION: Final = "IEC TS 62746-3"
_Result = TypeVar("_Result")

_File = Annotated[Path, typer.Argument(metavar="FILE", help="The domain file, such as north.toml.")]
_Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


@app.command()
def check(file: _File, is_json: _Json = False) -> None:
    """Check a domain file, and show its parties, its nodes, and what looks like a slip.

    Exits 0 where the file can be used, with or without warnings, and 1 where not: standard error then says which line
    and key is wrong, and what to do.

    Example: iec62746 domain check north.toml
    """
    domain = _or_exit(1, lambda: Domain.load(file))
    seen = {party: domain.nodes_for(party) for party in domain.parties}
    warnings = list(_warnings(domain, seen))
    typer.echo(json.dumps(_summary(domain, seen, warnings), indent=2) if is_json else _report(domain, seen, warnings))


@app.command()
def explain(
    file: _File,
    party: Annotated[str, typer.Argument(metavar="PARTY", help="Who wants to do it.")],
    action: Annotated[Action, typer.Argument(metavar="ACTION", help="subscribe, publish or request.")],
    about: Annotated[
        list[str], typer.Argument(metavar="ABOUT…", help="subscribe: NODE. publish: NOUN. request: VERB NOUN.")
    ],
    node: Annotated[
        str | None, typer.Option(help="publish: where the VTN publishes. request: the Option Node of a get.")
    ] = None,
    to: Annotated[str | None, typer.Option(help="request: who is asked; of a VEN's request, the VTN.")] = None,
    is_json: _Json = False,
) -> None:
    """Say whether a party may do something, which line of the file says so, and why.

    Exits 0 where it is allowed, 1 where it is refused, and 2 where the question or the file is wrong.

    Example: iec62746 domain explain north.toml battery subscribe price.north

    Example: iec62746 domain explain north.toml battery publish MeterReadings

    Example: iec62746 domain explain north.toml battery request get MarketPrices

    Example: iec62746 domain explain north.toml grid-operator publish MarketPrices --node price.north

    Example: iec62746 domain explain north.toml grid-operator request create EndDeviceControls --to battery
    """
    text = _or_exit(2, lambda: read_text(file))
    domain = _or_exit(2, lambda: Domain.parse(text, str(file)))
    decision = _ASK[action](domain, party, about, node, to)
    line = text.split("\n")[decision.line - 1].strip() if decision.line else ""
    if is_json:
        typer.echo(json.dumps(asdict(decision) | {"file": str(file), "text": line}, indent=2))
    else:
        typer.echo("\n".join(_explained(domain, decision, line)))
    raise typer.Exit(0 if decision else 1)


@app.command()
def extract(
    file: _File,
    party: Annotated[str, typer.Option(help="The VEN that is to get it.")],
    output: Annotated[Path | None, typer.Option(help="Where to write it; without this, standard output.")] = None,
) -> None:
    """Write the domain file that one VEN is given: its own rights, and nothing of other parties.

    Example: iec62746 domain extract north.toml --party battery --output battery.toml
    """
    text = _or_exit(1, lambda: Domain.load(file).extract(party))
    if output is None:
        typer.echo(text, nl=False)
    elif output.exists() and output.samefile(file):
        raise typer.BadParameter(f"{output} is the domain file itself: choose another", param_hint="--output")
    elif output.is_dir():
        raise typer.BadParameter(f"{output} is a folder: name a file", param_hint="--output")
    else:
        _or_exit(1, lambda: output.write_text(text, "utf-8"))


def _or_exit(code: int, work: Callable[[], _Result]) -> _Result:
    """Return what `work` returns, or end with `code` and one line on standard error."""
    try:
        return work()
    except (DomainError, InvalidAddress, OSError) as exc:
        typer.echo(str(exc), err=True)
        raise typer.Exit(code) from exc


# ---------------------------------------------------------------- check


def _warnings(domain: Domain, seen: dict[str, tuple[str, ...]]) -> Iterator[tuple[int, str]]:
    """Yield what is legal and looks like a slip, each with its line."""
    held = {role for party in domain.parties.values() for role in party.roles}
    visible = {node for nodes in seen.values() for node in nodes}
    for role in domain.roles.keys() - held:
        yield domain.line_of("roles", role), f"nobody has the role {role}"
    for node in domain.nodes.keys() - visible:
        yield domain.line_of("nodes", node), f"nobody may subscribe to the node {node}"
    for party in _vens(domain):
        if not party.roles:
            yield domain.line_of("parties", party.name), f"{party.name} has no role, so no right"
    if not _vens(domain):
        yield domain.line_of("parties"), "there is no VEN"


def _vens(domain: Domain) -> list[Party]:
    """Return every party but the VTN."""
    return [party for party in domain.parties.values() if party.name != domain.vtn]


def _summary(domain: Domain, seen: dict[str, tuple[str, ...]], warnings: list[tuple[int, str]]) -> dict[str, object]:
    """Return what `check` has to say, for programs."""
    parties = domain.parties.values()
    return {
        "file": domain.file,
        "domain": domain.name,
        "vtn": domain.vtn,
        "transport": domain.transport,
        "reading": domain.reading,
        "parties": [asdict(party) | {"nodes": seen[party.name]} for party in parties],
        "nodes": [asdict(node) for node in domain.nodes.values()],
        "warnings": [{"line": line, "text": text} for line, text in sorted(warnings)],
    }


def _report(domain: Domain, seen: dict[str, tuple[str, ...]], warnings: list[tuple[int, str]]) -> str:
    """Return what `check` has to say, for people."""
    parties = [
        (party.name, "the VTN" if party.name == domain.vtn else ", ".join(party.roles) or "none", len(seen[party.name]))
        for party in domain.parties.values()
    ]
    nodes = [
        (
            node.name,
            ", ".join(node.nouns),
            "yes" if node.is_current else "no",
            sum(node.name in each for each in seen.values()),
        )
        for node in domain.nodes.values()
    ]
    return "\n".join(
        (
            f"The domain {domain.name}: VTN {domain.vtn}, transport {domain.transport}, reading {domain.reading}.",
            "",
            *_columns(("party", "roles", "nodes"), parties),
            "",
            *_columns(("node", "nouns", "current", "may subscribe"), nodes),
            *(["", "warnings:"] if warnings else []),
            *(f"  {domain.file}:{line}: {text}" for line, text in sorted(warnings)),
        )
    )


def _columns(head: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    """Yield the lines of a table."""
    cells = [head, *([str(cell) for cell in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


# ---------------------------------------------------------------- explain


def _ask_subscribe(domain: Domain, party: str, about: list[str], node: str | None, to: str | None) -> Decision:
    """Return the decision on `subscribe NODE`."""
    _refuse_options("subscribe", ("--node", node), ("--to", to))
    [wanted] = _words(about, "NODE")
    if "*" in wanted or "#" in wanted:
        raise typer.BadParameter(f"{wanted} is a pattern: name one node, such as price.north", param_hint="NODE")
    return Policy(domain).may_subscribe(party, wanted)


def _ask_publish(domain: Domain, party: str, about: list[str], node: str | None, to: str | None) -> Decision:
    """Return the decision on `publish NOUN`."""
    _refuse_options("publish", ("--to", to))
    [noun] = _words(about, "NOUN")
    if party == domain.vtn and node is None:
        raise typer.BadParameter(f"{party} is the VTN: say on which node it publishes", param_hint="--node")
    return Policy(domain).may_publish(party, noun, node)


def _ask_request(domain: Domain, party: str, about: list[str], node: str | None, to: str | None) -> Decision:
    """Return the decision on `request VERB NOUN`."""
    verb, noun = _words(about, "VERB", "NOUN")
    if verb not in VERBS:
        raise typer.BadParameter(f"{verb!r} is none of {', '.join(VERBS)}", param_hint="VERB")
    if party == domain.vtn and to is None:
        raise typer.BadParameter(f"{party} is the VTN: say which VEN is asked", param_hint="--to")
    return Policy(domain).may_request(party, to or domain.vtn, verb, noun, node)


_ASK: Final = {Action.SUBSCRIBE: _ask_subscribe, Action.PUBLISH: _ask_publish, Action.REQUEST: _ask_request}


def _words(about: list[str], *wanted: str) -> list[str]:
    """Return `about`, which must have as many words as are wanted."""
    if len(about) != len(wanted):
        raise typer.BadParameter(f"write {' '.join(wanted)} here, not {' '.join(about)}", param_hint="ABOUT")
    return about


def _refuse_options(action: str, *given: tuple[str, str | None]) -> None:
    """Refuse the options that say nothing about `action`."""
    for option, value in given:
        if value is not None:
            raise typer.BadParameter(f"{action} takes no {option}: leave it out", param_hint=option)


def _explained(domain: Domain, decision: Decision, text: str) -> Iterator[str]:
    """Yield the lines that say what was decided, where, and why."""
    yield f"{'allowed' if decision else 'refused'}: {decision.reason}"
    if not decision.line:
        yield f"  rule: {_SPECIFICATION}, {decision.rule}"
        return
    # Where the rule is missing, or is part of an inline table, the line is that of the table around it.
    is_there = decision.rule in map(dotted, domain.lines)
    yield f"  rule: {decision.rule}"
    yield f"  {'at' if is_there else 'near'} {domain.file}:{decision.line}: {text}"
