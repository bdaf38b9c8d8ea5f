"""run_command: run a shell command in the sandbox, in the worktree."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from pydantic import Field
from temporalio import activity

from activities.tools import guarding, scratch, undeclared_paths
from activities.tools.tool import Tool, ToolContext, ToolOutput, failed
from contracts.base import HumanInput
from contracts.tools import ApprovalClass, RetryClass, ToolOutcome
from contracts.verdicts import Effect
from domain.checkpoints import LeftOut
from domain.command_limits import UNDONE
from domain.setup_words import stale_sentence
from domain.text import one_line
from domain.tools.registry import ToolSpec
from infra.commands import CommandRun, undo
from infra.files.confined_root import PathRefused
from infra.guarded_files import TooManyGuarded
from infra.worktrees.scan import Scan


class RunCommandArguments(HumanInput):
    """Run a shell command in the sandbox, in the repository root."""

    command: str = Field(min_length=1, max_length=20_000)
    timeout_seconds: int = Field(default=120, ge=1, le=1_200)


async def execute(context: ToolContext, arguments: RunCommandArguments) -> ToolOutput:
    """Run the command and checkpoint what it left; one that filled the disk is undone."""
    worktree = context.worktree
    place = await context.commands.environment_at(
        context.store, context.environment, context.expected
    )
    notes = [f"[{scratch.LOST}]"] if scratch.was_lost(context) else []
    try:
        guarded = await guarding.kept_from_commands(context)
    except TooManyGuarded as problem:
        return failed(f"Error: {problem}.")
    ran = await context.commands.run(
        worktree,
        arguments.command,
        place.environment,
        timeout_seconds=arguments.timeout_seconds,
        guarded=guarded,
        folders=context.policy.record.folders,
    )
    if place.stale:
        notes.append(f"[{stale_sentence(place.stale)}]")
    log = {"log": context.batch.blob(ran.outcome.output)}
    if ran.disk_full:
        await undo(worktree, context.expected)
        scratch.remember(context)
        undone = f"it filled the disk, so {UNDONE}"
        notes.append(f"[{ran.ending}]" if ran.limit else f"[{ran.ending}; {undone}]")
        # Nothing but the checkpoint is there any more, so nothing of it is left out.
        return ToolOutput(_text(ran.text, notes), ToolOutcome.FAILED, attachments=log, left_out="")
    scratch.remember(context)
    text = await asyncio.to_thread(_kept, context, ran) if ran.is_cut else ran.text
    notes.append(f"[{ran.ending}]")
    scan = await worktree.scan(context.expected, f"run: {one_line(arguments.command)}")
    if denied := await guarding.undone(context, scan.commit, guarded):
        return replace(denied, text=_text(denied.text, notes), attachments=log)
    if ran.outcome.hint:
        notes.append(f"[{ran.outcome.hint}]")
    left_out = _left_out(scan)
    notes += [f"[{each}]" for each in left_out.sentences(worktree.limits)]
    notes += await undeclared_paths.changed_by_command(context, scan.commit)
    outcome = ToolOutcome.DONE if ran.passed or ran.broken_pipe else ToolOutcome.FAILED
    return ToolOutput(
        text=_text(text, notes),
        outcome=ToolOutcome.TIMED_OUT if ran.outcome.timed_out else outcome,
        checkpoint=scan.commit,
        attachments=log,
        left_out=left_out.line(),
    )


def _left_out(scan: Scan) -> LeftOut:
    """Return what the checkpoint does not hold, and log it."""
    left_out = LeftOut(
        nested=tuple(path for path in scan.skipped if path.endswith("/")),
        odd=tuple(path for path in scan.skipped if not path.endswith("/")),
        too_large=scan.too_large,
        too_deep=scan.too_deep,
    )
    if line := left_out.line():
        activity.logger.warning("checkpoint.left_out", extra={"reason": line})
    return left_out


def _kept(context: ToolContext, ran: CommandRun) -> str:
    """Return the cut output, the whole of it kept in a file where that is possible."""
    try:
        return ran.text_with(scratch.keep_output(context, ran.whole))
    except PathRefused:
        return ran.text


def _text(output: str, notes: Sequence[str]) -> str:
    return "\n".join(filter(None, [output.rstrip("\n"), *notes]))


TOOL = Tool(
    ToolSpec(
        name="run_command",
        description="Run a bash command line in a sandbox, in the repository root. No network. "
        "Each command starts in a fresh shell; processes do not stay, files do, also those in /tmp "
        "and HOME, which are yours alone and no part of the patch. A pipe fails when any of its "
        "commands fails, as it does in the checks (pipefail). A long output is cut between lines "
        "and kept whole in a file of /tmp.",
        arguments=RunCommandArguments,
        effect=Effect.WRITE,
        retry=RetryClass.JOURNALED,
        approval=ApprovalClass.COMMAND,
        subject="command",
        example={"command": "python -m pytest -q tests"},
    ),
    execute,
)
