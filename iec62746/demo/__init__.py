"""The demo: a grid operator and five neighbours, through all five patterns in both directions (62746-3, 5.5)."""

from iec62746.demo.north import demonstrate
from iec62746.demo.replay import read_folder, replay

__all__ = ["demonstrate", "read_folder", "replay"]
