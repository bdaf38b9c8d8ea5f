"""What a change's base gets besides its own files: the agents' program, features, acceptances."""

import json
import os
from collections.abc import Mapping
from pathlib import Path

from bench.cooperbench.agent import KIT
from bench.cooperbench.dataset import Change, DatasetError, Feature
from bench.cooperbench.objects import Git

_AGENT = Path(__file__).with_name("agent.py")
_PARSES = "python3 {kit}/agent.py parse {task}"
_TESTS = """\
#!/bin/sh
# The feature's own tests, on a copy: they are no part of the patch.
set -e
{parses}
copy=$(mktemp -d)
cp -r . "$copy"
cp -r {kit}/{task}/tests/. "$copy"
cd "$copy"
PYTHONPATH="$copy/src:$copy" python3 -m pytest -q -x -p no:cacheprovider {files}
"""


def note(feature: Feature) -> str:
    """Return the path of the file that only this feature writes."""
    return f"{KIT}/notes/{feature.task}.md"


def acceptance(feature: Feature, *, tests: bool) -> str:
    """Return a feature's acceptance command: its own tests, or that its files parse."""
    if tests:
        return f"sh {KIT}/{feature.task}/accept.sh"
    return _PARSES.format(kit=KIT, task=feature.task)


def files(change: Change, git: Git, base: str, trees: Mapping[int, str]) -> dict[str, bytes]:
    """Return the kit of a change's features; `trees` are those of the features on the base."""
    found: dict[str, bytes | None] = {f"{KIT}/agent.py": _AGENT.read_bytes()}
    for feature in change.features:
        if feature.number not in trees:
            continue
        tree, folder = trees[feature.number], f"{KIT}/{feature.task}"
        paths = git.changed(base, tree)
        found[f"{folder}/paths.json"] = json.dumps(paths).encode()
        found |= {f"{folder}/files/{path}": git.content(tree, path) for path in paths}
        found |= {
            f"{folder}/tests/{path}": data for path, data in _tests(git, tree, feature).items()
        }
        parses = _PARSES.format(kit=KIT, task=feature.task)
        script = _TESTS.format(
            kit=KIT, task=feature.task, parses=parses, files=" ".join(change.test_files)
        )
        found[f"{folder}/accept.sh"] = script.encode()
    return {os.fspath(path): data for path, data in found.items() if data is not None}


def _tests(git: Git, tree: str, feature: Feature) -> dict[str, bytes | None]:
    if not feature.tests:
        return {}
    try:
        tested = git.applied(tree, feature.tests)
    except DatasetError:
        return {}
    return {path: git.content(tested, path) for path in git.changed(tree, tested)}
