"""The sandbox of commands: the names that its users need."""

from infra.sandbox.argv import SHELL_OPTIONS
from infra.sandbox.orphans import end_orphan, find_orphans
from infra.sandbox.sandbox import Sandbox
from infra.sandbox.types import (
    PAYLOAD_UID,
    PROJECT,
    CommandOutcome,
    Mounts,
    SandboxCommand,
    SandboxUnavailable,
    SharedFolder,
)

__all__ = [
    "PAYLOAD_UID",
    "PROJECT",
    "SHELL_OPTIONS",
    "CommandOutcome",
    "Mounts",
    "Sandbox",
    "SandboxCommand",
    "SandboxUnavailable",
    "SharedFolder",
    "end_orphan",
    "find_orphans",
]
