"""What a run shows from outside: its search attributes, set only when they change."""

from temporalio import workflow
from temporalio.common import SearchAttributeKey

with workflow.unsafe.imports_passed_through():
    from contracts.visibility import OC_PENDING_APPROVALS, OC_STATE, RunState

STATE = SearchAttributeKey.for_keyword(OC_STATE)
PENDING = SearchAttributeKey.for_int(OC_PENDING_APPROVALS)


def show(state: RunState, pending: int) -> None:
    """Set the run's state and how many answers it waits for."""
    present = workflow.info().typed_search_attributes
    if present.get(STATE) != state.value or present.get(PENDING) != pending:
        workflow.upsert_search_attributes(
            [STATE.value_set(state.value), PENDING.value_set(pending)]
        )
