"""The system's whole reach outside: every port, one a component, defined beside its messages.

Workflows call these methods by `workflow.execute_activity_method(Port.method, input, …)` and never
see who implements them; `worker.py` registers each implementation once. One parameter each; the
method's name is the activity's name, unique across all ports.
"""

from abc import ABC

from contracts.agent import ModelActivities
from contracts.baseline import SurveyActivities
from contracts.budget import EstimateActivities
from contracts.checks import CheckActivities
from contracts.merge_queue import PatchActivities, QueueActivities
from contracts.permissions import PermissionActivities
from contracts.policy import PolicyActivities
from contracts.reconcile import ReconcileActivities
from contracts.repository import RepositoryActivities
from contracts.resume import ContinuationActivities
from contracts.setup import SetupActivities
from contracts.tools import ToolActivities
from contracts.worktrees import WorktreeActivities

PORTS: tuple[type[ABC], ...] = (
    ModelActivities,
    PolicyActivities,
    RepositoryActivities,
    WorktreeActivities,
    ToolActivities,
    CheckActivities,
    PatchActivities,
    QueueActivities,
    ReconcileActivities,
    SurveyActivities,
    SetupActivities,
    EstimateActivities,
    ContinuationActivities,
    PermissionActivities,
)
"""Every port, for the worker's registration check and the wire-names test."""

__all__ = [
    "PORTS",
    "CheckActivities",
    "ContinuationActivities",
    "EstimateActivities",
    "ModelActivities",
    "PatchActivities",
    "PermissionActivities",
    "PolicyActivities",
    "QueueActivities",
    "ReconcileActivities",
    "RepositoryActivities",
    "SetupActivities",
    "SurveyActivities",
    "ToolActivities",
    "WorktreeActivities",
]
