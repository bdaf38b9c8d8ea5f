"""That no worker runs, for commands that look and start none."""

from cli.command_words import start_command
from cli.context import CliContext
from cli.exit_codes import UsageError
from runtime.records import SupervisorRecord
from runtime.settings import load


def missing_worker(context: CliContext) -> list[str]:
    """Return a line that says that nothing goes on and what to do; none while a worker is kept up.

    Whether a service at a TEMPORAL_ADDRESS has a worker is not known here.
    """
    settings = load(context.environ)
    supervisor = SupervisorRecord.running(settings)
    if settings.temporal_address or (supervisor is not None and supervisor.with_worker):
        return []
    start = start_command(context.program)
    return [f"orchestcode: no worker runs, so open requests do not go on; start one with: {start}"]


async def require_worker(context: CliContext) -> None:
    """Refuse what a worker looks up where none runs: one that starts acts on all that is open.

    Raises:
        UsageError: none runs.
    """
    settings = load(context.environ)
    if settings.temporal_address:
        # Only then does a command pay for loading the SDK here.
        from runtime.services.pollers import has_live_poller  # noqa: PLC0415

        there = await has_live_poller(settings)
    else:
        there = not missing_worker(context)
    if not there:
        raise UsageError(
            "A dry run asks a worker, starts none, and none runs; one goes on with all that is "
            f"open. To start one: {start_command(context.program)}"
        )
