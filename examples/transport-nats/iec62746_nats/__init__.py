"""IEC TS 62746-3 over nats://, a transport for iec62746."""

from iec62746_nats.transport import NatsTransport

__all__ = ["NatsTransport"]
