"""Which model an agent gets by its request's choice."""

from collections.abc import Iterator

from contracts import roles
from contracts.model_choice import ModelChoice
from contracts.request import RequestStart


def chosen(start: RequestStart) -> ModelChoice:
    """Return what a request asks for."""
    return ModelChoice(
        model=start.model,
        planner=start.model_planner,
        coder=start.model_coder,
        reviewer=start.model_reviewer,
        effort=start.effort,
        fallback=start.fallback_model,
        window_tokens=start.window_tokens,
    )


def model_of(choice: ModelChoice, role: str, *, of_role: str | None) -> str | None:
    """Return the model that an agent gets by its request, None for the worker's.

    `of_role` is what the role's own file names: more than a choice for every role, less than one
    for this role.
    """
    return _own(choice).get(role) or of_role or choice.model


def names(choice: ModelChoice) -> tuple[str, ...]:
    """Return every model that a request asks for, once."""
    return tuple(
        dict.fromkeys(filter(None, (choice.model, *_own(choice).values(), choice.fallback)))
    )


def in_words(choice: ModelChoice) -> str:
    """Return a choice for people, "" for none: `m; planner p; effort high`."""
    return "; ".join(_parts(choice))


def _own(choice: ModelChoice) -> dict[str, str | None]:
    return {
        roles.PLANNER: choice.planner,
        roles.CODER: choice.coder,
        roles.REVIEWER: choice.reviewer,
    }


def _parts(choice: ModelChoice) -> Iterator[str]:
    if choice.model:
        yield choice.model
    for role, model in _own(choice).items():
        if model:
            yield f"{role} {model}"
    if choice.fallback:
        yield f"fallback {choice.fallback}"
    if choice.effort:
        yield f"effort {choice.effort}"
    if choice.window_tokens:
        yield f"windows of {choice.window_tokens:,} tokens"
