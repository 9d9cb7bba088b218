from importlib.metadata import EntryPoint, distribution
from importlib.resources import files

import pytest

GROUPS = {"iec62746.harnesses", "iec62746.profiles", "iec62746.provisioners", "iec62746.transports", "pytest11"}
OURS = [entry for entry in distribution("iec62746").entry_points if entry.group in GROUPS]


def test_the_memory_transport_is_announced() -> None:
    assert ("iec62746.transports", "memory") in {(entry.group, entry.name) for entry in OURS}


@pytest.mark.parametrize("entry", OURS, ids=lambda entry: f"{entry.group}:{entry.name}")
def test_every_entry_point_of_ours_loads(entry: EntryPoint) -> None:
    assert entry.load()


@pytest.mark.parametrize("name", ["py.typed", "schema/message.xsd"])
def test_what_is_not_python_is_installed_too(name: str) -> None:
    assert files("iec62746").joinpath(name).is_file()
