"""Whatever kombu reaches: `kombu+redis://`, `kombu+pyamqp://`, `kombu+filesystem://` and its other transports."""

from iec62746_kombu.transport import KombuTransport

__all__ = ["KombuTransport"]
