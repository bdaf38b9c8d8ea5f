"""A worker without workflows: it connects, reports that it is ready and waits for SIGTERM."""

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
from runtime.records import WorkerRecord
from runtime.services.child_process import end_process
from runtime.services.watchdog import send_heartbeats
from runtime.settings import load


async def main() -> None:
    """Connect, report, wait."""
    settings = load()
    stop = asyncio.Event()
    heartbeats = asyncio.create_task(send_heartbeats(settings.heartbeat_fd))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await connect(settings, retry_for=dt.timedelta(seconds=20))
    WorkerRecord(pid=os.getpid()).write(settings)
    await stop.wait()
    heartbeats.cancel()
    print("stopped gracefully", flush=True)


if __name__ == "__main__":
    asyncio.run(main())
    end_process(0)
