"""What the demo shows of the wire: one line, and one file, for each body."""

import json
import os
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from iec62746.envelope import decode
from iec62746.errors import LocalError
from iec62746.message import Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One body on the wire: seconds since the start, who sent it where, what it is, and its octets."""

    seconds: float
    source: str
    destination: str
    root: str
    verb: str
    noun: str
    result: str
    octets: int

    def __str__(self) -> str:
        """Return the line as it is printed."""
        what = f"{self.verb} {self.noun} {self.result}".rstrip()
        way = f"{self.source} → {self.destination}"
        return f"  {self.seconds:7.3f} s  {way:<31} {what:<34} {self.root:<16} {self.octets:>5} octets"


def _empty_folder(path: Path) -> None:
    """Make the folder `path`; raises `LocalError` if it cannot be made, or has something in it."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        if any(path.iterdir()):
            raise LocalError(f"{path} is not empty: give a new folder to capture into")
    except OSError as exc:
        raise LocalError(f"{path} cannot be captured into: {exc.strerror}: give a folder that you may write") from exc


class Wire:
    """Everything that was on the wire, in order."""

    def __init__(self, capture: Path | None, *, is_json: bool) -> None:
        """Print lines, as text or JSON; write each body into the folder `capture`, if there is one."""
        self.lines: list[Line] = []
        self._capture, self._is_json, self._start = capture, is_json, time.perf_counter()
        if capture is not None:
            _empty_folder(capture)

    def show(self, body: bytes) -> None:
        """Take one body."""
        message = decode(body, reading="tolerant")
        reply = message.reply
        errors = " ".join(one.code for one in reply.errors if one.code != "0.0") if reply else ""
        line = Line(
            seconds=round(time.perf_counter() - self._start, 6),
            source=message.source or "?",
            destination=message.destination or "?",
            root=message.kind.value,
            verb=message.verb,
            noun=message.noun,
            result=f"{reply.result.value} {errors}".strip() if reply else "",
            octets=len(body),
        )
        self.lines.append(line)
        if self._capture is not None:
            name = f"{len(self.lines):04d}-{line.source}-{line.destination}.xml".replace("?", "unknown")
            (self._capture / name).write_bytes(body)
        _print(json.dumps(asdict(line)) if self._is_json else str(line))

    def title(self, text: str) -> None:
        """Print a heading."""
        if not self._is_json:
            _print(f"\n{text}")

    def count(self, kind: Kind) -> int:
        """Return how many bodies were of `kind`."""
        return sum(line.root == kind.value for line in self.lines)


def _print(text: str) -> None:
    """Print `text`; when nobody reads any more, as in `| head`, go on in silence."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        sys.stdout = open(os.devnull, "w")  # open until the process ends
