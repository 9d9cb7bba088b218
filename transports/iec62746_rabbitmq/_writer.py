"""Writes what aiormq sends in one turn of the loop at once: it would have a system call for each message."""

import asyncio
from collections.abc import Iterable
from typing import Any


class GatheringWriter(asyncio.StreamWriter):
    """A writer that holds what it is given until the end of the turn, or until somebody waits for it."""

    def __init__(self, *args: Any) -> None:
        """Hold nothing yet; arguments are those of `asyncio.StreamWriter`."""
        super().__init__(*args)
        self._held: list[bytes] = []
        self._call_soon = asyncio.get_running_loop().call_soon

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Hold `data`, and write it soon."""
        if not self._held:
            self._call_soon(self._flush)
        self._held.append(bytes(data))

    def writelines(self, data: Iterable[bytes | bytearray | memoryview]) -> None:
        """Hold all of `data`, and write it soon."""
        self.write(b"".join(data))

    def _flush(self) -> None:
        held, self._held = self._held, []
        if held and not self.is_closing():
            super().write(b"".join(held))

    async def drain(self) -> None:
        """Write what is held, and wait until there is room for more."""
        self._flush()
        await super().drain()

    def write_eof(self) -> None:
        """Write what is held, and nothing more."""
        self._flush()
        super().write_eof()

    def close(self) -> None:
        """Write what is held, and close."""
        self._flush()
        super().close()
