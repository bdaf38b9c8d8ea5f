"""The sandbox of commands: the names that its users need."""

from infra.sandbox.orphans import end_orphan, find_orphans
from infra.sandbox.sandbox import Sandbox
from infra.sandbox.types import (
    PAYLOAD_UID,
    CommandOutcome,
    Mounts,
    SandboxCommand,
    SandboxUnavailable,
)

__all__ = [
    "PAYLOAD_UID",
    "CommandOutcome",
    "Mounts",
    "Sandbox",
    "SandboxCommand",
    "SandboxUnavailable",
    "end_orphan",
    "find_orphans",
]
