"""Finds the tools: every module of this package that defines TOOL."""

import importlib
import pkgutil
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

from activities import tools
from activities.tools.tool import Tool
from contracts.tools import FINISH


@cache
def tools_by_name() -> Mapping[str, Tool]:
    """Return the tools by name.

    Raises:
        ValueError: two files define a tool of one name, or one defines `finish`.
    """
    found: dict[str, Tool] = {}
    for module in sorted(pkgutil.iter_modules(tools.__path__), key=lambda module: module.name):
        tool = getattr(importlib.import_module(f"{tools.__name__}.{module.name}"), "TOOL", None)
        if not isinstance(tool, Tool):
            continue
        if tool.spec.name in {FINISH, *found}:
            raise ValueError(f"two tools are called {tool.spec.name!r}")
        found[tool.spec.name] = tool
    return MappingProxyType(found)
