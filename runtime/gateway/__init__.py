"""The process between the embedded Temporal server and everything else on this machine.

The server's own ports look at neither Host nor Origin, and three of them are of no use to anybody
but the server itself. It runs in a network of its own, where nobody reaches them; the gateway
listens on the machine's loopback interface in its place. It knows nothing of the rest of runtime:
it is started for each server and must not cost memory or time.
"""

from typing import Final

NO_NETWORK: Final = 97
"""Exit code of the gateway when this machine gives no process a network of its own."""
