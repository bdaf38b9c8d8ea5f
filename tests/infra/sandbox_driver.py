"""A worker in small, as a process of its own: probes a sandbox and runs commands from a JSON file.

Run to be killed in the middle, or to be looked at from inside. `sandbox_driver.py JOB` with {root,
scratch, mounts, lines, path, together}; prints [[exit code or limit, output], …].
"""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any


async def main(job: dict[str, Any]) -> None:
    """Probe, run the lines in order or all at once, print."""
    sys.path.insert(0, job["root"])
    from infra.sandbox import Mounts, Sandbox, SandboxCommand  # noqa: PLC0415

    sandbox = Sandbox()
    await sandbox.probe(Path(job["scratch"]), hide=(Path(job["hide"]),))
    named: dict[str, Any] = {name: Path(value) for name, value in job["mounts"].items()}
    mounts = Mounts(**named, hide=(Path(job["hide"]),))
    commands = [SandboxCommand(line=line, path=job["path"]) for line in job["lines"]]
    if job["together"]:
        outcomes = await asyncio.gather(*(sandbox.run(mounts, each) for each in commands))
    else:
        outcomes = [await sandbox.run(mounts, each) for each in commands]
    seen = [
        [each.exceeded or each.exit_code, each.output.decode("utf-8", "replace")]
        for each in outcomes
    ]
    print(json.dumps(seen))


if __name__ == "__main__":
    asyncio.run(main(json.loads(Path(sys.argv[1]).read_text("utf-8"))))
