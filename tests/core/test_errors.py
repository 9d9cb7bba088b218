"""Errors survive being copied and pickled: one may end many requests, or cross a process's border."""

import copy
import pickle

import pytest

from iec62746 import DomainError, EnvelopeError, Iec62746Error, Kind, Message, Refused, RequestFailed, Rule, SessionLost

ERRORS = [
    EnvelopeError(Rule.DTD, "it has one", line=3, path="A/B", reply_code="1.8"),
    DomainError("wrong", file="north.toml", key="domain.name", line=2),
    Refused("6.1", "battery is empty"),
    RequestFailed(Message(kind=Kind.FAULT)),
    SessionLost("gone"),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_a_copy_says_the_same(error: Iec62746Error) -> None:
    twins = [copy.copy(error), pickle.loads(pickle.dumps(error))]

    assert [str(error)] * 2 == [str(twin) for twin in twins]
    assert [vars(error)] * 2 == [vars(twin) for twin in twins]
