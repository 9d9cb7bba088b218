"""The profiles of what 62746-3 names and no CIM profile has: resources, presence and the nodes of a domain."""

from pathlib import Path

import iec62746
from iec62746.profiles import Profile

_MODELS = "iec62746_profiles.resources.models"
_CORE = Path(iec62746.__file__).parent / "schema"

profile = Profile(
    name="resources",
    nouns=("Resources",),
    namespaces=("urn:iec62746:resources:1",),
    schema=Path(__file__).parent / "schema/resources.xsd",
    models=_MODELS,
)
# The core writes and reads these two by the same files.
presence = Profile(
    name="presence",
    nouns=("Presence",),
    namespaces=("urn:iec62746:presence:1",),
    schema=_CORE / "presence.xsd",
    models=_MODELS,
)
nodes = Profile(
    name="nodes",
    nouns=("Nodes",),
    namespaces=("urn:iec62746:nodes:1",),
    schema=_CORE / "nodes.xsd",
    models=_MODELS,
)
