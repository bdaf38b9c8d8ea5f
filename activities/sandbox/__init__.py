"""
The sandbox of commands: what the rest of the room imports.
"""

from activities.sandbox.sandbox import (
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
    "toolchain_binds",
]
