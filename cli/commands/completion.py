"""Print the completion of commands and options for a shell.

`make install` has put it where bash, zsh and fish look. Without that, for this shell alone:

Examples:
  starter.py completion bash
  eval "$(starter.py completion bash)"
"""

from cli.completion import Shell, completion
from cli.exit_codes import ExitCode
from cli.parameters import Context


async def command(shell: Shell, /, *, context: Context) -> ExitCode:
    """Print the completion.

    Args:
        shell: whose completion
    """
    context.stdout.write(completion(shell))
    return ExitCode.DELIVERED
