"""The store's errors."""


class StoreError(Exception):
    """The store could not do what was asked: a wrong argument or a broken environment.

    Never a verdict on the work: retry, repair or ask, but do not evict a patch for it.
    """


class ObjectMissing(Exception):  # noqa: N818 - named for what happened
    """An object, or one it needs, is not in the store; the detail is what git said, if anything."""

    def __init__(self, name: str, detail: str = "") -> None:
        super().__init__(f"not in the store: {name}" + (f" ({detail})" if detail else ""))


class RefConflict(Exception):  # noqa: N818 - named for what happened
    """A reference is not where the caller expected it: another writer was faster.

    Attributes:
        expected: the id the caller named; None = it should not exist.
        actual: the id found; None = it does not exist.
    """

    def __init__(self, ref: str, expected: str | None, actual: str | None) -> None:
        self.expected = expected
        self.actual = actual
        super().__init__(f"{ref} is at {actual}, expected {expected}")


class BranchTaken(Exception):  # noqa: N818 - named for what happened
    """The person's repository already has a branch of that name, `at` another commit."""

    def __init__(self, branch: str, at: str) -> None:
        self.branch = branch
        self.at = at
        super().__init__(f"the branch {branch} already exists at {at}")
