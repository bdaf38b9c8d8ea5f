"""The sandbox that workflows run in, the same for worker, tests and replay."""

from temporalio import workflow
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

_POLICY = workflow.SandboxImportNotificationPolicy


def workflow_runner() -> SandboxedWorkflowRunner:
    """Return the sandboxed runner.

    `contracts` and `domain` pass through, so that their classes are the worker's own. Any other
    import in a workflow module, the standard library's excepted, fails the worker's start.
    `workflows` must never pass through: that would silently disable the check.
    """
    return SandboxedWorkflowRunner(
        restrictions=SandboxRestrictions.default.with_passthrough_modules(
            "contracts", "domain"
        ).with_import_notification_policy(
            _POLICY.RAISE_ON_UNINTENTIONAL_PASSTHROUGH | _POLICY.WARN_ON_DYNAMIC_IMPORT
        )
    )
