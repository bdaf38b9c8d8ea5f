"""Have systemd start server and worker at each login.

Writes a user unit, and starts it where `systemctl --user` works; elsewhere it prints what to run.
The unit runs `up` with the settings of this shell. They are kept in `service.env` of the home,
readable for you alone, the model key among them: install again after a change.

Examples:
  starter.py service install
"""

from cli.exit_codes import ExitCode
from cli.parameters import Context
from runtime.errors import SettingsError
from runtime.services import systemd_unit
from runtime.services.startup import STARTER
from runtime.services.stop import stop_services
from runtime.settings import load


async def command(*, context: Context) -> ExitCode:
    """Install the unit."""
    settings = load(context.environ)
    settings.ensure_home()
    unit = systemd_unit.install(settings, starter=STARTER)
    context.print_out(
        f"Written: {unit}",
        f"Written: {systemd_unit.settings_file(settings)} (settings and model key, for you alone)",
    )
    try:
        systemd_unit.reload(settings)
        # The unit's `up` and a service that runs already would serve one home.
        if await stop_services(settings):
            context.print_out(f"Stopped what ran on {settings.home}; the unit takes its place.")
        systemd_unit.start(settings)
    except SettingsError as problem:
        context.print_out(
            f"Not started: {problem} Where systemd runs:",
            *(f"  {' '.join(words)}" for words in systemd_unit.START_COMMANDS),
        )
    else:
        context.print_out("Started; `systemctl --user status orchestcode` shows it.")
    context.print_out("To have it run while you are not logged in: loginctl enable-linger")
    return ExitCode.DELIVERED
