"""How large an agent's window is: who says so, and what its model holds."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from activities.agent_setup import AgentSetup
from contracts import roles
from contracts.model_choice import LEAST_WINDOW_TOKENS, MOST_WINDOW_TOKENS, ModelChoice
from contracts.request import RequestStart
from domain.agent import models
from infra.roles.files import BUILT_IN, RoleFiles

MODELS = ("claude-sonnet-5-5", "claude-haiku-4-5", "claude-opus-5", "unheard-of-1")


def setup(*folders: Path, worker: int | None = None, model: str = MODELS[0]) -> AgentSetup:
    """A worker's roles."""
    return AgentSetup(RoleFiles(*folders), model_for=lambda _: model, window_tokens=worker)


def role_with_window(folder: Path, tokens: int) -> None:
    """A coder whose file says how large its window is."""
    text = (BUILT_IN / "coder.md").read_text()
    line = "\nlimits:\n"
    assert line in text
    (folder / "coder.md").write_text(text.replace(line, f"{line}  window_tokens: {tokens}\n", 1))


def test_the_request_counts_before_the_role_and_the_role_before_the_worker(tmp_path: Path) -> None:
    """Where nobody says anything, a window ends at 110,000 tokens."""
    role_with_window(tmp_path, 40_000)
    asked = ModelChoice(window_tokens=50_000)
    own = setup(tmp_path, BUILT_IN, worker=60_000)

    def size(given: AgentSetup, choice: ModelChoice = ModelChoice()) -> int:  # noqa: B008 - frozen
        return given.configure(roles.CODER, choice).limits.window_tokens

    assert size(own, asked) == 50_000
    assert size(own) == 40_000
    assert size(setup(worker=60_000)) == 60_000
    assert size(setup()) == 110_000


@settings(max_examples=25)
@given(
    model=st.sampled_from(MODELS),
    fallback=st.sampled_from([None, *MODELS]),
    tokens=st.integers(LEAST_WINDOW_TOKENS, MOST_WINDOW_TOKENS),
)
def test_no_window_is_larger_than_its_models_hold(
    model: str, fallback: str | None, tokens: int
) -> None:
    """70 % of the smaller one at most, so that the note and the results of a turn fit too."""
    choice = ModelChoice(window_tokens=tokens, fallback=fallback)
    found = setup(model=model).configure(roles.CODER, choice).limits.window_tokens

    hold = min(models.facts(name).window_tokens for name in (model, fallback) if name)
    assert found == min(tokens, hold * 7 // 10)


@pytest.mark.parametrize("tokens", [0, -1, 9_999, 2_000_001, "many", 1.5])
def test_a_size_that_no_window_has_is_refused_with_the_input(tokens: object) -> None:
    """Before anything is paid for."""
    asked = {"repository": "/r", "request": "Do it.", "window_tokens": tokens}
    with pytest.raises(ValidationError, match="window_tokens"):
        RequestStart.model_validate(asked)
