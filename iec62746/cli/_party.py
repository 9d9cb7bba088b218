"""What `request`, `publish` and `listen` share: who speaks, over what, with which payload; and how they end."""

import ssl
import sys
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final

import typer
from prometheus_client import ProcessCollector, disable_created_metrics

from iec62746 import _tls
from iec62746._toml import meant
from iec62746.domain import OWN_NOUNS, Domain
from iec62746.envelope import payload
from iec62746.errors import (
    AuthenticationFailed,
    Iec62746Error,
    InvalidMessage,
    LocalError,
    NoReceiver,
    NoReply,
    Outcome,
    Overloaded,
    PermissionDenied,
    SessionLost,
    Superseded,
    TransportError,
    Unreachable,
)
from iec62746.message import Payload
from iec62746.metrics import Metrics
from iec62746.participant import Participant
from iec62746.plugins import transport, without_password
from iec62746.policy import Decision
from iec62746.ven import VirtualEndNode
from iec62746.vtn import VirtualTopNode

STANDARD_INPUT: Final = "-"

DomainFile = Annotated[
    Path, typer.Option("--domain", metavar="FILE", help="The domain file, or the extract that a VEN was given.")
]
Name = Annotated[
    str,
    typer.Option(
        "--as",
        metavar="PARTY",
        help="Who speaks. A party has one session: a program that is connected as this party now is ended by it.",
    ),
]
Urls = Annotated[
    list[str],
    typer.Option(
        "--url",
        metavar="URL",
        envvar="IEC62746_URL",
        help="Where: the URL of a transport, such as amqp://broker or amqps://broker. Several are for fail-over. "
        "memory:// joins parties of one process only, so a shell command meets nobody there.",
    ),
]
PayloadFile = Annotated[
    str | None,
    typer.Option("--payload", metavar="FILE", help="The payload, one XML element in its own namespace; - is stdin."),
]
PasswordFile = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Its first line is the password; one in the URL shows in the list of processes."),
]
CaFile = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="TLS: trust the authorities in it, in PEM, instead of those of the system."),
]
CertificateFile = Annotated[
    Path | None, typer.Option(metavar="FILE", help="TLS: the party's certificate, in PEM; it needs no password then.")
]
KeyFile = Annotated[
    Path | None, typer.Option(metavar="FILE", help="TLS: the certificate's key, if it is in a file of its own.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
MetricsPort = Annotated[
    int | None,
    typer.Option(min=0, max=65535, help="Give metrics to Prometheus at this port while it runs; 0 chooses one."),
]
MetricsHost = Annotated[str, typer.Option(help="The address of that port; any but loopback is open to others.")]

_MAYBE: Final = "it may have been executed: a get may be sent again, anything else after you have asked, with get"
ADVICE: Final[dict[type[Iec62746Error], str]] = {
    NoReceiver: "nothing was executed; `iec62746 listen` as the VTN shows who is there",
    NoReply: _MAYBE,
    SessionLost: _MAYBE,
    Unreachable: "see whether the URL is right, and the communication server runs",
    AuthenticationFailed: "see whether the account and the password (--password-file) or the certificate "
    "(--certificate-file) are right",
    PermissionDenied: "the communication server refused: see what it permits this account",
    Overloaded: "it was not taken: send it again later",
    Superseded: "another program is connected as this party: end one of the two",
}
_NONE: Final = "none"


class Unusable(Exception):
    """What the user gave cannot be used: one sentence says what, and what to do."""


@contextmanager
def ending(command: str) -> Iterator[None]:
    """End with a sentence on standard error: status 2 for what the user gave, 1 for what went wrong."""
    try:
        yield
    except (Unusable, LocalError) as exc:
        raise _exit(command, str(exc), 2) from None
    except Iec62746Error as exc:
        raise _exit(command, explained(exc), 1) from None


def _exit(command: str, sentence: str, status: int) -> typer.Exit:
    print(f"iec62746 {command}: {sentence}", file=sys.stderr)
    return typer.Exit(status)


def explained(error: Iec62746Error) -> str:
    """Return what happened and what to do."""
    hint = advice(error)
    return f"{type(error).__name__}: {error}" + (f" ({hint})" if hint else "")


def advice(error: Iec62746Error) -> str:
    """Return what to do about `error`."""
    return next((text for kind, text in ADVICE.items() if isinstance(error, kind)), "")


def outcome(error: Iec62746Error) -> Outcome:
    """Return what may have happened to the message that `error` ended."""
    return error.outcome if isinstance(error, TransportError) else Outcome.UNKNOWN


# ---------------------------------------------------------------- what the user gave


def participant(
    domain: Domain, name: str, urls: list[str], password_file: Path | None, tls: ssl.SSLContext | None
) -> Participant:
    """Return the party, not yet opened."""
    domain.party(name)
    password = _password(password_file)
    if name == domain.vtn:
        return VirtualTopNode(domain, urls, password=password, tls=tls)
    return VirtualEndNode(domain, urls, name, password=password, tls=tls)


def tls(
    urls: list[str], ca_file: Path | None, certificate_file: Path | None, key_file: Path | None
) -> ssl.SSLContext | None:
    """Return what the files make, None for no file; raises `LocalError` for a wrong one, or a URL in the clear."""
    given = next((file for file in (ca_file, certificate_file, key_file) if file is not None), None)
    if given is None:
        return None
    for url in urls:
        if not transport(url).capabilities(url).is_encrypted:
            raise LocalError(f"{given} is for TLS, but {without_password(url)} is in the clear: write amqps://HOST")
    return _tls.context(ca_file, certificate_file, key_file)


def _password(file: Path | None) -> str | None:
    if file is None:
        return None
    try:
        return file.read_text("utf-8").split("\n")[0].rstrip("\r")
    except (OSError, UnicodeDecodeError) as exc:
        raise Unusable(f"the password cannot be read from {file}: {_why(exc)}") from exc


def payload_of(file: str | None, domain: Domain) -> Payload | None:
    """Return the payload in `file`, `-` for standard input; None for no file."""
    if file is None:
        return None
    limit = domain.limits.message
    try:
        data = octets_of(file, limit + 1)
    except OSError as exc:
        raise Unusable(f"the payload cannot be read from {file}: {_why(exc)}") from exc
    shown = "standard input" if file == STANDARD_INPUT else file
    if len(data) > limit:
        raise Unusable(f"the payload in {shown} has more than {limit} octets, which is the limit of a message")
    try:
        return payload(data)
    except InvalidMessage as exc:
        raise Unusable(f"{shown} is no payload: {exc}") from exc


def octets_of(file: str, most: int) -> bytes:
    """Return the first `most` octets of `file`, `-` for standard input; raises `OSError`."""
    if file == STANDARD_INPUT:
        return sys.stdin.buffer.read(most)
    with Path(file).open("rb") as stream:
        return stream.read(most)


def _why(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else "") or str(error)


def demand_verb(verb: str, verbs: Collection[str], what: str) -> None:
    """Raise `Unusable` unless `verb` is one of `verbs`."""
    if verb not in verbs:
        raise Unusable(f"{verb!r} is no verb of {what}; {meant(verb, verbs)}use one of {', '.join(sorted(verbs))}")


def demand_noun(noun: str, domain: Domain) -> None:
    """Raise `Unusable` unless the domain has `noun`."""
    if noun not in domain.nouns | OWN_NOUNS:
        known = ", ".join(sorted(domain.nouns)) or _NONE
        raise Unusable(f"{noun!r} is no noun of {domain.file}; {meant(noun, domain.nouns)}its nouns are {known}")


def demand(decision: Decision, domain: Domain) -> None:
    """Raise `Unusable` for a refusal: it says which line of the domain file makes it."""
    if not decision:
        clause = f"IEC TS 62746-3, {decision.rule}"
        where = f"{domain.file}:{decision.line}: {decision.rule}" if decision.line else clause
        raise Unusable(f"{decision.reason}; {where}")


# ---------------------------------------------------------------- metrics


@contextmanager
def serving(port: int | None, host: str) -> Iterator[Callable[[Participant], None]]:
    """Give what watches a participant; while the context lasts, the metrics can be had at `port`, if there is one."""
    if port is None:
        yield lambda participant: None
        return
    # The process is ours: half as many series, and nobody misses the others.
    disable_created_metrics()  # type: ignore[no-untyped-call]  # prometheus_client has no annotation there
    metrics = Metrics()
    ProcessCollector(registry=metrics.registry)
    with metrics.serve(port, host) as actual:
        print(f"metrics: http://{host if ':' not in host else f'[{host}]'}:{actual}/metrics", file=sys.stderr)
        yield metrics.watch


def shown(urls: list[str]) -> str:
    """Return the URLs as they may be shown."""
    return ", ".join(map(without_password, urls))
