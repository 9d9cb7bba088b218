"""What every test may ask for."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest
from hypothesis import settings

from iec62746.testing.harness import Certificates

SHARED = Path(__file__).parents[2] / "shared"
ORACLE = Path(os.environ.get("IEC62746_ORACLE") or SHARED / "oracle")

settings.register_profile("ci", deadline=None, print_blob=True)
settings.load_profile("ci")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the kits, each of which takes a minute: coming last, they would keep the other processes waiting."""
    items.sort(key=lambda item: not item.path.name.endswith("_conformance.py"))


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Return an authority, which makes a certificate for whoever needs one."""
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="session")
def absent() -> Callable[[object], NoReturn]:
    """Return what ends a test for which something is absent: skipped, and it says why; in CI that is a failure."""

    def end(why: object) -> NoReturn:
        (pytest.fail if "IEC62746_CI" in os.environ else pytest.skip)(str(why))

    return end


@pytest.fixture(scope="session")
def oracle(absent: Callable[[object], NoReturn]) -> Path:
    """Return the folder of reference schemas, real messages and the reference verdict."""
    if not (ORACLE / "standard.py").is_file():
        absent(
            f"no oracle in {ORACLE}: the reference schemas and real messages are not ours to publish, "
            "so a stranger's clone does not have them (IEC62746_ORACLE says where they are)"
        )
    return ORACLE
