"""What docs/wire.md says of an absent VTN: for how long its inbox takes messages, and what becomes of them."""

import time
from typing import Any

import pika.exceptions  # type: ignore[import-untyped]  # it has no types
import pytest

WITHIN = 20.0
"""Seconds in which an inbox without a consumer goes: it has 10, and RabbitMQ looks now and then."""
ANY = b"<hello/>"


def comes_back(ven: Any) -> bool:
    """Return whether a message to the VTN is returned; to declare its inbox passively would prolong its life."""
    try:
        ven.publish("to.vtn", "battery.in", ANY, mandatory=True)
    except pika.exceptions.UnroutableError:
        return True
    return False


def until(is_so: Any, connection: Any) -> None:
    end = time.monotonic() + WITHIN
    while not is_so():
        assert time.monotonic() < end, "it did not come about"
        connection.sleep(0.2)


def test_the_inbox_of_the_vtn_outlives_it_for_seconds_and_goes_with_what_is_in_it(way: Any) -> None:
    ven, vtn = way.ven(), way.vtn()
    vtn.close()
    left = time.monotonic()

    until(lambda: comes_back(ven), ven.channel.connection)

    assert time.monotonic() - left > 8
    if way.accounts is not None:
        assert 0 == dead_letters(way)


@pytest.mark.parametrize("way", ["provisioned-3", "provisioned-4"], indirect=True)
def test_what_expires_in_the_inbox_before_it_goes_is_a_dead_letter(way: Any) -> None:
    ven, vtn = way.ven(), way.vtn()
    vtn.close()
    ven.publish("to.vtn", "battery.in", ANY, mandatory=True, expiration="100")

    until(lambda: dead_letters(way), ven.channel.connection)

    assert 1 == dead_letters(way)


def dead_letters(way: Any) -> int:
    """Return how many dead letters the VTN may read; they go back."""
    channel = way.bare_channel(way.domain.vtn)
    method, _, _ = channel.basic_get(f"{way.domain.name}.dead")
    count = 0 if method is None else 1 + int(method.message_count)
    channel.connection.close()
    return count
