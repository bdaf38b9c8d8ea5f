"""Damage of a checkpoint: looked for where something of the store cannot be read.

What depends on it is not tried again: its task goes on from the last state that is sound.
"""

import contextlib
from collections.abc import AsyncIterator

from temporalio import activity

from activities.failures import failed
from contracts.base import ObjectId
from contracts.failures import FailureKind
from contracts.store import ConversationRef
from infra.conversation.damage import log_damage
from infra.git.command import GitError
from infra.store import ObjectMissing, Store, StoreError
from infra.store.soundness import CHECKPOINT_CORRUPTION, damage
from infra.worktrees.errors import WorktreeBroken

_UNREADABLE = (ObjectMissing, StoreError, GitError, WorktreeBroken, ValueError)


@contextlib.asynccontextmanager
async def sound_checkpoint(store: Store, checkpoint: ObjectId) -> AsyncIterator[None]:
    """Say so when what failed needed a checkpoint that is damaged.

    Raises:
        FailureKind.CHECKPOINT_CORRUPTION: it is; not retryable.
    """
    try:
        yield
    except _UNREADABLE as error:
        if why := await damage(store, (checkpoint,)):
            raise _corrupt(f"the checkpoint {checkpoint[:12]} is damaged: {why}") from error
        raise


@contextlib.asynccontextmanager
async def sound_log(store: Store, conversation: ConversationRef) -> AsyncIterator[None]:
    """Say so when what failed needed a turn of a log that is damaged.

    Raises:
        FailureKind.CHECKPOINT_CORRUPTION: one is; not retryable.
    """
    try:
        yield
    except _UNREADABLE as error:
        if why := await log_damage(store, conversation):
            raise _corrupt(f"the conversation {conversation.id} is damaged: {why}") from error
        raise


def _corrupt(why: str) -> Exception:
    activity.logger.error(
        "checkpoint.corrupt", extra={"error_class": CHECKPOINT_CORRUPTION, "reason": why}
    )
    return failed(FailureKind.CHECKPOINT_CORRUPTION, f"{CHECKPOINT_CORRUPTION}: {why}")
