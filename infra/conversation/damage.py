"""What of a conversation's log is damaged in the store."""

from contracts.store import ConversationRef
from domain import ids
from infra.store import Store
from infra.store.soundness import damage


async def log_damage(store: Store, conversation: ConversationRef) -> str:
    """Return what is missing or damaged of a log, in words; "" for nothing.

    Looks at the turns up to the conversation's head, and at those that its log has beyond it.
    """
    tip = store.ref(ids.conversation_ref(conversation.id))
    for end in dict.fromkeys((conversation.head, tip or conversation.head)):
        if why := await damage(store, (end,), history=True):
            return why
    return ""
