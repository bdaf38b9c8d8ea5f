"""Starts of requests that count only with a code, each code for one run."""

import hashlib
import os
from pathlib import Path

from contracts.request import RequestStart
from domain.approvals import codes

_MISSING = (
    "this home takes a start only with its code: start it by `orchestcode run`, or let "
    "`orchestcode code ID --start INPUT` add the code to the input"
)
_USED = "the code of this start was used by another run: a start has a new code under a new id"


class StartCodes:
    """Checks the codes of starts.

    Args:
        secret: of the home.
        folder: where each code that was used is kept, with its run.
    """

    def __init__(self, secret: bytes, folder: Path) -> None:
        self._secret = secret
        self._folder = folder

    def problem(self, request_id: str, asked: str, run_id: str) -> str:
        """Return why a start does not count, "" when it does; safe to repeat for its run."""
        start = RequestStart.model_validate_json(asked)
        expected = codes.start_code(self._secret, request_id, start)
        if not codes.same(start.code or "", expected):
            return _MISSING
        # Going on with a request that a lost database has forgotten repeats no finished step.
        return "" if start.resumes or self._first_use(expected, run_id) else _USED

    def sign(self, request_id: str, start: RequestStart) -> RequestStart:
        """Return a start with its code."""
        code = codes.start_code(self._secret, request_id, start)
        return start.model_copy(update={"code": code})

    def _first_use(self, code: str, run_id: str) -> bool:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        name = hashlib.sha256(code.encode()).hexdigest()[:40]
        used, draft = self._folder / name, self._folder / f".{name}.{os.getpid()}"
        draft.write_text(run_id, encoding="ascii")
        try:
            used.hardlink_to(draft)
        except FileExistsError:
            return used.read_text(encoding="ascii") == run_id
        finally:
            draft.unlink(missing_ok=True)
        return True
