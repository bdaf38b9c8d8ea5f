"""Every way a model call can end: the condition, what is done about it, what a person reads.

One table for replies and failures alike; nothing else matches a stop reason, a status, an error
type or a text of the service. The first row that holds counts, so the order is: codes, texts (the
service may reword them), types, statuses. What a kind of failure leads to is `domain.failures`'
table; what a reply's outcome leads to is `domain.agent.loop`. Tuned freely: the row's answer is
recorded with the turn or the failure.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from contracts.failures import FailureKind
from contracts.model import ReplyOutcome


class Break(StrEnum):
    """How a call ended of which the service says nothing."""

    NO_KEY = "no key"
    KEY_FILE = "the key's file is not there yet"
    KEY_UNUSABLE = "the key cannot be read"
    NO_WAY = "the way to the service cannot be used"
    PROXY = "a proxy refuses"
    CONNECTION = "no answer, a time-out or a broken connection"
    CUT = "the reply ended early"
    UNREADABLE = "what came is no reply"
    UNEXPECTED = "an exception that nobody foresaw"


class Repair(StrEnum):
    """What is changed before the same request is sent once more, at once; never twice."""

    DROP_THINKING = "let the service drop thinking that belongs to another history"
    ANSWER_CALLS = "answer the calls that have no result"
    PLAIN = "leave out what this service does not know"


class Switch(StrEnum):
    """When the fallback model is asked, where the person allows one."""

    NEVER = "never"
    AT_ONCE = "at once"
    WHEN_LONG = "after ten minutes without a reply"


@dataclass(frozen=True, slots=True)
class Came:
    """What came of a call; what is not known is empty.

    Attributes:
        stop_reason: of a whole reply.
        broke: set when the service says nothing.
        status, type, code, says: of an error, also of one in the middle of a stream (status 200).
        foreign: the answer is not in the service's words: a proxy's page, another server's.
        names_wait: it says after how long to try again.
        should_retry: its header x-should-retry, "true" or "false".
        words: what else the row's sentence names.
    """

    stop_reason: str = ""
    broke: Break | None = None
    status: int = 0
    type: str = ""
    code: str = ""
    says: str = ""
    foreign: bool = False
    names_wait: bool = False
    should_retry: str = ""
    words: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition and its answer; a condition holds when each of its parts does.

    Attributes:
        answer: the failure's kind or the reply's outcome.
        told: the sentence for people; {says} is the service's own.
        stops, codes, types, statuses, texts, broke: one of them; a code that ends in * is a prefix.
        in_stream: the error came after the reply had begun.
        repair: tried first.
    """

    name: str
    answer: FailureKind | ReplyOutcome
    told: str = "{says}"
    stops: tuple[str, ...] = ()
    codes: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    statuses: tuple[int, ...] = ()
    texts: tuple[str, ...] = ()
    broke: tuple[Break, ...] = ()
    foreign: bool = False
    in_stream: bool = False
    names_wait: bool | None = None
    should_retry: str = ""
    repair: Repair | None = None
    switch: Switch = Switch.NEVER

    def holds(self, came: Came) -> bool:
        """Return whether the condition holds."""
        return (
            (came.foreign or not self.foreign)
            and _among(self.stops, came.stop_reason)
            and (came.broke in self.broke if self.broke else came.broke is None)
            and any(_named(each, came.code) for each in self.codes or ("*",))
            and _among(self.types, came.type)
            and _among(self.statuses, came.status)
            and any(each in came.says.lower() for each in self.texts or ("",))
            and (not self.in_stream or came.status == _STREAM)
            and self.names_wait in {None, came.names_wait}
            and self.should_retry in {"", came.should_retry}
        )

    def sentence(self, came: Came) -> str:
        """Return what a person reads."""
        return self.told.format_map({"says": came.says, "status": came.status, **came.words})


NO_SUCH_MODEL = "no such model"
_STREAM = 200


def _among(wanted: tuple[object, ...], value: object) -> bool:
    return not wanted or value in wanted


def _named(wanted: str, code: str) -> bool:
    return code.startswith(wanted[:-1]) if wanted.endswith("*") else code == wanted


_RETRY = FailureKind.OVERLOADED
_FULL = FailureKind.CONTEXT_FULL
_WRONG = FailureKind.MODEL_REQUEST
_KEY = FailureKind.CREDENTIALS
_MONEY = FailureKind.SPEND_LIMIT
_SLOW = FailureKind.RATE_LIMITED
_GONE = FailureKind.UNREACHABLE

_CLOSED = (401, 403, 407)
_ELSEWHERE = tuple(each for each in range(400, 500) if each not in {*_CLOSED, 408, 409, 413, 429})

_CHECK_KEY = (
    "the model key is not accepted (set ANTHROPIC_API_KEY or ANTHROPIC_AUTH_TOKEN to one that is, "
    "and start the worker again): {says}"
)
_SPENT = "the account's spending limit is reached (raise it, or wait until it begins anew): {says}"
_BUSY = "the model's service failed: {says}"
_TOO_LARGE = "the request is larger than the service takes: {says}"
_REJECTED = "the service rejects the request: {says}"
_ABILITY = "the model cannot do what is asked of it, though it is listed as one that can: {says}"
_OTHER_HISTORY = "the service takes the conversation for another one: {says}"

REPLIES = (
    Condition("end of turn", ReplyOutcome.GOES_ON, stops=("end_turn", "stop_sequence")),
    Condition("tool calls", ReplyOutcome.GOES_ON, stops=("tool_use",)),
    Condition("reply too long", ReplyOutcome.TOO_LONG, stops=("max_tokens",)),
    Condition("pause", ReplyOutcome.PAUSED, stops=("pause_turn",)),
    Condition(
        "refusal",
        ReplyOutcome.REFUSED,
        "the model declined to answer ({says})",
        stops=("refusal",),
        switch=Switch.AT_ONCE,
    ),
    Condition(
        "window full",
        ReplyOutcome.WINDOW_FULL,
        "the conversation no longer fits the model's window",
        stops=("model_context_window_exceeded",),
    ),
    # Never asked for: our windows are handed over, not rewritten. What we have stays as it is.
    Condition(
        "compaction",
        ReplyOutcome.WINDOW_FULL,
        "the service shortens the conversation by itself; it goes on in a new one",
        stops=("compaction",),
    ),
    Condition(
        "unknown stop reason",
        ReplyOutcome.UNKNOWN,
        "the model stopped for a reason that is not known: {says}",
    ),
)
"""By the stop reason of a whole reply."""

FAILURES = (
    # the way to the service, and what is not in its words
    Condition(
        "no key", _KEY, "{says}; then start the worker again", broke=(Break.NO_KEY, Break.NO_WAY)
    ),
    Condition("key file missing", _GONE, "the model key's file: {says}", broke=(Break.KEY_FILE,)),
    Condition(
        "key unusable", _KEY, "the model key cannot be used: {says}", broke=(Break.KEY_UNUSABLE,)
    ),
    Condition(
        "proxy forbids",
        _KEY,
        broke=(Break.PROXY,),
        statuses=tuple(range(400, 500)),
    ),
    Condition("proxy fails", _GONE, broke=(Break.PROXY,)),
    Condition(
        "foreign answer, closed",
        _KEY,
        "{where}{through} answers {says}, not in the service's words; check {variables}",
        foreign=True,
        statuses=_CLOSED,
    ),
    Condition(
        "foreign answer, elsewhere",
        _WRONG,
        "{where} is no Messages API: it answers {says}; check {variables}",
        foreign=True,
        statuses=_ELSEWHERE,
    ),
    # codes
    Condition(
        "spending limit",
        _MONEY,
        _SPENT,
        codes=("enforced_spend_limit_reached", "contract_spend_limit_reached"),
    ),
    Condition("linked organization", _MONEY, _SPENT, codes=("linked_organization_*",)),
    Condition("ramp limit", _SLOW, codes=("ramp_limit_exceeded",)),
    Condition("organization on hold", _KEY, _CHECK_KEY, codes=("organization_on_hold",)),
    Condition("body time-out", _GONE, codes=("request_body_timeout",)),
    Condition(
        "body too large", _FULL, _TOO_LARGE, codes=("request_body_too_large_after_decoding",)
    ),
    Condition("compaction unavailable", _RETRY, _BUSY, codes=("compaction_unavailable",)),
    # Of a block that came unasked: a new window has none.
    Condition(
        "compaction refused",
        _FULL,
        "the service does not take back how it shortened the conversation: {says}",
        codes=("compaction_*",),
    ),
    Condition(
        "unusable part",
        _WRONG,
        _REJECTED,
        codes=(
            "image_dimensions_too_large",
            "tool_name_conflict",
            "tool_reference_unresolved",
            "available_tools_limit_exceeded",
            "cmek_*",
        ),
    ),
    Condition(
        "state of the service's gone",
        _WRONG,
        "the service no longer has what the request refers to: {says}",
        codes=("thread_*", "file_expired"),
    ),
    # texts
    Condition("prompt too long", _FULL, _TOO_LARGE, texts=("prompt is too long",)),
    Condition(
        "other history",
        _FULL,
        _OTHER_HISTORY,
        texts=("bound to a different conversation", "cannot be modified"),
        repair=Repair.DROP_THINKING,
    ),
    Condition(
        "calls without results",
        _WRONG,
        _REJECTED,
        texts=("ids were found without `tool_result` blocks",),
        repair=Repair.ANSWER_CALLS,
    ),
    Condition(
        "usage limit of the key",
        _MONEY,
        _SPENT,
        texts=("your specified api usage limits", "your specified workspace api usage limits"),
    ),
    Condition(
        "usage limit of the account",
        _MONEY,
        _SPENT,
        texts=("reached your api usage limits",),
        names_wait=False,
    ),
    Condition("unknown field", _WRONG, _REJECTED, texts=("diagnostics",), repair=Repair.PLAIN),
    Condition(
        "ability",
        _WRONG,
        _ABILITY,
        statuses=(400,),
        texts=("prefill", "thinking.", "adaptive thinking", "role 'system'", "tool_choice"),
    ),
    # types and statuses
    Condition("billing", _MONEY, _SPENT, types=("billing_error",)),
    Condition("payment required", _MONEY, _SPENT, statuses=(402,)),
    # Waiting does not end a limit of which the service says not to try again.
    Condition("limit without end", _MONEY, _SPENT, statuses=(429,), should_retry="false"),
    Condition("rate limit", _SLOW, types=("rate_limit_error",)),
    Condition("too many requests", _SLOW, statuses=(429,)),
    Condition("key refused", _KEY, _CHECK_KEY, types=("authentication_error", "permission_error")),
    Condition("not allowed", _KEY, _CHECK_KEY, statuses=(401, 403)),
    Condition("too large", _FULL, _TOO_LARGE, types=("request_too_large",)),
    Condition("content too large", _FULL, _TOO_LARGE, statuses=(413,)),
    Condition(
        "told not to retry",
        _WRONG,
        "the service says not to retry: {says}",
        should_retry="false",
    ),
    Condition("told to retry", _RETRY, _BUSY, should_retry="true"),
    Condition(
        NO_SUCH_MODEL,
        _WRONG,
        "the service does not have what was asked for: {says}",
        types=("not_found_error",),
        switch=Switch.AT_ONCE,
    ),
    Condition("not found", _WRONG, _REJECTED, statuses=(404,)),
    Condition("bug of ours", _WRONG, _REJECTED, statuses=(412, 422, 431, 499, 501)),
    Condition("time-out or conflict", _RETRY, _BUSY, statuses=(408, 409)),
    Condition("overloaded", _RETRY, _BUSY, types=("overloaded_error",), switch=Switch.WHEN_LONG),
    Condition("service error", _RETRY, _BUSY, types=("api_error",), switch=Switch.WHEN_LONG),
    Condition(
        "unavailable", _RETRY, _BUSY, statuses=tuple(range(500, 600)), switch=Switch.WHEN_LONG
    ),
    Condition("time-out in the stream", _GONE, types=("timeout_error",)),
    Condition(
        "unreadable event",
        FailureKind.MALFORMED,
        "the reply broke off with an error that cannot be read: {says}",
        types=("",),
        in_stream=True,
    ),
    # what the service says nothing of
    Condition("no answer", _GONE, broke=(Break.CONNECTION,)),
    Condition("cut reply", _GONE, "the reply was cut off before its end", broke=(Break.CUT,)),
    Condition(
        "no reply",
        FailureKind.MALFORMED,
        "the reply cannot be read: {says}",
        broke=(Break.UNREADABLE,),
    ),
    Condition(
        "unexpected exception",
        FailureKind.BUG,
        "unexpected client error: {says}",
        broke=(Break.UNEXPECTED,),
    ),
    Condition("rejected", _WRONG, _REJECTED),
)
"""Of a call without a whole reply; the last row holds for whatever else."""

ROWS: Mapping[str, Condition] = MappingProxyType({row.name: row for row in (*REPLIES, *FAILURES)})
"""Every row by its name."""

DISCARDED = frozenset(
    {
        ReplyOutcome.TOO_LONG,
        ReplyOutcome.REFUSED,
        ReplyOutcome.FALLBACK,
        ReplyOutcome.WINDOW_FULL,
        ReplyOutcome.UNKNOWN,
    }
)
"""Outcomes of replies of which nothing is run and that never become part of a conversation."""


def of_others(status: int) -> bool:
    """Return whether an answer with this status tells something else when it is another server's.

    A time-out or a limit is the same from whomever it comes.
    """
    return status in {*_CLOSED, *_ELSEWHERE}


def of_reply(came: Came) -> Condition:
    """Return the row of a whole reply."""
    return next(row for row in REPLIES if row.holds(came))


def of_failure(came: Came) -> Condition:
    """Return the row of a call without a whole reply."""
    return next(row for row in FAILURES if row.holds(came))
