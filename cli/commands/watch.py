"""Watch a request until it ends.

Starts server and worker if none runs. On a terminal the view is redrawn in place, elsewhere each
change is a line. Ctrl-C leaves the request; watch goes on with it.

Examples:
  starter.py watch mine
"""

from cli.client.connection import connected
from cli.exit_codes import ExitCode
from cli.parameters import Context, RequestId
from cli.watcher import watch_to_end


async def command(request_id: RequestId, /, *, context: Context) -> ExitCode:
    """Watch one request."""
    async with connected(context, worker=True) as service:
        request = await service.requests.find(request_id)
        return await watch_to_end(request, service, context)
