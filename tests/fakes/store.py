"""A git store in memory: trees as mappings, commits by digest, merges by path, and leases."""

import hashlib
from dataclasses import dataclass, field

Tree = dict[str, str]
"""Contents by path; no path means no file."""

MARKED = "<<<<<<<"
"""What a content begins with when it holds conflict markers."""


def oid(*parts: object) -> str:
    """Return an object id over some parts."""
    return hashlib.sha1("\0".join(map(str, parts)).encode(), usedforsecurity=False).hexdigest()


@dataclass(frozen=True)
class StoredCommit:
    """A commit: its parents, the first of which it is made on, and its tree's id."""

    parents: tuple[str, ...]
    tree: str


@dataclass(frozen=True)
class MergedTree:
    """A merge: its tree, and the paths that both sides changed differently."""

    tree: Tree
    conflicts: tuple[str, ...]


@dataclass
class HeldLease:
    """Who holds a worktree."""

    holder: str
    worktree: str
    epoch: int
    commit: str


@dataclass
class MemoryStore:
    """Everything durable that the fakes share.

    Attributes:
        leases: by holder; at the end of a request there must be none.
        tips: targets' commits.
        branches: delivered, by name.
        claims: who makes a branch.
        withdrawn: branches that are not delivered any more.
    """

    host_id: str = ""
    trees: dict[str, Tree] = field(default_factory=dict)
    commits: dict[str, StoredCommit] = field(default_factory=dict)
    blobs: dict[str, str] = field(default_factory=dict)
    leases: dict[str, HeldLease] = field(default_factory=dict)
    epochs: dict[str, int] = field(default_factory=dict)
    tips: dict[str, str] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    claims: dict[str, str] = field(default_factory=dict)
    withdrawn: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.commit({"README": "hello"}, note="base")

    def blob(self, text: str) -> str:
        """Keep a text."""
        key = oid("blob", text)
        self.blobs[key] = text
        return key

    def commit(self, tree: Tree, *parents: str, note: str = "") -> str:
        """Keep a commit; the same tree, parents and note make the same one."""
        tree_id = oid("tree", *sorted(tree.items()))
        self.trees[tree_id] = tree
        key = oid("commit", tree_id, *parents, note)
        self.commits[key] = StoredCommit(parents, tree_id)
        return key

    def tree(self, commit: str) -> Tree:
        """Return a commit's tree."""
        return self.trees[self.commits[commit].tree]

    def changed(self, base: str, commit: str) -> tuple[str, ...]:
        """Return the paths in which two commits differ, sorted."""
        old, new = self.tree(base), self.tree(commit)
        return tuple(sorted(p for p in {*old, *new} if old.get(p) != new.get(p)))

    def merge(self, top: str, commit: str) -> MergedTree:
        """Return `commit`, made on its first parent, merged with `top`."""
        base, ours, theirs = (
            self.tree(self.commits[commit].parents[0]),
            self.tree(top),
            self.tree(commit),
        )
        tree, conflicts = dict(ours), []
        for path in sorted({*base, *theirs}):
            if theirs.get(path) in {base.get(path), ours.get(path)}:
                continue
            if ours.get(path) == base.get(path):
                tree[path] = theirs.get(path, "")
            else:
                tree[path] = f"{MARKED}\n{ours.get(path)}\n{theirs.get(path)}"
                conflicts.append(path)
        return MergedTree(tree, tuple(conflicts))

    def dropped(self, old: str, new: str) -> dict[str, tuple[str, ...]]:
        """Return, by path, the lines of one commit that another lacks and no request began with."""
        before, after, first = self.tree(old), self.tree(new), self.tree(BASE)
        found = {
            path: tuple(
                line
                for line in text.splitlines()
                if line not in after.get(path, "").splitlines()
                and line not in first.get(path, "").splitlines()
            )
            for path, text in before.items()
        }
        return {path: lines for path, lines in found.items() if lines}

    def move(self, target: str, path: str, content: str) -> None:
        """Commit one file on a target, as another process does between a test and its landing."""
        tip = self.tips[target]
        self.tips[target] = self.commit({**self.tree(tip), path: content}, tip, note="moved")

    def lease(self, holder: str, commit: str) -> HeldLease:
        """Give a holder its worktree: the one it has, a free one, or a new one."""
        if holder in self.leases:
            return self.leases[holder]
        taken = {lease.worktree for lease in self.leases.values()}
        name = next(f"w{n}" for n in range(len(taken) + 1) if f"w{n}" not in taken)
        self.epochs[name] = self.epochs.get(name, 0) + 1
        self.leases[holder] = HeldLease(holder, name, self.epochs[name], commit)
        return self.leases[holder]

    def release(self, worktree: str, epoch: int) -> None:
        """Take a worktree back; a lease that is over changes nothing."""
        for holder, lease in list(self.leases.items()):
            if (lease.worktree, lease.epoch) == (worktree, epoch):
                del self.leases[holder]

    def holds(self, worktree: str, epoch: int) -> bool:
        """Return whether a lease is current."""
        return any((e.worktree, e.epoch) == (worktree, epoch) for e in self.leases.values())


(BASE,) = MemoryStore().commits
"""The commit on which every request starts."""
