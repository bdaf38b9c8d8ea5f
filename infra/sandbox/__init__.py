"""The sandbox of commands: what the rest of the room imports."""

from infra.sandbox.orphans import end_orphan, find_orphans
from infra.sandbox.sandbox import (
    DEFAULT_PATH,
    PAYLOAD_UID,
    Command,
    CommandOutcome,
    Mounts,
    Sandbox,
    SandboxUnavailable,
    toolchain_binds,
)

__all__ = [
    "DEFAULT_PATH",
    "PAYLOAD_UID",
    "Command",
    "CommandOutcome",
    "Mounts",
    "Sandbox",
    "SandboxUnavailable",
    "end_orphan",
    "find_orphans",
    "toolchain_binds",
]
