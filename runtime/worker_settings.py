"""The settings by which a running worker works, compared with those of a shell.

The worker's record holds a digest of each, made with the home's secret: equal values have equal
digests, and no value can be read from them.
"""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass

from runtime.home_secret import home_secret
from runtime.records import WorkerRecord
from runtime.settings import ROLES, Settings

CREDENTIALS = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_BASE_URL")
_PROXIES = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY")
_OF_A_REQUEST = (
    "ORCHESTCODE_MODEL",
    *(f"ORCHESTCODE_MODEL_{role.upper()}" for role in ROLES),
    "ORCHESTCODE_FALLBACK_MODEL",
    "ORCHESTCODE_EFFORT",
)
"""What a request takes from its shell, whatever the worker has."""
_COMPARED = (
    *CREDENTIALS,
    *_OF_A_REQUEST,
    "ORCHESTCODE_WINDOW_TOKENS",
    "ORCHESTCODE_PRICES",
    "ORCHESTCODE_AUTHOR",
    "ORCHESTCODE_INSTRUCTIONS",
    "ORCHESTCODE_SETTINGS",
    "ORCHESTCODE_ANSWER_CODES",
    "ORCHESTCODE_VISIBLE_PATHS",
    "ORCHESTCODE_CHECK_SLOTS",
    "ORCHESTCODE_COMMAND_MEMORY_MB",
    "ORCHESTCODE_COMMAND_PROCESSES",
    "ORCHESTCODE_COMMAND_DISK_MB",
    "ORCHESTCODE_CLOUD_MINUTES",
    "ORCHESTCODE_CHECKPOINT_FILE_MB",
    "ORCHESTCODE_CHECKPOINT_MB",
    *_PROXIES,
)
"""What decides how a worker works, what it may do and what that costs."""


@dataclass(frozen=True)
class WorkerDifference:
    """How a shell's settings differ from those of the worker that runs; names, never values.

    Attributes:
        ignored: set in the shell, other or not set for the worker: it would ignore them.
        inherited: set for the worker, not in the shell: the worker's count.
        has_model_access: whether the worker has credentials, or a service that needs none.
    """

    ignored: tuple[str, ...]
    inherited: tuple[str, ...]
    has_model_access: bool


def settings_digests(settings: Settings) -> dict[str, str]:
    """Return a digest of each setting that is compared, by name, only of those that are set."""
    secret = home_secret(settings)
    return {
        name: hmac.new(secret, f"{name}={value}".encode(), hashlib.sha256).hexdigest()
        for name in _COMPARED
        if (value := _value(settings.environment, name))
    }


def compare_with_worker(settings: Settings) -> WorkerDifference | None:
    """Compare a shell's settings with those of the home's worker; None where none is known."""
    worker = WorkerRecord.read(settings)
    if worker is None or worker.settings is None or not worker.alive:
        return None
    here, there = settings_digests(settings), worker.settings
    return WorkerDifference(
        ignored=tuple(
            name for name in here if name not in _OF_A_REQUEST and here[name] != there.get(name)
        ),
        inherited=tuple(name for name in there if name not in here),
        has_model_access=not there.keys().isdisjoint(CREDENTIALS),
    )


def _value(environ: Mapping[str, str], name: str) -> str:
    """Return a setting's value, "" when it is not set; a proxy may be named in lower case."""
    value = environ.get(name) or (environ.get(name.lower()) if name in _PROXIES else None)
    return (value or "").strip()
