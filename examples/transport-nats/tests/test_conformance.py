"""The contract, rule by rule."""

from iec62746.testing.suite import TransportConformance


class TestConformance(TransportConformance):
    """A private server, and parties in processes of their own."""

    url = "nats://private"
