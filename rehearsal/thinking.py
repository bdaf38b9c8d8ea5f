"""
Seals: the signature of a thinking block and what becomes of it when it comes back.

A seal is an HMAC over the model, the digest of everything before the block and the
text. The parts travel inside the signature, so a seal can say *what* no longer fits:
the text was changed, the history was changed, or another model is asked.
"""

import base64
import dataclasses
import hashlib
import hmac
import json
from collections.abc import Sequence
from typing import Final

from rehearsal import wire
from rehearsal.prompt import Block, Prompt
from rehearsal.wire import Json, bad_request

BINDING_BETA: Final = "thinking-binding-controls-2026-08-01"


@dataclasses.dataclass(frozen=True)
class Seal:
    """
    What a signature vouches for.

    Attributes:
        model: the model that thought.
        prefix: digest of all blocks before this one.
        text: digest of the text shown; "" when the text was omitted.
    """

    model: str
    prefix: str
    text: str


def _mac(key: bytes, payload: bytes) -> str:
    return base64.b64encode(hmac.digest(key, payload, "sha256")).decode()


def _text_digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16] if text else ""


def sign(key: bytes, seal: Seal) -> str:
    """Return the signature of a seal, base64."""
    payload = wire.canonical(dataclasses.astuple(seal))
    return base64.b64encode(wire.canonical([payload.decode(), _mac(key, payload)])).decode()


def unseal(key: bytes, signature: str) -> Seal | None:
    """Return what a signature vouches for; None when it is not ours or was changed."""
    try:
        payload, mac = json.loads(base64.b64decode(signature, validate=True))
        model, prefix, text = json.loads(payload)
    except (ValueError, TypeError):
        return None
    if not hmac.compare_digest(_mac(key, payload.encode()), str(mac)):
        return None
    return Seal(model, prefix, text)


def block(key: bytes, request: Prompt, *, text: str, display: str) -> Json:
    """
    Return a sealed thinking block that continues a request.

    Args:
        key: the server's secret.
        request: everything that came before.
        text: what was thought.
        display: "omitted" sends the seal without the text.
    """
    shown = text if display != "omitted" else ""
    seal = Seal(request.model.id, request.prefix(len(request.blocks)), _text_digest(shown))
    return {"type": "thinking", "thinking": shown, "signature": sign(key, seal)}


def check(key: bytes, request: Prompt, betas: frozenset[str]) -> list[Json] | None:
    """
    Check every thinking block of a request against its seal.

    Returns:
        The reply's ``input_transformations``; None without the binding beta.

    Raises:
        ApiError: 400 for a changed block, or for a foreign history
            unless the request asked to drop such blocks.
    """
    drop = _mode(request) == "drop_block"
    dropped: list[Json] = []
    place = request.head
    mark = (request.model.id, request.content[0])
    for message in request.messages:
        blocks = message.blocks[request.model.older_tokenizer]
        if mark not in message.sealed:
            found = _check_message(key, request, blocks=blocks, start=place)
            if found and not drop:
                raise bad_request(
                    f"{found[0]}: Invalid `signature` in `thinking` block. "
                    "The block is bound to a different conversation"
                )
            dropped += [_report(path) for path in found]
            if not found:
                message.sealed.add(mark)
        place += len(blocks)
    return dropped if BINDING_BETA in betas else None


def _check_message(
    key: bytes, request: Prompt, *, blocks: Sequence[Block], start: int
) -> list[str]:
    """Return the paths of a message's thinking blocks that belong to another history."""
    found: list[str] = []
    dropping = False
    for i, one in enumerate(blocks, start):
        # A dropped block takes the thinking that follows it at once along.
        dropping = one.kind == "thinking" and (dropping or _foreign(key, request, index=i))
        found += [one.path] if dropping else []
    return found


def _mode(request: Prompt) -> str:
    binding = (request.body.get("thinking") or {}).get("block_binding") or {}
    return str(binding.get("prefix_mismatch_behavior") or "error")


def _report(path: str) -> Json:
    return {"type": "thinking_dropped", "path": path, "reason": "prefix_binding_mismatch"}


def _foreign(key: bytes, request: Prompt, *, index: int) -> bool:
    """Tell whether a block belongs to another history than the one before it."""
    one = request.blocks[index]
    seal = unseal(key, str(one.raw.get("signature")))
    if seal is None or (seal.text and seal.text != _text_digest(one.raw.get("thinking", ""))):
        last = max(b.turn for b in request.blocks if b.role == "assistant")
        raise _changed(one, latest=one.turn == last)
    if seal.model != request.model.id or not request.model.bound_thinking:
        return False
    return seal.prefix != request.prefix(index)


def _changed(one: Block, *, latest: bool) -> Exception:
    if latest:
        return bad_request(
            f"{one.path}: `thinking` or `redacted_thinking` blocks in the latest assistant message "
            "cannot be modified. These blocks must remain as they were in the original response."
        )
    return bad_request(f"{one.path}: Invalid `signature` in `thinking` block")
