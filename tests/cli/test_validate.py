import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from iec62746.cli.validate import validate
from iec62746.limits import Limits
from iec62746.message import NAMESPACE

ID = "0f2a6c1e-8d1b-4c7e-9a54-2f7f6f0f0a11"
STRICT = f"<Timestamp>2026-11-23T08:00:00Z</Timestamp><MessageID>{ID}</MessageID><CorrelationID>{ID}</CorrelationID>"


def request(verb: str = "create", header: str = STRICT) -> str:
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<RequestMessage xmlns="{NAMESPACE}">
  <Header>
    <Verb>{verb}</Verb>
    <Noun>DERGroups</Noun>
    {header}
  </Header>
</RequestMessage>
"""


def run(*arguments: object, given: bytes | str = "") -> Result:
    app = typer.Typer()
    app.command()(validate)
    return CliRunner().invoke(
        app, [str(argument) for argument in arguments], input=given, env={"COLUMNS": "200", "TERM": "dumb"}
    )


@pytest.fixture
def good(tmp_path: Path) -> Path:
    return written(tmp_path / "good.xml", request())


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    return written(tmp_path / "bad.xml", request("Create"))


def written(path: Path, text: str) -> Path:
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_text(text, "utf-8")
    return path


def test_a_valid_file_is_one_line_and_status_0(good: Path) -> None:
    result = run(good)

    assert (result.exit_code, result.stdout) == (0, f"{good}: valid\n")


def test_an_invalid_file_says_rule_reason_line_and_path_and_status_1(bad: Path) -> None:
    result = run(bad)

    assert result.exit_code == 1
    assert result.stdout == (
        f"{bad}: invalid: verb-case: 'Create' is no verb of IEC 61968-100 (line 4, RequestMessage/Header/Verb)\n"
    )


def test_tolerant_takes_it_and_shows_the_finding_by_rule_line_and_element(bad: Path) -> None:
    result = run("--tolerant", bad)

    assert result.exit_code == 0
    assert result.stdout == (f"{bad}: valid\n  verb-case: 'Create' is no verb of IEC 61968-100 (line 4, Verb)\n")


def test_strict_refuses_what_the_standard_leaves_open(tmp_path: Path) -> None:
    loose = written(tmp_path / "loose.xml", request(header="<MessageID>1</MessageID>"))

    assert run(loose).exit_code == 0
    assert run("--strict", loose).exit_code == 1
    assert (
        "invalid: missing-element: Header has no Timestamp (line 3, Header/Timestamp)" in run("--strict", loose).stdout
    )


def test_strict_takes_ids_times_and_zones(good: Path) -> None:
    assert run("--strict", good).exit_code == 0


@pytest.mark.parametrize("arguments", [[], ["-"]])
def test_standard_input_is_read_where_no_path_is_given(arguments: list[str]) -> None:
    result = run(*arguments, given=request())

    assert (result.exit_code, result.stdout) == (0, "-: valid\n")


def test_utf_16_comes_through_standard_input() -> None:
    result = run(given=request().replace("UTF-8", "UTF-16").encode("utf-16"))

    assert result.stdout == "-: valid\n"


def test_a_folder_is_its_xml_files_at_any_depth_and_a_summary(tmp_path: Path) -> None:
    files = [written(tmp_path / name, request()) for name in ("a.xml", "b/c.xml", "b/d/e.xml")]
    written(tmp_path / "b/notes.txt", "no message")
    written(tmp_path / "f.xml", "<a/>")

    result = run(tmp_path)

    lines = result.stdout.splitlines()
    assert result.exit_code == 1
    assert lines[:3] == [f"{file}: valid" for file in files]
    assert lines[3].startswith(f"{tmp_path / 'f.xml'}: invalid: no-envelope: ")
    assert lines[4:] == ["", "4 files: 3 valid, 1 invalid"]


def test_a_file_that_is_named_twice_is_judged_once(good: Path) -> None:
    assert run(good, good, good.parent).stdout == f"{good}: valid\n"


def test_json_has_all_of_it(good: Path, bad: Path) -> None:
    result = run("--json", good, bad)

    said: dict[str, Any] = json.loads(result.stdout)
    assert result.exit_code == 1
    assert (said["reading"], said["valid"], said["invalid"]) == ("standard", 1, 1)
    assert said["files"][0] == {
        "file": str(good), "is_valid": True, "rule": "", "reason": "", "line": 0, "path": "", "reply_code": "",
        "findings": [],
    }  # fmt: skip
    assert said["files"][1] == {
        "file": str(bad),
        "is_valid": False,
        "rule": "verb-case",
        "reason": "'Create' is no verb of IEC 61968-100",
        "line": 4,
        "path": "RequestMessage/Header/Verb",
        "reply_code": "2.9",
        "findings": [],
    }


def test_json_has_the_findings(bad: Path) -> None:
    [file] = json.loads(run("--json", "--tolerant", bad).stdout)["files"]

    assert file["is_valid"]
    assert file["findings"] == [
        {"rule": "verb-case", "element": "Verb", "line": 4, "reason": "'Create' is no verb of IEC 61968-100"}
    ]


def test_a_path_that_is_not_there_is_a_usage_error(good: Path, tmp_path: Path) -> None:
    result = run(good, tmp_path / "none.xml")

    assert (result.exit_code, result.stdout) == (2, "")
    assert f"no such file or folder: {tmp_path / 'none.xml'}" in result.stderr


def test_a_folder_without_messages_is_a_usage_error(tmp_path: Path) -> None:
    result = run(tmp_path)

    assert result.exit_code == 2
    assert "no *.xml is in the folder" in result.stderr


def test_strict_and_tolerant_exclude_one_another(good: Path) -> None:
    result = run("--strict", "--tolerant", good)

    assert result.exit_code == 2
    assert "give one of them" in result.stderr


def test_a_huge_file_is_refused_without_reading_it_whole(tmp_path: Path) -> None:
    huge = tmp_path / "huge.xml"
    with huge.open("wb") as file:
        file.truncate(1 << 40)

    result = run(huge)

    assert result.exit_code == 1
    assert f"invalid: too-long: more than {Limits().message} octets" in result.stdout


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="no file here that even root cannot read")
def test_a_file_that_cannot_be_read_is_invalid_and_the_others_are_judged(good: Path) -> None:
    result = run("/proc/self/mem", good)

    assert result.exit_code == 1
    assert result.stdout.splitlines()[:2] == [
        "/proc/self/mem: invalid: unreadable: Input/output error",
        f"{good}: valid",
    ]


def test_a_reason_never_breaks_its_line(tmp_path: Path) -> None:
    path = written(tmp_path / "a.xml", request("cre\nate"))

    assert len(run(path).stdout.splitlines()) == 1


def test_progress_is_not_shown_where_nobody_looks(tmp_path: Path) -> None:
    for number in range(120):
        written(tmp_path / f"{number}.xml", request())

    result = run(tmp_path)

    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.endswith("120 files: 120 valid, 0 invalid\n")


def test_progress_is_shown_on_a_terminal_on_standard_error(tmp_path: Path) -> None:
    pty = pytest.importorskip("pty")
    for number in range(120):
        written(tmp_path / f"{number}.xml", request())
    code = "import typer; from iec62746.cli.validate import validate; typer.run(validate)"
    leader, follower = pty.openpty()

    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, stderr=follower, check=False, text=True
    )

    os.close(follower)
    shown = os.read(leader, 4096).decode()
    os.close(leader)
    assert done.returncode == 0
    assert "100 of 120" in shown
    assert "120 of 120" in shown
    assert " of 120" not in done.stdout


def test_the_help_teaches_by_examples() -> None:
    result = run("--help")

    assert result.exit_code == 0
    assert "iec62746 validate request.xml" in result.stdout
    assert "iec62746 validate --tolerant captured/" in result.stdout


def test_every_real_message_has_the_reference_verdict(oracle: Path) -> None:
    result = run("--json", oracle / "instances")

    done = subprocess.run(
        [
            sys.executable,
            str(oracle / "standard.py"),
            *[str(path) for path in sorted(oracle.rglob("instances/**/*.xml"))],
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    expected = {name: said == "VALID" for name, _, said in (line.partition(": ") for line in done.stdout.splitlines())}
    assert {file["file"]: file["is_valid"] for file in json.loads(result.stdout)["files"]} == expected
    assert len(expected) == 38
