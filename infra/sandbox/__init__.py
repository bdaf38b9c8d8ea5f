"""The sandbox of commands: the names that its users need."""

from infra.sandbox.orphans import end_orphan, find_orphans
from infra.sandbox.sandbox import Sandbox
from infra.sandbox.types import PAYLOAD_UID, Command, CommandOutcome, Mounts, SandboxUnavailable

__all__ = [
    "PAYLOAD_UID",
    "Command",
    "CommandOutcome",
    "Mounts",
    "Sandbox",
    "SandboxUnavailable",
    "end_orphan",
    "find_orphans",
]
