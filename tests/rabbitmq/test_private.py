import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.request import Request, urlopen

import aio_pika
import pytest

from iec62746_rabbitmq.private import NoBroker, PrivateBroker, rabbitmq4

NewBroker = Callable[..., PrivateBroker]


def session_of(pid: int) -> Iterator[int]:
    """Yield the processes that the node `pid` started."""
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if os.getsid(int(path.name)) == pid:
                yield int(path.name)
        except ProcessLookupError:
            continue


def greets(port: int, timeout: float) -> bool:
    with socket.create_connection(("127.0.0.1", port), timeout) as wire:
        wire.sendall(b"AMQP\x00\x00\x09\x01")
        wire.settimeout(timeout)
        try:
            return wire.recv(1) == b"\x01"
        except TimeoutError:
            return False


@pytest.mark.timeout(180)  # four starts
@pytest.mark.parametrize(("version", "release"), [("3", "3."), ("4", "4.")])
async def test_a_broker_comes_back_with_its_data(new_broker: NewBroker, version: str, release: str) -> None:
    broker = new_broker(version, plugins=["rabbitmq_event_exchange"])
    first = broker.pid
    assert broker.ctl("version").startswith(release)
    async with await aio_pika.connect(broker.url()) as connection:
        await (await connection.channel()).declare_queue("kept", durable=True)

    broker.restart()  # in good order first: a node that is killed may lose what it was told just before
    broker.freeze()
    assert not greets(broker.port, 0.3)
    broker.thaw()
    assert greets(broker.port, 10)
    broker.kill()
    with pytest.raises(ConnectionRefusedError):
        greets(broker.port, 1)
    broker.start()

    async with await aio_pika.connect(broker.url()) as connection:
        await (await connection.channel()).declare_queue("kept", passive=True)
    last = broker.pid
    broker.close()
    assert not broker.folder.exists()
    assert not [*session_of(first), *session_of(last)]


def test_the_management_api_answers(broker: PrivateBroker) -> None:
    request = Request(f"{broker.management}/api/overview", headers={"Authorization": "Basic Z3Vlc3Q6Z3Vlc3Q="})

    with urlopen(request, timeout=10) as answer:
        assert answer.status == 200


def test_two_brokers_do_not_meet(broker3: PrivateBroker, broker4: PrivateBroker) -> None:
    assert broker3.port != broker4.port
    assert broker3.ctl("version") != broker4.ctl("version")


def test_a_broker_that_cannot_start_says_why_and_leaves_nothing(new_broker: NewBroker) -> None:
    with pytest.raises(NoBroker, match="no_such_setting"):
        new_broker("3", config=["no_such_setting = 1"])


def test_a_url_quotes_what_has_to_be_quoted(broker3: PrivateBroker) -> None:
    assert broker3.url("a b", "p/w", "v/h").startswith("amqp://a%20b:p%2Fw@127.0.0.1:")
    assert broker3.url("a", "p", "v/h", "heartbeat=5").endswith("/v%2Fh?heartbeat=5")
    assert broker3.url("ven-1", None, "north") == f"amqp://ven-1@127.0.0.1:{broker3.port}/north"


def test_a_missing_rabbitmq_4_says_what_makes_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("IEC62746_RABBITMQ4", str(tmp_path))

    with pytest.raises(NoBroker, match="scripts/rabbitmq4"):
        rabbitmq4()


def test_a_failing_rabbitmqctl_says_why(broker3: PrivateBroker) -> None:
    with pytest.raises(NoBroker, match="no_such_command"):
        broker3.ctl("no_such_command")
