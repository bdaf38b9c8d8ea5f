"""
Questions to a Temporal service that is one of ours, or should be: does it answer, is it finished.

Importing it loads the SDK; what starts processes imports it only after they were started.
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
"""How long closed runs stay; the development server's own default is one day."""
_ANSWER_TIMEOUT = dt.timedelta(seconds=5)


async def answers(settings: Settings, *, address: str) -> bool:
    """Say whether the service at the address serves the namespace."""
    try:
        client = await connect(settings, address=address)
        await client.workflow_service.describe_namespace(
            DescribeNamespaceRequest(namespace=settings.temporal_namespace),
            timeout=_ANSWER_TIMEOUT,
        )
    except (UnreachableError, RPCError):
        return False
    return True


async def finish(settings: Settings, *, address: str) -> None:
    """Finish a new database and note by whom it was made; a finished one costs nothing."""
    if is_finished(settings):
        return
    client = await connect(settings, address=address)
    await _set_retention(client)
    await _add_missing_attributes(client)
    info = await client.workflow_service.get_system_info(GetSystemInfoRequest())
    write_marker(settings, server_version=info.server_version)


async def _set_retention(client: Client) -> None:
    keep = Duration()
    keep.FromTimedelta(RETENTION)
    await client.workflow_service.update_namespace(
        UpdateNamespaceRequest(
            namespace=client.namespace,
            config=NamespaceConfig(workflow_execution_retention_ttl=keep),
        )
    )


async def _add_missing_attributes(client: Client) -> None:
    """
    Register what is not there yet: an existing namespace ignores the command line's attributes.
    """
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
