"""The sandbox of commands: the names that its users need."""

from infra.sandbox.argv import SHELL_OPTIONS
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
    "SHELL_OPTIONS",
    "CommandOutcome",
    "Mounts",
    "Sandbox",
    "SandboxCommand",
    "SandboxUnavailable",
    "end_orphan",
    "find_orphans",
]
