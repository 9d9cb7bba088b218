"""The fast lane on a RabbitMQ of its own: under an alarm, and by TLS."""

import asyncio
import ssl
import time
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

import aiormq
import pytest

from iec62746.testing.harness import Certificates
from iec62746_rabbitmq._demux import Demux, DemuxWire
from iec62746_rabbitmq._lane import Parcel
from iec62746_rabbitmq._publisher import Lost, Publish, Publisher, Returned
from iec62746_rabbitmq.private import NoBroker, PrivateBroker

LIMIT = 40.0


@pytest.fixture(scope="module")
def broker(certificates: Certificates, absent: Callable[[object], NoReturn]) -> Iterator[PrivateBroker]:
    certificate, key = certificates.files("localhost")
    config = [
        f"ssl_options.certfile = {certificate}",
        f"ssl_options.keyfile = {key}",
        "ssl_options.versions.1 = tlsv1.3",
    ]
    try:
        with PrivateBroker(plugins=(), config=config, has_tls=True) as made:
            yield made
    except NoBroker as exc:
        absent(exc)


async def outcomes(some: list[Publish]) -> list[BaseException | None]:
    await asyncio.wait([one.outcome for one in some])
    return [asyncio.CancelledError() if one.outcome.cancelled() else one.outcome.exception() for one in some]


def send(publisher: Publisher, key: str) -> Publish:
    return publisher.publish(Parcel("", key, b"x", time.time() + 30, is_mandatory=True))


async def connect(url: str, context: ssl.SSLContext | None = None) -> tuple[Any, Demux]:
    wire = DemuxWire()
    connection = await aiormq.connect(url, transport_factory=wire, context=context)
    wire.demux.agree(connection.connection_tune.frame_max or 0)
    return connection, wire.demux


class Blocks:
    """A channel that only hears whether the broker takes messages."""

    def __init__(self, demux: Demux) -> None:
        self.unblocked_again = asyncio.Event()
        demux.channels[60_000] = self

    def frame(self, kind: int, payload: bytes) -> bool:
        return False

    def lost(self, cause: BaseException | None) -> None:
        pass

    def unblocked(self) -> None:
        self.unblocked_again.set()


async def until_blocked(demux: Demux) -> None:
    while not demux.wire.is_blocked:  # noqa: ASYNC110  # nobody is told of it
        await asyncio.sleep(0.001)


async def test_under_an_alarm_only_what_was_on_its_way_may_still_arrive(broker: PrivateBroker) -> None:
    async with asyncio.timeout(LIMIT):
        connection, demux = await connect(broker.url())
        channel = await connection.channel()
        publisher = Publisher(channel, demux, frame_max=connection.connection_tune.frame_max or 0, late=lambda: None)
        queue = str((await (await connection.channel()).queue_declare(exclusive=True)).queue)
        blocks = Blocks(demux)
        await asyncio.to_thread(broker.ctl, "set_vm_memory_high_watermark", "absolute", "1MB")
        try:
            early = [send(publisher, queue) for _ in range(3)]
            await until_blocked(demux)
            late = [send(publisher, queue) for _ in range(3)] + [send(publisher, "nobody") for _ in range(3)]
            await asyncio.sleep(0)
            late[0].outcome.cancel()

            assert (3, 6) == (publisher.unconfirmed, publisher.waiting)
            assert [False] * 6 == [one.is_sent for one in late]
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await connection.ready()
        finally:
            await asyncio.to_thread(broker.ctl, "set_vm_memory_high_watermark", "absolute", "1GB")
        await blocks.unblocked_again.wait()
        found = await outcomes([*early, *late])

        expected = [type(None)] * 3 + [asyncio.CancelledError] + [type(None)] * 2 + [Returned] * 3
        assert expected == [type(error) for error in found]
        assert not late[0].is_sent
        count = await (await connection.channel()).queue_declare(queue, passive=True)
        assert 5 == count.message_count
        await connection.close()


async def test_a_cut_during_an_alarm_ends_all_at_once(broker: PrivateBroker) -> None:
    async with asyncio.timeout(LIMIT):
        connection, demux = await connect(broker.url())
        channel = await connection.channel()
        publisher = Publisher(channel, demux, frame_max=connection.connection_tune.frame_max or 0, late=lambda: None)
        await asyncio.to_thread(broker.ctl, "set_vm_memory_high_watermark", "absolute", "1MB")
        try:
            early = send(publisher, "nobody")
            await until_blocked(demux)
            late = [send(publisher, "nobody") for _ in range(50)]
            demux.transport.abort()

            found = await outcomes([early, *late])
        finally:
            await asyncio.to_thread(broker.ctl, "set_vm_memory_high_watermark", "absolute", "1GB")

        assert [True] + [False] * 50 == [error.is_sent for error in found if isinstance(error, Lost)]
        with pytest.raises(Exception):  # noqa: B017, PT011  # aiormq says in many ways that it is over
            await connection.channel()


async def test_by_tls_the_outcomes_are_the_same(broker: PrivateBroker, certificates: Certificates) -> None:
    async with asyncio.timeout(LIMIT):
        connection, demux = await connect(broker.url(tls=True), certificates.context())
        publisher = Publisher(
            await connection.channel(),
            demux,
            frame_max=connection.connection_tune.frame_max or 0,
            late=lambda: None,
            window=20,
        )
        queue = str((await (await connection.channel()).queue_declare(exclusive=True)).queue)

        found = await outcomes([send(publisher, queue if number % 2 else "nobody") for number in range(200)])

        assert [Returned, type(None)] * 100 == [type(error) for error in found]
        assert "TLSv1.3" == demux.transport.get_extra_info("ssl_object").version()
        await connection.close()


async def test_an_unknown_authority_is_refused(broker: PrivateBroker) -> None:
    async with asyncio.timeout(LIMIT):
        with pytest.raises(ssl.SSLCertVerificationError):
            await connect(broker.url(tls=True), ssl.create_default_context())
