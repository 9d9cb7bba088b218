"""The contract, rule by rule, where the server proves who sent what."""

from iec62746.testing.suite import TransportConformance


class TestAccounts(TransportConformance):
    """A private server with an account for each party."""

    url = "nats://private?accounts=true"
