"""The sandbox that workflows run in: one runner for worker, tests and replay."""

from temporalio import workflow
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

_POLICY = workflow.SandboxImportNotificationPolicy


def workflow_runner() -> SandboxedWorkflowRunner:
    """
    Return the sandboxed runner.

    `contracts` and `domain` pass through, so that their classes are the host's own; any other
    import from a workflow module that is not the standard library's fails the worker's start.
    `workflows` must never be passed through: that would silently end the guard.
    """
    return SandboxedWorkflowRunner(
        restrictions=SandboxRestrictions.default.with_passthrough_modules(
            "contracts", "domain"
        ).with_import_notification_policy(
            _POLICY.RAISE_ON_UNINTENTIONAL_PASSTHROUGH | _POLICY.WARN_ON_DYNAMIC_IMPORT
        )
    )
