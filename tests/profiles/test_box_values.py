"""Reading types, control types, quantities, intervals and the sign of net load."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from xsdata.models.datatype import XmlDateTime

from iec62746_profiles.control_types import (
    DeviceType,
    Domain,
    EndDeviceControlType,
    EventOrAction,
    SubDomain,
)
from iec62746_profiles.intervals import Interval, from_xml, minutes, to_xml
from iec62746_profiles.meter_readings.models import DateTimeInterval
from iec62746_profiles.quantities import Quantity, UnitMultiplier, UnitSymbol, net_load
from iec62746_profiles.reading_types import (
    UNIT_CODES,
    Accumulation,
    Commodity,
    FlowDirection,
    MeasurementKind,
    MeasuringPeriod,
    ReadingType,
)
from iec62746_profiles.resources.models import Power, PowerUnit
from iec62746_profiles.resources.models import UnitMultiplier as PowerMultiplier

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
POWER = ReadingType(
    accumulation=Accumulation.INSTANTANEOUS,
    commodity=Commodity.ELECTRICITY_SECONDARY_METERED,
    measurement_kind=MeasurementKind.POWER,
    multiplier=UnitMultiplier.K.exponent,
    unit=UNIT_CODES[UnitSymbol.W],
)


def watts(value: str, multiplier: UnitMultiplier = UnitMultiplier.NONE) -> Quantity:
    return Quantity(Decimal(value), UnitSymbol.W, multiplier)


# ---------------------------------------------------------------- reading types


def test_a_reading_type_is_its_eighteen_fields() -> None:
    energy = ReadingType.parse("0.0.2.4.1.1.12.0.0.0.0.0.0.0.0.3.72.0")

    assert MeasuringPeriod.MINUTES_15 == energy.measuring_period
    assert Accumulation.DELTA_DATA == energy.accumulation
    assert FlowDirection.FORWARD == energy.flow_direction
    assert MeasurementKind.ENERGY == energy.measurement_kind
    assert (3, 72) == (energy.multiplier, energy.unit)


def test_each_field_has_its_place() -> None:
    code = "8.2.3.4.5.6.7.9.10.11.12.13.14.15.16.-3.18.978"

    found = ReadingType.parse(code)

    assert 978 == found.currency
    assert (9, 10, 11, 12) == (
        found.interharmonic_numerator,
        found.interharmonic_denominator,
        found.argument_numerator,
        found.argument_denominator,
    )
    assert (13, 14, 15, 16) == (found.tou, found.cpp, found.consumption_tier, found.phases)
    assert code == str(found)


def test_a_reading_type_is_written_from_names() -> None:
    assert "0.0.0.12.0.1.37.0.0.0.0.0.0.0.0.3.38.0" == str(POWER)


@pytest.mark.parametrize(
    "code",
    [
        "",
        "3.0.129.160",
        "0.0.2.4.1.1.12.0.0.0.0.0.0.0.0.3.72",
        "0.0.2.4.1.1.12.0.0.0.0.0.0.0.0.3.72.0.0",
        "0.0.2.4.1.1.12.0.0.0.0.0.0.0.0.3.-72.0",
        "0.0.2.4.1.1.12.0.0.0.0.0.0.0.0.4.72.0",
        "0.0.2.4.1.1.12.1.0.0.0.0.0.0.0.3.72.0",
        "0.0.2.4.1.1.twelve.0.0.0.0.0.0.0.0.3.72.0",
        "0.0.2.4.1.1.١٢.0.0.0.0.0.0.0.0.3.72.0",
    ],
)
def test_what_is_no_reading_type_is_refused(code: str) -> None:
    with pytest.raises(ValueError, match=r"reading type|multiplier|fraction"):
        ReadingType.parse(code)


@pytest.mark.parametrize("fields", [{"phases": -1}, {"currency": 1000}, {"multiplier": 5}, {"tou": 100_000}])
def test_a_field_out_of_its_bounds_is_refused(fields: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"cannot be|no multiplier"):
        ReadingType(**fields)


def test_a_reading_has_the_unit_of_its_type() -> None:
    assert Quantity(Decimal("12.5"), UnitSymbol.W, UnitMultiplier.K) == POWER.quantity(Decimal("12.5"))


def test_a_unit_without_a_name_is_refused() -> None:
    with pytest.raises(ValueError, match="unit 134 has no name"):
        ReadingType(unit=134).quantity(Decimal(1))


# ---------------------------------------------------------------- control types


def test_a_control_type_is_written_from_names() -> None:
    connect = EndDeviceControlType(
        device_type=DeviceType.ELECTRIC_METER, domain=Domain.RCD_SWITCH, event_or_action=EventOrAction.CONNECT
    )

    assert "3.31.0.18" == str(connect)
    assert connect == EndDeviceControlType.parse("3.31.0.18")


def test_a_control_type_says_the_names_of_its_parts() -> None:
    found = EndDeviceControlType.parse("16.15.101.1234")

    assert ("LOAD_CONTROL_DEVICE", "LOAD_CONTROL", SubDomain.SET_POINT.name, "1234") == found.names


@pytest.mark.parametrize("code", ["", "3.31.0", "3.31.0.18.0", "3.31.0.-18", "3.31.0.x", "03.31.0.18", "3.31.0.10000"])
def test_what_is_no_control_type_is_refused(code: str) -> None:
    with pytest.raises(ValueError, match="no control type"):
        EndDeviceControlType.parse(code)


def test_a_part_out_of_its_bounds_is_refused() -> None:
    with pytest.raises(ValueError, match="-1 is no part"):
        EndDeviceControlType(domain=-1)


# ---------------------------------------------------------------- quantities and net load


def test_five_kilowatts_are_five_thousand_watts() -> None:
    five = watts("5", UnitMultiplier.K)

    assert 5000 == five.base
    assert 5000 == five.to(UnitMultiplier.NONE).value
    assert "5 kW" == str(five)


@given(st.decimals(-(10**9), 10**9, places=6), st.sampled_from(UnitMultiplier), st.sampled_from(UnitMultiplier))
def test_another_multiplier_changes_nothing(value: Decimal, one: UnitMultiplier, other: UnitMultiplier) -> None:
    quantity = Quantity(value, UnitSymbol.WH, one)

    assert quantity.base == quantity.to(other).base


def test_a_sum_has_the_multiplier_of_the_first() -> None:
    assert watts("5.25", UnitMultiplier.K) == watts("5", UnitMultiplier.K) + watts("250")


def test_units_do_not_mix() -> None:
    with pytest.raises(ValueError, match="Wh cannot be added to W"):
        _ = watts("1") + Quantity(Decimal(1), UnitSymbol.WH)


@pytest.mark.parametrize(
    ("value", "error"), [(0.1, TypeError), (Decimal("NaN"), ValueError), (Decimal("-Inf"), ValueError)]
)
def test_a_quantity_is_a_finite_decimal(value: Decimal, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"Decimal|finite"):
        Quantity(value, UnitSymbol.W)


def test_multipliers_have_the_exponents_of_si() -> None:
    exponents = [multiplier.exponent for multiplier in UnitMultiplier]

    assert sorted(exponents) == exponents
    assert (-3, 0, 3, 6, 9) == tuple(UnitMultiplier(name).exponent for name in ("m", "none", "k", "M", "G"))
    assert UnitMultiplier.MICRO is UnitMultiplier.of_exponent(-6)


def test_what_a_profile_says_becomes_a_quantity() -> None:
    power = Power(value=Decimal(-500), unit=PowerUnit.W, multiplier=PowerMultiplier.K)

    assert watts("-500", UnitMultiplier.K) == Quantity.of(power)


@pytest.mark.parametrize(
    ("consumed", "generated", "expected"),
    [(["3", "2"], [], "5"), ([], ["4"], "-4"), (["5"], ["7"], "-2"), ([], [], "0")],
)
def test_net_load_is_positive_where_more_is_consumed(consumed: list[str], generated: list[str], expected: str) -> None:
    net = net_load(consumed=map(watts, consumed), generated=map(watts, generated), unit=UnitSymbol.W)

    assert watts(expected) == net


def test_a_sign_in_what_is_summed_to_net_load_is_refused() -> None:
    with pytest.raises(ValueError, match="-3 W has a sign"):
        net_load(consumed=[], generated=[watts("-3")], unit=UnitSymbol.W)


@pytest.mark.parametrize(
    ("direction", "value", "expected"),
    [
        (FlowDirection.FORWARD, "5", "5"),
        (FlowDirection.REVERSE, "5", "-5"),
        (FlowDirection.NET, "-5", "-5"),
        (FlowDirection.NET, "5", "5"),
    ],
)
def test_what_flows_back_is_negative_net_load(direction: FlowDirection, value: str, expected: str) -> None:
    reading = ReadingType(flow_direction=direction, unit=UNIT_CODES[UnitSymbol.W])

    assert watts(expected) == reading.net_load(Decimal(value))


def test_a_reading_without_a_direction_is_no_net_load() -> None:
    with pytest.raises(ValueError, match="neither consumption nor generation"):
        POWER.net_load(Decimal(1))


# ---------------------------------------------------------------- times and intervals


def test_a_time_is_written_in_utc() -> None:
    in_paris = NOON.astimezone(timezone(HOUR))

    assert "2026-11-23T12:00:00Z" == str(to_xml(in_paris))


@given(st.datetimes(datetime(1000, 1, 2), datetime(2999, 12, 30), timezones=st.just(timezone(timedelta(minutes=-210)))))
def test_a_time_comes_back_as_the_same_moment(moment: datetime) -> None:
    assert moment == from_xml(to_xml(moment))


def test_the_end_of_a_day_is_the_begin_of_the_next() -> None:
    assert datetime(2026, 11, 24, tzinfo=UTC) == from_xml(XmlDateTime.from_string("2026-11-23T24:00:00Z"))


def test_a_naive_time_is_refused() -> None:
    naive = NOON.replace(tzinfo=None)

    for refused in (
        lambda: to_xml(naive),
        lambda: from_xml(XmlDateTime.from_datetime(naive)),
        lambda: Interval(start=naive, end=NOON),
        lambda: Interval(start=NOON, end=NOON + HOUR).contains(naive),
    ):
        with pytest.raises(ValueError, match="has no time zone"):
            refused()


def test_an_interval_is_in_utc_and_without_its_end() -> None:
    hour = Interval(start=NOON.astimezone(timezone(-HOUR)), end=NOON + HOUR)

    assert UTC is hour.start.tzinfo
    assert HOUR == hour.duration
    assert hour.contains(NOON)
    assert not hour.contains(NOON + HOUR)


def test_intervals_that_meet_do_not_overlap() -> None:
    first = Interval(start=NOON, end=NOON + HOUR)

    assert not first.overlaps(Interval(start=NOON + HOUR, end=NOON + 2 * HOUR))
    assert first.overlaps(Interval(start=NOON + HOUR / 2, end=NOON + 2 * HOUR))


@pytest.mark.parametrize("end", [NOON, NOON - HOUR])
def test_an_interval_ends_later_than_it_starts(end: datetime) -> None:
    with pytest.raises(ValueError, match="ends later than it starts"):
        Interval(start=NOON, end=end)


def test_an_interval_is_read_from_a_payload() -> None:
    bounds = DateTimeInterval(end=to_xml(NOON + HOUR), start=to_xml(NOON))

    assert Interval(start=NOON, end=NOON + HOUR) == Interval.of(bounds)


def test_an_open_interval_is_refused() -> None:
    with pytest.raises(ValueError, match="needs its start and its end"):
        Interval.of(DateTimeInterval(start=to_xml(NOON)))


def test_durations_are_counted_in_minutes() -> None:
    assert Decimal("90.5") == minutes(timedelta(hours=1, minutes=30, seconds=30))
