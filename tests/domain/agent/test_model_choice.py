"""Which model an agent gets, by what its request asks for."""

import pytest

from contracts.model_choice import Effort, ModelChoice
from contracts.request import RequestStart
from domain.agent.model_choice import chosen, in_words, model_of, names

BOTH = ModelChoice(model="m", planner="p")


@pytest.mark.parametrize(
    ("choice", "role", "of_role", "model"),
    [
        pytest.param(ModelChoice(), "coder", None, None, id="the worker's"),
        pytest.param(ModelChoice(), "coder", "f", "f", id="the role file's"),
        pytest.param(BOTH, "coder", None, "m", id="the request's"),
        pytest.param(BOTH, "coder", "f", "f", id="a role file before a choice for all"),
        pytest.param(BOTH, "planner", "f", "p", id="a choice for a role before its file"),
        pytest.param(BOTH, "triager", None, "m", id="a role without an option"),
    ],
)
def test_the_most_particular_choice_counts(
    choice: ModelChoice, role: str, of_role: str | None, model: str | None
) -> None:
    """A request's for the role, the role's file, a request's for all; else the worker's."""
    assert model_of(choice, role, of_role=of_role) == model


def test_a_choice_is_read_from_a_request_and_told_in_words() -> None:
    """Only what is chosen is named, each model once."""
    start = RequestStart(
        repository="/r",
        request="x",
        model="m",
        model_coder="m",
        model_reviewer="r",
        effort=Effort.HIGH,
    )
    choice = chosen(start)
    assert names(choice) == ("m", "r")
    assert in_words(choice) == "m; coder m; reviewer r; effort high"
    assert (names(ModelChoice()), in_words(ModelChoice())) == ((), "")
