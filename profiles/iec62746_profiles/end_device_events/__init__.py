"""The profile of what happened at end devices (IEC 61968-9)."""

from pathlib import Path

from iec62746.profiles import Profile

profile = Profile(
    name="end_device_events",
    nouns=("EndDeviceEvents",),
    namespaces=("http://iec.ch/TC57/2011/EndDeviceEvents#",),
    schema=Path(__file__).parent / "schema/end_device_events.xsd",
    models="iec62746_profiles.end_device_events.models",
)
