"""Contracts: frozen, bounded, strict where a person is the sender, the same after the wire."""

import importlib
import os
import pkgutil
from typing import Any

import pytest
from pydantic import BaseModel, TypeAdapter, ValidationError
from temporalio.contrib.pydantic import pydantic_data_converter

import contracts
from contracts.approvals import Answer, Approval, ApprovalKind
from contracts.base import Contract, HumanInput
from contracts.failures import FailureKind
from contracts.merge_queue import EnqueuePatch, QueuedPatch
from contracts.model import ModelTurn, ToolUse
from contracts.planning import PlanDraft, TaskSpec
from contracts.request import RequestStart
from contracts.review import Patch
from contracts.store import RepositoryRef
from domain.failures import STRATEGIES

OID = "a" * 40
LIMIT_BYTES = 64 * 1024


def models() -> list[type[BaseModel]]:
    found: list[type[BaseModel]] = []
    for module in pkgutil.iter_modules(contracts.__path__, "contracts."):
        for value in vars(importlib.import_module(module.name)).values():
            if isinstance(value, type) and issubclass(value, Contract) and value not in found:
                found.append(value)
    return found


@pytest.mark.parametrize("model", models(), ids=lambda model: model.__name__)
def test_every_contract_is_frozen(model: type[BaseModel]) -> None:
    """A value that crossed a boundary is never changed in place."""
    assert model.model_config.get("frozen") is True


@pytest.mark.parametrize("model", models(), ids=lambda model: model.__name__)
def test_what_people_send_is_strict_and_what_we_send_is_lenient(model: type[BaseModel]) -> None:
    """An unknown key is an error from a person, and ignored from another release of ours."""
    wanted = "forbid" if issubclass(model, HumanInput) else "ignore"

    assert model.model_config.get("extra") == wanted


@pytest.mark.parametrize("model", models(), ids=lambda model: model.__name__)
def test_every_contract_says_what_it_is(model: type[BaseModel]) -> None:
    """Each contract has a docstring of its own."""
    assert model is Contract or model.__doc__ != Contract.__doc__


def test_a_request_refuses_a_mistyped_option() -> None:
    """`check` instead of `checks` is told, not dropped."""
    with pytest.raises(ValidationError, match="check"):
        RequestStart.model_validate({"repository": "/r", "request": "x", "check": ["make test"]})


def test_an_answer_keeps_its_meaning_over_the_wire() -> None:
    """A model sent through the data converter is equal on the other side."""
    sent = Answer(approval="plan", reason="größer", by="ann")
    converter = pydantic_data_converter.payload_converter
    (received,) = converter.from_payloads(converter.to_payloads([sent]), [Answer])

    assert received == sent


def test_the_largest_messages_stay_small() -> None:
    """Even filled to their bounds, values stay below 64 KiB, as history wants it."""
    repository = RepositoryRef(
        key="k" * 60, request_key="r" * 60, target="t" * 60, environment=OID, host_id="h" * 40
    )
    patch = Patch(
        task="task", round=1, base=OID, commit=OID, tree=OID, patch_id=OID, files=999,
        added_lines=1, deleted_lines=1, paths=("p" * 200,) * 200, outside=("o" * 200,) * 20,
        risks=("r" * 200,) * 8, diff=OID, diffstat="d" * 1_000,
    )  # fmt: skip
    queued = QueuedPatch(
        id="i" * 200, task="task", repository=repository, patch=patch, reply_to="w" * 250,
        acceptance=("c" * 200,) * 12, checks=("c" * 200,) * 20,
    )  # fmt: skip
    approval = Approval(
        id="review/task/1", kind=ApprovalKind.REVIEW, what="w" * 1_000, why="y" * 1_000,
        detail="d" * 4_000, digest="s" * 64, risk="r" * 1_000,
    )  # fmt: skip

    for value in (EnqueuePatch(queue_id="q" * 250, queued=queued), approval):
        assert len(value.model_dump_json().encode()) < LIMIT_BYTES


def test_a_finish_that_is_too_long_is_refused() -> None:
    """A turn cannot carry a hand-in that history should not hold."""
    with pytest.raises(ValidationError):
        ModelTurn.model_validate(
            {"conversation": {"id": "c", "head": OID}, "stop_reason": "tool_use",
             "finish": "x" * (48 * 1024 + 1)}
        )  # fmt: skip


def test_a_subject_is_one_bounded_line() -> None:
    """What policy and people see of a call has a bound."""
    with pytest.raises(ValidationError):
        ToolUse(id="t", name="edit", subject="x" * 401)


@pytest.mark.parametrize("task_id", ["Upper", "", "-a", "a-", "a b", "a/b", "ä", "a" * 41])
def test_a_task_id_fits_a_ref_name(task_id: str) -> None:
    """Ids that git or a path could misread are refused at the boundary."""
    with pytest.raises(ValidationError):
        TaskSpec(id=task_id, title="t", goal="g")


def test_a_plan_has_a_bound() -> None:
    """A plan holds as many tasks as may run at once, 64, and no more."""
    tasks = [{"id": f"t{n}", "title": "t", "goal": "g"} for n in range(65)]

    assert len(PlanDraft.model_validate({"summary": "s", "tasks": tasks[:64]}).tasks) == 64
    RequestStart(repository="/r", request="x", max_parallel=64)
    with pytest.raises(ValidationError):
        RequestStart(repository="/r", request="x", max_parallel=65)
    with pytest.raises(ValidationError):
        PlanDraft.model_validate({"summary": "s", "tasks": tasks})


@pytest.mark.parametrize("kind", list(FailureKind), ids=lambda kind: kind.value)
def test_every_failure_kind_has_a_strategy(kind: FailureKind) -> None:
    """Each kind says how a waiting run is shown."""
    assert STRATEGIES[kind].advice.state.value.isupper()


NAMES_FROM_OUTSIDE = frozenset(
    {
        *("path", "paths", "outside", "markers", "conflicts", "repository", "checkout"),
        *("virtual_env", "store", "base_name"),
    }
)
"""Fields that hold a path or a name of a file system or a repository."""


def path_fields() -> list[tuple[str, object]]:
    """Return every field of a contract that holds paths, with its type."""
    return [
        (f"{model.__name__}.{name}", field.rebuild_annotation())
        for model in models()
        for name, field in model.model_fields.items()
        if name in NAMES_FROM_OUTSIDE and "RepositoryRef" not in str(field.annotation)
    ]


@pytest.mark.parametrize(("name", "kind"), path_fields(), ids=lambda each: str(each)[:40])
def test_a_path_that_is_not_utf8_fits_into_every_message(name: str, kind: Any) -> None:
    """Bytes that are not UTF-8 are written as such in text; the message can be sent."""
    adapter: TypeAdapter[object] = TypeAdapter(kind)
    path, shown = os.fsdecode(b"odd\xe9/\xff\xc3\xa9"), "odd\\xe9/\\xff\u00e9"
    many = "tuple" in str(kind)

    held = adapter.validate_python((path,) if many else path)

    assert held == ((shown,) if many else shown), name
    assert adapter.validate_json(adapter.dump_json(held)) == held
