"""run_command: run a shell command in the sandbox, in the worktree."""

from pydantic import Field

from activities.tools.tool import Tool, ToolContext, ToolOutput
from contracts.base import HumanInput
from contracts.tools import ApprovalClass, RetryClass, ToolOutcome
from contracts.verdicts import Effect
from domain.text import one_line
from domain.tools.registry import ToolSpec
from infra.commands import undo


class RunCommandArguments(HumanInput):
    """Run a shell command in the sandbox, in the repository root."""

    command: str = Field(min_length=1, max_length=20_000, description="A bash command line.")
    timeout_seconds: int = Field(default=120, ge=1, le=1_200)


async def execute(context: ToolContext, arguments: RunCommandArguments) -> ToolOutput:
    """Run the command and checkpoint what it left; one that filled the disk is undone."""
    worktree = context.worktree
    environment = await context.commands.environment(context.store, context.environment)
    ran = await context.commands.run(
        worktree, arguments.command, environment, timeout_seconds=arguments.timeout_seconds
    )
    if ran.disk_full:
        await undo(worktree, context.expected)
        end = f"[{ran.ending}; it filled the disk, so all it wrote was undone]"
        text = f"{ran.text.rstrip()}\n{end}".lstrip("\n")
        log = context.batch.blob(ran.outcome.output)
        return ToolOutput(text, ToolOutcome.FAILED, attachments={"log": log})
    message = f"run: {one_line(arguments.command)}"
    scan = await worktree.scan(context.expected, message)
    parts = [ran.text.rstrip("\n"), f"[{ran.ending}]"]
    if ran.outcome.hint:
        parts.append(f"[{ran.outcome.hint}]")
    if scan.skipped:
        parts.append(f"[not part of the checkpoint: nested repositories {', '.join(scan.skipped)}]")
    outcome = ToolOutcome.DONE if ran.passed or ran.broken_pipe else ToolOutcome.FAILED
    return ToolOutput(
        text="\n".join(filter(None, parts)),
        outcome=ToolOutcome.TIMED_OUT if ran.outcome.timed_out else outcome,
        checkpoint=scan.commit,
        attachments={"log": context.batch.blob(ran.outcome.output)},
    )


TOOL = Tool(
    ToolSpec(
        name="run_command",
        description="Run a bash command line in a sandbox, in the repository root. No network. "
        "Each command starts in a fresh shell; files stay, processes do not. A pipe fails when any "
        "of its commands fails, as it does in the checks (pipefail).",
        arguments=RunCommandArguments,
        effect=Effect.WRITE,
        retry=RetryClass.JOURNALED,
        approval=ApprovalClass.COMMAND,
        subject="command",
    ),
    execute,
)
