"""Replays one history of `PortedWorkflow` where activities, the model's client and git are missing.

`python -m tests.replay.bare HISTORY MODULE CLASS` prints what came of it as JSON.
"""

import asyncio
import importlib
import json
import sys
from pathlib import Path

from runtime.services.child_process import end_process
from tests.replay.replaying import Forbidden

FORBIDDEN = ("activities", "infra", "anthropic", "git")


async def main(file: str, module: str, name: str) -> dict[str, object]:
    """Replay the history by one class of one module."""
    sys.meta_path.insert(0, Forbidden(FORBIDDEN))

    from temporalio.client import WorkflowHistory  # noqa: PLC0415
    from temporalio.worker import Replayer  # noqa: PLC0415

    from runtime.connect import converter  # noqa: PLC0415
    from runtime.workflow_sandbox import workflow_runner  # noqa: PLC0415

    replayer = Replayer(
        workflows=[getattr(importlib.import_module(module), name)],
        data_converter=converter(),
        workflow_runner=workflow_runner(),
    )
    history = WorkflowHistory.from_json("ported", Path(file).read_text("utf-8"))
    result = await replayer.replay_workflow(history, raise_on_replay_failure=False)
    loaded = sorted({name.split(".")[0] for name in sys.modules} & set(FORBIDDEN))
    failure = result.replay_failure
    return {"loaded": loaded, "failure": str(failure) if failure else None}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main(*sys.argv[1:]))))
    end_process(0)
