"""`iec62746 profile`: make one of a schema, look at those installed, check and make documents."""

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from lxml import etree
from typer.testing import Result

from iec62746.cli import _new_profile
from iec62746.envelope import deflate, encode
from iec62746.message import Kind, Message, Operation, OperationSet, Payload

SCHEMAS = Path(__file__).parent / "schemas"
HEAD = '<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" xmlns="urn:t" targetNamespace="urn:t">'
Run = Callable[..., Result]

BIND = """
import sys
from pathlib import Path
from importlib import import_module
from iec62746.example import Examples

profile = import_module(sys.argv[1]).profile
examples = Examples(profile.schema)
for seed in range(30):
    xml = examples.make(seed=seed)
    value = profile.bind(xml)
    assert type(value).__module__.startswith(sys.argv[1]), type(value)
    assert profile.bind(profile.write(value)) == value
print("bound", profile.name, profile.nouns, profile.namespaces)
"""


@pytest.fixture
def event() -> bytes:
    """Return a valid payload of an installed profile."""
    return b"""<EndDeviceControls xmlns="http://iec.ch/TC57/2011/EndDeviceControls#">
  <EndDeviceControl>
    <drProgramLevel>3</drProgramLevel>
    <EndDeviceControlType ref="3.8.7.3"/>
  </EndDeviceControl>
</EndDeviceControls>"""


def schema_of(folder: Path, text: str, name: str = "T.xsd") -> Path:
    path = folder / name
    path.write_text(text, "utf-8")
    return path


def python(site: Path, *arguments: str) -> str:
    """Return what a Python prints that has `site` on its path; it must end well."""
    environment = os.environ | {"PYTHONPATH": str(site), "PYTHONDONTWRITEBYTECODE": "1", "COLUMNS": "200"}
    done = subprocess.run(
        [sys.executable, *arguments], env=environment, cwd=site, capture_output=True, text=True, timeout=50, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def installed(folder: Path, site: Path) -> Path:
    """Install the distribution in `folder` as pip does, but without pip: its wheel is unpacked into `site`."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(site / "dist")]
    subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=50)
    [wheel] = (site / "dist").iterdir()
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(site)
    return site


# ---------------------------------------------------------------- add


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("Features.xsd", "features"),
        ("works/Works.xsd", "works"),
        ("xsd/es-cim/MaintenanceOrders.xsd", "maintenance_orders"),
    ],
)
def test_a_profile_of_ones_own_schema_can_be_used(
    run: Run, tmp_path: Path, request: pytest.FixtureRequest, path: str, name: str
) -> None:
    root = request.getfixturevalue("oracle") if path.startswith("xsd/") else SCHEMAS
    folder = tmp_path / "made"
    made = run("profile", "add", root / path, "--into", folder)
    assert made.exit_code == 0, made.output

    site = installed(folder, tmp_path / "site")

    assert f"pip install {folder}" in made.output
    assert f"python -m pytest {folder}/tests" in made.output
    assert "3 passed" in python(site, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(folder / "tests"))
    assert f"bound {name}" in python(site, "-c", BIND, f"iec62746_profile_{name}")
    assert f"\n{name} " in "\n" + python(site, "-c", "from iec62746.cli import main; main()", "profile", "list")


def test_a_profile_of_the_reference_schema_can_be_used(run: Run, oracle: Path, tmp_path: Path) -> None:
    made = run(
        "profile", "add", oracle / "xsd/dlms-cim/EndDeviceControls.xsd", "--name", "mine", "--into", tmp_path / "made"
    )
    assert made.exit_code == 0, made.output

    said = python(installed(tmp_path / "made", tmp_path / "site"), "-c", BIND, "iec62746_profile_mine")

    assert "bound mine ('EndDeviceControls',) ('http://iec.ch/TC57/2011/EndDeviceControls#',)" in said
    # We bring a profile of that namespace, and two would be in each other's way.
    assert "note: the profile end_device_controls has this namespace too: once yours is installed" in made.output


def test_the_names_can_be_chosen(run: Run, tmp_path: Path) -> None:
    made = run("profile", "add", SCHEMAS / "works/Works.xsd", "--noun", "Jobs", "--noun", "Works", "--name", "jobs",
               "--into", tmp_path / "made")  # fmt: skip

    assert made.exit_code == 0, made.output
    assert "the profile jobs for Jobs, Works" in made.output
    assert "note: no root element is called Jobs; they are Works" in made.output
    text = (tmp_path / "made/iec62746_profile_jobs/__init__.py").read_text()
    assert 'nouns=("Jobs", "Works",)' in text
    assert 'schema=Path(__file__).parent / "schema" / "works" / "Works.xsd"' in text
    assert 'jobs = "iec62746_profile_jobs:profile"' in (tmp_path / "made/pyproject.toml").read_text()


def test_what_is_written_stands_where_it_is_run(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    made = run("profile", "add", SCHEMAS / "works/Works.xsd")

    assert made.exit_code == 0, made.output
    assert "pip install ./iec62746-profile-works" in made.output
    assert ["iec62746-profile-works"] == [one.name for one in tmp_path.iterdir()]


def test_nothing_is_overwritten(run: Run, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")

    done = run("profile", "add", SCHEMAS / "works/Works.xsd", "--into", tmp_path)

    assert done.exit_code == 2
    assert f"{tmp_path} is there already, and nothing is overwritten" in done.output
    assert ["mine.txt"] == [one.name for one in tmp_path.iterdir()]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            f'{HEAD}\n<xs:include schemaLocation="no/Part.xsd"/></xs:schema>',
            "T.xsd:2: it has an xs:include of no/Part.xsd",
        ),
        (
            f'{HEAD}\n\n<xs:import namespace="urn:o" schemaLocation="https://example.org/o.xsd"/></xs:schema>',
            "T.xsd:3: schemaLocation https://example.org/o.xsd is not fetched: save it in a file of your own",
        ),
        (
            f'{HEAD}\n<xs:include schemaLocation="/etc/o.xsd"/></xs:schema>',
            "T.xsd:2: schemaLocation /etc/o.xsd is absolute",
        ),
        (f'{HEAD}\n<xs:element name="A" type="No"/></xs:schema>', "T.xsd:2: "),
        (f"{HEAD}\n<xs:element>\n</xs:schema>", "T.xsd:3: "),
        ("<a>\n</a>", "T.xsd:1: its root element is a, so it is no XML Schema"),
        (f"<!DOCTYPE a>{HEAD}</xs:schema>", "T.xsd:1: "),
        ('\n<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema"/>', "T.xsd:2: it has no targetNamespace"),
        (f"{HEAD}</xs:schema>", "T.xsd has no root element"),
        (f'{HEAD}<xs:element name="A" type="xs:IDREF"/></xs:schema>', "no valid example of A was made from"),
    ],
)
def test_what_is_wrong_with_a_schema_is_said(run: Run, tmp_path: Path, text: str, said: str) -> None:
    done = run("profile", "add", schema_of(tmp_path, text), "--into", tmp_path / "made")

    assert done.exit_code == 2
    assert said in done.output
    assert 1 == len(done.output.splitlines())
    assert ["T.xsd"] == [one.name for one in tmp_path.iterdir()]


def test_a_fault_in_what_is_included_is_said_of_that_file(run: Run, tmp_path: Path) -> None:
    schema_of(tmp_path, f'{HEAD}\n<xs:include schemaLocation="none.xsd"/></xs:schema>', "Part.xsd")
    schema = schema_of(tmp_path, f'{HEAD}<xs:include schemaLocation="Part.xsd"/></xs:schema>')

    done = run("profile", "add", schema)

    assert done.exit_code == 2
    assert (
        f"{tmp_path / 'Part.xsd'}:2: it has an xs:include of none.xsd, but there is no {tmp_path / 'none.xsd'}"
        in done.output
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--name", "Mine!"], "'Mine!' is no name for a profile"),
        (["--name", "import"], "'import' is no name for a profile"),
        (["--noun", "My Noun"], "'My Noun' is no noun"),
    ],
)
def test_a_wrong_name_is_said(run: Run, tmp_path: Path, arguments: list[str], said: str) -> None:
    done = run("profile", "add", SCHEMAS / "works/Works.xsd", *arguments, "--into", tmp_path / "made")

    assert done.exit_code == 2
    assert said in done.output


def test_a_schema_of_messages_is_refused(run: Run, oracle: Path, tmp_path: Path) -> None:
    done = run("profile", "add", oracle / "xsd/dlms-cim/EndDeviceControlsMessage.xsd", "--into", tmp_path / "made")

    assert done.exit_code == 2
    assert "has a Header with a Verb: give the schema of their payload" in done.output


def test_without_the_generator_it_is_said_what_to_install(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_new_profile, "find_spec", lambda name: None)

    done = run("profile", "add", SCHEMAS / "works/Works.xsd")

    assert done.exit_code == 2
    assert "pip install 'iec62746[profiles]'" in done.output


# ---------------------------------------------------------------- list, show, example


def test_installed_profiles_are_listed(run: Run) -> None:
    done = run("profile", "list", "--json")

    assert done.exit_code == 0, done.output
    [ours] = [one for one in map(json.loads, done.output.splitlines()) if one["name"] == "end_device_controls"]
    assert ours["nouns"] == ["EndDeviceControls"]
    assert ours["namespaces"] == ["http://iec.ch/TC57/2011/EndDeviceControls#"]
    assert ours["error"] == ""
    assert "EndDeviceControls" in run("profile", "list").output


def test_a_profile_is_shown(run: Run) -> None:
    done = run("profile", "show", "end_device_controls", "--depth", "1")

    assert done.exit_code == 0, done.output
    assert "http://iec.ch/TC57/2011/EndDeviceControls#" in done.output
    assert "\nEndDeviceControls  1\n  EndDeviceControl  0..n\n" in done.output


def test_a_profile_is_shown_to_programs(run: Run) -> None:
    done = run("profile", "show", "end_device_controls", "--json")

    assert done.exit_code == 0, done.output
    shown = json.loads(done.output)
    assert {"depth": 1, "name": "EndDeviceControl", "low": 0, "high": None} in shown["elements"]


def test_a_profile_is_shown_without_xmlschema(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "xmlschema", None)

    done = run("profile", "show", "end_device_controls")

    assert done.exit_code == 0, done.output
    assert "pip install 'iec62746[profiles]'" in done.output


def test_an_example_of_an_installed_profile_is_valid_there(run: Run) -> None:
    made = run("profile", "example", "end_device_controls", "--seed", "7")

    assert made.exit_code == 0, made.output
    checked = run("profile", "validate", "-", given=made.output)
    assert checked.output == "-: valid (end_device_controls)\n"
    assert checked.exit_code == 0


def test_an_example_of_a_schema_is_the_same_for_a_seed(run: Run) -> None:
    schema = SCHEMAS / "Features.xsd"

    made = [run("profile", "example", schema, "--seed", seed).stdout_bytes for seed in (3, 3, 4)]

    assert made[0] == made[1] != made[2]
    etree.XMLSchema(file=str(schema)).assertValid(etree.fromstring(made[0]))


def test_a_minimal_example_of_a_chosen_root(run: Run, tmp_path: Path) -> None:
    kind = '<xs:complexType><xs:attribute name="a"/></xs:complexType>'
    text = f'{HEAD}<xs:element name="A" type="xs:int"/><xs:element name="B">{kind}</xs:element></xs:schema>'

    made = run("profile", "example", schema_of(tmp_path, text), "--root", "B", "--minimal")

    assert made.exit_code == 0, made.output
    assert '<B xmlns="urn:t"/>' in made.output or '<p:B xmlns:p="urn:t"/>' in made.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["example", "nothing"], "no profile 'nothing' is installed (installed: "),
        (["example", "nothing.xsd"], "nothing.xsd: it cannot be read: No such file"),
        (
            ["example", "end_device_controls", "--root", "X"],
            "has no root element 'X': its root elements are EndDeviceControls",
        ),
        (["show", "nothing"], "no profile 'nothing' is installed (installed: "),
        (["validate", "nothing.xml"], "no such file: nothing.xml"),
        (["validate", "-", "--profile", "nothing"], "no profile 'nothing' is installed (installed: "),
    ],
)
def test_what_is_not_there_is_said(run: Run, arguments: list[str], said: str) -> None:
    done = run("profile", *arguments)

    assert done.exit_code == 2
    assert said in done.output
    assert "Traceback" not in done.output


@pytest.mark.parametrize("command", ["add", "list", "show", "example", "validate"])
def test_the_help_teaches(run: Run, command: str) -> None:
    done = run("profile", command, "--help")

    assert done.exit_code == 0
    assert f"iec62746 profile {command}" in done.output.partition("Example")[2]


# ---------------------------------------------------------------- validate


def message_of(payload: Payload) -> bytes:
    return encode(Message(kind=Kind.EVENT, verb="created", noun="EndDeviceControls", payload=payload))


@pytest.mark.parametrize(
    "wrap",
    [
        lambda one: one,
        lambda one: message_of(Payload(items=(one,))),
        lambda one: message_of(deflate(Payload(items=(one,)))),
        lambda one: message_of(Payload(operation_set=OperationSet(operations=(Operation(operation_id=1, item=one),)))),
    ],
    ids=["alone", "in a message", "compressed", "in an operation"],
)
def test_payloads_and_messages_are_checked(
    run: Run, tmp_path: Path, event: bytes, wrap: Callable[[bytes], bytes]
) -> None:
    good, bad = tmp_path / "good.xml", tmp_path / "bad.xml"
    good.write_bytes(wrap(event))
    bad.write_bytes(wrap(event.replace(b">3<", b">three<")))

    done = run("profile", "validate", good, bad)

    first, second = done.output.splitlines()
    assert first == f"{good}: valid (end_device_controls)"
    assert second.startswith(f"{bad}: invalid: Element 'drProgramLevel': 'three' is not a valid value")
    assert second.endswith("EndDeviceControls/EndDeviceControl/drProgramLevel)")
    assert done.exit_code == 1


@pytest.mark.parametrize("verb", ["created", "Created"], ids=["standard", "of the field"])
def test_a_fault_in_a_message_is_on_the_messages_line(run: Run, tmp_path: Path, event: bytes, verb: str) -> None:
    file = tmp_path / "bad.xml"
    text = f"""<?xml version="1.0"?>
<EventMessage xmlns="http://iec.ch/TC57/2011/schema/message">
  <Header>
    <Verb>{verb}</Verb>
    <Noun>EndDeviceControls</Noun>
  </Header>
  <Payload>
{event.decode()}
{event.decode().replace(">3<", ">three<")}
  </Payload>
</EventMessage>"""
    file.write_text(text)
    line = 1 + next(number for number, one in enumerate(text.splitlines()) if "three" in one)

    [verdict] = json.loads(run("profile", "validate", "--json", file).output)

    assert (False, line) == (verdict["is_valid"], verdict["line"])
    assert verdict["path"] == "EventMessage/Payload/EndDeviceControls/EndDeviceControl/drProgramLevel"


def test_a_message_without_a_payload_is_none_of_our_business(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "get.xml"
    file.write_bytes(encode(Message(kind=Kind.REQUEST, verb="get", noun="EndDeviceControls")))

    done = run("profile", "validate", file)

    assert f"{file}: valid (it has no payload)\n" == done.output
    assert done.exit_code == 0


@pytest.mark.parametrize(
    ("given", "arguments", "said"),
    [
        ("<a xmlns='urn:nobody'/>", [], "-: invalid: no installed profile has the namespace 'urn:nobody' (installed: "),
        ("<a xmlns='urn:nobody'/>", ["--profile", "end_device_controls"], "'urn:nobody' is not one of the profile"),
        ("<a>\n<b></a>", [], "(line 2)"),
        ("", [], "-: invalid: "),
    ],
)
def test_what_no_profile_knows_is_invalid(run: Run, given: str, arguments: list[str], said: str) -> None:
    done = run("profile", "validate", "-", *arguments, given=given)

    assert said in done.output
    assert done.exit_code == 1
