"""The profile of what meters measured (IEC 61968-9)."""

from pathlib import Path

from iec62746.profiles import Profile

profile = Profile(
    name="meter_readings",
    nouns=("MeterReadings",),
    namespaces=("http://iec.ch/TC57/2011/MeterReadings#",),
    schema=Path(__file__).parent / "schema/meter_readings.xsd",
    models="iec62746_profiles.meter_readings.models",
)
