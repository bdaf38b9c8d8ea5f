"""Replays every history after all that people tune was changed: `python -m tests.replay.tuned
SEED`.

Rules, prices and limits are changed at random, their functions refuse to be called, and every
sentence that workflow code holds becomes another. Prints one JSON object: what was changed, what
was replayed, what failed.
"""

import asyncio
import dataclasses
import importlib
import json
import pkgutil
import random
import re
import sys
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any

from pydantic import BaseModel

import domain
from runtime.services.child_process import end_process
from tests.replay.replaying import read, replayed, replayer

HISTORIES = Path(__file__).resolve().parent / "histories"


def tuned_modules() -> list[str]:
    """Return the modules of domain that no workflow imports, once the workflows are imported."""
    found = pkgutil.walk_packages(domain.__path__, "domain.")
    return sorted(module.name for module in found if module.name not in sys.modules)


def changed(value: Any, chance: random.Random) -> Any:
    """Return another value of the same kind; what is not data is returned as it is."""
    match value:
        case bool():
            return not value
        case Enum():
            return chance.choice(list(type(value)))
        case int() | float():
            return type(value)(chance.choice((0, 1, value * 1_000 + 7)))
        case str():
            return f"changed {chance.random()}"
        case re.Pattern():
            return re.compile(chance.choice((r"", r"(?!)")))
        case frozenset() | tuple():
            kept = [changed(each, chance) for each in value if chance.random() < 0.5]
            return type(value)(kept) if type(value) in {frozenset, tuple} else value
        case Mapping():
            return MappingProxyType({key: changed(each, chance) for key, each in value.items()})
        case BaseModel():
            fields = {name: changed(each, chance) for name, each in value}
            return value.model_copy(update=fields)
        case _ if dataclasses.is_dataclass(value) and not isinstance(value, type):
            names = [field.name for field in dataclasses.fields(value)]
            fields = {name: changed(getattr(value, name), chance) for name in names}
            return dataclasses.replace(value, **fields)
        case _:
            return value


def _refuses(name: str) -> Any:
    def refuse(*_args: object, **_kwargs: object) -> None:
        raise AssertionError(f"a workflow decides again what is recorded: {name}")

    return refuse


def tune(module: ModuleType, chance: random.Random) -> list[str]:
    """Change every constant of a module and refuse every call; return the names."""
    names: list[str] = []
    for name, value in list(vars(module).items()):
        if name.startswith("__") or isinstance(value, ModuleType | type):
            continue
        own = getattr(value, "__module__", module.__name__) == module.__name__
        if callable(value) and own:
            setattr(module, name, _refuses(f"{module.__name__}.{name}"))
        elif (other := changed(value, chance)) is not value:
            setattr(module, name, other)
        else:
            continue
        names.append(f"{module.__name__}.{name}")
    return names


def reword(module: ModuleType) -> list[str]:
    """Change every sentence that is a constant of a module; return the names."""
    names: list[str] = []
    for name, value in list(vars(module).items()):
        if isinstance(value, str) and not name.startswith("__") and value.strip().count(" ") > 2:
            setattr(module, name, "Other words.")
            names.append(f"{module.__name__}.{name}")
    return names


def main(seed: int) -> dict[str, Any]:
    """Change everything, replay everything."""
    chance = random.Random(seed)
    by = replayer()
    seen = [sys.modules[name] for name in sorted(sys.modules) if name.startswith("domain.")]
    tuned: list[str] = []
    for name in tuned_modules():
        tuned += tune(importlib.import_module(name), chance)
    reworded = [name for module in seen for name in reword(module)]
    histories = read(HISTORIES)
    failures = asyncio.run(replayed(by, histories))
    return {
        "tuned": tuned,
        "reworded": reworded,
        "replayed": [name for name, _ in histories],
        "failures": failures,
    }


if __name__ == "__main__":
    print(json.dumps(main(int(sys.argv[1]))))
    end_process(0)
