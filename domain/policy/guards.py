"""Which files rules keep from being read or changed by any program.

A rule that asks holds as one that denies where no person can be asked: inside a running command.
"""

from collections.abc import Sequence
from typing import Final

from contracts.verdicts import Permission
from domain.policy.judge import Policy
from domain.policy.rules import Rule
from domain.policy.tools import Family

_PROBES: Final = ("a\1probe", "Z9\1probe", ".\1probe")
"""Names that no file has: a pattern that matches all of them means a folder as a whole."""


class Guards:
    """The rules of a policy about paths.

    Attributes:
        closed_outside: absolute paths that commands may not read.
    """

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        spoken = (*policy.saying(Permission.DENY), *policy.saying(Permission.ASK))
        of_paths = tuple(rule for rule in spoken if rule.path is not None)
        self._reads = tuple(rule for rule in of_paths if Family.READ in rule.families)
        self._writes = tuple(rule for rule in of_paths if _keeps(rule))
        self.closed_outside = tuple(
            rule.path.literal for rule in self._reads if rule.path and rule.path.literal
        )

    def __bool__(self) -> bool:
        """Return whether there is any such rule."""
        return bool(self._reads or self._writes)

    @property
    def guards_reads(self) -> bool:
        """Return whether a rule speaks of files that are read."""
        return bool(self._reads)

    def closed(self, path: str) -> Rule | None:
        """Return the rule that keeps a file of the worktree from being read."""
        return self._first(self._reads, path)

    def kept(self, path: str) -> Rule | None:
        """Return the rule that keeps a file of the worktree as it is."""
        return self._first(self._writes, path)

    def folder_closed(self, path: str) -> bool:
        """Return whether nothing in a folder may be read, under any name."""
        return all(self.closed(f"{path}/{name}") for name in _PROBES)

    def folder_kept(self, path: str) -> bool:
        """Return whether nothing in a folder may be changed or made."""
        return all(self.kept(f"{path}/{name}") for name in _PROBES)

    def _first(self, rules: Sequence[Rule], path: str) -> Rule | None:
        if not rules:
            return None
        names = self._policy.names(path)
        return next((rule for rule in rules if rule.path and rule.path.matches(names)), None)


def _keeps(rule: Rule) -> bool:
    """Return whether a rule keeps files as they are: what is not read is not changed either."""
    unread = Family.READ in rule.families and rule.permission is Permission.DENY
    return Family.EDIT in rule.families or unread
