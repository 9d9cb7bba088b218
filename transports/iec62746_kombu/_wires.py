"""Which kind of connection a place needs."""

from iec62746 import Config
from iec62746_kombu._amqp import AmqpWire
from iec62746_kombu._leased import LeasedWire
from iec62746_kombu._point import PointWire
from iec62746_kombu._topology import Topology
from iec62746_kombu._url import Kind, Place
from iec62746_kombu._wire import Wire


def wire(place: Place, config: Config, topology: Topology, *, has_lease: bool) -> Wire:
    """Return an unopened connection to `place`; the one that `has_lease` keeps the session alive, and ends the dead."""
    if place.kind is Kind.AMQP:
        return AmqpWire(place, config, topology)
    if place.kind is Kind.LEASED:
        return LeasedWire(place, config, topology, has_lease)
    return PointWire(place, config, topology)
