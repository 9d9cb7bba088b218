from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from enum import Enum

__NAMESPACE__ = "urn:iec62746:presence:1"


class PresenceState(Enum):
    ONLINE = "online"
    AWAY = "away"
    OFFLINE = "offline"


@dataclass(frozen=True, slots=True, kw_only=True)
class Presence:
    class Meta:
        namespace = "urn:iec62746:presence:1"

    state: PresenceState = field(
        metadata={
            "type": "Element",
        }
    )
    session: str = field(
        metadata={
            "type": "Element",
        }
    )
    epoch: int = field(
        metadata={
            "type": "Element",
            "min_inclusive": 0,
        }
    )
    interval: Decimal = field(
        metadata={
            "type": "Element",
            "min_exclusive": Decimal("0"),
            "max_inclusive": Decimal("86400"),
        }
    )
    reason: None | str = field(
        default=None,
        metadata={
            "type": "Element",
        },
    )
