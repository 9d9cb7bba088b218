"""What the schemas in the box allow, and what of it comes back from typed objects."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lxml import etree

from iec62746 import EnvelopeError
from iec62746.profiles import Profile, installed

ROOT = Path(__file__).parents[2]
BOX = ["end_device_controls", "end_device_events", "meter_readings", "resources", "presence", "nodes"]
FROM_THE_STANDARD = BOX[:3]

Documents = Callable[[Profile], st.SearchStrategy[bytes]]
Content = Callable[[bytes], Any]

LARGE = [HealthCheck.too_slow, HealthCheck.data_too_large]


@pytest.fixture(scope="session")
def full(oracle: Path) -> list[tuple[Profile, etree.XMLSchema]]:
    """Return the full schemas of our subsets that the reference data have."""
    found = [(_target(path), path) for path in sorted(oracle.glob("xsd/**/*.xsd"))]
    profiles = [(installed().of(namespace), path) for namespace, path in found]
    return [(profile, etree.XMLSchema(file=str(path))) for profile, path in profiles if profile is not None]


def _target(path: Path) -> str:
    return str(etree.parse(path).getroot().get("targetNamespace"))


def test_the_reference_data_have_the_full_schema_of_controls(full: list[tuple[Profile, etree.XMLSchema]]) -> None:
    assert "end_device_controls" in {profile.name for profile, _ in full}


@settings(max_examples=200, suppress_health_check=LARGE)
@given(data=st.data())
def test_what_a_subset_allows_the_full_schema_allows(
    data: st.DataObject, documents: Documents, full: list[tuple[Profile, etree.XMLSchema]]
) -> None:
    profile, schema = data.draw(st.sampled_from(full))
    document = data.draw(documents(profile))
    profile.validate(document)

    schema.assertValid(etree.fromstring(document))


@pytest.mark.parametrize("name", BOX)
@settings(max_examples=50, suppress_health_check=LARGE)
@given(data=st.data())
def test_documents_come_back_from_objects_with_the_same_content(
    name: str, data: st.DataObject, documents: Documents, content: Content
) -> None:
    profile = installed().get(name)
    document = data.draw(documents(profile))

    bound = profile.bind(document)
    written = profile.write(bound)

    assert content(document) == content(written)
    assert bound == profile.bind(written)
    assert written == profile.write(profile.bind(written))


CANONICAL = {
    "end_device_controls": b"""<EndDeviceControls xmlns="http://iec.ch/TC57/2011/EndDeviceControls#">\
<EndDeviceControl><mRID>6f1c1f52-0d3a-4c41-9b8e-2c3a4a2f1c11</mRID><drProgramLevel>3</drProgramLevel>\
<drProgramMandatory>false</drProgramMandatory><priceSignal>0.310</priceSignal><PanDemandResponse>\
<avgLoadAdjustment>-20</avgLoadAdjustment><command>cycle</command><coolingSetpoint>25.5</coolingSetpoint>\
<duration>30</duration><dutyCycle>50</dutyCycle><startDateTime>2026-11-23T17:00:00Z</startDateTime><appliance>\
<isWaterHeater>true</isWaterHeater></appliance></PanDemandResponse><EndDeviceControlType ref="16.15.26.30"/>\
<EndDevices><Names><name>boiler 7</name><NameType><name>plant</name></NameType></Names></EndDevices>\
<primaryDeviceTiming><randomisation>startAndEnd</randomisation><interval><end>2026-11-23T18:00:00Z</end>\
<start>2026-11-23T17:00:00Z</start></interval></primaryDeviceTiming></EndDeviceControl></EndDeviceControls>""",
    "end_device_events": b"""<EndDeviceEvents xmlns="http://iec.ch/TC57/2011/EndDeviceEvents#"><EndDeviceEvent>\
<createdDateTime>2026-11-23T17:00:00.250+01:00</createdDateTime><reason>opted out</reason><Assets><mRID>boiler 7</mRID>\
</Assets><EndDeviceEventDetails><name>until</name><value>18:00</value></EndDeviceEventDetails>\
<EndDeviceEventType ref="16.15.43.10"/><status><value>final</value></status></EndDeviceEvent></EndDeviceEvents>""",
    "meter_readings": b"""<MeterReadings xmlns="http://iec.ch/TC57/2011/MeterReadings#"><MeterReading><IntervalBlocks>\
<IntervalReadings><timeStamp>2026-11-23T17:15:00Z</timeStamp><value>12.50</value><ReadingQualities>\
<ReadingQualityType ref="1.0.0"/></ReadingQualities></IntervalReadings>\
<ReadingType ref="0.0.2.4.1.1.12.0.0.0.0.0.0.0.0.3.72.0"/></IntervalBlocks><Meter><mRID>M-1</mRID></Meter>\
<Readings><reason>loadManagement</reason><timeStamp>2026-11-23T17:20:00Z</timeStamp><value>-3</value>\
<ReadingType ref="0.0.0.12.4.1.37.0.0.0.0.0.0.0.0.3.38.0"/></Readings></MeterReading></MeterReadings>""",
    "resources": b"""<Resources xmlns="urn:iec62746:resources:1"><Resource><mRID>pool 1</mRID><kind>virtual</kind>\
<Capability><kind>storage</kind><minimumPower multiplier="k" unit="W">-500</minimumPower>\
<maximumPower multiplier="k" unit="W">500</maximumPower><energyCapacity multiplier="M" unit="Wh">1.2</energyCapacity>\
<responseTime>2.5</responseTime><interval><end>2026-11-24T00:00:00Z</end><start>2026-11-23T00:00:00Z</start></interval>\
</Capability><member>battery 1</member><member>battery 2</member><market>day-ahead</market></Resource></Resources>""",
    "presence": b"""<Presence xmlns="urn:iec62746:presence:1"><state>online</state><session>s-1</session>\
<epoch>1700000000</epoch><interval>30</interval></Presence>""",
    "nodes": b"""<Nodes xmlns="urn:iec62746:nodes:1"><Node><name>north</name><noun>EndDeviceControls</noun>\
<current>true</current></Node></Nodes>""",
}


@pytest.mark.parametrize("name", BOX)
def test_a_document_in_canonical_form_comes_back_as_it_was(name: str) -> None:
    profile = installed().get(name)

    written = profile.write(profile.bind(CANONICAL[name]))

    assert etree.canonicalize(CANONICAL[name].decode()) == etree.canonicalize(written.decode())


@pytest.mark.parametrize("name", FROM_THE_STANDARD)
def test_payloads_from_the_field_come_back_or_are_refused_at_a_place(oracle: Path, name: str, content: Content) -> None:
    profile = installed().get(name)
    found = [
        etree.tostring(element, with_tail=False)
        for path in sorted(oracle.glob("instances/field/*.xml"))
        for element in etree.parse(path).iter(*(f"{{{space}}}{profile.nouns[0]}" for space in profile.namespaces))
    ]

    assert found
    for document in found:
        assert _is_refused_at_a_place(profile, document) or _comes_back(profile, document, content)


def _is_refused_at_a_place(profile: Profile, document: bytes) -> bool:
    try:
        profile.validate(document)
    except EnvelopeError as exc:
        return exc.line > 0 and exc.path.startswith(f"{profile.nouns[0]}/")
    return False


def _comes_back(profile: Profile, document: bytes, content: Content) -> bool:
    return bool(content(document) == content(profile.write(profile.bind(document))))


def test_readings_as_they_are_met_in_the_field_can_be_bound(oracle: Path) -> None:
    message = oracle / "instances/field/taipower-hes-cht__created-MeterReadings-EventMessage.xml"
    (payload,) = etree.parse(message).iter("{http://iec.ch/TC57/2011/MeterReadings#}MeterReadings")

    bound = installed().get("meter_readings").bind(etree.tostring(payload, with_tail=False))

    assert "6519.0955" == str(bound.meter_reading[0].interval_blocks[0].interval_readings[0].value)


@pytest.mark.parametrize("name", BOX)
def test_the_models_of_a_profile_are_its_generated_classes(name: str) -> None:
    profile = installed().get(name)

    bound = profile.bind(CANONICAL[name])

    assert profile.models == type(bound).__module__.replace(f"generated.{name}", "models")
    assert profile.nouns == (type(bound).__name__,)


@pytest.mark.skipif(not (ROOT / "scripts").is_dir(), reason="run without the source tree: no scripts beside tests")
def test_the_classes_are_what_scripts_generate_would_write() -> None:
    generator = [sys.executable, str(ROOT / "scripts/profiles.py"), "--check"]

    ran = subprocess.run(generator, capture_output=True, text=True, check=False)

    assert not ran.returncode, ran.stderr
