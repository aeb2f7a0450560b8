"""What an idle runner costs: the processor time of its process, without and with a watchdog.

Run it as `python -m benchmarks.idle`. The watchdog is to cost less than 0.5 % of one core.
"""

import asyncio
import tempfile
import time
from pathlib import Path

from asyncflow import Registry, Runner

SECONDS = 20


async def idle(url: str, watchdog: str | None) -> float:
    """Return the part of one core that an idle runner takes."""
    async with Runner(url, registry=Registry(), watchdog=watchdog):
        await asyncio.sleep(1)
        begin, used = time.monotonic(), time.process_time()
        await asyncio.sleep(SECONDS)
        return (time.process_time() - used) / (time.monotonic() - begin)


def main() -> None:
    """Print a line for each kind of runner."""
    with tempfile.TemporaryDirectory() as folder:
        file = f"sqlite:///{Path(folder) / 'idle.db'}"
        for url, watchdog in ((":memory:", None), (":memory:", "100ms"), (file, "100ms")):
            kind = "memory" if url == ":memory:" else "file, lease of 6 s"
            share = asyncio.run(idle(url, watchdog))
            print(f"{kind}, watchdog {watchdog or 'off'}: {share:.3%} of one core")


if __name__ == "__main__":
    main()
