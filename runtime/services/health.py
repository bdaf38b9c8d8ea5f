"""Whether the embedded Temporal server answers, and the set-up of its new database.

Importing this module loads the SDK; code that starts processes imports it after starting them.
"""

import datetime as dt

from google.protobuf.duration_pb2 import Duration
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.namespace.v1 import NamespaceConfig
from temporalio.api.operatorservice.v1 import (
    AddSearchAttributesRequest,
    ListSearchAttributesRequest,
)
from temporalio.api.workflowservice.v1 import (
    DescribeNamespaceRequest,
    GetSystemInfoRequest,
    UpdateNamespaceRequest,
)
from temporalio.client import Client
from temporalio.service import RPCError

from runtime.connect import connect
from runtime.errors import UnreachableError
from runtime.services.database import SEARCH_ATTRIBUTES, is_finished, write_marker
from runtime.settings import Settings

RETENTION = dt.timedelta(days=30)
"""How long closed runs are kept; the development server's own default is one day."""
_ANSWER_TIMEOUT = dt.timedelta(seconds=5)


async def is_serving(settings: Settings, *, address: str) -> bool:
    """Return whether the service at the address serves the namespace."""
    try:
        client = await connect(settings, address=address)
        await client.workflow_service.describe_namespace(
            DescribeNamespaceRequest(namespace=settings.temporal_namespace),
            timeout=_ANSWER_TIMEOUT,
        )
    except (UnreachableError, RPCError):
        return False
    return True


async def finish_set_up(settings: Settings, *, address: str) -> None:
    """Set up a new database and write its marker; does nothing when that was done before."""
    if is_finished(settings):
        return
    client = await connect(settings, address=address)
    await _set_retention(client)
    await _add_missing_attributes(client)
    info = await client.workflow_service.get_system_info(GetSystemInfoRequest())
    write_marker(settings, server_version=info.server_version)


async def _set_retention(client: Client) -> None:
    retention = Duration()
    retention.FromTimedelta(RETENTION)
    await client.workflow_service.update_namespace(
        UpdateNamespaceRequest(
            namespace=client.namespace,
            config=NamespaceConfig(workflow_execution_retention_ttl=retention),
        )
    )


async def _add_missing_attributes(client: Client) -> None:
    """Register missing attributes: an existing namespace ignores those of the command line."""
    known = await client.operator_service.list_search_attributes(
        ListSearchAttributesRequest(namespace=client.namespace)
    )
    missing = {
        name: IndexedValueType.Value(f"INDEXED_VALUE_TYPE_{kind.upper()}")
        for name, kind in SEARCH_ATTRIBUTES.items()
        if name not in known.custom_attributes
    }
    if missing:
        await client.operator_service.add_search_attributes(
            AddSearchAttributesRequest(namespace=client.namespace, search_attributes=missing)
        )
