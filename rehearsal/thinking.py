"""Signatures of thinking blocks, and their verification when a block is sent back.

A signature is an HMAC over the model, the digest of everything before the block and the text.
It contains these parts, so verification finds *what* differs:
the text, the history or the model.
"""

import base64
import dataclasses
import hashlib
import hmac
import json
from collections.abc import Iterator
from typing import Final

from rehearsal import wire
from rehearsal.prompt import Block, Prompt
from rehearsal.wire import Json, bad_request

BINDING_BETA: Final = "thinking-binding-controls-2026-08-01"


@dataclasses.dataclass(frozen=True)
class SignedContent:
    """The content of a signature.

    Attributes:
        prefix: digest of all blocks before this one.
        text: digest of the shown text; "" when the text was omitted.
    """

    model: str
    prefix: str
    text: str


def _mac(key: bytes, payload: bytes) -> str:
    return base64.b64encode(hmac.digest(key, payload, "sha256")).decode()


def _text_digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16] if text else ""


def sign(key: bytes, content: SignedContent) -> str:
    """Return a signature, base64."""
    payload = wire.canonical(dataclasses.astuple(content))
    return base64.b64encode(wire.canonical([payload.decode(), _mac(key, payload)])).decode()


def verify_signature(key: bytes, signature: str) -> SignedContent | None:
    """Return the content of a signature; None when it is invalid."""
    try:
        payload, mac = json.loads(base64.b64decode(signature, validate=True))
        model, prefix, text = json.loads(payload)
    except (ValueError, TypeError):
        return None
    if not hmac.compare_digest(_mac(key, payload.encode()), str(mac)):
        return None
    return SignedContent(model, prefix, text)


def signed_block(key: bytes, request: Prompt, *, text: str, display: str) -> Json:
    """Return a signed thinking block that continues a request.

    The `display` "omitted" sends the signature without the text.
    """
    shown = text if display != "omitted" else ""
    content = SignedContent(request.model.id, request.prefixes[-1], _text_digest(shown))
    return {"type": "thinking", "thinking": shown, "signature": sign(key, content)}


def check_signatures(key: bytes, request: Prompt) -> list[Json]:
    """Verify every thinking block of a request, and return a report of each that is dropped.

    Raises:
        ApiError: 400 for a modified block, or for a block of another history
            unless the request asks to drop such blocks.
    """
    binding = (request.body.get("thinking") or {}).get("block_binding") or {}
    dropped: list[Json] = []
    for path in _mismatched(key, request):
        if binding.get("prefix_mismatch_behavior") != "drop_block":
            raise bad_request(
                f"{path}: Invalid `signature` in `thinking` block. "
                "The block is bound to a different conversation"
            )
        reason = "prefix_binding_mismatch"
        dropped.append({"type": "thinking_dropped", "path": path, "reason": reason})
    return dropped


def _mismatched(key: bytes, request: Prompt) -> Iterator[str]:
    """Yield the paths of the thinking blocks that belong to another history."""
    dropping = False
    turn = -1
    for i, block in enumerate(request.blocks[request.head :], request.head):
        # With a dropped block the thinking blocks directly after it are dropped too.
        dropping = block.kind == "thinking" and (
            (dropping and block.turn == turn) or _other_history(key, request, index=i)
        )
        turn = block.turn
        if dropping:
            yield block.path


def _other_history(key: bytes, request: Prompt, *, index: int) -> bool:
    """Return whether a block was signed behind another history than the request's."""
    block = request.blocks[index]
    content = verify_signature(key, str(block.raw.get("signature")))
    if content is None or (
        content.text and content.text != _text_digest(block.raw.get("thinking", ""))
    ):
        last = max(b.turn for b in request.blocks if b.role == "assistant")
        raise _modified(block, latest=block.turn == last)
    if content.model != request.model.id or not request.model.bound_thinking:
        return False
    return content.prefix != request.prefixes[index]


def _modified(block: Block, *, latest: bool) -> Exception:
    if latest:
        return bad_request(
            f"{block.path}: `thinking` or `redacted_thinking` blocks in the latest assistant "
            "message cannot be modified. These blocks must remain as they were in the original "
            "response."
        )
    return bad_request(f"{block.path}: Invalid `signature` in `thinking` block")
