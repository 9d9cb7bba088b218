"""Identifiers are random UUIDs, and no two processes make the same."""

import os
import re

import pytest

from iec62746._ids import message_id

UUID_4 = re.compile("[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


def test_ids_are_uuids_of_version_4_and_all_different() -> None:
    ids = [message_id() for _ in range(10_000)]

    assert len(ids) == len(set(ids))
    assert all(UUID_4.fullmatch(one) for one in ids)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_process_makes_ids_of_its_own() -> None:
    message_id()  # some more are made with it
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(theirs, message_id().encode())
        os._exit(0)
    os.waitpid(child, 0)

    assert message_id() != os.read(ours, 36).decode()
    os.close(ours)
    os.close(theirs)
