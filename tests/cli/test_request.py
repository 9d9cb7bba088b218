"""`iec62746 request`: what a shell user gets."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result as Ran

from iec62746 import (
    ID,
    Domain,
    Error,
    Kind,
    Message,
    NoReply,
    Payload,
    Refused,
    Reply,
    RequestFailed,
    Result,
    VirtualEndNode,
    VirtualTopNode,
)
from iec62746.cli import request as module

Run = Callable[..., Ran]


# ---------------------------------------------------------------- what the user gave


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["fetch", "MeterReadings", "--to", "battery"], "'fetch' is no verb of a request"),
        (["get", "MeterReading", "--to", "battery"], "did you mean 'MeterReadings'?"),
        (["get", "MeterReadings", "--to", "batery"], "did you mean 'battery'?"),
        (["get", "MeterReadings"], "say which VEN is asked, with --to"),
        (["get", "MeterReadings", "--to", "battery", "--option", "unit"], "--option 'unit' is no K=V"),
        (["get", "MeterReadings", "--to", "battery", "--payload", "nowhere.xml"], "No such file"),
        (["get", "MeterReadings", "--to", "battery", "--payload", "-"], "standard input is no payload"),
        (["get", "MeterReadings", "--to", "battery", "--password-file", "nowhere"], "the password cannot be read"),
    ],
)
def test_what_cannot_be_asked_is_one_sentence_and_status_2(
    run: Run, north: Path, url: str, words: list[str], sentence: str
) -> None:
    result = run("request", *words, "--domain", north, "--as", "grid-operator", "--url", url, given="<<")

    assert 2 == result.exit_code
    assert sentence in result.stderr
    assert ("", 1) == (result.stdout, len(result.stderr.splitlines()))
    assert result.stderr.startswith("iec62746 request: ")


def test_a_right_that_is_missing_is_a_line_of_the_domain_file(run: Run, north: Path, url: str) -> None:
    result = run("request", "get", "MeterReadings", "--domain", north, "--as", "battery", "--url", url)

    lines = north.read_text("utf-8").splitlines()
    line = 1 + next(index for index, text in enumerate(lines) if text.startswith("request.get"))
    assert 2 == result.exit_code
    assert f"{north}:{line}: roles.member.request.get" in result.stderr


def test_a_file_that_is_no_domain_is_said_so(run: Run, payload_file: Path, url: str) -> None:
    result = run("request", "get", "X", "--domain", payload_file, "--as", "battery", "--url", url)

    assert 2 == result.exit_code
    assert f"{payload_file}:1" in result.stderr


def test_a_scheme_without_transport_is_said_so(run: Run, extract: Path) -> None:
    result = run("request", "get", "Nodes", "--domain", extract, "--as", "battery", "--url", "pigeon://x")

    assert 2 == result.exit_code
    assert "pigeon://" in result.stderr


# ---------------------------------------------------------------- nobody there


def test_nobody_there_is_status_1_the_reason_and_what_to_do(run: Run, extract: Path, url: str) -> None:
    result = run("request", "get", "Nodes", "--domain", extract, "--as", "battery", "--url", url)

    assert (1, "") == (result.exit_code, result.stdout)
    assert result.stderr.startswith("iec62746 request: NoReceiver: ")
    assert "nothing was executed" in result.stderr


def test_nobody_there_is_json_for_programs(run: Run, extract: Path, url: str) -> None:
    result = run("request", "get", "Nodes", "--domain", extract, "--as", "battery", "--url", url, "--json")

    told = json.loads(result.stdout)
    assert (1, None, "NoReceiver", "refused") == (result.exit_code, told["result"], told["error"], told["outcome"])


# ---------------------------------------------------------------- a reply


async def test_verb_noun_payload_ids_and_options_arrive(north: Path, url: str) -> None:
    domain, got = Domain.load(north), list[Message]()
    vtn = VirtualTopNode(domain, url)

    @vtn.on_request("create", "Resources")
    async def take(request: Message) -> str:
        got.append(request)
        return '<Made xmlns="urn:test"/>'

    given = Payload(items=(b'<Group xmlns="urn:test"/>',))
    async with vtn:
        ven = VirtualEndNode(domain, url, "battery")
        reply = await module._ask(ven, "create", "Resources", given, "grid-operator", ["a", "b"], {"k": "v"}, 5.0)

    [request] = got
    assert request.request is not None
    assert (("a", "b"), "v") == (tuple(one.value for one in request.request.ids), request.request.option("k"))
    assert given == request.payload
    assert reply.payload is not None
    assert b'<Made xmlns="urn:test"/>' == reply.payload.xml


async def test_the_vtn_asks_the_ven_that_is_named(north: Path, url: str) -> None:
    domain = Domain.load(north)
    ven = VirtualEndNode(domain, url, "battery")

    @ven.on_request("get", "MeterReadings")
    async def refuse(request: Message) -> None:
        raise Refused("6.1", "no meter")

    async with ven:
        with pytest.raises(RequestFailed, match=r"6\.1 no meter"):
            await module._ask(VirtualTopNode(domain, url), "get", "MeterReadings", None, "battery", [], {}, None)


def test_a_reply_is_its_payload_on_standard_output_and_the_rest_on_standard_error(capsys: Any) -> None:
    source = Message(kind=Kind.RESPONSE, source="battery")
    items = (b'<A xmlns="urn:test"/>', b'<B xmlns="urn:test"/>')
    module._show(Reply(payload=Payload(items=items), ids=(ID("7"),), message=source), False)

    shown = capsys.readouterr()
    assert '<A xmlns="urn:test"/>\n<B xmlns="urn:test"/>\n' == shown.out
    assert "OK from battery, ids 7\n" == shown.err


def test_errors_of_a_reply_are_shown(capsys: Any) -> None:
    module._show(Reply(result=Result.PARTIAL, errors=(Error(code="6.1", reason="empty"),)), False)

    assert "PARTIAL from ?; 6.1 empty\n" == capsys.readouterr().err


def test_a_reply_is_one_json_object_for_programs(capsys: Any) -> None:
    reply = Reply(result=Result.FAILED, errors=(Error(code="6.1", reason="empty"),), payload=Payload(ids=(ID("x"),)))
    module._show(reply, True)

    told = json.loads(capsys.readouterr().out)
    assert ("FAILED", "6.1", ["x"]) == (told["result"], told["errors"][0]["code"], told["payload"])


@pytest.mark.parametrize(
    ("outcome", "status"), [(Reply(), 0), (Reply(result=Result.PARTIAL), 0), ("failed", 1), (NoReply("silence"), 1)]
)
def test_the_status_is_0_for_ok_and_partial_and_1_for_failed_and_no_reply(
    run: Run, extract: Path, url: str, monkeypatch: pytest.MonkeyPatch, outcome: Any, status: int
) -> None:
    async def answered(*_: Any) -> Reply:
        if outcome == "failed":
            raise RequestFailed(Reply(result=Result.FAILED, errors=(Error(code="6.1"),)).to_message("Nodes"))
        if isinstance(outcome, Exception):
            raise outcome
        assert isinstance(outcome, Reply)
        return outcome

    monkeypatch.setattr(module, "_ask", answered)
    result = run("request", "get", "Nodes", "--domain", extract, "--as", "battery", "--url", url)

    assert status == result.exit_code


def test_the_help_has_examples_and_says_what_memory_is_good_for(run: Run) -> None:
    text = " ".join(run("request", "--help").stdout.replace("│", " ").split())

    assert "iec62746 request get MeterReadings --domain north.toml --as grid-operator --to battery" in text
    assert "memory:// joins parties of one process only" in text
