"""What an application gives wrongly is an error of its own that says so, and nothing is sent."""

from collections.abc import Callable
from typing import Any

import pytest

from iec62746 import Domain, InvalidMessage, Message, Refused, Reply, VirtualEndNode, VirtualTopNode

MakeDomain = Callable[..., Domain]


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"payload": {}}, "str, bytes or an lxml element, not as dict"),
        ({"payload": 3}, "not as int"),
        ({"ids": [1]}, "ids cannot be"),
        ({"options": {"Node": 1}}, "Option: value cannot be 1"),
        ({"timeout": "3"}, "timeout is '3'"),
        ({"timeout": 0}, "timeout is 0"),
        ({"timeout": float("nan")}, "timeout is nan"),
    ],
)
async def test_a_wrong_argument_is_named(wrong: dict[str, Any], says: str, domain: MakeDomain, script: Any) -> None:
    by = script()
    async with VirtualTopNode(domain(), "scripted://x", transport=by) as vtn:
        announced = len(by.sessions[0].sent)
        with pytest.raises(InvalidMessage, match=says):
            await vtn.request("create", "EndDeviceControls", to="ven-1", **wrong)
        assert announced == len(by.sessions[0].sent)


def test_a_reply_has_a_result_that_there_is() -> None:
    with pytest.raises(InvalidMessage, match="'nope': a Reply has OK, PARTIAL, FAILED"):
        Reply(result="nope")  # type: ignore[arg-type]


@pytest.mark.parametrize(("code", "reason"), [("", "why"), (6.1, "why"), ("6.1", None)])
def test_a_refusal_has_a_code_and_a_reason(code: Any, reason: Any) -> None:
    with pytest.raises(InvalidMessage, match=r"Refused\(.*give a code"):
        Refused(code, reason)


def test_a_handler_of_a_noun_that_cannot_come_is_refused(domain: MakeDomain, script: Any) -> None:
    ven = VirtualEndNode(domain(), "scripted://x", "ven-1", transport=script())
    with pytest.raises(InvalidMessage, match="'EndDeviceControl' can come: domain north knows DERGroups, EndDevice"):
        ven.on_request("create", "EndDeviceControl")


async def test_a_kind_that_is_text_is_named(domain: MakeDomain, script: Any) -> None:
    async with VirtualTopNode(domain(), "scripted://x", transport=script()) as vtn:
        template = Message(kind="RequestMessage", verb="get", noun="MeterReadings")  # type: ignore[arg-type]
        with pytest.raises(InvalidMessage, match=r"kind is 'RequestMessage': give a Kind, such as Kind\.REQUEST"):
            await vtn.request_message(template, to="ven-1")
