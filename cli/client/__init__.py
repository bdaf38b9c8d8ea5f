"""The requests of one Temporal service: connect to it, find, start, read and answer them."""

from cli.client.outcome import RequestOutcome
from cli.client.request_client import RequestClient
from cli.client.summary import RequestSummary

__all__ = ["RequestClient", "RequestOutcome", "RequestSummary"]
