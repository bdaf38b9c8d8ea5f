"""Run server and worker in the foreground.

They are replaced when they end or hang, until Ctrl-C. The first lines printed are the addresses
of the server and of the web UI.

Examples:
  starter.py up
"""

from cli.exit_codes import ExitCode
from cli.parameters import Context
from runtime.services.process_supervisor import supervise
from runtime.settings import load


async def command(*, until_unused: bool = False, context: Context) -> ExitCode:
    """Supervise server and worker.

    Args:
        until_unused: end when no command needs them
    """
    settings = load(context.environ)
    code = await supervise(settings, until_unused=until_unused, announce=context.print_err)
    return ExitCode(code)
