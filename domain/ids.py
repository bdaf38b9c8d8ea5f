"""Every name in a history, a ref or a branch: derived, never random, and never changed."""

import hashlib
import re
import unicodedata
from collections.abc import Iterable

from contracts import role_names as roles

REQUEST_PREFIX = "request/"
_TASK_CHARS = 40


def slug(text: str, limit: int = 32) -> str:
    """Return lower-case ASCII letters, digits and single hyphens, at most `limit` characters."""
    ascii_text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    words = re.sub(r"[^a-z0-9]+", "-", ascii_text).strip("-")
    if len(words) > limit:
        words = words[: limit + 1].rsplit("-", 1)[0] if "-" in words[:limit] else words[:limit]
    return words.strip("-") or "request"


def digest(*parts: str, length: int = 10) -> str:
    """Return the first hexadecimal digits of the sha256 over the parts, kept apart by NUL."""
    # No name has a NUL; a part that has one is still one part.
    apart = (part.replace("\1", "\1\1").replace("\0", "\1\2") for part in parts)
    return hashlib.sha256("\0".join(apart).encode("utf-8", "surrogateescape")).hexdigest()[:length]


def request_workflow_id(request: str, nonce: str) -> str:
    """Return the workflow id of a new request; `nonce` makes equal requests distinct."""
    return f"{REQUEST_PREFIX}{slug(request)}-{slug(nonce, 12)}"


def request_key(workflow_id: str, first_run_id: str) -> str:
    """Return the folder of a request's refs.

    It is the same over continue-as-new, and another when the workflow id is used again later.
    """
    return f"{slug(workflow_id.removeprefix(REQUEST_PREFIX))}-{digest(workflow_id, first_run_id)}"


def repository_key(path: str) -> str:
    """Return the name of the store of the repository at this real path."""
    name = path.rstrip("/").rsplit("/", 1)[-1].removesuffix(".git")
    return f"{slug(name)}-{digest(path)}"


def branch_name(request: str, key: str) -> str:
    """Return the branch that is delivered when the person names none."""
    return f"orchestcode/{slug(request)}-{key.rsplit('-', 1)[-1][:6]}"


def target_name(branch: str, request: str) -> str:
    """Return the short name of the ref on which a request's patches for a branch land."""
    return f"{slug(branch, 40)}-{digest(branch, request, length=8)}"


def subtask_id(request_id: str, task: str) -> str:
    """Return the workflow id of one task."""
    return f"{request_id}/task/{task}"


def attempt_id(request_id: str, attempt: int) -> str:
    """Return below which workflow id runs what a further attempt at a request begins anew."""
    return f"{request_id}/retry-{attempt}"


def fork_id(task: str, taken: Iterable[str]) -> str:
    """Return the id of a new fork of a task, other than those that are taken."""
    known, number = set(taken), 1
    while True:
        suffix = "-fork" if number == 1 else f"-fork-{number}"
        found = task[: _TASK_CHARS - len(suffix)].rstrip("-") + suffix
        if found not in known:
            return found
        number += 1


def going_back_id(request_id: str, attempt: int, number: int, turn: str) -> str:
    """Return below which workflow id a task runs that goes on from a turn while its request runs.

    `number` counts these of the attempt.
    """
    return f"{request_id}/rollback-{attempt}-{number}-{turn[:8] or 'sound'}"


def attempt_of(workflow_id: str) -> int:
    """Return the attempt at its request in which a task or an agent began; 1 is the first."""
    found = re.search(r"/retry-(\d+)/", workflow_id)
    return int(found[1]) if found else 1


def agent_id(parent: str, role: str, attempt: int) -> str:
    """Return the workflow id of an agent's round, counted from 1."""
    return f"{parent}/{role}-{attempt}"


def queue_id(repository: str, target: str) -> str:
    """Return the workflow id of the merge queue of one repository and target."""
    return f"merge/{repository}/{target}"


def conversation_id(request: str, agent: str, generation: int) -> str:
    """Return the name of an agent's conversation log."""
    return (
        f"{slug(agent.removeprefix(REQUEST_PREFIX), 40)}-{digest(request, agent, str(generation))}"
    )


def tool_use_id(turn_key: str, turn: int, position: int) -> str:
    """Return our own id of a call: `turn_key` names the reply, `position` the call in it.

    What the service calls it may stand twice in a reply, or begin again in the next one.
    """
    return f"call_{turn}_{position}_{digest(turn_key, str(position))}"


def call_id(conversation: str, tool_use_id: str) -> str:
    """Return the journal key of one tool call: unique for ever, fit for a ref name."""
    return f"{slug(tool_use_id, 24)}-{digest(conversation, tool_use_id)}"


def holder(owner: str, request: str, purpose: str) -> str:
    """Return who holds a worktree: a lease's idempotency key, one for each request of an id."""
    return f"{owner}|{request}|{purpose}"


def purpose(role: str, attempt: int) -> str:
    """Return what a role's worktree is for: a coder keeps one over all its rounds."""
    known = {roles.PLANNER: "plan", roles.CODER: "work", roles.REVIEWER: f"review-{attempt}"}
    return known.get(role, f"{role}-{attempt}")


def owner_of(holder: str) -> str | None:
    """Return the workflow that holds a worktree, None when the holder is none of ours."""
    owner, _, rest = holder.partition("|")
    return owner if rest else None


def thread_ref(request: str) -> str:
    """Return the ref that names the thread of a request that follows others."""
    return f"refs/oc/{request}/thread"


def base_ref(request: str) -> str:
    """Return the ref of the commit that the request started from."""
    return f"refs/oc/{request}/base"


def request_refs(request: str) -> str:
    """Return what the names of all refs of a request begin with."""
    return f"refs/oc/{request}/"


def began_ref(request: str) -> str:
    """Return the ref of the time when the request began: the date of its patches."""
    return f"refs/oc/{request}/began"


def author_ref(request: str) -> str:
    """Return the ref of the author of the request's commits."""
    return f"refs/oc/{request}/author"


def person_ref(request: str) -> str:
    """Return the ref of what the person told every agent when the request was opened."""
    return f"refs/oc/{request}/person"


def permissions_ref(request: str) -> str:
    """Return the ref of what agents of a request may do, as it was opened."""
    return f"refs/oc/{request}/permissions"


def allowed_ref(request: str) -> str:
    """Return the ref of what answers of people have allowed for the rest of a request."""
    return f"refs/oc/{request}/allowed"


def environment_ref(request: str) -> str:
    """Return the ref of the environment in which commands of a request run, as it was opened."""
    return f"refs/oc/{request}/environment"


def taken_ref(request: str, task: str, commit: str) -> str:
    """Return the ref of a commit that a person made of a task's files."""
    return f"refs/oc/{request}/task/{task}/taken/{commit}"


def hand_off_id(task: str) -> str:
    """Return the id of the question that waits while a person works on a task's files."""
    return f"hand-off/{task}"


def opened_ref(request: str) -> str:
    """Return the ref of what opening the request's repository came to."""
    return f"refs/oc/{request}/opened"


def ended_ref(request: str) -> str:
    """Return the ref of a request's last status, written when it has ended."""
    return f"refs/oc/{request}/ended"


def retry_ref(request: str, attempt: int) -> str:
    """Return the ref of what a further attempt at a request began with."""
    return f"refs/oc/{request}/retry/{attempt}"


def agent_task(agent: str, role: str) -> str:
    """Return the task of an agent by its workflow id, "" for the planner of a whole request."""
    _, found, task = agent.rpartition("/")[0].rpartition("/task/")
    return "" if role == roles.PLANNER and not found else task


def agent_refs(request: str) -> str:
    """Return the folder of the refs that name the conversations of a request."""
    return f"refs/oc/{request}/agent"


def agent_ref(request: str, conversation: str) -> str:
    """Return the ref that names a conversation of a request, and whose it is."""
    return f"{agent_refs(request)}/{conversation}"


def lost_call_refs(conversation: str) -> str:
    """Return the folder of a conversation's calls that came to nothing and may cost money."""
    return f"refs/oc/lost/{conversation}"


def lost_call_ref(conversation: str, call: str) -> str:
    """Return the ref of one call that came to nothing and may cost money."""
    return f"{lost_call_refs(conversation)}/{call}"


def survey_ref(request: str) -> str:
    """Return the ref of what was found of the machine and the base for a request's agents."""
    return f"refs/oc/{request}/survey"


def symbols_ref(conversation: str, request: str) -> str:
    """Return the ref of the definitions that a conversation's opening tells."""
    return f"refs/oc/{request}/symbols/{digest(conversation)}"


MEMORY_REF = "refs/oc/memory"
"""The ref of the tree that holds a repository's memories."""


def told_memories_ref(conversation: str, request: str) -> str:
    """Return the ref of the memories that a conversation's opening tells."""
    return f"refs/oc/{request}/memory/{digest(conversation)}"


def read_memory_ref(memory: str, request: str) -> str:
    """Return the ref that a request has once an agent of it has read a memory."""
    return f"refs/oc/{request}/memory-read/{digest(memory)}"


def request_of(agent: str) -> str:
    """Return the workflow id of an agent's request by the agent's own."""
    return re.sub(r"(?:/retry-\d+)?(?:/task/[^/]+)?/[^/]+$", "", agent)


def withdrawn_ref(request: str, run: str) -> str:
    """Return the ref that a request has once a run of its workflow is not to deliver any more."""
    return f"refs/oc/{request}/withdrawn/{digest(run)}"


def lease_ref(request: str, owner: str, purpose: str) -> str:
    """Return the ref of the commit at which a worktree was leased at the target's tip."""
    return f"refs/oc/{request}/lease/{digest(owner, purpose)}"


def checkpoint_ref(request: str, task: str, call: str) -> str:
    """Return the ref of the worktree's state after one call."""
    return f"refs/oc/{request}/task/{task}/checkpoint/{call}"


def call_ref(request: str, task: str, call: str) -> str:
    """Return the ref of one call's journal entry."""
    return f"refs/oc/{request}/task/{task}/call/{call}"


def installed_ref(request: str, task: str, call: str) -> str:
    """Return the ref of what the setup of one call came to."""
    return f"refs/oc/{request}/task/{task}/installed/{call}"


def shared_setup_ref(request: str, same: str) -> str:
    """Return the ref of what a setup came to for which several calls of a request may ask."""
    return f"refs/oc/{request}/installed/{same[:40]}"


def patch_ref(request: str, task: str, patch_round: int) -> str:
    """Return the ref of a task's patch."""
    return f"refs/oc/{request}/task/{task}/patch/{patch_round}"


def rebase_ref(request: str, task: str, patch_round: int) -> str:
    """Return the ref of a patch on top of what has landed, as the next round begins with it."""
    return f"refs/oc/{request}/task/{task}/rebase/{patch_round}"


def verdict_ref(request: str, task: str, patch_round: int) -> str:
    """Return the ref of why a patch did not land."""
    return f"refs/oc/{request}/task/{task}/verdict/{patch_round}"


def rebase_tip_ref(request: str, task: str, patch_round: int) -> str:
    """Return the ref of what had landed when a patch was put on top of it."""
    return f"refs/oc/{request}/task/{task}/rebase-tip/{patch_round}"


def candidate_ref(request: str, commit: str) -> str:
    """Return the pin of a candidate of the merge queue."""
    return f"refs/oc/{request}/cand/{commit[:16]}"


def checks_ref(tree: str, checks: str) -> str:
    """Return the ref of the recorded outcome of some checks on a tree."""
    return f"refs/oc/checks/{tree[:16]}/{checks}"


def conversation_ref(conversation: str) -> str:
    """Return the ref of a conversation log's head."""
    return f"refs/oc/conv/{conversation}"


def target_ref(target: str) -> str:
    """Return the ref on which a target's patches land."""
    return f"refs/oc/target/{target}"


OPEN = "refs/oc/open/"
"""Below it stands every request that has been opened and has not ended."""


def open_ref(request: str) -> str:
    """Return the ref of what an open request was asked."""
    return f"{OPEN}{request}"


LEAVING = "refs/oc/leaving/"
"""Below it stands every request whose deletion has begun and is not whole."""


def leaving_ref(request: str) -> str:
    """Return the ref that says that a request is being deleted, and which histories go with it."""
    return f"{LEAVING}{request}"


CLAIMS = "refs/oc/claim/"
"""Below it stand all claims."""


def spent_refs() -> str:
    """Return the folder of what the tasks of ended requests have cost."""
    return "refs/oc/spent"


def spent_ref(request: str) -> str:
    """Return where it is noted what the tasks of an ended request have cost."""
    return f"{spent_refs()}/{request}"


def claim_ref(branch: str) -> str:
    """Return the ref that says which request makes a branch."""
    return f"{CLAIMS}{slug(branch, 40)}-{digest(branch)}"


def abandoned_ref(conversation: str, commit: str) -> str:
    """Return the pin of a turn that was written but is not part of its log."""
    return f"{abandoned_refs(conversation)}{commit[:16]}"


def abandoned_refs(conversation: str) -> str:
    """Return below what all such pins of a conversation stand."""
    return f"refs/oc/rescue/conv-{conversation}/"


TAG_REFS = "refs/oc/tag"
"""The folder of the tags of the user's repository."""


def tag_ref(name: str) -> str:
    """Return the reference of a tag of the user's repository."""
    return f"{TAG_REFS}/{name}"


def view_ref(request: str) -> str:
    """Return the reference of what commands of a request may see of the store."""
    return f"refs/oc/{request}/view"


def branch_refs(request: str) -> str:
    """Return the folder of the branch that a request starts from."""
    return f"refs/oc/{request}/branch"


def branch_ref(request: str, branch: str) -> str:
    """Return the reference of the branch that a request starts from, where it was then."""
    return f"{branch_refs(request)}/{branch}"
