"""What every test may ask for."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

from iec62746.testing.harness import Certificates

SHARED = Path(__file__).parents[2] / "shared"
ORACLE = Path(os.environ.get("IEC62746_ORACLE") or SHARED / "oracle")

settings.register_profile("ci", deadline=None, print_blob=True)
settings.load_profile("ci")


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Return an authority, which makes a certificate for whoever needs one."""
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="session")
def oracle() -> Path:
    """Return the folder of reference schemas, real messages and the reference verdict."""
    if not (ORACLE / "standard.py").is_file():
        absent = pytest.fail if "IEC62746_CI" in os.environ else pytest.skip
        absent(
            f"no oracle in {ORACLE}: the reference schemas and real messages are not ours to publish, "
            "so a stranger's clone does not have them (IEC62746_ORACLE says where they are)"
        )
    return ORACLE
