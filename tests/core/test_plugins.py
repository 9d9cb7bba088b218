"""Transports are found by entry points; what is wrong with one is said, and hurts no other."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from iec62746 import UnknownTransport
from iec62746.plugins import Plugin, scheme_of, transport, transports, without_password
from iec62746_memory import MemoryTransport

GOOD = "class T:\n    def capabilities(self, url): ...\n    async def open(self, config, observer): ...\n"

Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Return a function that installs a distribution with a transport."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def make(distribution: str, scheme: str, source: str = GOOD, *, value: str = "") -> None:
        module = distribution.replace("-", "_")
        monkeypatch.delitem(sys.modules, module, raising=False)
        (tmp_path / f"{module}.py").write_text(source)
        info = tmp_path / f"{module}-1.2.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.2\n")
        (info / "entry_points.txt").write_text(f"[iec62746.transports]\n{scheme} = {value or f'{module}:T'}\n")

    return make


def listed(name: str) -> Plugin:
    return next(one for one in transports() if one.name == name)


def test_the_transport_in_the_box_is_found() -> None:
    assert isinstance(transport("memory://x"), MemoryTransport)
    assert "" == listed("memory").error


@pytest.mark.requirement("R-5.2a")
def test_a_strangers_transport_is_found_by_the_scheme_up_to_the_first_plus(install: Install) -> None:
    install("their-queue", "theirs")

    assert "T" == type(transport("theirs+redis+tls://host")).__name__
    assert "T" == type(transport("THEIRS://host")).__name__
    assert ("their-queue", "1.2", "their_queue", "") == (
        listed("theirs").distribution,
        listed("theirs").version,
        listed("theirs").module,
        listed("theirs").error,
    )


@pytest.mark.parametrize("url", ["memory", "", "://host", "+x://host", "amqp:me:secret@host", "me:secret@host"])
def test_what_has_no_scheme_is_no_url_and_shows_no_password(url: str) -> None:
    with pytest.raises(UnknownTransport, match="is no transport URL: write it like") as caught:
        transport(url)

    assert "secret" not in str(caught.value)


def test_an_unknown_scheme_says_which_are_there() -> None:
    with pytest.raises(UnknownTransport, match=r"no transport for carrier:// .*memory") as caught:
        transport("carrier+pigeon://me:secret@host")

    assert "secret" not in str(caught.value)


def test_a_missing_library_is_in_the_extra_that_is_called_as_the_package_ends(install: Install, tmp_path: Path) -> None:
    install("their-queue", "theirs", "import no_such_library")
    with (tmp_path / "their_queue-1.2.dist-info" / "METADATA").open("a") as metadata:
        metadata.write("Provides-Extra: testing\nProvides-Extra: queue\n")
    with pytest.raises(UnknownTransport, match=r"pip install 'their-queue\[queue\]'"):
        transport("theirs://host")


def test_two_distributions_that_claim_one_scheme_are_both_named(install: Install) -> None:
    install("first-one", "twice")
    install("second-one", "twice")
    with pytest.raises(UnknownTransport, match="twice:// is claimed by first-one and second-one: uninstall"):
        transport("twice://host")

    assert "first-one and second-one" in listed("twice").error


def test_a_distribution_that_is_found_twice_on_the_path_is_one(
    install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("their-queue", "theirs")
    monkeypatch.syspath_prepend(str(tmp_path))

    assert "T" == type(transport("theirs://host")).__name__


@pytest.mark.parametrize(
    ("source", "value", "reason"),
    [
        ("raise ValueError('on import')", "", "is broken: ValueError: on import"),
        ("syntax error", "", "is broken: SyntaxError"),
        ("", "", "is broken: AttributeError"),
        ("import no_such_library", "", "needs 'no_such_library': pip install 'bad-one\\[bad\\]'"),
        ("", "bad_one_gone:T", "is broken: No module named 'bad_one_gone'"),
        ("", "no value at all!", "is broken"),
        ("class T:\n    def __init__(self): 1 / 0", "", "is broken: ZeroDivisionError"),
        ("class T: pass", "", "is broken: T has no capabilities and no open"),
    ],
)
def test_a_broken_one_is_named_with_its_own_error_and_hurts_no_other(
    source: str, value: str, reason: str, install: Install
) -> None:
    install("bad-one", "bad", source, value=value)
    with pytest.raises(UnknownTransport, match=f"transport 'bad' of bad-one {reason}"):
        transport("bad://host")

    assert "bad-one" in listed("bad").error
    assert "" == listed("memory").error


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("amqp://me:secret@host:5672/v", "amqp://…@host:5672/v"),
        ("amqp://me:sec@ret@host", "amqp://…@host"),
        ("amqp://host?password=secret", "amqp://host"),
        ("memory://x", "memory://x"),
        ("me:secret@host", "…@host"),
    ],
)
def test_a_url_is_shown_without_its_password(url: str, shown: str) -> None:
    assert shown == without_password(url)


def test_a_scheme_has_no_case() -> None:
    assert "amqp" == scheme_of("AMQP+x://y")
