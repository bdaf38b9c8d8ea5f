"""The permissions that hold for a request, as they were read when it was opened."""

from abc import ABC, abstractmethod
from enum import StrEnum

from pydantic import Field
from temporalio import activity

from contracts.base import Contract, PathText, ShortText
from contracts.store import RepositoryRef
from contracts.verdicts import Permission


class Scope(StrEnum):
    """Who wrote a rule, which decides what it may do."""

    USER = "user"
    """The person whose worker it is: their rules tighten and loosen."""
    REPOSITORY = "repository"
    """Who wrote the base commit: their rules only tighten."""


class PermissionMode(StrEnum):
    """What becomes of a call that no rule speaks of."""

    DEFAULT = "default"
    """What crosses the sandbox asks."""
    ACCEPT_EDITS = "acceptEdits"
    """The same: edits inside the worktree never ask."""
    PLAN = "plan"
    """What changes files, and every command, is denied where no rule allows it."""
    DONT_ASK = "dontAsk"
    """What would ask is denied."""
    BYPASS = "bypassPermissions"
    """What would ask is allowed, but for critical commands and where a rule asks."""


class PermissionRule(Contract):
    """One rule of a settings file.

    Attributes:
        text: as it is written there, such as `Bash(git push:*)`.
        reason: told to the agent that is denied, and to the person who is asked.
        file: that settings file, as people are shown it.
    """

    permission: Permission
    text: str = Field(max_length=500)
    reason: ShortText = ""
    scope: Scope
    file: PathText


class RequestPermissions(Contract):
    """What holds for every agent of a request.

    Attributes:
        rules: those that count, in the order in which they are read: the user's file first.
        mode: the strictest that counts, and `mode_file` who says so; "" for no file.
        auto_allow: commands that no rule speaks of run in the sandbox without a question.
        folders: that commands may read beside the system's, absolute.
        home: of the user, for rules about `~/`.
        user_folder: of the user's settings file, to which their rules about `/` are relative.
        checkout: the user's own folder of the repository, for rules about absolute paths.
        warnings: what is written in the files and does not count, a sentence each.
        untrusted: the request's words are a stranger's: nothing that loosens counts, and no answer
            allows more than the one call that it is about.
    """

    rules: tuple[PermissionRule, ...] = ()
    mode: PermissionMode = PermissionMode.DEFAULT
    mode_file: PathText = ""
    auto_allow: bool = True
    auto_allow_file: PathText = ""
    folders: tuple[PathText, ...] = ()
    home: PathText = ""
    user_folder: PathText = ""
    checkout: PathText = ""
    warnings: tuple[ShortText, ...] = ()
    untrusted: bool = False


class AllowedRule(Contract):
    """A rule that a person's answer added for the rest of its request.

    Attributes:
        text: such as `Bash(make release)`.
        by: who answered.
        approval: id of the question that was answered.
        at: when, in seconds since the epoch.
    """

    text: ShortText
    by: str = ""
    approval: str = ""
    at: float = 0.0


class AllowedRules(Contract):
    """All rules that answers have added to a request, oldest first."""

    rules: tuple[AllowedRule, ...] = ()


class AllowRules(Contract):
    """Ask that rules are pinned with a request, so that its agents' calls are judged by them."""

    repository: RepositoryRef
    rules: tuple[AllowedRule, ...]


class PermissionActivities(ABC):
    """What a person's answers change of a request's permissions; task queue `git`."""

    @activity.defn
    @abstractmethod
    async def allow_rules(self, request: AllowRules) -> AllowedRules:
        """Pin rules with a request and return all that answers have added to it."""
