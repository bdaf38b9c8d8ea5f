"""The web UI is the product's face: a person sees there what waits, and answers there.

Seen in the machine's chromium; screenshots are kept in build/screenshots.
"""

import pytest

from contracts.visibility import RunState
from tests.browser.plays import BUDGET, SMALL
from tests.browser.web_ui import WebUi
from tests.local_deployment import CHECK, Handle, LocalDeployment, git, until

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


async def test_the_budget_is_raised_in_the_web_ui(deployment: LocalDeployment, ui: WebUi) -> None:
    """The card says what is spent and what is needed; an amount sent there has the request go on,
    an amount that is too small is shown with the least one.
    """
    folder = deployment.repository("dear", SMALL)
    handle = await deployment.start_request("dear", folder, budget_usd=BUDGET)
    await deployment.waiting(handle)
    await ui.open(handle)
    await ui.card(
        "WAITING_BUDGET",
        "raise the budget from $0.31 to $",
        "budget with the dollars, as 15",
        '{"approval": "budget"}',
    )
    await ui.shot("card-budget")
    await ui.signal("budget", "0.1")
    await ui.card("Answers that were not taken", "name at least $", "raise the budget")
    await ui.signal("budget", "3", shot="signal-budget")
    status = await deployment.delivered(handle)
    await ui.card("DONE", "Tasks: 2 of 2 done", "of 3.00 USD")
    await ui.shot("card-budget-raised")

    assert status.budget_usd == 3.0
    assert git(folder, "rev-parse", str(status.branch)) == status.commit


async def test_a_task_that_a_person_works_on_is_given_back_in_the_web_ui(
    deployment: LocalDeployment, ui: WebUi
) -> None:
    """The card names the command that takes in what the person made; an approval sent there lets
    the agent go on without it.
    """
    folder = deployment.repository("taken", SMALL)
    handle = await deployment.start_request("taken", folder)
    await until(lambda: deployment.has_file("a.txt"))
    taken = await deployment.starter("hand-off", "taken", "work")
    assert taken.returncode == 0, taken
    await deployment.waiting(handle)
    await ui.open(handle)
    card = await ui.card(
        "WAITING_APPROVAL",
        "Waits for you: work is with a person, who works on its files",
        "orchestcode resume taken work",
        '{"approval": "hand-off/work"}',
    )
    await ui.shot("card-hand-off")
    await ui.signal("approve", '{"approval": "hand-off/work"}')
    status = await deployment.delivered(handle)
    await ui.card("DONE", "Tasks: 1 of 1 done")

    assert "the task is given up" in " ".join(card.split())
    changed = git(folder, "diff", "--name-only", f"main..{status.branch}").split()
    assert changed == ["a.txt", "b.txt"]
