"""A project of node's: who installs its packages, which scripts test it."""

import re
from typing import Any, Final

from domain.project.facts import Facts, Findings, Step, joined, parsed_json, table

_PLACEHOLDER: Final = "no test specified"
"""What `npm init` writes as the script `test`."""
_WATCHES: Final = re.compile(r"--watch(?:All)?(?!=false)\b|\b(?:nodemon|vitest watch)\b")
_MANAGERS: Final = (
    ("pnpm", ("pnpm-lock.yaml",), "pnpm install --frozen-lockfile", "pnpm install"),
    ("yarn", ("yarn.lock",), "yarn install --frozen-lockfile", "yarn install"),
    ("bun", ("bun.lock", "bun.lockb"), "bun install --frozen-lockfile", "bun install"),
    ("npm", ("package-lock.json", "npm-shrinkwrap.json"), "npm ci", "npm install"),
)
"""Package managers, their lock files, how each installs with a lock and without."""
_TYPES: Final = ("typecheck", "type-check", "check-types", "tsc")
"""Names by which projects call the script that checks types."""


def javascript(facts: Facts) -> Findings:
    """Return what is found of a project of node's; nothing where there is none."""
    if not facts.has("package.json"):
        return Findings()
    package, problems = parsed_json(facts, "package.json")
    name, lock, step = _manager(facts, package)
    kind = "TypeScript" if facts.has("tsconfig.json") else "JavaScript"
    modules = "ES modules" if package.get("type") == "module" else "CommonJS"
    rows = (
        ("language", joined((kind, f"{modules} (package.json)"))),
        ("packages", f"{name} ({lock})" if lock else f"{name}, without a lock file"),
    )
    checks, more = _checks(table(package, "scripts"), name)
    needs = bool(lock or _depends(package))
    return Findings(rows, (step,) if needs else (), checks, (*problems, *more))


def _depends(package: dict[str, Any]) -> bool:
    kinds = ("dependencies", "devDependencies", "optionalDependencies", "peerDependencies")
    return any(table(package, kind) for kind in kinds) or "workspaces" in package


def _manager(facts: Facts, package: dict[str, Any]) -> tuple[str, str, Step]:
    asked = str(package.get("packageManager", "")).partition("@")[0]
    named = [each for each in _MANAGERS if each[0] == asked]
    locked = [each for each in _MANAGERS if facts.has(*each[1])]
    name, locks, frozen, loose = (named or locked or _MANAGERS[-1:])[0]
    lock = facts.has(*locks)
    if name == "yarn" and lock and "__metadata:" in facts.texts.get(lock, ""):
        frozen = "yarn install --immutable"
    why = f"{lock} is there" if lock else "package.json, without a lock file"
    return name, lock, Step(frozen if lock else loose, why)


def _checks(scripts: dict[str, Any], manager: str) -> tuple[tuple[Step, ...], tuple[str, ...]]:
    """Return the scripts that test, and a sentence for what is not proposed."""
    found, problems = list[Step](), list[str]()
    for script in ("test", *_TYPES):
        text = scripts.get(script)
        if not isinstance(text, str) or not text.strip() or _PLACEHOLDER in text:
            continue
        if _WATCHES.search(text):
            problems.append(
                f"The script {script!r} of package.json watches files and never ends, so it is not "
                "proposed: name a script that runs once."
            )
            continue
        found.append(Step(_run(manager, script), f"the script {script!r} of package.json"))
        if len(found) == 2:
            break
    return tuple(found), tuple(problems)


def _run(manager: str, script: str) -> str:
    if script == "test":
        return "bun run test" if manager == "bun" else f"{manager} test"
    return f"{manager} {script}" if manager in ("yarn", "pnpm") else f"{manager} run {script}"
