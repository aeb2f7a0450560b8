"""What an idle runner costs: the processor time of its process, without and with a watchdog.

Each for 20 s. With a watchdog, it is to take less than 0.5 % of one core.
"""

import asyncio
import tempfile
import time
from pathlib import Path

from asyncflow import Registry, Runner
from benchmarks.yardstick import judge, options, run

SECONDS = 20
MOST = 0.5  # per cent of a core, with a watchdog


async def idle(url: str, watchdog: str | None) -> float:
    """Return the per cent of one core that an idle runner takes."""
    async with Runner(url, registry=Registry(), watchdog=watchdog):
        await asyncio.sleep(1)
        begin, used = time.monotonic(), time.process_time()
        await asyncio.sleep(SECONDS)
        return 100 * (time.process_time() - used) / (time.monotonic() - begin)


def main() -> None:
    """Print a line for each kind of runner."""
    options(__doc__).parse_args()
    with tempfile.TemporaryDirectory() as folder:
        file = f"sqlite:///{Path(folder) / 'idle.db'}"
        for url, watchdog in ((":memory:", None), (":memory:", "100ms"), (file, "100ms")):
            kind = "memory" if url == ":memory:" else "file, lease of 6 s"
            share = asyncio.run(idle(url, watchdog))
            if watchdog is None:
                print(f"{kind}, watchdog off: {share:.2f} % of a core", flush=True)
            else:
                judge(f"{kind}, watchdog {watchdog}", share, "% of a core", MOST)


if __name__ == "__main__":
    run(main)
