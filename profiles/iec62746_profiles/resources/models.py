"""The classes of resources, presence and nodes, made of the schemas by scripts/generate."""

from iec62746_profiles.resources.generated import *  # noqa: F403 - their list is generated too
