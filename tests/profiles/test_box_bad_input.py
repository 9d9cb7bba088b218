"""What is not valid is refused, with the element, its line and its path; what a subset leaves out is never lost."""

from decimal import Decimal

import pytest
from xsdata.models.datatype import XmlDateTime

from iec62746 import EnvelopeError, InvalidMessage, Rule
from iec62746.profiles import installed, namespace_of
from iec62746_profiles.end_device_controls.models import (
    ControlTypeReference,
    EndDeviceControl,
    EndDeviceControls,
    PanDemandResponse,
    PanPricing,
    PanPricingDetail,
)

CONTROLS = """<EndDeviceControls xmlns="http://iec.ch/TC57/2011/EndDeviceControls#">
<EndDeviceControl>
{}
<PanDemandResponse>
<command>cycle</command>
{}
<startDateTime>{}</startDateTime>
</PanDemandResponse>
<EndDeviceControlType {}/>
{}
</EndDeviceControl>
</EndDeviceControls>"""
READINGS = """<MeterReadings xmlns="http://iec.ch/TC57/2011/MeterReadings#">
<MeterReading>
<IntervalBlocks>
{}<ReadingType ref="0.0.2.4.1.1.12.0.0.0.0.0.0.0.0.3.72.0"/>
</IntervalBlocks>
{}
</MeterReading>
</MeterReadings>"""
READING = "<IntervalReadings><timeStamp>2026-11-23T17:00:00Z</timeStamp><value>12.5</value></IntervalReadings>\n"
NAIVE = READING.replace("Z<", "<")
EVENTS = """<EndDeviceEvents xmlns="http://iec.ch/TC57/2011/EndDeviceEvents#">
<EndDeviceEvent>
{}
</EndDeviceEvent>
</EndDeviceEvents>"""
RESOURCES = """<Resources xmlns="urn:iec62746:resources:1">
<Resource><mRID>1</mRID><kind>{}</kind>
<Capability><kind>{}</kind>
<minimumPower multiplier="k" unit="{}">0</minimumPower><maximumPower multiplier="k" unit="W">{}</maximumPower>
</Capability></Resource></Resources>"""


def controls(
    *,
    head: str = "",
    response: str = "",
    start: str = "2026-11-23T17:00:00Z",
    ref: str = 'ref="16.15.26.30"',
    tail: str = "",
) -> bytes:
    return CONTROLS.format(head, response, start, ref, tail).encode()


def readings(blocks: str = "", tail: str = "") -> bytes:
    return READINGS.format(blocks, tail).encode()


def events(event: str) -> bytes:
    return EVENTS.format(event).encode()


def resources(kind: str = "physical", can: str = "load", unit: str = "W", power: str = "5") -> bytes:
    return RESOURCES.format(kind, can, unit, power).encode()


IN_CONTROL = "EndDeviceControls/EndDeviceControl"
IN_RESPONSE = f"{IN_CONTROL}/PanDemandResponse"
IN_BLOCK = "MeterReadings/MeterReading/IntervalBlocks"
BAD = {
    "a number that is none": (controls(response="<dutyCycle>half</dutyCycle>"), "half", 6, f"{IN_RESPONSE}/dutyCycle"),
    "infinity": (controls(head="<priceSignal>INF</priceSignal>"), "INF", 3, f"{IN_CONTROL}/priceSignal"),
    "a level below zero": (
        controls(head="<drProgramLevel>-1</drProgramLevel>"),
        "-1",
        3,
        f"{IN_CONTROL}/drProgramLevel",
    ),
    "over a hundred percent": (controls(response="<dutyCycle>101</dutyCycle>"), "101", 6, f"{IN_RESPONSE}/dutyCycle"),
    "below absolute zero": (
        controls(response="<coolingSetpoint>-300</coolingSetpoint>"),
        "-300",
        6,
        f"{IN_RESPONSE}/coolingSetpoint",
    ),
    "no UUID": (controls(head="<mRID>boiler</mRID>"), "boiler", 3, f"{IN_CONTROL}/mRID"),
    "a naive start": (controls(start="2026-11-23T17:00:00"), "2026-11-23T17:00:00", 7, f"{IN_RESPONSE}/startDateTime"),
    "a day that is none": (controls(start="2026-02-30T17:00:00Z"), "2026-02-30", 7, f"{IN_RESPONSE}/startDateTime"),
    "no reference": (controls(ref=""), "ref", 9, f"{IN_CONTROL}/EndDeviceControlType"),
    "a code of three parts": (controls(ref='ref="3.15.26"'), "3.15.26", 9, f"{IN_CONTROL}/EndDeviceControlType"),
    "a randomisation that is none": (
        controls(tail="<primaryDeviceTiming>\n<randomisation>often</randomisation></primaryDeviceTiming>"),
        "often",
        11,
        f"{IN_CONTROL}/primaryDeviceTiming/randomisation",
    ),
    "no randomisation": (
        controls(tail="<primaryDeviceTiming/>"),
        "randomisation",
        10,
        f"{IN_CONTROL}/primaryDeviceTiming",
    ),
    "no command": (controls().replace(b"<command>cycle</command>", b""), "command", 7, f"{IN_RESPONSE}/startDateTime"),
    "a naive reading": (readings(READING + NAIVE), "2026-11-23T17:00:00", 5, f"{IN_BLOCK}/IntervalReadings/timeStamp"),
    "a value that is a date": (
        readings(READING.replace("12.5", "2026-11-23")),
        "2026-11-23",
        4,
        f"{IN_BLOCK}/IntervalReadings/value",
    ),
    "a reading type of four fields": (
        readings().replace(b"0.0.2.4.1.1.12.0.0.0.0.0.0.0.0.3.72.0", b"3.0.129.160"),
        "3.0.129.160",
        4,
        f"{IN_BLOCK}/ReadingType",
    ),
    "a reason that is none": (
        readings(tail="<Readings>\n<reason>curiosity</reason></Readings>"),
        "curiosity",
        7,
        "MeterReadings/MeterReading/Readings/reason",
    ),
    "an event without its time": (
        events('<EndDeviceEventType ref="3.26.0.85"/>'),
        "createdDateTime",
        3,
        "EndDeviceEvents/EndDeviceEvent/EndDeviceEventType",
    ),
    "an event without its type": (
        events("<createdDateTime>2026-11-23T17:00:00Z</createdDateTime>"),
        "EndDeviceEventType",
        2,
        "EndDeviceEvents/EndDeviceEvent",
    ),
    "a resource of no known kind": (resources(kind="imaginary"), "imaginary", 2, "Resources/Resource/kind"),
    "a capability of no known kind": (resources(can="theft"), "theft", 3, "Resources/Resource/Capability/kind"),
    "a power in horses": (resources(unit="hp"), "hp", 4, "Resources/Resource/Capability/minimumPower"),
    "a power that is no number": (resources(power="much"), "much", 4, "Resources/Resource/Capability/maximumPower"),
}
LEFT_OUT = {
    "a message for a display": (controls(tail="<PanDisplay/>"), "PanDisplay", 10),
    "a password of a device": (
        controls(tail="<EndDevices>\n<electronicAddress/></EndDevices>"),
        "EndDevices/electronicAddress",
        11,
    ),
    "an element of somebody else": (controls(tail='<x xmlns="urn:x"/>'), "x", 10),
    "an attribute of somebody else": (controls(ref='ref="0.0.0.0" x="1"'), "EndDeviceControlType", 9),
    "a type that is not the schema's": (
        controls(
            head='<priceSignal xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="Minutes">1</priceSignal>'
        ),
        "priceSignal",
        3,
    ),
}


def _profile_of(document: bytes) -> str:
    found = installed().of(namespace_of(document))
    assert found is not None
    return found.name


@pytest.mark.parametrize(("document", "word", "line", "path"), BAD.values(), ids=BAD.keys())
@pytest.mark.parametrize("verb", ["validate", "bind"])
def test_bad_input_is_refused_at_its_line_and_path(verb: str, document: bytes, word: str, line: int, path: str) -> None:
    profile = installed().get(_profile_of(document))

    with pytest.raises(EnvelopeError, match=word) as caught:
        getattr(profile, verb)(document)

    assert (Rule.PAYLOAD, line, path) == (caught.value.rule, caught.value.line, caught.value.path)


@pytest.mark.parametrize(("document", "path", "line"), LEFT_OUT.values(), ids=LEFT_OUT.keys())
def test_what_a_subset_leaves_out_is_reported_and_not_lost(document: bytes, path: str, line: int) -> None:
    profile = installed().get("end_device_controls")

    with pytest.raises(EnvelopeError, match=path.rpartition("/")[2]) as caught:
        profile.bind(document)

    assert (line, f"{IN_CONTROL}/{path}") == (caught.value.line, caught.value.path)


@pytest.mark.parametrize("name", ["EndDeviceEvents", "UsagePoint/x"])
def test_events_among_readings_are_reported_and_not_lost(name: str) -> None:
    opening = "".join(f"<{one}>" for one in name.split("/"))
    closing = "".join(f"</{one}>" for one in reversed(name.split("/")))

    with pytest.raises(EnvelopeError, match=name.rpartition("/")[2]) as caught:
        installed().get("meter_readings").bind(readings(tail=opening + closing))

    assert f"MeterReadings/MeterReading/{name}" == caught.value.path


TEN_MEGABYTES = 10_000_000
MANY = TEN_MEGABYTES // len(READING) + 1


def test_ten_megabytes_of_readings_are_bound() -> None:
    document = readings(READING * MANY)

    bound = installed().get("meter_readings").bind(document)

    assert len(document) > TEN_MEGABYTES
    assert len(bound.meter_reading[0].interval_blocks[0].interval_readings) == MANY


def test_a_naive_time_behind_ten_megabytes_of_readings_is_found() -> None:
    with pytest.raises(EnvelopeError, match="2026-11-23T17:00:00'") as caught:
        installed().get("meter_readings").validate(readings(READING * MANY + NAIVE))

    assert 4 + MANY == caught.value.line
    assert f"{IN_BLOCK}/IntervalReadings/timeStamp" == caught.value.path


def test_ten_megabytes_of_naive_times_are_refused_at_the_first() -> None:
    with pytest.raises(EnvelopeError) as caught:
        installed().get("meter_readings").validate(readings(NAIVE * MANY))

    assert 4 == caught.value.line


WHEN = XmlDateTime(2026, 11, 23, 17, 0, 0, offset=0)
TYPE = ControlTypeReference(ref="16.15.26.30")
RESPONSE = PanDemandResponse(command="cycle", start_date_time=WHEN)
PRICING = PanPricing(
    command="price", start_date_time=WHEN, pan_pricing_details=(PanPricingDetail(unit_of_measure="kWh"),)
)


@pytest.mark.parametrize(
    ("control", "path"),
    [
        pytest.param(
            EndDeviceControl(
                pan_demand_response=PanDemandResponse(command="cycle", start_date_time=WHEN.replace(offset=None)),
                end_device_control_type=TYPE,
            ),
            f"{IN_RESPONSE}/startDateTime",
            id="a naive time",
        ),
        pytest.param(
            EndDeviceControl(pan_demand_response=RESPONSE, pan_pricing=PRICING, end_device_control_type=TYPE),
            f"{IN_CONTROL}/PanPricing",
            id="two where one may stand",
        ),
        pytest.param(
            EndDeviceControl(price_signal=Decimal("NaN"), end_device_control_type=TYPE),
            f"{IN_CONTROL}/priceSignal",
            id="no number",
        ),
        pytest.param(
            EndDeviceControl(dr_program_level=-1, end_device_control_type=TYPE),
            f"{IN_CONTROL}/drProgramLevel",
            id="a level below zero",
        ),
    ],
)
def test_an_object_that_is_not_valid_is_not_written(control: EndDeviceControl, path: str) -> None:
    with pytest.raises(InvalidMessage, match=path):
        installed().get("end_device_controls").write(EndDeviceControls(end_device_control=(control,)))
