"""What prepares a communication server for a domain, found by entry points of the group `iec62746.provisioners`."""

from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Final, Literal, Protocol

from iec62746.domain import Domain
from iec62746.errors import UnknownTransport

PROVISIONERS: Final = "iec62746.provisioners"


class Difference(Protocol):
    """One thing that differs; as a string, one line without a secret."""

    @property
    def sign(self) -> Literal["+", "~", "!", "-"]:
        """`+` is missing, `~` has to change, `!` has to be made anew, `-` is not in the file."""
        ...


class Provisioner(Protocol):
    """Accounts, rights and addresses of one kind of communication server (62746-3, 6)."""

    def definitions(
        self,
        domain: Domain,
        *,
        passwords: Path | None = None,
        administrator: str | None = None,
        events: str | None = None,
    ) -> str:
        """Return what the server has to be given, as it reads it."""
        ...

    def compare(
        self,
        domain: Domain,
        url: str,
        *,
        passwords: Path | None = None,
        administrator: str | None = None,
        events: str | None = None,
    ) -> Sequence[Difference]:
        """Return what differs on the server at `url`."""
        ...

    def apply(
        self,
        domain: Domain,
        url: str,
        *,
        passwords: Path | None = None,
        administrator: str | None = None,
        events: str | None = None,
        prune: bool = False,
        recreate: bool = False,
    ) -> tuple[Sequence[Difference], Sequence[Difference]]:
        """Bring the server to what the domain needs; return what was done, and what still differs."""
        ...


def provisioner(name: str) -> Provisioner:
    """Return the provisioner of that name; raises `UnknownTransport` where it is not installed, or cannot be loaded."""
    found = {entry.value: entry for entry in metadata.entry_points(group=PROVISIONERS, name=name)}
    if len(found) != 1:
        how = f"several distributions bring one: {', '.join(sorted(found))}" if found else "none is installed"
        raise UnknownTransport(f"no provisioner for {name}: {how}")
    [entry] = found.values()
    try:
        made: Provisioner = entry.load()()
    except ModuleNotFoundError as exc:
        raise UnknownTransport(f"provisioner {name} needs {exc.name!r}: pip install 'iec62746[{name}]'") from exc
    return made
