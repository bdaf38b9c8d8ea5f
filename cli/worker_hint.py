"""That no worker runs, for commands that look at open requests and start none."""

from cli.command_words import start_command
from cli.context import CliContext
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
