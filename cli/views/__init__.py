"""How a request is shown: live on a terminal, as plain lines, as a report."""
