"""What is printed of messages and of presence: a block, or one line of JSON; at once."""

import json
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from iec62746.message import Message, Payload, timestamp
from iec62746.roster import PartyPresence


class Printer:
    """Prints one thing after another to standard output."""

    def __init__(self, is_json: bool) -> None:
        """Print JSON, or text."""
        self._is_json = is_json
        self.is_deaf = False
        """True once nobody reads standard output any more."""

    def message(self, kind: str, message: Message, **more: Any) -> None:
        """Print an event or a request."""
        request = message.request
        options = {one.name: one.value for one in request.options} if request is not None else {}
        ids = [one.value for one in request.ids] if request is not None else []
        fields = {
            "verb": message.verb,
            "noun": message.noun,
            "from": message.source,
            "to": message.destination,
            "message_id": message.message_id,
            "is_current": message.is_current,
            "ids": ids,
            "options": options,
            **more,
            "payload": items(message.payload),
        }
        told = [*(f"id {one}" for one in ids), *(f"{key}={value}" for key, value in options.items())]
        told += ["the current value"] if message.is_current else []
        extra = f" ({', '.join(told)})" if told else ""
        text = f"{kind} {message.verb} {message.noun} from {message.source} to {message.destination}{extra}"
        self.show(kind, text, fields, items(message.payload))

    def presence(self, now: PartyPresence) -> None:
        """Print that a party came, went away, or is gone."""
        why = f" ({now.reason})" if now.reason else ""
        self.show("presence", f"presence {now.party} {now.state}{why}", _presence(now))

    def show(self, kind: str, text: str, fields: dict[str, Any] | None = None, xml: Sequence[str] = ()) -> None:
        """Print `text` and `xml` below it, or the `fields` as JSON."""
        at = timestamp(datetime.now(UTC))
        as_json = {"kind": kind, "at": at, **(fields or {})}
        lines = [json.dumps(as_json, ensure_ascii=False)] if self._is_json else [f"{at} {text}", *xml]
        try:
            print("\n".join(lines), flush=True)
        except BrokenPipeError:
            self.is_deaf = True
            # What is still buffered has nowhere to go; Python would complain at its end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _presence(now: PartyPresence) -> dict[str, Any]:
    return {"party": now.party, "state": now.state, "reason": now.reason, "session": now.session}


def items(payload: Payload | None) -> list[str]:
    """Return what is in a payload, one text each: elements, or ids, or what is compressed."""
    if payload is None:
        return []
    if payload.compressed is not None:
        return [payload.compressed]
    operations = payload.operation_set.operations if payload.operation_set is not None else ()
    elements = (*payload.items, *(one.item for one in operations if one.item is not None))
    return [*(str(one, "utf-8") for one in elements), *(one.value for one in payload.ids)]
