"""Say whether everything that a request needs works here, and how to mend what does not.

Tries settings, versions, the home and its owner, disk, git, the Temporal server, the worker, the
sandbox and credentials, and looks who else can log in. Starts nothing that stays, changes nothing,
and shows no credential. With --online it asks the model's service, which costs nothing, whether it
takes the credentials; without it nothing is sent anywhere.

Exit code 1 when something keeps requests from working; what is only advice does not count.

Examples:
  starter.py doctor
  starter.py doctor --online
  starter.py doctor --json

Keys of --json: healthy, findings (each: name, state: ok, advice or problem, text, remedy).
"""

from typing import Annotated

from cyclopts import Parameter

from cli.exit_codes import ExitCode
from cli.parameters import AsJson, Context


async def command(
    *,
    online: Annotated[bool, Parameter(help="ask the model's service too")] = False,
    as_json: AsJson = False,
    context: Context,
) -> ExitCode:
    """Examine this machine."""
    from cli.doctor import as_document, examine, shown  # noqa: PLC0415 - not needed for its help page

    findings = await examine(context, online=online)
    width, program = context.columns(), context.program
    told = as_document(findings) if as_json else shown(findings, width=width, program=program)
    context.print_out(*told)
    problems = any(finding.state == "problem" for finding in findings)
    return ExitCode.FAILED if problems else ExitCode.DELIVERED
