"""Metrics for Prometheus: one observer of what happens at participants; the core knows nothing of it.

    metrics = Metrics()
    metrics.watch(vtn)                     # before it is opened
    with metrics.serve(9464):              # http://127.0.0.1:9464/metrics
        vtn.run()

No label ever holds what a peer, a user or a domain file can choose: `docs/metrics.md` lists every value.
"""

from asyncio import CancelledError
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, TypeVar
from weakref import WeakKeyDictionary

from prometheus_client import CollectorRegistry, Counter, Histogram, start_http_server
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from iec62746 import _measures as measures
from iec62746._measures import (
    BUCKETS,
    CANCELLED,
    COUNTERS,
    GAUGES,
    HISTOGRAMS,
    OTHER,
    Direction,
    Measure,
    Pattern,
    Taken,
    name_of,
)
from iec62746.address import Node
from iec62746.errors import Iec62746Error, LocalError
from iec62746.message import VERBS, Kind, Message, Result
from iec62746.outputs import Completed, Execute, Notice, Ticket, What
from iec62746.reply import result_of
from iec62746.roster import Changed, PartyConflict, PartyPresence, State

if TYPE_CHECKING:
    from iec62746.exchange import Output
    from iec62746.participant import Participant

LOOPBACK: Final = "127.0.0.1"
_PRESENCE_VERB: Final = "changed"
_Instrument = TypeVar("_Instrument", bound=MetricWrapperBase)


class Metrics:
    """Counts what happens at the participants it watches, all together, into `registry`.

    `registry` is one of its own where none is given; `prometheus_client.REGISTRY` has the process's metrics beside.
    """

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        """Register every metric; raises `ValueError` if the registry has them already."""
        self.registry = CollectorRegistry() if registry is None else registry
        self._counters = {
            one.name: _register(Counter(*_arguments(one), registry=None), self.registry) for one in COUNTERS
        }
        self._histograms = {
            one.name: _register(Histogram(*_arguments(one), registry=None, buckets=BUCKETS), self.registry)
            for one in HISTOGRAMS
        }
        # As many as there are series: to look them up in the library takes longer than to count.
        self._found: dict[tuple[str, ...], Counter] = {}
        for what in What:
            self.count(measures.NOTICES, what, by=0)
        self._watched: WeakKeyDictionary[Participant, _Watch] = WeakKeyDictionary()
        self.registry.register(_Gauges(self._watched))

    def watch(self, participant: "Participant") -> None:
        """Count what happens at `participant`; raises `LocalError` if it is open, or watched already."""
        watch = _Watch(self, participant.party)
        participant.watch(watch)
        self._watched[participant] = watch

    @contextmanager
    def serve(self, port: int, host: str = LOOPBACK) -> Iterator[int]:
        """Answer `http://host:port/metrics` in a thread while the context lasts; gives the port, chosen if 0.

        Whoever reaches it may read it: it has no access control. Raises `LocalError` if it cannot listen there.
        """
        try:
            server, thread = start_http_server(port, host, self.registry)
        except (OSError, OverflowError) as exc:
            raise LocalError(
                f"metrics cannot be had at {host} port {port}: {exc}; choose another port or host"
            ) from exc
        try:
            yield server.server_port
        finally:
            server.shutdown()
            server.server_close()
            thread.join()

    def count(self, measure: Measure, *labels: str, by: int = 1) -> None:
        """Add to a counter."""
        key = (measure.name, *labels)
        counter = self._found.get(key)
        if counter is None:
            whole = self._counters[measure.name]
            counter = self._found[key] = whole.labels(*labels) if labels else whole
        counter.inc(by)

    def observe(self, measure: Measure, label: str, seconds: float) -> None:
        """Add to a histogram."""
        self._histograms[measure.name].labels(label).observe(seconds)


class _Watch:
    """What is counted of one participant."""

    def __init__(self, metrics: Metrics, party: str) -> None:
        self._metrics, self._party = metrics, party
        self._was_connected = False
        self._states: dict[str, State] = {}
        self.parties = dict.fromkeys(State, 0)

    def _message(self, direction: Direction, pattern: Pattern, verb: str, result: str) -> None:
        self._metrics.count(measures.MESSAGES, direction, pattern, _known(verb), result)

    # ---------------------------------------------------------------- what the application sends

    def request_ended(self, verb: str, seconds: float, ended: Message | BaseException) -> None:
        self._message(Direction.OUT, Pattern.REQUEST, verb, _result(ended))
        self._metrics.observe(measures.REQUEST, _known(verb), seconds)

    def event_ended(self, verb: str, node: str | None, seconds: float, ended: object) -> None:
        self._message(Direction.OUT, Pattern.VEN_EVENT if node is None else Pattern.EVENT, verb, _sent(ended))

    # ---------------------------------------------------------------- what comes, and is answered

    def reported(self, output: "Output") -> None:
        if type(output) is Execute:
            ticket = output.ticket
            self._message(Direction.IN, _pattern(ticket), ticket.message.verb, Taken.TAKEN)
        elif type(output) is Completed:
            self._message(Direction.IN, Pattern.REPLY, output.reply.verb or "reply", result_of(output.reply))
        elif type(output) is Notice:
            self._noticed(output)
        elif type(output) is Changed:
            self._changed(output.presence)
        elif type(output) is PartyConflict:
            self._metrics.count(measures.CONFLICTS)

    def _noticed(self, notice: Notice) -> None:
        self._metrics.count(measures.NOTICES, notice.what)
        if notice.what is What.ANSWERED:
            self._message(Direction.IN, Pattern.REQUEST, "get", Taken.TAKEN)
            self.answered(Result.OK)
        elif notice.what is What.FINDING:
            self._metrics.count(measures.FINDINGS, _rule(notice))
        elif notice.what in (What.UNREADABLE, What.TOO_LARGE):
            self._metrics.count(measures.UNREADABLE, _rule(notice))

    def answered(self, result: Result) -> None:
        self._message(Direction.OUT, Pattern.REPLY, "reply", result)

    def handled(self, ticket: Ticket, seconds: float) -> None:
        self._metrics.observe(measures.HANDLER, _pattern(ticket), seconds)

    # ---------------------------------------------------------------- presence and sessions

    def announced(self, seconds: float, ended: object) -> None:
        self._message(Direction.OUT, Pattern.PRESENCE, _PRESENCE_VERB, _sent(ended))

    def heard(self, party: str | None) -> None:
        if party != self._party:
            self._message(Direction.IN, Pattern.PRESENCE, _PRESENCE_VERB, Taken.TAKEN)

    def _changed(self, presence: PartyPresence) -> None:
        before = self._states.get(presence.party)
        if before is not None:
            self.parties[before] -= 1
        self._states[presence.party] = presence.state
        self.parties[presence.state] += 1

    def connected(self) -> None:
        if self._was_connected:
            self._metrics.count(measures.RECONNECTS)
        self._was_connected = True

    def lost(self, cause: Iec62746Error) -> None:
        self._metrics.count(measures.LOST, name_of(cause))


class _Gauges(Collector):
    """What is looked up when somebody asks; that is in another thread, so only lengths and whole numbers are read."""

    def __init__(self, watched: "WeakKeyDictionary[Participant, _Watch]") -> None:
        self._watched = watched

    def collect(self) -> Iterable[Metric]:
        parties = [*self._watched.items()]
        loads = [participant.load for participant, _ in parties]
        values: dict[str, float] = {
            measures.WATCHED.name: len(loads),
            measures.CONNECTED.name: sum(load.is_connected for load in loads),
            measures.BLOCKED.name: sum(load.is_blocked for load in loads),
            measures.PENDING.name: sum(load.pending for load in loads),
            measures.RUNNING.name: sum(load.running for load in loads),
            measures.WAITING.name: sum(load.waiting for load in loads),
        }
        for gauge in GAUGES:
            family = GaugeMetricFamily(gauge.name, gauge.help, labels=gauge.labels)
            if gauge is measures.PRESENCE:
                for state in State:
                    family.add_metric([state.value], sum(watch.parties[state] for _, watch in parties))
            else:
                family.add_metric([], values[gauge.name])
            yield family

    def describe(self) -> Iterable[Metric]:
        """Return the names, so that a registry refuses to have them twice."""
        return [GaugeMetricFamily(gauge.name, gauge.help, labels=gauge.labels) for gauge in GAUGES]


def _arguments(measure: Measure) -> tuple[str, str, tuple[str, ...]]:
    return measure.name, measure.help, measure.labels


def _register(instrument: _Instrument, registry: CollectorRegistry) -> _Instrument:
    registry.register(instrument)
    return instrument


def _known(verb: str) -> str:
    return verb if verb in VERBS else OTHER


def _rule(notice: Notice) -> str:
    return notice.rule if notice.rule is not None else OTHER


def _pattern(ticket: Ticket) -> Pattern:
    if ticket.message.kind is Kind.REQUEST:
        return Pattern.REQUEST
    return Pattern.EVENT if type(ticket.address) is Node else Pattern.VEN_EVENT


def _result(ended: Message | BaseException) -> str:
    if isinstance(ended, Message):
        return result_of(ended)
    return CANCELLED if isinstance(ended, CancelledError) else name_of(ended)


def _sent(ended: object) -> str:
    return _result(ended) if isinstance(ended, BaseException) else Taken.SENT
