"""A worker in small, as a process of its own: probes a sandbox and runs commands from a JSON file.

Run as another user, or to be killed in the middle. `sandbox_driver.py JOB` with {root, bwrap,
scratch, mounts, lines, path}; prints {reason, outcomes: [[exit code, output], …]}.
"""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any


async def main(job: dict[str, Any]) -> None:
    """Probe, run the lines in order, print."""
    sys.path.insert(0, job["root"])
    from infra.sandbox import Mounts, Sandbox, SandboxCommand  # noqa: PLC0415

    sandbox = Sandbox(Path(job["bwrap"]))
    await sandbox.probe(Path(job["scratch"]), hide=(Path(job["hide"]),))
    named: dict[str, Any] = {name: Path(value) for name, value in job["mounts"].items()}
    mounts = Mounts(**named, hide=(Path(job["hide"]),))
    outcomes = [
        await sandbox.run(mounts, SandboxCommand(line=line, path=job["path"]))
        for line in job["lines"]
    ]
    seen = [[each.exit_code, each.output.decode("utf-8", "replace")] for each in outcomes]
    print(json.dumps({"reason": sandbox.reason, "outcomes": seen}))


if __name__ == "__main__":
    asyncio.run(main(json.loads(Path(sys.argv[1]).read_text("utf-8"))))
