"""kombu's filesystem, with leases, and with messages and tables that nobody can read half written."""

import os
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path
from queue import Empty
from typing import Any, Final
from uuid import uuid4

from kombu.transport import filesystem, virtual
from kombu.utils.json import dumps, loads

from iec62746_kombu._topology import Topology

LENGTH: Final = 10_000
"""Messages that a queue holds; the oldest go for newer ones."""
LOOK_EACH: Final = 100
"""Messages after which it is looked how many there are."""


class FilesystemChannel(filesystem.Channel):
    """A channel that writes elsewhere and renames: kombu's readers take a file while it is being written."""

    _numbers = count()

    def __init__(self, *args: Any, **options: Any) -> None:
        """Make the folders."""
        super().__init__(*args, **options)  # type: ignore[no-untyped-call]  # kombu's
        for folder in (self.control_folder, Path(self.data_folder_in)):
            folder.mkdir(parents=True, exist_ok=True)

    def _put(self, queue: str, payload: Any, **_: Any) -> None:  # type: ignore[override]  # as kombu does
        """Put `payload` behind what this host put there before."""
        if next(self._numbers) % LOOK_EACH == 0:
            for name in self._names(queue)[:-LENGTH]:
                Path(self.data_folder_in, name).unlink(missing_ok=True)
        name = f"{time.monotonic_ns():020d}_{uuid4().hex}"
        hidden = os.path.join(self.data_folder_out, f"{name}.part")
        with open(hidden, "w", encoding="utf-8") as file:
            file.write(dumps(payload))
        os.rename(hidden, os.path.join(self.data_folder_out, f"{name}.{queue}.msg"))

    def _names(self, queue: str) -> list[str]:
        """Return the files of `queue`, the oldest first."""
        mine = f"{queue}.msg"
        return sorted(one for one in os.listdir(self.data_folder_in) if one.partition(".")[2] == mine)

    def _get(self, queue: str, timeout: Any = None) -> Any:
        """Take the first of `queue`: who removes it has it."""
        for name in self._names(queue):
            path = os.path.join(self.data_folder_in, name)
            try:
                with open(path, encoding="utf-8") as file:
                    text = file.read()
                os.remove(path)
            except FileNotFoundError:
                continue
            return loads(text)
        raise Empty

    def _queue_bind(self, exchange: str, routing_key: str, pattern: str, queue: str) -> None:
        """Bind, in a table that is there: kombu's own way to make one lets two make it, and one of them loses."""
        file: Path = self._exchange_file(exchange)  # type: ignore[no-untyped-call]  # kombu's
        hidden = file.with_suffix(f".{uuid4().hex}")
        hidden.write_text("[]", "utf-8")
        try:
            os.link(hidden, file)
        except FileExistsError:
            pass
        finally:
            hidden.unlink()
        super()._queue_bind(exchange, routing_key, pattern, queue)  # type: ignore[no-untyped-call]  # kombu's

    def leases(self, topology: Topology, seconds: float) -> "FileLeases":
        """Return the leases of the domain as this session sees them."""
        return FileLeases(self.control_folder, Path(self.data_folder_in), topology, seconds)


class FilesystemTransport(filesystem.Transport):
    """kombu's transport, with those channels, and a state of its own: bindings are in the tables."""

    Channel = FilesystemChannel

    def __init__(self, client: Any, **options: Any) -> None:
        """Do not share the state of the process: it grows with every session."""
        super().__init__(client, **options)  # type: ignore[no-untyped-call]  # kombu's
        self.state = virtual.BrokerState()


class FileLeases:
    """A file for each session, touched while it lives."""

    def __init__(self, control: Path, data: Path, topology: Topology, seconds: float) -> None:
        """Prepare for the session."""
        self._control, self._data, self._domain, self._seconds = control, data, topology.domain, seconds
        self._mine = self._file(topology.owner)

    def _file(self, owner: str) -> Path:
        return self._control / f"{self._domain}.{owner}.lease"

    def take(self) -> None:
        """Be alive."""
        self._mine.touch()

    def renew(self) -> bool:
        """Be alive for as long again."""
        try:
            os.utime(self._mine)
        except FileNotFoundError:
            return False
        return True

    def drop(self) -> None:
        """Be dead."""
        self._mine.unlink(missing_ok=True)

    def may_sweep(self) -> bool:
        """Take the turn, if the last is long enough ago; that two take it does no harm."""
        turn = self._control / f"{self._domain}.sweep"
        if self._age(turn) < self._seconds / 3:
            return False
        turn.touch()
        return True

    def _age(self, file: Path) -> float:
        try:
            return time.time() - file.stat().st_mtime
        except FileNotFoundError:
            return float("inf")

    def living(self, owners: set[str]) -> set[str]:
        """Return whose file was touched lately."""
        return {owner for owner in owners if self._age(self._file(owner)) < self._seconds}

    def sweep(self, owner_of: Callable[[str], str | None]) -> None:
        """Remove the files of the dead: leases, messages, and what was half written."""
        for file in self._control.glob(f"{self._domain}.*.lease"):
            if self._age(file) >= self._seconds:
                file.unlink(missing_ok=True)
        for file in self._data.iterdir():
            queue = file.name.partition(".")[2].removesuffix(".msg")
            owner = owner_of(queue)
            is_dead = owner is not None and not self.living({owner})
            if (is_dead or queue == "part") and self._age(file) >= self._seconds:
                file.unlink(missing_ok=True)
