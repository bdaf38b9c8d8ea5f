"""Why a person should look at a change, read off its paths, its size and what its files are.

Paths are read as words ("src/authClient.py" is src, auth, client, py), so `author.py` is not taken
for authentication. Prose is never sensitive by its words. A path can be risky in several ways.
"""

import posixpath
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from domain.approvals.runs_code import TABLE, Links, Runs, link_runs, runs
from domain.text import escaped, listing

MANY_LINES = 400
"""A change of more lines than this, added and deleted together, is too large to skim."""
LARGE_FILE_BYTES = 1_000_000
"""A larger file stays in the history for good, and nobody reads it in a review."""
_PICTURES = (".png", ".jpg", ".jpeg", ".gif", ".webp", ".ico", ".woff", ".woff2", ".ttf", ".otf")
"""Binary files that a small change may hold without a question."""
_PROSE = (".md", ".rst", ".adoc")
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")

_AUTH = re.compile(
    r"auth|authn|authz|oauth|oauth2|oidc|saml|sso|login|logout|signin|signup|authentication"
    r"|authorization|authenticate|authenticator|authorize|authorizer|credential|credentials"
    r"|password|passwords|passwd|permission|permissions|rbac|acl|jwt|session|sessions|secret"
    r"|secrets|csrf|crypto|security"
)
_BILLING = re.compile(
    r"billing|bill|bills|payment|payments|payout|payouts|invoice|invoices|invoicing|pricing"
    r"|stripe|paypal|subscription|subscriptions|refund|refunds|checkout"
)
_MIGRATION = re.compile(r"migration|migrations|migrate|alembic|flyway|liquibase")
_DEPLOY = re.compile(
    r"deploy|deploys|deployment|deployments|docker|dockerfile|kubernetes|k8s|helm|terraform"
    r"|ansible|pulumi|procfile|systemd"
)
_REVIEWERS = re.compile(r"(^|/)codeowners$")
_DEPENDENCIES = re.compile(
    r"(^|/)(requirements[^/]*\.(txt|in)|requirements/[^/]+|constraints[^/]*\.txt|pyproject\.toml"
    r"|setup\.(py|cfg)|pipfile|environment\.ya?ml|package\.json|[^/]*\.lock|package-lock\.json"
    r"|npm-shrinkwrap\.json|pnpm-lock\.yaml|cargo\.toml|go\.(mod|sum)|gemfile|composer\.json"
    r"|pom\.xml|build\.gradle(\.kts)?|\.gitmodules)$"
)
_DEPLOY_FILE = re.compile(
    r"(^|/)(dockerfile[^/]*|containerfile|(docker-)?compose[^/]*\.ya?ml|procfile|fly\.toml"
    r"|[^/]*\.(tf|tfvars|service))$"
)


@dataclass(frozen=True, kw_only=True)
class PatchFile:
    """One file as a patch leaves it; a deleted one is none.

    Attributes:
        path: its bytes that are not UTF-8 are surrogate escapes.
        size: in bytes.
        binary: git shows no lines of it.
        target: where it leads if it is a symbolic link, else None.
        repository: it is another repository (a submodule), not a file.
        moved: the same content stood elsewhere before.
        misleads: its text turns the direction of reading, and did not before.
        filter: what git passes it through by .gitattributes, such as "lfs"; "" = nothing.
    """

    path: str
    size: int = 0
    binary: bool = False
    target: str | None = None
    repository: bool = False
    moved: bool = False
    misleads: bool = False
    filter: str = ""


def risks(
    paths: Sequence[str],
    *,
    added: int,
    deleted: int,
    outside: Sequence[str],
    deleted_tests: Sequence[str],
    files: Sequence[PatchFile] = (),
    links: Links | None = None,
    planned: Callable[[str], bool] = lambda _: False,
) -> tuple[str, ...]:
    """Return why a person should look at a change, one short sentence each, or nothing.

    `added` and `deleted` count lines; `paths` has the deleted and renamed ones too. `links` are
    those of the changed tree; `planned` says of a path whether somebody thought of it before.
    """
    found = [
        *_run(paths, files, links or Links({}), planned),
        *_where(paths, outside, deleted_tests),
        *_what(files),
    ]
    if added + deleted > MANY_LINES:
        found.append(f"changes {added + deleted:,} lines, more than {MANY_LINES}")
    return tuple(found)


def _run(
    paths: Sequence[str], files: Sequence[PatchFile], links: Links, planned: Callable[[str], bool]
) -> Iterator[str]:
    """Yield what runs outside the sandbox, and when, in the order of the table."""
    linked = {file.path for file in files if file.target is not None}
    where: dict[Runs, list[str]] = {}
    for path in sorted(paths):
        found, name = link_runs(path) if path in linked else runs(path), ""
        if found is None:
            found, name = links.runs(path) or (None, "")
        if found is not None and not (found.planned and planned(path)):
            shown = escaped(path)
            where.setdefault(found, []).append(f"{shown} (as {escaped(name)})" if name else shown)
    return (
        _named(found.when, where[found])
        for found in dict.fromkeys((*TABLE, *where))
        if found in where
    )


def _where(
    paths: Sequence[str], outside: Sequence[str], deleted_tests: Sequence[str]
) -> Iterator[str]:
    rules: tuple[tuple[str, Sequence[str]], ...] = (
        ("touches authentication or secrets", _matching(paths, _by_word(_AUTH))),
        ("touches billing", _matching(paths, _by_word(_BILLING))),
        ("touches migrations", _matching(paths, _by_word(_MIGRATION))),
        ("changes who has to review", _matching(paths, _by_path(_REVIEWERS))),
        ("changes dependencies", _matching(paths, _by_path(_DEPENDENCIES))),
        ("touches deployment", _matching(paths, _deploys)),
        ("deletes tests", sorted(deleted_tests)),
        ("changes paths that the task did not declare", sorted(outside)),
    )
    return (_named(what, where) for what, where in rules if where)


def _what(files: Sequence[PatchFile]) -> Iterator[str]:
    """Yield what no change should hold unseen, wherever it lies."""
    files = sorted(files, key=lambda file: file.path)
    rules: tuple[tuple[str, Callable[[PatchFile], str]], ...] = (
        ("adds a link that leads out of the repository", _link_out),
        ("adds a link into git's own folder", _link_into_git),
        ("changes which commit of another repository belongs here", _repository),
        (f"adds a file of more than {LARGE_FILE_BYTES:,} bytes", _large),
        ("changes a file of a git filter, which is not run here", _filtered),
        ("adds a binary file, which no review can read", _unreadable),
        ("has a file name that cannot be shown as it is", _strange_name),
        ("adds text whose direction is turned, so that it reads otherwise than it runs", _misleads),
    )
    for what, shown in rules:
        if where := [words for file in files if (words := shown(file))]:
            yield _named(what, where)


def _named(what: str, where: Sequence[str]) -> str:
    return f"{what}: {listing(tuple(where), most=3)}"


def _link_out(file: PatchFile) -> str:
    leads = _leads_to(file)
    out = leads is not None and (leads.startswith("/") or leads.split("/")[0] == "..")
    return f"{escaped(file.path)} -> {escaped(file.target or '')}" if out else ""


def _link_into_git(file: PatchFile) -> str:
    leads = _leads_to(file)
    into = leads is not None and ".git" in leads.casefold().split("/") and not _link_out(file)
    return f"{escaped(file.path)} -> {escaped(file.target or '')}" if into else ""


def _leads_to(file: PatchFile) -> str | None:
    """Return what a link leads to, from the repository's root; None for what is no link."""
    if file.target is None:
        return None
    return posixpath.normpath(posixpath.join(posixpath.dirname(file.path), file.target))


def _repository(file: PatchFile) -> str:
    return escaped(file.path) if file.repository else ""


def _large(file: PatchFile) -> str:
    large = file.size > LARGE_FILE_BYTES and not file.moved
    return f"{escaped(file.path)} ({file.size:,} bytes)" if large else ""


def _filtered(file: PatchFile) -> str:
    return f"{escaped(file.path)} ({escaped(file.filter)})" if file.filter else ""


def _unreadable(file: PatchFile) -> str:
    known = file.moved or file.path.casefold().endswith(_PICTURES)
    return escaped(file.path) if file.binary and not known else ""


def _strange_name(file: PatchFile) -> str:
    shown = escaped(file.path)
    return f"'{shown}'" if shown != file.path else ""


def _misleads(file: PatchFile) -> str:
    return escaped(file.path) if file.misleads else ""


def sensitive(path: str) -> str:
    """Return why a path is sensitive by itself, as the end of a sentence; "" when it is not.

    Files that are ordinary work where somebody planned them are not.
    """
    found = risks((path,), added=0, deleted=0, outside=(), deleted_tests=(), planned=lambda _: True)
    return found[0].partition(":")[0] if found else ""


def _matching(paths: Sequence[str], test: Callable[[str], bool]) -> tuple[str, ...]:
    return tuple(path for path in sorted(paths) if test(path))


def _by_path(pattern: re.Pattern[str]) -> Callable[[str], bool]:
    return lambda path: pattern.search(path.casefold()) is not None


def _by_word(pattern: re.Pattern[str]) -> Callable[[str], bool]:
    def test(path: str) -> bool:
        if path.casefold().endswith(_PROSE):
            return False
        words = _WORD.findall(path) + re.findall(r"[a-z0-9]+", path.casefold())
        return any(pattern.fullmatch(word.casefold()) for word in words)

    return test


def _deploys(path: str) -> bool:
    return _by_word(_DEPLOY)(path) or _by_path(_DEPLOY_FILE)(path)
