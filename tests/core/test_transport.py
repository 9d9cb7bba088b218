"""What a transport promises is data, and a profile is the least of it."""

from dataclasses import fields, replace

import pytest

from iec62746 import AccessControl, Capabilities, Config, Proof, ReceiptLevel, Unroutable
from iec62746.transport import PROFILES, REAL_TIME, lacks, names_of
from iec62746_memory import MemoryTransport

BEST = Capabilities(
    receipt=ReceiptLevel.PEER,
    unroutable=Unroutable.DESTINATION,
    proof=Proof.END_TO_END,
    access_control=AccessControl.NODE,
    stores_for_vtn=0.0,
    stores_for_vens=0.0,
    is_encrypted=True,
)


@pytest.mark.parametrize("profile", PROFILES)
def test_what_promises_nothing_lacks_all_of_a_profile(profile: str) -> None:
    assert len(PROFILES[profile]) == len(lacks(Capabilities(), profile))


@pytest.mark.parametrize("profile", PROFILES)
def test_what_promises_just_enough_lacks_nothing(profile: str) -> None:
    assert () == lacks(Capabilities(**PROFILES[profile]), profile)
    assert () == lacks(BEST, profile)


@pytest.mark.parametrize(("profile", "name"), [(profile, name) for profile in PROFILES for name in PROFILES[profile]])
def test_each_line_of_a_profile_counts(profile: str, name: str) -> None:
    (sentence,) = lacks(replace(BEST, **{name: getattr(Capabilities(), name)}), profile)

    assert sentence.startswith(f"{name} is ")
    assert f"{profile} needs at " in sentence


@pytest.mark.requirement("R-5.1d")
def test_realtime_stores_for_no_longer_than_the_limit() -> None:
    (sentence,) = lacks(replace(BEST, stores_for_vens=REAL_TIME + 1), "realtime")

    assert "stores_for_vens is 31.0, realtime needs at most 30.0" == sentence


def test_memory_is_realtime_but_not_secure() -> None:
    can = MemoryTransport().capabilities("memory://x")

    assert () == lacks(can, "core") + lacks(can, "realtime")
    assert ["proof", "access_control", "is_encrypted"] == [one.split()[0] for one in lacks(can, "secure")]


def test_every_capability_has_a_name_to_show() -> None:
    shown = names_of(BEST)

    assert {one.name for one in fields(Capabilities)} == set(shown)
    assert ("end_to_end", "True") == (shown["proof"], shown["is_encrypted"])


def test_a_configuration_shows_neither_password_nor_url() -> None:
    config = Config(
        urls=("amqp://me:secret@host",), domain="d", party="p", vtn="v", session="s", account="a", password="secret"
    )

    assert "secret" not in repr(config)
