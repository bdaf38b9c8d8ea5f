"""A worker without work: it connects to its server, says that it is ready and waits to be ended."""

import asyncio
import datetime as dt
import os
import signal
import sys
from pathlib import Path

if (Path(os.environ["ORCHESTCODE_HOME"]) / "worker-fails").exists():
    sys.exit("this worker cannot start")
sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from runtime.connect import connect
from runtime.services.child_process import end_process
from runtime.services.process_supervisor import worker_ready
from runtime.services.watchdog import beat
from runtime.settings import load


async def main() -> None:
    """Connect, say so, wait."""
    settings = load()
    stop = asyncio.Event()
    beating = asyncio.create_task(beat(settings.pulse))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await connect(settings, patience=dt.timedelta(seconds=20))
    worker_ready(settings)
    await stop.wait()
    beating.cancel()
    print("ended in good order", flush=True)


if __name__ == "__main__":
    asyncio.run(main())
    end_process(0)
