"""`iec62746 profile`: payload profiles: make one of your own schemas, look at one, check and make documents."""

import json
import shlex
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from lxml import etree

from iec62746 import _forms, _tree
from iec62746._parser import parse
from iec62746._payloads import items_of
from iec62746.cli._new_profile import NewProfile, demand_empty, demand_generator, demand_name, demand_noun, name_of
from iec62746.cli._party import STANDARD_INPUT, Unusable, ending, octets_of
from iec62746.envelope import Reading, decode
from iec62746.errors import EnvelopeError, Iec62746Error, InvalidMessage, NoExample, Rule, UnknownProfile
from iec62746.example import Examples
from iec62746.limits import Limits
from iec62746.profiles import Profile, installed, namespace_of, plugins

app = typer.Typer(no_args_is_help=True)

_LIMITS: Final = Limits()
_Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


@app.callback()
def _profile() -> None:
    """Payload profiles: make one of your own schemas, look at those installed, check and make documents."""


@app.command()
def add(
    schema: Annotated[Path, typer.Argument(metavar="SCHEMA.xsd", help="The schema of the payload's root element.")],
    noun: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NOUN", help="Which noun has such payloads; as often as there are. Else the root elements."
        ),
    ] = None,
    name: Annotated[str, typer.Option(metavar="NAME", help="What to call the profile. Else after its noun.")] = "",
    into: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Where to write it. Else ./iec62746-profile-NAME.")
    ] = None,
) -> None:
    """Make an installable profile of your own schema, with classes, entry point and smoke test.

    What the schema includes and imports is found by schemaLocation, relative to the file that says so, and copied;
    nothing is fetched from the network. The schema must have a targetNamespace. Needs the extra profiles of iec62746.

    Exits 0 where it was made, 2 where not: standard error then says which file and line is wrong, and what to do.

    Examples:

      iec62746 profile add MaintenanceOrders.xsd

      iec62746 profile add schemas/Orders.xsd --noun WorkOrders --name work_orders --into ../work-orders
    """
    with ending("profile add"):
        demand_generator()
        nouns = tuple(map(demand_noun, noun or ()))
        examples = Examples(schema)
        _demand_payloads(examples)
        nouns = nouns or examples.roots
        new = NewProfile(name=demand_name(name or name_of(nouns[0])), nouns=nouns, examples=examples)
        folder = demand_empty(into or Path(new.distribution))
        new.write(folder)
    print(*_made(new, folder), sep="\n")


def _demand_payloads(examples: Examples) -> None:
    """Raise `Unusable` for a schema of no elements, or of whole messages."""
    examples.schema.demand_namespace()
    if not examples.roots:
        raise Unusable(f"{examples.schema.main} has no root element: give the schema that declares the payload's")
    for root in examples.roots:
        if {"Header", "Verb"} <= {one.name for one in examples.tree(root, 2)}:
            advice = "give the schema of their payload, which it imports"
            raise Unusable(f"{examples.schema.main} describes messages, as {root} has a Header with a Verb: {advice}")


def _made(new: NewProfile, folder: Path) -> Iterator[str]:
    """Yield what was made, what looks odd, and what to do next."""
    shown = shlex.quote(str(folder))
    yield f"{folder}: the profile {new.name} for {', '.join(new.nouns)}"
    for noun in new.nouns:
        if noun not in new.examples.roots:
            yield f"note: no root element is called {noun}; they are {', '.join(new.examples.roots)}"
    other = installed().of(new.examples.schema.namespace)
    if other is not None:
        yield f"note: the profile {other.name} has this namespace too: once yours is installed, it takes its place"
    yield "next:"
    yield f"  pip install {shown if '/' in shown else f'./{shown}'}"
    yield f"  python -m pytest {shown}/tests"


# ---------------------------------------------------------------- list, show


@app.command("list")
def list_profiles(as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False) -> None:
    """List the installed profiles, their nouns, and where each comes from.

    Example:

      iec62746 profile list
    """
    known = {one.name: one for one in installed()}
    for plugin in plugins():
        profile = None if plugin.error else known.get(plugin.name)
        nouns = profile.nouns if profile else ()
        if as_json:
            print(json.dumps(asdict(plugin) | {"nouns": nouns, "namespaces": profile.namespaces if profile else ()}))
        else:
            print(f"{plugin.name:<24} {plugin.distribution} {plugin.version:<10} {plugin.error or ', '.join(nouns)}")


@app.command()
def show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="An installed profile; see `profile list`.")],
    depth: Annotated[int, typer.Option(min=0, help="How many levels of elements to show below the root.")] = 2,
    is_json: _Json = False,
) -> None:
    """Show a profile: its nouns, namespaces, schema, and what its documents consist of.

    Behind each element stands how often it may be there: 1, 0..1, 1..n. To read them, it needs the extra profiles of
    iec62746.

    Examples:

      iec62746 profile show end_device_controls

      iec62746 profile show end_device_controls --depth 4
    """
    with ending("profile show"):
        profile = installed().get(name)
        try:
            examples = Examples(profile.schema)
            tree = [one for root in examples.roots for one in examples.tree(root, depth)]
            why = ""
        except NoExample as exc:
            tree, why = [], str(exc)
    facts: dict[str, Any] = {"nouns": profile.nouns, "namespaces": profile.namespaces}
    facts |= {"schema": str(profile.schema), "models": profile.models}
    if is_json:
        print(json.dumps({"name": profile.name} | facts | {"elements": [asdict(one) for one in tree]}, indent=2))
        return
    print(f"The profile {profile.name}")
    for key, value in facts.items():
        print(f"  {key:<11} {value if isinstance(value, str) else ', '.join(value)}")
    lines = [f"{'  ' * one.depth}{one.name}  {_often(one.low, one.high)}" for one in tree] or [why]
    print("", *lines, sep="\n")


def _often(low: int, high: int | None) -> str:
    return str(low) if low == high else f"{low}..{'n' if high is None else high}"


# ---------------------------------------------------------------- example


@app.command()
def example(
    what: Annotated[str, typer.Argument(metavar="NAME|SCHEMA.xsd", help="An installed profile, or a schema.")],
    root: Annotated[str, typer.Option(metavar="ELEMENT", help="The root element. Else the first one.")] = "",
    seed: Annotated[int, typer.Option(help="Another document for each number, and the same for the same.")] = 0,
    is_minimal: Annotated[bool, typer.Option("--minimal", help="Leave out all that may be left out.")] = False,
) -> None:
    """Print an example document, which is valid.

    Needs the extra profiles of iec62746. Exits 0 where one was made, 2 where not, and says why.

    Examples:

      iec62746 profile example end_device_controls --seed 7 > event.xml

      iec62746 profile example MaintenanceOrders.xsd --minimal
    """
    with ending("profile example"):
        is_schema = what.lower().endswith(".xsd") or Path(what).is_file()
        examples = Examples(Path(what) if is_schema else installed().get(what).schema)
        if not examples.roots:
            raise Unusable(f"{examples.schema.main} has no root element: give the schema that declares it")
        made = examples.make(root, seed=seed, is_minimal=is_minimal)
    typer.echo(made, nl=False)


# ---------------------------------------------------------------- validate


@dataclass(frozen=True, slots=True, kw_only=True)
class _Verdict:
    """What is said of one file."""

    file: str
    is_valid: bool
    profile: str = ""
    reason: str = ""
    line: int = 0
    path: str = ""


@app.command()
def validate(
    files: Annotated[list[str], typer.Argument(metavar="FILE...", help="Payloads, or whole messages. - is stdin.")],
    profile: Annotated[str, typer.Option(metavar="NAME", help="By this profile only. Else by the namespace.")] = "",
    is_json: _Json = False,
) -> None:
    """Check payloads by the schema of their profile: documents of their own, or the payloads of whole messages.

    One line per file says the verdict, and what is wrong on which line. Of messages only the payload is judged:
    `iec62746 validate` judges the rest. Exits 0 where all are valid, 1 where not, 2 where a file or profile cannot be
    found.

    Examples:

      iec62746 profile validate event.xml

      iec62746 profile validate --profile end_device_controls captured/*.xml

      iec62746 profile example end_device_controls | iec62746 profile validate -
    """
    with ending("profile validate"):
        only = installed().get(profile) if profile else None
        for file in files:
            if file != STANDARD_INPUT and not Path(file).is_file():
                raise Unusable(f"no such file: {file}")
        verdicts = [_verdict(file, only) for file in files]
    print(json.dumps([asdict(one) for one in verdicts], indent=2) if is_json else "\n".join(map(_line, verdicts)))
    raise typer.Exit(0 if all(one.is_valid for one in verdicts) else 1)


def _line(verdict: _Verdict) -> str:
    if verdict.is_valid:
        return f"{verdict.file}: valid ({verdict.profile or 'it has no payload'})"
    place = ", ".join(part for part in (f"line {verdict.line}" if verdict.line else "", verdict.path) if part)
    return f"{verdict.file}: invalid: {' '.join(verdict.reason.split())}" + (f" ({place})" if place else "")


def _verdict(file: str, only: Profile | None) -> _Verdict:
    try:
        names = list(dict.fromkeys(_checked(_read(file), only)))
    except EnvelopeError as exc:
        return _Verdict(file=file, is_valid=False, reason=exc.reason, line=exc.line, path=exc.path)
    except Iec62746Error as exc:
        return _Verdict(file=file, is_valid=False, reason=str(exc))
    return _Verdict(file=file, is_valid=True, profile=", ".join(names))


def _read(file: str) -> bytes:
    try:
        return octets_of(file, _LIMITS.message + 1)
    except OSError as exc:
        raise Unusable(f"{file} cannot be read: {exc.strerror}") from exc


def _checked(data: bytes, only: Profile | None) -> Iterator[str]:
    """Yield the name of the profile by which each payload in `data` is valid; raises `EnvelopeError` otherwise."""
    root = parse(data, _LIMITS)
    envelope = _forms.find(root)
    if envelope is None:
        yield _check(data, only)
        return
    payload = decode(data, reading=Reading.TOLERANT).payload
    places = _places(envelope)
    try:
        items = items_of(payload, _LIMITS) if payload is not None else ()
    except InvalidMessage as exc:
        raise EnvelopeError(Rule.COMPRESSED, str(exc), path="Payload/Compressed") from exc
    for item in items:
        place = next(places, None)
        try:
            yield _check(item, only)
        except EnvelopeError as exc:
            raise exc if place is None else _moved(exc, item, place) from None


def _check(xml: bytes, only: Profile | None) -> str:
    namespace = namespace_of(xml)
    profile = only or installed().of(namespace)
    if profile is None:
        known = ", ".join(one.name for one in installed()) or "none"
        raise UnknownProfile(f"no installed profile has the namespace {namespace!r} (installed: {known})")
    if namespace not in profile.namespaces:
        raise EnvelopeError(Rule.PAYLOAD, f"its namespace {namespace!r} is not one of the profile {profile.name}")
    profile.validate(xml)
    return profile.name


_OWN: Final = ("OperationSet", "Compressed", "ID", "Format")


def _places(envelope: etree._Element) -> Iterator[etree._Element]:
    """Yield the elements of a message's payload, in order; none for what is compressed."""
    for payload in envelope.iterchildren("{*}Payload"):
        yield from (one for one in _tree.elements(payload) if _tree.local(one) not in _OWN)
        for operation in payload.iterfind("{*}OperationSet/{*}Operation"):
            mine = _tree.split(operation.tag)[0]
            yield from (one for one in _tree.elements(operation) if _tree.split(one.tag)[0] != mine)


def _moved(error: EnvelopeError, item: bytes, place: etree._Element) -> EnvelopeError:
    """Return `error`, said of an item that stands on its own, as it is said of the message that has it."""
    line = _tree.line(place) + error.line - _tree.line(parse(item, _LIMITS)) if error.line else 0
    parent = place.getparent()
    path = f"{_tree.path(parent)}/{error.path}" if parent is not None and error.path else error.path
    return EnvelopeError(error.rule, error.reason, line=line, path=path, reply_code=error.reply_code)
