"""An embedded communication server: `memory://NAME` is one broker for every party in this process."""

from iec62746_memory.broker import Broker, broker
from iec62746_memory.transport import MemorySession, MemoryTransport

__all__ = ["Broker", "MemorySession", "MemoryTransport", "broker"]
