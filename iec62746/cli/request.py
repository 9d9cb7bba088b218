"""`iec62746 request`: ask one party, and print its reply."""

import asyncio
import json
import sys
from typing import Annotated, Any

import typer

from iec62746.cli import _party
from iec62746.cli._party import Unusable
from iec62746.cli._printer import items
from iec62746.domain import Domain
from iec62746.errors import Iec62746Error, LocalError, RequestFailed
from iec62746.message import REQUEST_VERBS, Error, Payload
from iec62746.participant import Participant
from iec62746.policy import Policy
from iec62746.reply import Reply
from iec62746.ven import VirtualEndNode
from iec62746.vtn import VirtualTopNode


def request(
    verb: Annotated[str, typer.Argument(metavar="VERB", help="get, create, change, cancel, delete, close, execute.")],
    noun: Annotated[str, typer.Argument(metavar="NOUN", help="What it is about, such as MeterReadings.")],
    domain: _party.DomainFile,
    name: _party.Name,
    url: _party.Urls,
    to: Annotated[
        str | None, typer.Option(metavar="PARTY", help="Who is asked: a VEN; a VEN itself can only ask the VTN.")
    ] = None,
    file: _party.PayloadFile = None,
    ids: Annotated[list[str] | None, typer.Option("--id", metavar="ID", help="Request/ID; may be repeated.")] = None,
    options: Annotated[
        list[str] | None, typer.Option("--option", metavar="K=V", help="Request/Option; may be repeated.")
    ] = None,
    timeout: Annotated[
        float | None, typer.Option(metavar="S", help="Seconds to wait for the reply; without it, the limit real_time.")
    ] = None,
    is_json: _party.Json = False,
    password_file: _party.PasswordFile = None,
    ca_file: _party.CaFile = None,
    certificate_file: _party.CertificateFile = None,
    key_file: _party.KeyFile = None,
) -> None:
    """Ask a party, and print the payload of its reply: Result, errors and ids go to standard error.

    Exits 0 for a reply OK or PARTIAL, 1 for FAILED and for no reply, and 2 where the request cannot be made.

    Examples:

      iec62746 request get MeterReadings --domain north.toml --as grid-operator --to battery --url amqp://broker

      iec62746 request create Resources --domain battery.toml --as battery --url amqp://broker --payload resource.xml

      iec62746 request get Nodes --domain battery.toml --as battery --url amqp://broker --json
    """
    with _party.ending("request"):
        loaded = Domain.load(domain)
        part = _options(options or [])
        _check(loaded, name, to, verb, noun, part)
        given = _party.payload_of(file, loaded)
        tls = _party.tls(url, ca_file, certificate_file, key_file)
        party = _party.participant(loaded, name, url, password_file, tls)
        try:
            reply = asyncio.run(_ask(party, verb, noun, given, to or loaded.vtn, ids or [], part, timeout))
        except RequestFailed as exc:
            reply = Reply.of(exc.reply)
        except LocalError:
            raise
        except Iec62746Error as exc:
            if is_json:
                print(_unanswered(exc))
            raise
    _show(reply, is_json)
    raise typer.Exit(1 if reply.result == "FAILED" else 0)


def _options(pairs: list[str]) -> dict[str, str]:
    options: dict[str, str] = {}
    for pair in pairs:
        key, sign, value = pair.partition("=")
        if not key or not sign:
            raise Unusable(f"--option {pair!r} is no K=V: write it as in --option unit=kW")
        options[key] = value
    return options


def _check(domain: Domain, name: str, to: str | None, verb: str, noun: str, options: dict[str, str]) -> None:
    """Raise what is wrong with the request, before anything is opened."""
    domain.party(name)
    _party.demand_verb(verb, REQUEST_VERBS, "a request")
    if name == domain.vtn and to is None:
        raise Unusable(f"{name} is the VTN: say which VEN is asked, with --to")
    asked = domain.party(to or domain.vtn).name
    _party.demand_noun(noun, domain)
    node = options.get("Node") if verb == "get" else None
    _party.demand(Policy(domain).may_request(name, asked, verb, noun, node), domain)


async def _ask(
    party: Participant,
    verb: str,
    noun: str,
    given: Payload | None,
    to: str,
    ids: list[str],
    options: dict[str, str],
    patience: float | None,
) -> Reply:
    async with party:
        if isinstance(party, VirtualTopNode):
            return await party.request(verb, noun, given, to=to, ids=ids, options=options, timeout=patience)
        assert isinstance(party, VirtualEndNode)
        return await party.request(verb, noun, given, ids=ids, options=options, timeout=patience)


# ---------------------------------------------------------------- what is printed


def _show(reply: Reply, is_json: bool) -> None:
    if is_json:
        print(json.dumps(_as_json(reply), ensure_ascii=False))
        return
    sys.stdout.flush()
    for item in items(reply.payload):
        print(item)
    ids = f", ids {', '.join(one.value for one in reply.ids)}" if reply.ids else ""
    source = reply.message.source if reply.message is not None else None
    errors = "".join(f"; {_sentence(error)}" for error in reply.errors if error.code != "0.0")
    print(f"{reply.result} from {source or '?'}{ids}{errors}", file=sys.stderr)


def _sentence(error: Error) -> str:
    return " ".join(part for part in (error.code, error.reason or "", error.details or "") if part)


def _as_json(reply: Reply) -> dict[str, Any]:
    return {
        "result": reply.result.value,
        "from": reply.message.source if reply.message is not None else None,
        "errors": [
            {"code": one.code, "level": one.level, "reason": one.reason, "details": one.details} for one in reply.errors
        ],
        "ids": [one.value for one in reply.ids],
        "payload": items(reply.payload),
    }


def _unanswered(error: Iec62746Error) -> str:
    return json.dumps(
        {
            "result": None,
            "error": type(error).__name__,
            "reason": str(error),
            "outcome": _party.outcome(error),
            "advice": _party.advice(error),
        },
        ensure_ascii=False,
    )
