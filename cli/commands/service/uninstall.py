"""Remove the systemd unit, and end what it runs.

Open requests go on at the next `up` or `run`.

Examples:
  starter.py service uninstall
"""

from cli.exit_codes import ExitCode
from cli.parameters import Context
from runtime.errors import SettingsError
from runtime.services import systemd_unit
from runtime.settings import load


async def command(*, context: Context) -> ExitCode:
    """Uninstall the unit."""
    settings = load(context.environ)
    unit = systemd_unit.unit_file(settings.environment)
    if not unit.exists():
        context.print_out(f"No unit is installed: there is no {unit}.")
        return ExitCode.DELIVERED
    try:
        systemd_unit.stop(settings)
    except SettingsError as problem:
        context.print_out(f"Not ended by systemd: {problem} `stop` ends what runs.")
    for path in systemd_unit.remove(settings):
        context.print_out(f"Removed: {path}")
    return ExitCode.DELIVERED
