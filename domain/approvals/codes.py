"""Codes by which a person's words count where others reach the Temporal service too.

A code is made of the secret of a home and of exactly what it allows, so that one that stands in a
history is worth nothing for anything else.
"""

import base64
import hashlib
import hmac
from typing import Final

from contracts.agent import Note
from contracts.approvals import Approval
from contracts.budget import BudgetChange
from contracts.request import RequestStart

NOTE: Final = "note"
_CHARACTERS: Final = 20
"""100 bits: short enough to be typed."""


def answer_code(secret: bytes, request_id: str, run_id: str, asked: Approval, choice: str) -> str:
    """Return the code of one answer to one question, which is asked once."""
    return _code(
        secret, "answer", request_id, run_id, asked.id, asked.digest, str(asked.asked), choice
    )


def note_code(secret: bytes, request_id: str, run_id: str, note: Note) -> str:
    """Return the code of one note to one run of a request."""
    return _code(secret, NOTE, request_id, run_id, note.text, note.task or "")


def budget_code(secret: bytes, request_id: str, run_id: str, change: BudgetChange) -> str:
    """Return the code of one change of a budget: from this amount to that one."""
    return _code(secret, "budget", request_id, run_id, str(change.before), str(change.after))


def start_code(secret: bytes, request_id: str, start: RequestStart) -> str:
    """Return the code of one start: exactly this input under this workflow id."""
    text = start.model_dump_json(exclude_defaults=True, exclude={"code"})
    return _code(secret, "start", request_id, text)


def same(given: str, code: str) -> bool:
    """Return whether a person's code is this one, in constant time."""
    typed = "".join(given.split()).lower().encode("utf-8", "replace")
    return hmac.compare_digest(typed, code.encode())


def _code(secret: bytes, *parts: str) -> str:
    # With its length before it, no part can pass for the end of another.
    text = "".join(f"{len(part)}:{part}" for part in parts)
    mac = hmac.new(secret, text.encode("utf-8", "surrogatepass"), hashlib.sha256).digest()
    return base64.b32encode(mac).decode("ascii").lower()[:_CHARACTERS]
