"""install_dependencies: have the repository's setup run for what the agent's files name.

The call is made twice: once to learn what has to be installed, and once that is done, to take over
what the package manager wrote.
"""

from pydantic import Field

from activities.setup_of_call import Asks, NothingToRun, setup_of_call
from activities.tools import undeclared_paths
from activities.tools.tool import Tool, ToolContext, ToolOutput, failed, plain_path
from contracts.base import HumanInput
from contracts.setup import SetupReport
from contracts.tools import ApprovalClass, RetryClass, ToolOutcome
from contracts.verdicts import Effect
from domain.approvals.paths import path_problem
from domain.text import listing
from domain.tools.registry import ToolSpec
from infra.commands import readable, shortened
from infra.files.confined_files import ConfinedFiles
from infra.files.confined_root import PathRefused
from infra.store import journal, trees


class InstallArguments(HumanInput):
    """Install what the manifests and lock files of your copy name."""

    reason: str = Field(
        min_length=1,
        max_length=500,
        description="Why the task needs it, for the person who allows it.",
    )
    command: str = Field(
        default="",
        max_length=500,
        description="One command of a package manager that changes the lock file, such as "
        "`npm install left-pad` or `uv add httpx`. Left out: what you wrote into the files counts.",
    )
    folder: str = Field(
        default="", max_length=1_000, description="The folder in which `command` runs; the root."
    )


async def execute(context: ToolContext, arguments: InstallArguments) -> ToolOutput:
    """Say what has to be installed; once it is, take over what the package manager wrote."""
    found = await journal.recorded(context.store, context.installed_ref)
    if found is not None:
        return await _settled(context, SetupReport.model_validate_json(found))
    folder = plain_path(arguments.folder)
    if folder and (problem := path_problem(folder)):
        return failed(f"Error: {problem}")
    record = context.worktree.record
    environment = await context.commands.environment(context.store, context.environment)
    wanted = await setup_of_call(
        context.store,
        environment,
        Asks(
            base=record.base or record.commit,
            commit=context.expected,
            command=arguments.command.strip(),
            folder=folder,
            reason=arguments.reason,
            record=context.installed_ref,
            request=context.request_key,
        ),
        context.commands.layers,
    )
    if isinstance(wanted, SetupReport):
        return await _settled(context, wanted)
    if isinstance(wanted, NothingToRun):
        return failed(wanted.said) if wanted.refused else ToolOutput(wanted.said)
    return ToolOutput("The setup has to run first.", ToolOutcome.FAILED, setup=wanted)


async def _settled(context: ToolContext, report: SetupReport) -> ToolOutput:
    """Return what the setup came to, with the changed lock files in the worktree."""
    log = await context.store.get_blob(report.log) if report.log else b""
    said = [shortened(readable(log)).rstrip("\n")]
    if report.environment is None:
        return _failed([*said, "[it failed: nothing was installed, and no file was changed]"])
    try:
        checkpoint = await _taken_over(context, report)
    except PathRefused as error:
        return _failed([*said, f"[installed, but {error} Restore it and call this again]"])
    changed = tuple(report.changed)
    said += [f"[changed: {listing(changed, most=20)}]"] if changed else []
    said += [f"[{note}]" for note in report.notes]
    said += [f"[{each}]" for path in changed if (each := undeclared_paths.edited(context, path))]
    said.append("[your commands and the checks find it from now on]")
    log_of = {"log": report.log} if report.log else {}
    return ToolOutput("\n".join(filter(None, said)), checkpoint=checkpoint, attachments=log_of)


def _failed(said: list[str]) -> ToolOutput:
    return ToolOutput("\n".join(filter(None, said)), ToolOutcome.FAILED)


async def _taken_over(context: ToolContext, report: SetupReport) -> str | None:
    """Write the changed lock files and return the checkpoint with them; None without any."""
    if not report.changed:
        return None
    store, uid = context.store, context.worktree.uid
    entries = dict[str, tuple[str, str]]()
    with ConfinedFiles(context.worktree.path, owner=None if uid is None else (uid, uid)) as files:
        for path, oid in report.changed.items():
            written = files.write(path, await store.get_blob(oid))
            entries[path] = ("100755" if written.mode & 0o100 else "100644", oid)
    before = await store.get_commit(context.expected)
    tree = await trees.with_paths(store, before.tree, entries, batch=context.batch)
    if tree == before.tree:
        return None
    message = f"install: {listing(tuple(entries))}"
    when = before.author_seconds + 1
    return context.batch.commit(tree, (context.expected,), message, when=when)


TOOL = Tool(
    ToolSpec(
        name="install_dependencies",
        description="Install dependencies, with a network, once a person has allowed it: first "
        "change the manifest (package.json, pyproject.toml …) or name the package manager's "
        "command, then call this. It brings the lock file in line, runs the repository's setup, "
        "and your commands find the result. What is installed already is not asked about again.",
        arguments=InstallArguments,
        effect=Effect.WRITE,
        retry=RetryClass.JOURNALED,
        approval=ApprovalClass.SETUP,
        subject="reason",
        example={"reason": "the task parses dates", "command": "npm install date-fns"},
    ),
    execute,
)
