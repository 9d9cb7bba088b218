"""The conformance kit as a plugin of pytest: `pytest --conform URL` tries every rule, and needs no test file.

It is loaded by every pytest where iec62746 is installed, so it imports nothing until it is asked for.
"""

from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pytest


def pytest_addoption(parser: "pytest.Parser") -> None:
    """Add `--conform`."""
    parser.getgroup("iec62746").addoption(
        "--conform",
        metavar="URL",
        action="append",
        default=[],
        help="hold the transport of URL to the contract of iec62746: its rules are the tests, and no others",
    )


def pytest_collection_modifyitems(
    session: "pytest.Session", config: "pytest.Config", items: "list[pytest.Item]"
) -> None:
    """Take the rules instead of what was collected, if asked for."""
    urls = config.getoption("--conform")
    if urls:
        module = _module_of(urls)
        items[:] = session.genitems(_collector(session, module))


def _module_of(urls: list[str]) -> ModuleType:
    from iec62746.plugins import scheme_of
    from iec62746.testing.suite import TransportConformance

    module = ModuleType("conform")
    for number, url in enumerate(urls):
        name = f"Test{scheme_of(url).title()}{number or ''}"
        setattr(module, name, type(name, (TransportConformance,), {"url": url}))
    return module


def _collector(session: "pytest.Session", module: ModuleType) -> Any:
    import pytest

    class Conformance(pytest.Module):
        """A module of tests that stands in no file."""

        def _getobj(self) -> ModuleType:
            return module

    return Conformance.from_parent(session, name="conform", path=session.path / "conform")
