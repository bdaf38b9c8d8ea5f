"""Two tiny repositories and feature patches of them, laid out as CooperBench's dataset is."""

from collections.abc import Mapping
from pathlib import Path

from examples.demo.rehearsed import commit, git, make_repository

Files = Mapping[str, str]

_PRICES = """\
import math


def total(prices):
    return sum(prices)


def shown(price):
    return f"{price:.2f}"


def least(prices):
    return min(prices, default=0)
"""
_TOTAL = "def total(prices):\n    return sum(prices)\n"
_TAXED = "def total(prices, tax=0):\n    return sum(prices) * (1 + tax)\n"
_MOST = "\n\ndef most(prices):\n    return max(prices, default=0)\n"
_MENU = "soups: tomato, onion\nbreads: rye\ndrinks: water\n"
_TEST = "from shop import prices\n\n\ndef test_it():\n    assert prices.{}\n"


def dataset(folder: Path) -> tuple[Path, Path]:
    """Write the dataset and the mirrors below a folder and return both.

    `shop` has features that merge cleanly and tests of their own; those of `menu` change the same
    line.
    """
    _change(
        folder,
        "shop",
        {"shop/__init__.py": "", "shop/prices.py": _PRICES, "tests/test_prices.py": "\n"},
        (
            {"shop/prices.py": _PRICES.replace(_TOTAL, _TAXED)},
            {"shop/prices.py": _PRICES + _MOST},
        ),
        tests=("total([1, 2], tax=1) == 6", "most([1, 2]) == 2"),
    )
    _change(
        folder,
        "menu",
        {"menu.txt": _MENU, "notes.txt": "none\n"},
        (
            {"menu.txt": _MENU.replace("onion", "onion, leek"), "leek.txt": "for the soup\n"},
            {"menu.txt": _MENU.replace("onion", "onion, pea").replace("water", "water, tea")},
        ),
    )
    return folder / "dataset", folder / "mirrors"


def _change(
    folder: Path,
    name: str,
    base: Files,
    features: tuple[Files, ...],
    *,
    tests: tuple[str, ...] = (),
) -> None:
    source = folder / "work" / name
    _write(source, base)
    make_repository(source, "As it was")
    change = folder / "dataset" / f"{name}_task" / "task1"
    _write(
        change,
        {
            "setup.sh": f'BASE_COMMIT="{git(source, "rev-parse", "HEAD")}"\n',
            "runner.sh": "python -m pytest tests/test_prices.py -v\n" if tests else "true\n",
        },
    )
    for number, files in enumerate(features, start=1):
        held = [{"tests/test_prices.py": _TEST.format(tests[number - 1])}] if tests else []
        patches = [_patch(source, each) for each in (files, *held)]
        told = {"feature.md": f"**Title**: Feature {number}\n", "feature.patch": patches[0]}
        _write(change / f"feature{number}", told | {"tests.patch": "".join(patches[1:])})
    (folder / "mirrors").mkdir(exist_ok=True)
    git(folder, "clone", "-q", "--bare", str(source), str(folder / "mirrors" / f"{name}.git"))


def _patch(source: Path, files: Files) -> str:
    """Return the patch that writes files, and leave the repository as it was."""
    _write(source, files)
    commit(source, "A feature")
    made = git(source, "diff", "HEAD~1", "HEAD")
    git(source, "reset", "-q", "--hard", "HEAD~1")
    return f"{made}\n"


def _write(folder: Path, files: Files) -> None:
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
