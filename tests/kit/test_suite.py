"""The kit as a test class, as a transport's authors derive from it."""

from iec62746.testing.suite import TransportConformance
from iec62746_memory.harness import MemoryHarness


class TestMemory(TransportConformance):
    url = "memory://suite"
    harness = MemoryHarness
