"""Whether the worker that runs works by the settings of the shell; what it would ignore is said."""

from collections.abc import Collection

from cli.context import CliContext
from cli.exit_codes import UsageError
from runtime.settings import Settings
from runtime.worker_settings import compare_with_worker

NO_KEY = (
    "No model key is set: export ANTHROPIC_API_KEY (or ANTHROPIC_AUTH_TOKEN, or "
    "ANTHROPIC_BASE_URL for a service that needs none), or see everything at work without one: "
    "make demo"
)


def refuse_other_settings(settings: Settings, context: CliContext) -> None:
    """Refuse a shell with settings that the worker of its home would ignore, or without a key.

    Raises:
        UsageError: names the settings, never a value, and says how to go on.
    """
    difference = compare_with_worker(settings)
    if difference is not None and difference.ignored:
        raise UsageError(
            "The worker that runs works by other settings than this shell's: "
            f"{', '.join(difference.ignored)}. Use them for all that is open: "
            f"`{context.program} stop`, then run again; or unset them here and use the worker's."
        )
    works = difference is not None and difference.has_model_access
    if not settings.has_model_access and not works:
        raise UsageError(NO_KEY)


def inherited_settings(settings: Settings, *, beside: Collection[str]) -> list[str]:
    """Return a line that names what counts of the running worker and is not set in the shell.

    `beside` are the fields that the request sets itself, whatever the worker has.
    """
    difference = compare_with_worker(settings)
    own = {f"ORCHESTCODE_{field.upper()}" for field in beside}
    names = [name for name in difference.inherited if name not in own] if difference else []
    if not names:
        return []
    return [f"orchestcode: not set here, so the running worker's count: {', '.join(names)}"]
