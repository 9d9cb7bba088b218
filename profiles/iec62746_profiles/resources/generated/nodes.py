from __future__ import annotations

from dataclasses import dataclass, field

__NAMESPACE__ = "urn:iec62746:nodes:1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Nodes:
    class Meta:
        namespace = "urn:iec62746:nodes:1"

    node: tuple[Nodes.Node, ...] = field(
        default_factory=tuple,
        metadata={
            "name": "Node",
            "type": "Element",
        },
    )

    @dataclass(frozen=True, slots=True, kw_only=True)
    class Node:
        name: str = field(
            metadata={
                "type": "Element",
            }
        )
        noun: tuple[str, ...] = field(
            default_factory=tuple,
            metadata={
                "type": "Element",
                "min_occurs": 1,
            },
        )
        current: bool = field(
            metadata={
                "type": "Element",
            }
        )
