"""The requests of the embedded server as the interface of its web UI lists them.

One plain HTTP request each, as its own pages send them; the SDK's client takes longer to load than
this takes.
"""

import base64
import datetime as dt
import json
import socket
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote

from cli.request_rows import RequestRow, key_in, state_of
from contracts.run_state import (
    OC_COST,
    OC_KEPT,
    OC_PENDING_APPROVALS,
    OC_REFUSED,
    OC_REPOSITORY,
    OC_STATE,
)
from domain.ids import request_key
from domain.text import one_line

_SECONDS = 5.0
_QUERY = 'WorkflowType="RequestWorkflow"'
_PREFIX = "WORKFLOW_EXECUTION_STATUS_"


class WebListError(Exception):
    """The web UI's interface did not answer as it is known to."""


@dataclass(frozen=True)
class ListedRequest:
    """A request as it is listed.

    Attributes:
        row: its cost is 0 where it is not known.
        key: names what the store keeps of it.
        cost_usd: None while it is open, and when it was terminated or is older.
        refused: nothing was made of it.
    """

    row: RequestRow
    key: str
    cost_usd: float | None
    refused: bool = False

    @property
    def id(self) -> str:
        """Its workflow id."""
        return self.row.id

    def with_cost(self, cost_usd: float | None) -> RequestRow:
        """Return the row with this cost; with its own when it is None."""
        return self.row if cost_usd is None else replace(self.row, cost_usd=cost_usd)


def list_requests(port: int, namespace: str, most: int) -> list[ListedRequest]:
    """Return requests, those that are open first, then those that ended last.

    Raises:
        WebListError: it cannot be asked, or answers otherwise.
    """
    found = _ask(port, f"namespaces/{quote(namespace, safe='')}/workflows", pageSize=str(most))
    try:
        return [_listed(each) for each in found.get("executions", ())]
    except (KeyError, TypeError, ValueError, AttributeError) as problem:
        raise WebListError(str(problem)) from problem


def count_requests(port: int, namespace: str) -> int:
    """Return how many requests there are.

    Raises:
        WebListError: it cannot be asked, or answers otherwise.
    """
    found = _ask(port, f"namespaces/{quote(namespace, safe='')}/workflow-count")
    try:
        return int(found.get("count", 0))  # none is left out of the answer
    except (TypeError, ValueError) as problem:
        raise WebListError(str(problem)) from problem


def _ask(port: int, path: str, **parameters: str) -> Mapping[str, Any]:
    pairs = {"query": _QUERY, **parameters}.items()
    query = "&".join(f"{name}={quote(value, safe='')}" for name, value in pairs)
    head = (
        f"GET /api/v1/{path}?{query} HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\n"
        "Accept: application/json\r\n\r\n"
    )
    try:
        with socket.create_connection(("127.0.0.1", port), _SECONDS) as connection:
            connection.sendall(head.encode("ascii"))
            with connection.makefile("rb") as stream:
                answer = stream.read()
        headers, _, body = answer.partition(b"\r\n\r\n")
        if headers.split(b" ", 2)[1:2] != [b"200"]:
            raise WebListError(one_line(headers.decode("latin-1"), 200))
        found = json.loads(body)
    except (OSError, ValueError) as problem:
        raise WebListError(str(problem)) from problem
    if not isinstance(found, dict):
        raise WebListError("no object")
    return found


def _listed(found: Mapping[str, Any]) -> ListedRequest:
    workflow_id, run_id = found["execution"]["workflowId"], found["execution"]["runId"]
    memo = found.get("memo", {}).get("fields", {})
    attributes = found.get("searchAttributes", {}).get("indexedFields", {})
    closed = _seconds(found["closeTime"]) if found.get("closeTime") else None
    kept = one_line(str(_value(memo, OC_KEPT) or ""), 500)
    cost = _value(memo, OC_COST)
    cost_usd = float(cost) if isinstance(cost, int | float) else None
    refused = bool(_value(memo, OC_REFUSED))
    row = RequestRow(
        id=workflow_id,
        state=state_of(str(found["status"]).removeprefix(_PREFIX), _value(attributes, OC_STATE)),
        pending=0 if closed is not None else _value(attributes, OC_PENDING_APPROVALS) or 0,
        started=_seconds(found["startTime"]),
        closed=closed,
        repository=str(_value(memo, OC_REPOSITORY) or ""),
        cost_usd=cost_usd or 0.0,
    )
    first = found.get("firstRunId") or run_id
    return ListedRequest(row, key_in(kept) or request_key(workflow_id, first), cost_usd, refused)


def _value(fields: Mapping[str, Any], name: str) -> Any:
    """Return the value of a payload of JSON; None when there is none of that name."""
    payload = fields.get(name)
    return None if payload is None else json.loads(base64.b64decode(payload["data"]))


def _seconds(time: str) -> float:
    return dt.datetime.fromisoformat(time).timestamp()
