"""Whether stores and layers take more disk than they may, as a worker of this home saw last."""

from cli.command_words import command_line
from cli.context import CliContext
from cli.formatting import size
from runtime.records import DiskUse
from runtime.settings import Settings


def beyond_budget(settings: Settings) -> str:
    """Return what stores and layers take, and may take; "" within the budget, or without one."""
    use = DiskUse.read(settings)
    budget = (settings.disk_budget_mb or 0) * 1_000_000
    if use is None or not budget or use.stores_bytes <= budget:
        return ""
    used = size(use.stores_bytes)
    return f"the stores and layers take {used} of disk, their budget is {size(budget)}"


def budget_lines(settings: Settings, context: CliContext) -> list[str]:
    """Return a line that says so and the command that makes room; none within the budget."""
    problem = beyond_budget(settings)
    command = command_line(context.program, "gc")
    return [f"orchestcode: {problem}; see what can go: {command}"] if problem else []
