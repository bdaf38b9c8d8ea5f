"""The card: what a person sees of a request in the web UI, as markdown.

The web UI gives it half of the window, renders tables without any space between their columns and
never wraps a code block: hence lists, and code of short lines.
"""

import json
import re
import textwrap
from collections.abc import Iterator, Sequence

from contracts.approvals import Approval, ApprovalKind
from contracts.endings import RequestEnding
from contracts.request import RequestStatus
from contracts.task import TaskState, TaskStatus
from contracts.visibility import RunState
from domain.approvals.questions import REVISABLE
from domain.ids import REQUEST_PREFIX
from domain.request import endings, expected_cost, goal_words
from domain.request.notes import must_pass
from domain.review.findings import finding_line
from domain.scheduling.task_state import TASK_MARKS, terminal
from domain.text import for_people, one_line, shell_word

_ENDED = (RunState.DONE, RunState.FAILED, RunState.CANCELLED)
_MOST_BYTES = 18_000
_CUT = "\n\n… [cut; `status` of the command line shows all]"
_CODE_COLUMNS = 64
_DETAIL_CHARS = 6_000
"""Of all approvals together, so that how to answer the last of them is not cut off."""
_SHOWN_REFUSALS = 5
_SHOWN_ROUNDS = 10
_REASON = '"reason": "..."'
_FOR_REQUEST = '"for_request": true'
# What would make emphasis, a link, an image, HTML, an entity, a formula ($) or a dash of a person's
# words. An underscore within a word is none of these.
_MARKUP = re.compile(r"[\\`*\[\]<>~&$]|-(?=-)|(?<![^\W_])_|_(?![^\W_])")

# The web UI curls quotes, but not in code.
_JSON = re.compile(r'(\{"[^{}`]*\})')


def card(status: RequestStatus) -> str:
    """Return the whole card, at most 18,000 bytes; the texts of others cannot form markup in it."""
    waiting = () if status.state in _ENDED else status.approvals
    sections = (
        _standing(status),
        *(
            line
            for approval in waiting
            for line in _approval(status, approval, _DETAIL_CHARS // len(waiting))
        ),
        *(
            "**An answer counts only with its code:** "
            f"{_code(f'orchestcode code {shell_word(status.id)}', 4_000)} prints the whole input."
            for _ in waiting[:1]
            if status.codes
        ),
        *_base(status),
        *_goal(status),
        *_refused(status),
        *_allowed(status),
        *_answers(status),
        *_result(status),
        *_tasks(status.tasks),
        *_expected(status),
        *_follow_ups(status),
        _cost(status),
    )
    return _fit("\n\n".join(section for section in sections if section))


def _standing(status: RequestStatus) -> str:
    lines = [f"### {status.state.value}{_because(status.reason, 1_000)}"]
    if status.state in _ENDED and status.state is not RunState.DONE:
        told = endings.of_request(status)
        kept = _commands(told.kept, status.work_command, status.landed_command)
        lines += [each for each in (kept, _prose(told.advice, 300), _retry(status)) if each]
    if status.request:
        lines.append(f"**Request:** {_prose(status.request, 500)}")
    if asked := must_pass(status):
        lines.append(f"**Checks:** {_prose(asked, 500)}")
    return "\n\n".join([*lines, *(_prose(note, 500) for note in status.notes)])


def _retry(status: RequestStatus) -> str:
    if status.ending in (None, RequestEnding.REFUSED):
        return ""
    command = f"orchestcode retry {shell_word(status.id.removeprefix(REQUEST_PREFIX))}"
    return f"**Go on from there:** {_code(command, 4_000)}"


def _commands(text: str, *commands: str) -> str:
    """Return a sentence that ends in a command, with the command as code."""
    for command in commands:
        if command and text.endswith(command):
            return f"{_prose(text.removesuffix(command), 300)} {_code(command, 600)}"
    return _prose(text, 300)


def _approval(status: RequestStatus, approval: Approval, detail_chars: int) -> Iterator[str]:
    yield f"#### Waits for you: {_prose(approval.what, 300)}"
    risk = f"**Risk:** {_prose(approval.risk, 500)}" if approval.risk else ""
    yield "\n".join(line for line in (_prose(approval.why, 500), risk) if line)
    yield _block(approval.detail, min(detail_chars, 3_000))
    if approval.artefact:
        yield f"The whole of it is object {_code(approval.artefact)} of the request's store."
    answer = f'"approval": {json.dumps(approval.id)}'
    no = f"{_code('reject')} or {_code('revise')}"
    no = no if approval.kind in REVISABLE else _code("reject")
    dollars = approval.kind is ApprovalKind.BUDGET
    amount = f"; or {_code('budget')} with the dollars, as {_code('15')}" if dollars else ""
    if approval.rules:
        allows = _code(f"{{{answer}, {_FOR_REQUEST}}}", 600)
        yield f"{_code('approve')} with {allows} also allows these rules for its rest."
    yield (
        f"**Answer here:** More Actions, Send a Signal, {_code('approve')} with the input "
        f"{_code(f'{{{answer}}}')}; or {no} with {_code(f'{{{answer}, {_REASON}}}')}{amount}. "
        "**Or in a terminal:**"
    )
    yield _fenced(
        [
            *_command(status, "approve", f"{{{answer}}}"),
            *_command(status, "reject", f"{{{answer}, {_REASON}}}"),
        ]
    )
    seen = f'"digest": "{approval.digest[:16]}"'
    yield f"With {_code(seen)} in the input, the answer counts for exactly what you see here."


def _command(status: RequestStatus, name: str, answer: str) -> list[str]:
    service = " ".join(map(shell_word, status.service))
    return [
        f"temporal workflow signal --name {name} \\",
        *([f"  {service} \\"] if service else []),
        f"  -w {_quoted(status.id)} \\",
        f"  --input {_quoted(answer)}",
    ]


def _quoted(text: str) -> str:
    word = shell_word(text)
    return f"'{word}'" if word == text else word


def _answers(status: RequestStatus) -> Iterator[str]:
    if status.answer:
        yield "**Answer:**"
        yield _block(status.answer, _DETAIL_CHARS)
    answered = [task for task in status.tasks if task.answer]
    for task in answered:
        yield f"#### Answer ({task.id})"
        yield _block(task.answer, _DETAIL_CHARS // len(answered))


def _base(status: RequestStatus) -> Iterator[str]:
    if status.base_problems:
        yield "#### Before any change"
        yield "\n".join(f"- {_prose(problem, 400)}" for problem in status.base_problems)


def _goal(status: RequestStatus) -> Iterator[str]:
    if status.goal:
        yield f"#### Goal: {_prose(goal_words.standing(status), 400)}"
        lines = goal_words.rounds(status)[-_SHOWN_ROUNDS:]
        yield "\n".join(f"- {_prose(line, 300)}" for line in lines)


def _refused(status: RequestStatus) -> Iterator[str]:
    if status.refused_answers:
        yield "#### Answers that were not taken"
        yield "\n".join(
            f"- {_code(refused.received, 120)}: {_prose(refused.problem, 300)}"
            for refused in status.refused_answers[-_SHOWN_REFUSALS:]
        )


def _allowed(status: RequestStatus) -> Iterator[str]:
    if status.allowed:
        yield "#### Allowed for the rest of the request"
        yield "\n".join(
            f"- {_code(rule.text, 500)} by {_prose(rule.by, 100)}"
            for rule in status.allowed[-_SHOWN_REFUSALS:]
        )


def _tasks(tasks: Sequence[TaskStatus]) -> Iterator[str]:
    if tasks:
        done = sum(task.state is TaskState.DONE for task in tasks)
        yield f"#### Tasks: {done} of {len(tasks)} done"
        yield "\n".join(_task(task) for task in tasks)


def _task(task: TaskStatus) -> str:
    waits = task.state is TaskState.PENDING and task.depends_on
    state = f"{task.state.value}{_because(task.reason, 200)}"
    facts = (
        f"{state}, after {', '.join(task.depends_on)}" if waits else state,
        f"sent back {task.rounds}×{_left(task)}" if task.rounds else "",
        f"{task.turns} turns, {task.tokens:,} tokens, {_usd(task)}" if task.turns else "",
        f"its last patch is kept: {_code(task.kept, 500)}" if task.kept else "",
    )
    told = "; ".join(fact for fact in facts if fact)
    lines = [f"- {TASK_MARKS[task.state]} **{task.id}** ({_prose(task.title, 80)}): {told}"]
    if task.no_change:
        lines.append(f"  - no change: {_prose(task.no_change, 500)}")
    if task.left_out:
        lines.append(f"  - left out of what is kept: {_prose(task.left_out, 600)}")
    lines += [f"  - {_prose(finding_line(finding), 400)}" for finding in task.findings[-8:]]
    return "\n".join(lines)


def _left(task: TaskStatus) -> str:
    if task.rounds_left is None or terminal(task.state):
        return ""
    return f", {task.rounds_left} {'round' if task.rounds_left == 1 else 'rounds'} left"


def _result(status: RequestStatus) -> Iterator[str]:
    if status.branch and status.commit:
        yield "#### Delivered"
        yield f"Branch {_code(status.branch)} at {_code(status.commit[:12])}"
        yield _block(status.diffstat, 1_000)
    if status.checks:
        yield f"#### {endings.checks_title(status)}"
        yield "\n".join(
            f"- {'passed' if check.passed else '**FAILED**'}: {_code(check.command)} "
            f"({check.seconds:.1f} s)"
            for check in status.checks
        )


def _expected(status: RequestStatus) -> Iterator[str]:
    if status.state not in _ENDED and (expected := expected_cost.of_status(status)):
        yield f"Expected cost: {_prose(expected, 600)}."


def _follow_ups(status: RequestStatus) -> Iterator[str]:
    if status.state not in _ENDED and status.follow_ups:
        yield "#### Starts once this has ended"
        yield "\n".join(f"- {_prose(each, 300)}" for each in status.follow_ups)


def _cost(status: RequestStatus) -> str:
    if not status.model:
        return ""
    budget = f" of {status.budget_usd:.2f}" if status.budget_usd else ""
    unknown = (
        f" The price of {status.unpriced_tokens:,} tokens is unknown: no budget holds them, only "
        f"turns and time do. Set it in {_code('ORCHESTCODE_PRICES')}."
        if status.unpriced_tokens
        else ""
    )
    said = f"Cost: {status.cost_usd:.4f}{budget} USD."
    asked = f" (asked for: {_prose(status.models, 300)})" if status.models else ""
    return f"Model: {_prose(status.model, 100)}{asked}. {said}{unknown}"


def _usd(task: TaskStatus) -> str:
    return "price unknown" if task.unpriced_tokens else f"{task.cost_usd:.4f} USD"


def _because(reason: str, limit: int) -> str:
    return f": {_prose(reason, limit)}" if reason else ""


def _prose(text: str, limit: int) -> str:
    """Return a person's words as one line, markdown escaped; JSON in it can be copied."""
    parts = _JSON.split(one_line(text, limit))
    return "".join(
        f"`{part}`" if place % 2 else _MARKUP.sub(r"\\\g<0>", part)
        for place, part in enumerate(parts)
    )


def _code(text: str, limit: int = 200) -> str:
    return f"`{one_line(text, limit).replace('`', chr(39))}`"


def _block(text: str, limit: int) -> str:
    """Return a code block whose lines are short enough to be seen whole; "" for no text."""
    lines = for_people(text.strip("\n"), limit).split("\n")
    return _fenced([short for line in lines for short in _short(line)])


def _fenced(lines: Sequence[str]) -> str:
    shown = [line.replace("```", "'''") for line in lines]
    return "\n".join(["```text", *shown, "```"]) if any(shown) else ""


def _short(line: str) -> list[str]:
    indent = line[: len(line) - len(line.lstrip())][:20] + "  "
    return textwrap.wrap(line, _CODE_COLUMNS, subsequent_indent=indent, break_on_hyphens=False) or [
        ""
    ]


def _fit(text: str) -> str:
    encoded = text.encode()
    if len(encoded) <= _MOST_BYTES:
        return text
    return encoded[: _MOST_BYTES - len(_CUT.encode())].decode(errors="ignore") + _CUT
