"""The classes of what meters measured (IEC 61968-9), made of the schema by scripts/generate."""

from iec62746_profiles.meter_readings.generated import *  # noqa: F403 - their list is generated too
