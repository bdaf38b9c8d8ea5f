"""The web UI is the product's face: a person sees there what waits, and answers there.

Seen in the machine's chromium; screenshots are kept in build/screenshots.
"""

import pytest

from contracts.visibility import RunState
from tests.browser.web_ui import WebUi
from tests.local_deployment import CHECK, Handle, LocalDeployment, git

pytestmark = pytest.mark.browser
PLAN = ["plan"]


async def waiting_for_the_plan(deployment: LocalDeployment, ui: WebUi, name: str) -> Handle:
    """Start a request that asks for its plan's approval, and look at it once it waits."""
    repository = deployment.repository(name)
    handle = await deployment.start_request(name, repository, checks=[CHECK], approve=PLAN)
    await deployment.waiting(handle)
    await ui.open(handle)
    return handle


async def test_a_plan_is_approved_in_the_web_ui_and_the_branch_delivered(
    deployment: LocalDeployment, ui: WebUi
) -> None:
    """The card shows the plan and how to answer; the signal sent there continues the request."""
    handle = await waiting_for_the_plan(deployment, ui, "approved")
    card = await ui.card(
        "WAITING_APPROVAL",
        "Waits for you: a plan of 3 tasks",
        "- mend-total: Mend the cart's total; writes shop/cart.py",
        "More Actions, Send a Signal",
        "temporal workflow signal --name approve",
    )
    await ui.shot("card-waiting")
    await ui.signal("approve", '{"approval": "plan"}', shot="signal-dialog")
    status = await deployment.delivered(handle, seconds=120)
    await ui.card("DONE", "Tasks: 3 of 3 done", "Delivered", f"passed: {CHECK}")
    await ui.shot("card-done")
    await ui.tab("Timeline", "approve", "planner, attempt 1")
    await ui.shot("timeline")
    await ui.tab("Relationships", f"{handle.id}/task/mend-total", f"{handle.id}/planner-1")
    await ui.shot("relationships")

    assert "(rehearsed)" in card
    assert git(deployment.folder / "approved", "rev-parse", str(status.branch)) == status.commit


async def test_a_plan_is_rejected_in_the_web_ui_and_the_reason_is_kept(
    deployment: LocalDeployment, ui: WebUi
) -> None:
    """The request fails with the person's reason, and its card shows it."""
    handle = await waiting_for_the_plan(deployment, ui, "rejected")
    await ui.signal("reject", '{"approval": "plan", "reason": "not before the release"}')
    ending = await deployment.ending(handle)
    await ui.card("FAILED", "the plan was rejected by a person: not before the release")
    await ui.shot("card-rejected")

    assert ending.state is RunState.FAILED
    assert ending.reason == "the plan was rejected by a person: not before the release"


async def test_refused_answers_are_shown_and_an_update_replies(
    deployment: LocalDeployment, ui: WebUi
) -> None:
    """The card shows a wrong name and a bad input; the update is refused or accepted at once."""
    handle = await waiting_for_the_plan(deployment, ui, "unclear")
    await ui.signal("accept", '{"approval": "plan"}', custom=True)
    await ui.card("there is no signal ‘accept’")
    await ui.signal("approve", '{"answer": "plan"}')
    await ui.card(
        "Answers that were not taken",
        "there is no signal ‘accept’",
        "The field ‘answer’ is unknown",
        "Waits for you: a plan of 3 tasks",
    )
    await ui.shot("card-refused")
    wrong = '{"choice": "approve", "approval": "plam"}'
    says = "Nothing called 'plam' waits for an answer."
    await ui.refused_update("decide", wrong, says=says, shot="update-refused")
    answer = '{"choice": "reject", "approval": "plan", "reason": "unclear", "by": "Ada"}'
    await ui.update("decide", answer)
    ending = await deployment.ending(handle)

    assert ending.reason == "the plan was rejected by Ada: unclear"


async def test_a_request_is_cancelled_in_the_web_ui(deployment: LocalDeployment, ui: WebUi) -> None:
    """Request Cancellation ends a waiting request in order; nothing stays leased."""
    handle = await waiting_for_the_plan(deployment, ui, "cancelled")
    await ui.cancel()
    ending = await deployment.ending(handle)
    card = await ui.card("CANCELLED", "Tasks: 0 of 3 done")

    assert "Waits for you" not in card
    assert ending.state is RunState.CANCELLED
    assert [held for held in deployment.leases() if handle.id in held] == []
