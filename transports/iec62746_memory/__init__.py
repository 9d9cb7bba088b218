"""An embedded communication server: `memory://NAME` is one broker for every party in this process."""

from iec62746_memory.transport import Broker, MemoryTransport, broker

__all__ = ["Broker", "MemoryTransport", "broker"]
