"""`iec62746 validate`: is it a valid IEC 61968-100 message, and if not, what is wrong where."""

import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from iec62746.envelope import Reading, decode
from iec62746.errors import EnvelopeError, Rule
from iec62746.limits import Limits
from iec62746.message import Finding

_LIMITS = Limits()
_MANY = 100
_STANDARD_INPUT = "-"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Verdict:
    """What is said of one file."""

    file: str
    is_valid: bool
    rule: str = ""
    reason: str = ""
    line: int = 0
    path: str = ""
    reply_code: str = ""
    findings: tuple[Finding, ...] = ()


def validate(
    paths: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[PATHS]...",
            show_default=False,
            help="Files, or folders whose *.xml are taken, at any depth. - or nothing: standard input.",
        ),
    ] = None,
    is_strict: Annotated[
        bool, typer.Option("--strict", help="Demand Timestamp, MessageID and CorrelationID; UUIDs; times with a zone.")
    ] = False,
    is_tolerant: Annotated[
        bool, typer.Option("--tolerant", help="Take what the field gets wrong, and show each finding with its rule.")
    ] = False,
    is_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> None:
    """Check that messages are valid IEC 61968-100, edition 1: request, response, event or fault, generic or typed, with
    or without a SOAP wrapper.

    What is judged is the message; `iec62746 profile validate` judges its payload by the schema of its namespace.

    One line per file says the verdict, and what is wrong where. Exits 0 where all are valid, 1 where not, 2 where a
    path cannot be found.

    Examples:

    iec62746 validate request.xml

    iec62746 validate --tolerant captured/ more/*.xml

    curl -s https://example.org/message.xml | iec62746 validate --strict --json
    """
    if is_strict and is_tolerant:
        raise typer.BadParameter("--strict refuses what --tolerant takes: give one of them", param_hint="--tolerant")
    reading = Reading.STRICT if is_strict else Reading.TOLERANT if is_tolerant else Reading.STANDARD
    files = _files(paths or [_STANDARD_INPUT])
    verdicts = [_verdict(file, reading) for file in _watched(files)]
    bad = sum(not verdict.is_valid for verdict in verdicts)
    typer.echo(_as_json(verdicts, reading, bad) if is_json else _as_text(verdicts, bad))
    raise typer.Exit(1 if bad else 0)


def _files(paths: Iterable[str]) -> list[str]:
    """Return the files that `paths` name, each once; usage error for what is not there."""
    found: dict[str, None] = {}
    for name in paths:
        path = Path(name)
        if name != _STANDARD_INPUT and path.is_dir():
            inside = sorted(one for one in path.rglob("*") if one.suffix.lower() == ".xml" and one.is_file())
            if not inside:
                raise typer.BadParameter(f"no *.xml is in the folder {name}", param_hint="PATHS")
            found |= dict.fromkeys(map(str, inside))
        elif name == _STANDARD_INPUT or path.exists():
            found[name] = None
        else:
            raise typer.BadParameter(f"no such file or folder: {name}", param_hint="PATHS")
    return list(found)


def _watched(files: list[str]) -> Iterator[str]:
    """Yield each of `files`; where they are many and somebody looks, count them on standard error."""
    is_shown = len(files) >= _MANY and sys.stderr.isatty()
    for count, file in enumerate(files, 1):
        yield file
        if is_shown and (count % _MANY == 0 or count == len(files)):
            typer.echo(f"\r{count} of {len(files)}", nl=count == len(files), err=True)


def _verdict(file: str, reading: Reading) -> _Verdict:
    """Return what is to be said of `file`, which may be standard input."""
    try:
        message = decode(_read(file), reading=reading, limits=_LIMITS)
    except EnvelopeError as exc:
        return _Verdict(
            file=file,
            is_valid=False,
            rule=exc.rule.value,
            reason=exc.reason,
            line=exc.line,
            path=exc.path,
            reply_code=exc.reply_code,
        )
    except OSError as exc:
        return _Verdict(file=file, is_valid=False, rule="unreadable", reason=exc.strerror or str(exc))
    return _Verdict(file=file, is_valid=True, findings=message.findings)


def _read(file: str) -> bytes:
    """Return what is in `file`, but not more than one octet over the limit of a message."""
    if file == _STANDARD_INPUT:
        data = sys.stdin.buffer.read(_LIMITS.message + 1)
    else:
        with Path(file).open("rb") as stream:
            data = stream.read(_LIMITS.message + 1)
    if len(data) > _LIMITS.message:
        reason = f"more than {_LIMITS.message} octets, which is the limit of a message"
        raise EnvelopeError(Rule.TOO_LONG, reason, reply_code="3.1")
    return data


def _as_text(verdicts: list[_Verdict], bad: int) -> str:
    lines = [line for verdict in verdicts for line in _lines(verdict)]
    count = len(verdicts)
    if count > 1:
        lines += ["", f"{count} files: {count - bad} valid, {bad} invalid"]
    return "\n".join(lines)


def _lines(verdict: _Verdict) -> Iterator[str]:
    """Yield the line of `verdict`, and a line for each finding."""
    if verdict.is_valid:
        yield f"{verdict.file}: valid"
    else:
        place = ", ".join(part for part in (f"line {verdict.line}" if verdict.line else "", verdict.path) if part)
        reason = " ".join(verdict.reason.split())
        yield f"{verdict.file}: invalid: {verdict.rule}: {reason}" + (f" ({place})" if place else "")
    for finding in verdict.findings:
        line = f"line {finding.line}, " if finding.line else ""
        yield f"  {finding.rule.value}: {' '.join(finding.reason.split())} ({line}{finding.element})"


def _as_json(verdicts: list[_Verdict], reading: Reading, bad: int) -> str:
    report: dict[str, Any] = {
        "reading": reading.value,
        "valid": len(verdicts) - bad,
        "invalid": bad,
        "files": [asdict(verdict) for verdict in verdicts],
    }
    return json.dumps(report, indent=2)
