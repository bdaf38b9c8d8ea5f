"""A starter script whose only command is the supervisor."""

import asyncio
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from runtime.services.child_process import end_process
from runtime.services.process_supervisor import supervise
from runtime.settings import load


def main() -> int:
    """Supervise the worker beside this file, as `starter.py up` does."""
    return asyncio.run(
        supervise(
            load(),
            background=len(sys.argv) > len(["starter.py", "up"]),
            with_worker="--server-only" not in sys.argv,
            announce=lambda line: print(line, flush=True),
            worker=Path(__file__).with_name("worker.py"),
        )
    )


if __name__ == "__main__":
    end_process(main())
