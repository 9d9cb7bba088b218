"""A party of the conformance kit in a process of its own: commands on standard input, answers and events on output.

One JSON object a line, both ways. Standard output belongs to these; what libraries print goes to standard error.
"""

import asyncio
import json
import os
import sys
from typing import Any

from iec62746.testing._worker import Worker


async def serve(commands: int, answers: int) -> None:
    """Do what the file descriptor `commands` says, until it ends."""
    out = os.fdopen(answers, "w", encoding="utf-8")

    def tell(one: dict[str, Any]) -> None:
        out.write(json.dumps(one) + "\n")
        out.flush()

    worker = Worker(tell)
    reader = asyncio.StreamReader(limit=sys.maxsize // 4)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(commands, "rb"))
    running: set[asyncio.Task[None]] = set()

    async def run(command: dict[str, Any]) -> None:
        tell({"id": command["id"], **await worker.do(command)})

    while line := await reader.readline():
        task = asyncio.create_task(run(json.loads(line)))
        running.add(task)
        task.add_done_callback(running.discard)
    for task in running:
        task.cancel()
    await worker.do({"do": "forget"})


def main() -> None:
    """Serve, with what is ours on file descriptors that no library knows."""
    commands, answers = os.dup(0), os.dup(1)
    os.dup2(2, 1)
    asyncio.run(serve(commands, answers))


if __name__ == "__main__":
    main()
