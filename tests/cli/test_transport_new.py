"""`iec62746 transport new`: what it writes is installed for real, and told what to write next."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from iec62746.cli import app
from iec62746.cli.new_transport import example

MAIN = "from iec62746.cli import main; main()"
INSTALL = ("-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--no-build-isolation")
pytestmark = pytest.mark.timeout(180)

OPENED = "CarrierSession(config, observer, Proof.CLAIMED)"


def new(name: str, into: Path) -> Result:
    return CliRunner().invoke(app, ["transport", "new", name, "--into", str(into)])


def run(python: Path, *arguments: str, path: tuple[Path, ...] = ()) -> subprocess.CompletedProcess[str]:
    """Run a Python that has the distributions in the folders `path`, too."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, path)), "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    return subprocess.run([python, *arguments], cwd=python.parent, env=environment, capture_output=True, text=True)


def install(python: Path, *arguments: str) -> None:
    done = run(python, *INSTALL, *arguments)
    assert done.returncode == 0, done.stdout + done.stderr


def listed(python: Path, *path: Path) -> dict[tuple[str, str], str]:
    """Return what `transport list` says is wrong, by scheme and distribution."""
    lines = run(python, "-c", MAIN, "transport", "list", "--json", path=path).stdout.splitlines()
    return {(one["name"], one["distribution"]): one["error"] for one in map(json.loads, lines)}


def conform(python: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return run(python, "-c", MAIN, "transport", "conform", "carrier://private", *arguments)


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the Python of an environment of its own, which sees what is installed here."""
    venv = tmp_path_factory.mktemp("environment") / "venv"
    subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    (site,) = venv.glob("lib/python*/site-packages")
    # A folder alone would not do: in this one there may be .pth files of its own.
    (site / "here.pth").write_text(f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n")
    return venv / "bin/python"


@pytest.fixture(scope="module")
def carrier(python: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a transport that is freshly made, and installed from it."""
    into = tmp_path_factory.mktemp("made")
    assert new("carrier", into).exit_code == 0
    install(python, "--editable", str(into / "carrier"))
    return into / "carrier"


@pytest.fixture
def write(carrier: Path) -> Callable[[str, str, str], None]:
    """Return what writes the body of one method, as its author would."""

    def to(module: str, method: str, body: str) -> None:
        path = carrier / "iec62746_carrier" / module
        unwritten = rf'raise NotImplementedError\(\n +"{method} in .*\n.*\n +\)'
        text, number = re.subn(unwritten, body, path.read_text())
        assert number == 1, f"{method} is not to be written in {module}"
        path.write_text(text)

    return to


def test_the_steps_are_told(tmp_path: Path) -> None:
    done = new("carrier", tmp_path / "not" / "there")

    assert done.exit_code == 0, done.output
    assert f"pip install --editable {tmp_path / 'not' / 'there' / 'carrier'}" in done.output.replace("\n", "")
    assert "iec62746 transport conform carrier://private" in done.output


def test_it_is_a_whole_distribution_that_knows_nothing_of_the_example(tmp_path: Path) -> None:
    new("carrier", tmp_path)
    files = {str(one.relative_to(tmp_path / "carrier")) for one in tmp_path.rglob("*") if one.is_file()}

    package = {f"iec62746_carrier/{one}" for one in ("__init__.py", "harness.py", "py.typed", "session.py")}
    around = {"README.md", "ci", "pyproject.toml", "tests/test_conformance.py", "iec62746_carrier/transport.py"}
    assert package | around == files
    assert (tmp_path / "carrier/ci").stat().st_mode & 0o111
    for name in files:
        text = (tmp_path / "carrier" / name).read_text()
        assert not re.search(r"nats|example", text, re.IGNORECASE), name


def documented(module: Path, name: str) -> dict[str, tuple[str, str]]:
    """Return signature and docstring of the public methods in `module`, with `name` for its transport's."""
    found = {}
    tree = ast.parse(module.read_text().replace("Nats", name.title()).replace("nats", name))
    for owner in (one for one in tree.body if isinstance(one, ast.ClassDef) and not one.name.startswith("_")):
        for one in owner.body:
            if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef) and not re.match("_(?!_)", one.name):
                found[f"{owner.name}.{one.name}"] = (ast.unparse(one.args), ast.get_docstring(one) or "")
    return found


@pytest.mark.parametrize("module", ["transport.py", "session.py"])
def test_the_contract_is_the_examples(module: str, tmp_path: Path) -> None:
    new("carrier", tmp_path)

    has = documented(tmp_path / "carrier/iec62746_carrier" / module, "carrier")
    assert documented(example() / "iec62746_nats" / module, "carrier") == has
    assert all(docstring for _, docstring in has.values())


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("memory", "memory:// is iec62746's, which is installed"),
        ("profiles", "a package iec62746_profiles is installed already"),
        ("Carrier", "'Carrier' is no scheme of URLs"),
        ("2carriers", "is no scheme of URLs"),
        ("carrier-pigeon", "is no scheme of URLs"),
        ("../carrier", "is no scheme of URLs"),
        ("", "is no scheme of URLs"),
    ],
)
def test_a_name_that_will_not_do_is_refused(name: str, said: str, tmp_path: Path) -> None:
    done = new(name, tmp_path)

    assert done.exit_code == 1
    assert said in done.output
    assert [] == list(tmp_path.iterdir())


def test_nothing_is_written_over(tmp_path: Path) -> None:
    (tmp_path / "carrier").mkdir()
    done = new("carrier", tmp_path)

    assert done.exit_code == 1
    assert "is there already" in done.output
    assert [] == list((tmp_path / "carrier").iterdir())


@pytest.mark.requirement("R-5.2a")
def test_freshly_made_it_is_installed_and_ready(python: Path, carrier: Path) -> None:
    found = listed(python)

    assert "" == found["carrier", "iec62746-carrier"]
    assert "" == found["memory", "iec62746"]


def test_freshly_made_it_fails_every_rule_by_what_is_to_write_next(python: Path, carrier: Path) -> None:
    done = conform(python)

    assert done.returncode == 1
    failed = re.findall(r"^failed .*\n +(.*)", done.stdout, re.MULTILINE)
    assert len(failed) > 40, done.stdout + done.stderr
    place = "CarrierTransport.open in iec62746_carrier/transport.py"
    assert {f"not written yet: {place}"} == {":".join(reason.split(":")[:2]) for reason in failed}
    assert f"(rules that met it: {len(failed)})" in done.stdout.partition("To write next:\n")[2]


def test_the_kit_leads_from_method_to_method(
    python: Path, carrier: Path, write: Callable[[str, str, str], None]
) -> None:
    met = []

    def meet(rule: str) -> None:
        done = conform(python, "--only", rule)
        met.append(done.stdout.partition("To write next:\n  ")[2].partition(" in ")[0])

    write("transport.py", "CarrierTransport.open", f"return {OPENED}")
    meet("required_02")
    write("session.py", "CarrierSession.__init__", "self._observer = observer")
    meet("required_02")
    meet("required_06")
    write("session.py", "CarrierSession.subscribe", "return CarrierSubscription(self, address, deliver)")
    meet("required_02")
    write("session.py", "CarrierSubscription.__init__", "self._deliver = deliver")
    meet("required_02")

    of_session = [f"CarrierSession.{name}" for name in ("__init__", "subscribe", "subscribe")]
    assert [*of_session, "CarrierSubscription.__init__", "CarrierSession.send"] == met


def made(name: str, into: Path, pyproject: tuple[str, str] = ("", ""), module: str = "") -> str:
    """Return the folder of a distribution for a scheme; with a module that fails, or with other words in pyproject."""
    assert new(name, into).exit_code == 0
    file = into / name / "pyproject.toml"
    file.write_text(file.read_text().replace(*pyproject) if pyproject[0] else file.read_text())
    if module:
        (into / name / f"iec62746_{name}" / module).write_text("raise ValueError('its own error')\n")
    return str(into / name)


@pytest.fixture(scope="module")
def others(python: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder in which distributions are installed that do not get on with one another, or with Python."""
    into, target = tmp_path_factory.mktemp("others"), tmp_path_factory.mktemp("target")
    rival = made("carrier", into, ('name = "iec62746-carrier"', 'name = "rival"'))
    broken = [made("broken", into, module="transport.py"), made("untestable", into, module="harness.py")]
    install(python, "--target", str(target), rival, *broken)
    return target


@pytest.mark.requirement("R-5.2a")
def test_what_is_wrong_with_one_is_said_of_it_and_hurts_no_other(python: Path, carrier: Path, others: Path) -> None:
    twice = "carrier:// is claimed by iec62746-carrier and rival: uninstall all of them but one"

    found = listed(python, others)
    assert twice == found.pop(("carrier", "iec62746-carrier"))
    assert twice == found.pop(("carrier", "rival"))
    assert "transport 'broken' of iec62746-broken is broken: ValueError: its own error" == found.pop(
        ("broken", "iec62746-broken")
    )
    assert "" == found["untestable", "iec62746-untestable"]
    assert {""} == set(found.values())


@pytest.mark.parametrize(
    ("scheme", "said"),
    [
        ("carrier", "carrier:// is claimed by iec62746-carrier and rival: uninstall all of them but one"),
        ("broken", "transport 'broken' of iec62746-broken is broken: ValueError: its own error"),
        ("untestable", "harness 'untestable' of iec62746-untestable is broken: ValueError: its own error"),
    ],
)
def test_the_kit_says_it_too(scheme: str, said: str, python: Path, carrier: Path, others: Path) -> None:
    done = run(python, "-c", MAIN, "transport", "conform", f"{scheme}://private", path=(others,))

    assert (1, f"iec62746 transport conform: {said}\n") == (done.returncode, done.stderr)


def test_two_distributions_that_claim_a_harness_are_both_named(
    python: Path, carrier: Path, others: Path, tmp_path: Path
) -> None:
    (installed,) = others.glob("rival-*.dist-info")
    shutil.copytree(installed, tmp_path / installed.name)
    announced = tmp_path / installed.name / "entry_points.txt"
    announced.write_text(announced.read_text().replace("[iec62746.transports]", "[iec62746.nothing]"))
    found = listed(python, tmp_path)
    done = run(
        python, "-c", MAIN, "transport", "conform", "carrier://private", "--only", "required_01", path=(tmp_path,)
    )

    assert "" == found["carrier", "iec62746-carrier"]
    assert "iec62746-carrier and rival" in done.stderr
