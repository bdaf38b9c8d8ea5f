"""Projects of other languages: a row each, by the file that says what they are."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from domain.project.facts import Facts, Findings, Step, joined, parsed_toml, table

_TARGET: Final = re.compile(r"^(test|check|tests)[ \t]*::?(?!=)", re.MULTILINE)
_MAKEFILES: Final = ("GNUmakefile", "makefile", "Makefile")
"""In make's order."""


@dataclass(frozen=True)
class _Language:
    """What one file says of a project.

    Attributes:
        lock: the file that pins its packages, "" where there is none.
        locked, loose: what installs them with a lock file, and without; "" for nothing.
    """

    name: str
    manifest: str
    lock: str
    locked: str
    loose: str
    check: Callable[[Facts], str]


def _cargo(facts: Facts) -> str:
    manifest, _ = parsed_toml(facts, "Cargo.toml")
    return "cargo test --workspace" if table(manifest, "workspace") else "cargo test"


def _go(facts: Facts) -> str:
    return "go test $(go list -f '{{.Dir}}/...' -m)" if facts.has("go.work") else "go test ./..."


def _ruby(facts: Facts) -> str:
    if facts.folder("spec"):
        return "bundle exec rspec"
    return "bundle exec rake test" if facts.has("Rakefile") else ""


def _php(facts: Facts) -> str:
    return "vendor/bin/phpunit" if facts.has("phpunit.xml", "phpunit.xml.dist") else ""


def _maven(facts: Facts) -> str:
    return f"{'./mvnw' if facts.has('mvnw') else 'mvn'} -q -B -o test"


def _mix(facts: Facts) -> str:
    return "mix test" if facts.folder("test") else ""


_LANGUAGES: Final = (
    _Language("Go", "go.mod", "go.sum", "go mod download", "", _go),
    _Language("Rust", "Cargo.toml", "Cargo.lock", "cargo fetch --locked", "cargo fetch", _cargo),
    _Language(
        *("Java (Maven)", "pom.xml", ""),
        *("", "mvn -q -B dependency:go-offline test-compile", _maven),
    ),
    _Language(
        *("Ruby", "Gemfile", "Gemfile.lock"),
        *("BUNDLE_PATH=vendor/bundle bundle install",) * 2,
        _ruby,
    ),
    _Language(
        "PHP", "composer.json", "composer.lock", "composer install", "composer install", _php
    ),
    _Language("Elixir", "mix.exs", "mix.lock", "mix deps.get", "mix deps.get", _mix),
)


def other_languages(facts: Facts) -> Findings:
    """Return what is found of every other language that is known."""
    found = Findings()
    for language in _LANGUAGES:
        if facts.has(language.manifest):
            found += _found(language, facts)
    return found


def _found(language: _Language, facts: Facts) -> Findings:
    lock = facts.has(language.lock) if language.lock else ""
    command, check = language.locked if lock else language.loose, language.check(facts)
    why = f"{lock or language.manifest} is there"
    problems = parsed_toml(facts, language.manifest)[1] if language.name == "Rust" else ()
    return Findings(
        (("language", joined((f"{language.name} ({language.manifest})", lock))),),
        (Step(command, why),) if command else (),
        (Step(check, f"{language.manifest} is there"),) if check else (),
        problems,
    )


def make(facts: Facts) -> Findings:
    """Return the target of a makefile that tests."""
    name = facts.has(*_MAKEFILES)
    targets = _TARGET.findall(facts.texts.get(name, ""))
    if not targets:
        return Findings()
    target = next(each for each in ("test", "check", "tests") if each in targets)
    return Findings(
        (("tests", f"the target {target!r} of {name}"),),
        checks=(Step(f"make {target}", f"the target {target!r} of {name}"),),
    )
