"""Replays histories in a process of its own: `python -m tests.replay.replaying FOLDER…`.

Prints one JSON object: what was replayed, what failed, what was logged, which vendors were loaded.
It can be made unable to import what a replay must not need (`--without NAME`).
"""

import argparse
import asyncio
import json
import logging
import sys
from collections.abc import AsyncIterator, Iterable, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from runtime.services.child_process import end_process

if TYPE_CHECKING:
    from temporalio.client import WorkflowHistory
    from temporalio.worker import Replayer


class Forbidden(MetaPathFinder):
    """Refuses to import some packages, installed or not."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = tuple(names)

    @override
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname.split(".", maxsplit=1)[0] in self._names:
            raise ImportError(f"a replay must not need {fullname}")
        return None


class Kept(logging.Handler):
    """Keeps every record that reaches the root logger."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    @override
    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(f"{record.name}: {record.getMessage()}")


def replayer() -> "Replayer":
    """A replayer of the product's workflows, made as its worker is."""
    from temporalio.worker import Replayer  # noqa: PLC0415

    from runtime.connect import converter  # noqa: PLC0415
    from runtime.interceptors import OrchestInterceptor  # noqa: PLC0415
    from runtime.workflow_sandbox import workflow_runner  # noqa: PLC0415
    from workflows.agent import AgentWorkflow  # noqa: PLC0415
    from workflows.merge_queue import MergeQueueWorkflow  # noqa: PLC0415
    from workflows.reconcile import ReconcileWorkflow  # noqa: PLC0415
    from workflows.request import RequestWorkflow  # noqa: PLC0415
    from workflows.subtask import SubtaskWorkflow  # noqa: PLC0415

    return Replayer(
        workflows=[
            RequestWorkflow,
            SubtaskWorkflow,
            AgentWorkflow,
            MergeQueueWorkflow,
            ReconcileWorkflow,
        ],
        data_converter=converter(),
        workflow_runner=workflow_runner(),
        interceptors=[OrchestInterceptor()],
    )


async def replayed(
    by: "Replayer", histories: Iterable[tuple[str, "WorkflowHistory"]]
) -> dict[str, str]:
    """Replay named histories, one after another, and return how those failed that did."""
    names: list[str] = []

    async def named() -> "AsyncIterator[WorkflowHistory]":
        for name, history in histories:
            names.append(name)
            yield history

    failures: dict[str, str] = {}
    async with by.workflow_replay_iterator(named()) as results:
        async for result in results:
            if result.replay_failure is not None:
                failures[names[-1]] = f"{type(result.replay_failure).__name__}: " + str(
                    result.replay_failure
                )
    return failures


def read(folder: Path) -> "list[tuple[str, WorkflowHistory]]":
    """Return the recorded histories below a folder by "<Workflow>/<case>", in order."""
    return [
        (f"{file.parent.name}/{file.stem}", _read(file)) for file in sorted(folder.rglob("*.json"))
    ]


def _read(file: Path) -> "WorkflowHistory":
    from temporalio.client import WorkflowHistory  # noqa: PLC0415

    text = file.read_text("utf-8")
    started = json.loads(text)["events"][0]["workflowExecutionStartedEventAttributes"]
    # Names of children follow from the workflow's own.
    return WorkflowHistory.from_json(started["workflowId"], text)


def main() -> dict[str, Any]:
    """Replay what the command line names and return the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--without", action="append", default=[])
    words = parser.parse_args()
    sys.meta_path.insert(0, Forbidden(words.without))
    kept = Kept()
    logging.basicConfig(level=logging.DEBUG, handlers=[kept])
    for machinery in ("asyncio", "temporalio.worker"):
        logging.getLogger(machinery).setLevel(logging.WARNING)
    histories = [each for folder in words.folders for each in read(folder)]
    failures = asyncio.run(replayed(replayer(), histories))
    return {
        "replayed": [name for name, _ in histories],
        "failures": failures,
        "lines": kept.lines,
        "loaded": sorted({name.split(".")[0] for name in sys.modules} & set(words.without)),
        "seed": sys.flags.hash_randomization,
    }


if __name__ == "__main__":
    print(json.dumps(main()))
    end_process(0)
