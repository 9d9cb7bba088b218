"""The classes of what a party asks of end devices (IEC 61968-9), made of the schema by scripts/generate."""

from iec62746_profiles.end_device_controls.generated import *  # noqa: F403 - their list is generated too
