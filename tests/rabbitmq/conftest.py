"""Private brokers, each started once: the machine's own RabbitMQ (3.10 on Debian 12), and RabbitMQ 4."""

import os
import re
import tomllib
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, NoReturn

import pytest

from iec62746 import Domain
from iec62746_rabbitmq._management import Management
from iec62746_rabbitmq.private import NoBroker, PrivateBroker, rabbitmq4
from iec62746_rabbitmq.provision import RabbitProvisioner

PLUGINS = ("rabbitmq_management", "rabbitmq_event_exchange")
# What RabbitMQ 4.3 refuses, refused by 4.0.
LIKE_4_3 = (
    "deprecated_features.permit.transient_nonexcl_queues = false",
    "deprecated_features.permit.global_qos = false",
)

NewBroker = Callable[..., PrivateBroker]


Absent = Callable[[object], NoReturn]


def _made(
    absent: Absent, version: str, config: Sequence[str] = (), plugins: Sequence[str] = PLUGINS, **options: Any
) -> PrivateBroker:
    """Return a broker of `version`, "3" or "4", not yet started."""
    try:
        root = rabbitmq4() if version == "4" else None
        lines = [*LIKE_4_3, *config] if version == "4" else config
        return PrivateBroker(root=root, config=lines, plugins=plugins, **options)
    except NoBroker as exc:
        absent(exc)


@pytest.fixture(scope="session")
def broker3(absent: Absent) -> Iterator[PrivateBroker]:
    """Return the machine's own RabbitMQ; tests share it, so each takes a vhost or a domain name of its own."""
    with _made(absent, "3") as broker:
        yield broker


@pytest.fixture(scope="session")
def broker4(absent: Absent) -> Iterator[PrivateBroker]:
    """Return RabbitMQ 4 with the refusals of 4.3; shared like `broker3`."""
    with _made(absent, "4") as broker:
        yield broker


# The faults take minutes, so they are tried on one version: on the other with IEC62746_FAULTS_ON=4.
FAULTS_ON = os.environ.get("IEC62746_FAULTS_ON", "3")


@pytest.fixture(scope="session")
def victim(request: pytest.FixtureRequest) -> PrivateBroker:
    """Return `broker3`, or `broker4` if the faults are to be tried on that."""
    found: PrivateBroker = request.getfixturevalue(f"broker{FAULTS_ON}")
    return found


@pytest.fixture(scope="session")
def mortal(absent: Absent) -> Iterator[PrivateBroker]:
    """Return one more like `victim`, to be killed, frozen or starved; whoever hurts it mends it."""
    with _made(absent, FAULTS_ON) as broker:
        yield broker


@pytest.fixture(scope="session", params=["3", "4"])
def broker(request: pytest.FixtureRequest) -> PrivateBroker:
    """Return `broker3`, and in a second run of the test `broker4`."""
    found: PrivateBroker = request.getfixturevalue(f"broker{request.param}")
    return found


@pytest.fixture
def new_broker(absent: Absent) -> Iterator[NewBroker]:
    """Return what starts a broker for one test alone, to be killed, frozen or filled: `new_broker("4", config=[…])`."""
    with ExitStack() as brokers:
        yield lambda version, **options: brokers.enter_context(_made(absent, version, **options))


@dataclass(frozen=True)
class Provisioned:
    """A domain that a broker is provisioned for."""

    domain: Domain
    broker: PrivateBroker
    passwords: Path
    admin: str
    """The URL of the management API; the environment has the password."""

    def url(self, party: str, query: str = "") -> str:
        """Return the URL by which `party` connects, with its password."""
        account = self.domain.parties[party].account
        password = tomllib.loads(self.passwords.read_text("utf-8"))[account]
        return self.broker.url(account, password, self.domain.name, query)


@pytest.fixture(scope="module")
def provisioned(broker: PrivateBroker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provisioned]:
    """Return the demo's domain, under a name of its own for each module, on both brokers; it is gone afterwards."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IEC62746_ADMIN_PASSWORD", "guest")
        yield from _provisioned(broker, tmp_path_factory.mktemp("provisioned"))


def _provisioned(broker: PrivateBroker, folder: Path) -> Iterator[Provisioned]:
    name = f"d{uuid.uuid4().hex[:8]}"
    text = resources.files("iec62746.demo").joinpath("north.toml").read_text("utf-8")
    # Accounts are the broker's, not the domain's: another name for each, as R-4.4c wants it.
    text = text.replace('name = "north"', f'name = "{name}"')
    domain = Domain.parse(re.sub(r"^(\[parties\.(.*)\].*)$", rf'\1\naccount = "{name}_\2"', text, flags=re.MULTILINE))
    admin = broker.management.replace("//", "//guest@")
    RabbitProvisioner().apply(domain, admin, passwords=folder / "passwords")
    yield Provisioned(domain, broker, folder / "passwords", admin)
    api = Management(admin)
    api.delete("vhosts", name)
    for party in domain.parties.values():
        api.delete("users", party.account)
