"""The profile of what a party asks of end devices (IEC 61968-9)."""

from pathlib import Path

from iec62746.profiles import Profile

profile = Profile(
    name="end_device_controls",
    nouns=("EndDeviceControls",),
    namespaces=("http://iec.ch/TC57/2011/EndDeviceControls#",),
    schema=Path(__file__).parent / "schema/end_device_controls.xsd",
    models="iec62746_profiles.end_device_controls.models",
)
