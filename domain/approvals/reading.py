"""The reading of what people type as an answer: understood, or refused in a sentence.

Values in, values out; what becomes of an answer is decided in domain.approvals.inbox.
"""

import json
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from pydantic import BaseModel

from contracts.approvals import Approval, Choice, Decision
from domain.text import for_people, one_line

_DIGEST_CHARS = 12
_YES = ("", "yes", "y", "ok", "true", "null")
DONE = MappingProxyType(
    {Choice.APPROVE: "approved", Choice.REJECT: "rejected", Choice.REVISE: "sent back"}
)
"""What an answer has made of a question, in words."""
_FIELDS = MappingProxyType(
    {
        **dict.fromkeys(("approval", "id", "approval_id", "request_id", "approvalid"), "approval"),
        **dict.fromkeys(("digest", "sha256", "hash", "tree"), "digest"),
        **dict.fromkeys(("reason", "comment", "feedback", "message", "why", "note"), "reason"),
        **dict.fromkeys(("by", "user", "name", "who"), "by"),
        "code": "code",
        **dict.fromkeys(("for_request", "always"), "for_request"),
    }
)


def parse_answer(
    payload: object,
    choice: Choice,
    *,
    pending: Sequence[Approval],
    decided: Sequence[Decision] = (),
) -> Decision | str:
    """Return what an answer decides, or the problem in one sentence.

    Accepted are an id, an object with it ("approval", "id", "request_id"), and, while exactly one
    approval waits, nothing, `true`, "yes" or an object without an id. `decided` is for a better
    sentence; it and `pending` are oldest first.
    """
    given = _read(payload)
    if isinstance(given, str):
        return f"{given} {_how(pending)}"
    found = _find(given.get("approval", ""), pending, decided)
    if isinstance(found, str):
        return found
    digest = given.get("digest", "").casefold()
    if digest and not _same_digest(digest, found.digest):
        return (
            f"'{found.id}' has changed since you looked at it (you name digest "
            f"{one_line(digest[:12])}, it is {found.digest[:12]} now): "
            "look at it again and answer again."
        )
    reason = given.get("reason", "")
    if choice is Choice.REVISE and not reason:
        example = json.dumps({"approval": found.id, "reason": "..."})
        return f"Say what to change, with a reason: {example}."
    for_request = "for_request" in given
    if for_request and (problem := _not_for_request(found, choice)):
        return problem
    return Decision(
        approval=found.id,
        choice=choice,
        reason=for_people(reason, 8_000),
        by=one_line(given.get("by", ""), 100) or "a person",
        digest=found.digest,
        rules=found.rules if for_request else (),
    )


def _not_for_request(asked: Approval, choice: Choice) -> str:
    """Return why an answer cannot count for the rest of the request, "" when it can."""
    if choice is not Choice.APPROVE:
        return "Only an approval can count for the rest of the request: leave `for_request` out."
    if not asked.rules:
        return (
            f"'{asked.id}' can be approved for this once alone: no rule may allow the like of it "
            "for the rest of the request."
        )
    return ""


def code_of(payload: object) -> str:
    """Return the code that came with an answer, "" for none."""
    given = _read(payload)
    return "" if isinstance(given, str) else one_line(given.get("code", ""))


def without_code(payload: object) -> object:
    """Return an answer as it may be shown: whoever sees its code must not be able to send it."""
    code = code_of(payload)
    return written(payload).replace(code, "…") if code else payload


def _same_digest(given: str, digest: str) -> bool:
    return given == digest or (len(given) >= _DIGEST_CHARS and digest.startswith(given))


def _read(payload: object) -> dict[str, str] | str:
    """Return the fields of an answer by their one name, or what cannot be read about it."""
    match _unwrapped(payload):
        case None | True:
            return {}
        case str() as text:
            word = text.strip()
            return {} if word.casefold() in _YES else {"approval": word}
        case Mapping() as fields:
            return _fields(fields)
        case False:
            return "The answer `false` is not clear: approve, reject or revise by name."
        case other:
            return f"An answer cannot be a value of type {type(other).__name__}."


def _unwrapped(payload: object) -> object:
    if isinstance(payload, BaseModel):
        return payload.model_dump(exclude_none=True, exclude={"choice"}, mode="json")
    if isinstance(payload, list | tuple) and len(payload) == 1:
        return _unwrapped(payload[0])
    if isinstance(payload, str) and payload.strip()[:1] in ("{", "[", '"'):
        # Quoted once too often, as a shell makes it easy to do.
        try:
            return _unwrapped(json.loads(payload))
        except (ValueError, RecursionError):
            return payload
    return payload


def _fields(fields: Mapping[object, object]) -> dict[str, str] | str:
    read: dict[str, str] = {}
    for key, value in fields.items():
        name = _FIELDS.get(str(key).strip().casefold())
        if name is None:
            return f"The field {_quoted(key)} is unknown; known are approval, digest, reason, by."
        if value is None or (name == "for_request" and _is_no(value)):
            continue
        text = "yes" if name == "for_request" and value is True else value
        if not isinstance(text, str):
            return f"The field {_quoted(key)} must be a text."
        if name in read and read[name] != text.strip():
            return f"The answer gives its {name} twice, and not the same."
        read[name] = text.strip()
    return read


def _is_no(value: object) -> bool:
    return value is False or str(value).strip().casefold() in ("", "no", "false")


def _quoted(value: object) -> str:
    return f"'{one_line(str(value), 80)}'"


def _find(name: str, pending: Sequence[Approval], decided: Sequence[Decision]) -> Approval | str:
    if not name:
        if len(pending) == 1:
            return pending[0]
        problem = "Say which approval you mean." if pending else "No approval is pending."
        return f"{problem} {_how(pending)}"
    wanted = name.casefold()
    for approval in pending:
        if approval.id.casefold() == wanted:
            return approval
    for decision in reversed(decided):
        if decision.approval.casefold() == wanted:
            by = decision.by or "somebody"
            return f"'{decision.approval}' was already {DONE[decision.choice]} by {by}."
    return f"Nothing called {_quoted(name)} waits for an answer. {_how(pending)}"


def _how(pending: Sequence[Approval]) -> str:
    if not pending:
        return "Nothing waits for an answer now."
    waiting = "; ".join(f"'{each.id}' ({one_line(each.what, 80)})" for each in pending[:5])
    more = f"; and {len(pending) - 5} more" if len(pending) > 5 else ""
    example = json.dumps({"approval": pending[0].id})
    return f"Waiting: {waiting}{more}. Answer with {example}."


def written(payload: object) -> str:
    """Return an answer as people are shown it."""
    if isinstance(payload, BaseModel):
        return payload.model_dump_json(exclude_defaults=True)
    try:
        return payload if isinstance(payload, str) else json.dumps(payload, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):
        return f"a {type(payload).__name__} that is not JSON"
