"""The plan of a request as its planner handed it in."""

from collections.abc import Sequence

from pydantic import ValidationError

from contracts import roles
from contracts.planning import TaskSpec
from infra.kept.turns import LoggedTurn


def planned_tasks(turns: Sequence[LoggedTurn]) -> tuple[TaskSpec, ...]:
    """Return the tasks of the plan that was handed in last, where they can be read."""
    for turn in reversed(turns):
        if turn.agent.role == roles.PLANNER and not turn.agent.task and turn.handed_in:
            try:
                return tuple(map(TaskSpec.model_validate, turn.handed_in.get("tasks", ())))
            except ValidationError:
                return ()
    return ()
