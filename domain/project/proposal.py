"""From what a checkout holds to the settings that are proposed for it."""

import difflib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from contracts.settings_file import SETTINGS_FILE
from domain.project.facts import CI_FOLDER, Facts, Findings, Step, joined
from domain.project.javascript import javascript
from domain.project.other_languages import make, other_languages
from domain.project.python import python
from domain.project.versions import wanted_versions
from domain.text import listing, one_line

_MANIFEST: Final = re.compile(r"[^/]+/(?:pyproject\.toml|package\.json|go\.mod|Cargo\.toml)")
_CI_FILES: Final = (".gitlab-ci.yml", ".travis.yml")
_TESTS: Final = re.compile(
    r"(?i)(?<![\w-])(?:tests?|pytest|unittest|tox|nox|jest|vitest|mocha|ctest|rspec|phpunit)(?![\w-])"
)
_RUN_LINE: Final = re.compile(r"^[ \t]*(?:-[ \t]+)?(?:run:[ \t]*)?([\w./$][^\n]*)$", re.MULTILINE)
_NO_COMMAND: Final = re.compile(r"^[\w-]+:(?:\s|$)")
_MOST_CI_LINES: Final = 3


def examine(facts: Facts) -> Findings:
    """Return what a checkout is, and the setup and checks that are proposed for it.

    A makefile's target counts where nothing better is known.
    """
    languages = python(facts) + javascript(facts) + other_languages(facts)
    target = make(facts)
    found = Findings(problems=facts.problems) + languages
    found += Findings(_surroundings(facts))
    found += target if not languages.checks else Findings(target.rows)
    if not found.checks:
        found += Findings(problems=(_NOTHING,))
    return found + Findings(problems=_elsewhere(facts))


_NOTHING: Final = (
    "No command that tests this repository was found: name one as a check in "
    f"{SETTINGS_FILE}, or with --check."
)


def _surroundings(facts: Facts) -> tuple[tuple[str, str], ...]:
    """Return what is asked for, what is installed, and what CI runs."""
    wanted = [f"{each.tool} {each.version} ({each.file})" for each in wanted_versions(facts.texts)]
    rows = [("versions", joined(wanted))] if wanted else []
    rows += [("installed", f"{path}: {what}" if what else path) for path, what in facts.installed]
    rows += [("CI runs", command) for command in _ci_commands(facts)]
    return tuple(rows)


def _ci_commands(facts: Facts) -> list[str]:
    """Return commands of CI that seem to test: what a person may compare with."""
    texts = [
        text
        for name, text in sorted(facts.texts.items())
        if name.startswith(CI_FOLDER) or name in _CI_FILES
    ]
    lines = [line for text in texts for line in _RUN_LINE.findall(text)]
    commands = [line for line in lines if _TESTS.search(line) and not _NO_COMMAND.match(line)]
    return [one_line(line, 120) for line in dict.fromkeys(commands)][:_MOST_CI_LINES]


def _elsewhere(facts: Facts) -> tuple[str, ...]:
    """Return a sentence about projects in folders, for which nothing is proposed."""
    folders = tuple(facts.matching(_MANIFEST.pattern))
    if not folders:
        return ()
    where = f"Projects of their own lie in folders ({listing(folders)})"
    return (f'{where}, for which nothing is proposed: a check may begin with "cd FOLDER && ".',)


@dataclass(frozen=True)
class Proposal:
    """The settings file as it would be.

    Attributes:
        text: its whole content.
        setup, checks: what is added to it.
        kept: a sentence for what stands there already and stays, though something else was found.
    """

    text: str
    setup: tuple[Step, ...]
    checks: tuple[Step, ...]
    kept: tuple[str, ...] = ()


def proposal(found: Findings, present: Mapping[str, Any]) -> Proposal:
    """Return what is proposed beside the `present` settings, whose every key stays as it is."""
    steps = {"setup": found.setup, "checks": found.checks}
    added = {key: tuple(dict.fromkeys(steps[key])) if not present.get(key) else () for key in steps}
    commands = {key: [step.command for step in added[key]] for key in steps if added[key]}
    merged = {**present, **commands}
    kept = [
        f"{key} of {SETTINGS_FILE} stays as it is; found: {listing(_commands(steps[key]))}"
        for key in steps
        if present.get(key) and steps[key] and [*_commands(steps[key])] != present[key]
    ]
    text = f"{json.dumps(merged, indent=2, ensure_ascii=False)}\n" if merged else ""
    return Proposal(text, added["setup"], added["checks"], tuple(kept))


def _commands(steps: Sequence[Step]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(step.command for step in steps))


def difference(before: str, after: str) -> list[str]:
    """Return what changes in the settings file, as the lines of a unified diff."""
    old, new = before.splitlines(), after.splitlines()
    names = (SETTINGS_FILE if before else "/dev/null", SETTINGS_FILE)
    return list(difflib.unified_diff(old, new, *names, lineterm=""))
