"""Why a person should look at a change, read off its paths and its size.

Paths are read as words ("src/authClient.py" is src, auth, client, py), so `author.py` is not taken
for authentication. Prose is never sensitive by its words. A path can be risky in several ways.
"""

import re
from collections.abc import Callable, Sequence

from domain.text import listing

MANY_LINES = 400
"""A change of more lines than this, added and deleted together, is too large to skim."""
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
_CI = re.compile(
    r"(^|/)(\.github/(workflows|actions)/|\.circleci/|\.buildkite/|\.woodpecker)"
    r"|(^|/)(\.gitlab-ci|\.travis|azure-pipelines|bitbucket-pipelines|appveyor|\.drone)\.ya?ml$"
    r"|(^|/)(jenkinsfile|\.pre-commit-config\.yaml|codeowners)$"
)
_DEPENDENCIES = re.compile(
    r"(^|/)(requirements[^/]*\.(txt|in)|requirements/[^/]+|constraints[^/]*\.txt|pyproject\.toml"
    r"|setup\.(py|cfg)|pipfile|environment\.ya?ml|package\.json|[^/]*\.lock|package-lock\.json"
    r"|npm-shrinkwrap\.json|pnpm-lock\.yaml|cargo\.toml|go\.(mod|sum)|gemfile|composer\.json"
    r"|pom\.xml|build\.gradle(\.kts)?|\.gitmodules|\.npmrc|pip\.conf)$"
)
_DEPLOY_FILE = re.compile(
    r"(^|/)(dockerfile[^/]*|containerfile|(docker-)?compose[^/]*\.ya?ml|procfile|fly\.toml"
    r"|[^/]*\.(tf|tfvars|service))$"
)


def risks(
    paths: Sequence[str],
    *,
    added: int,
    deleted: int,
    outside: Sequence[str],
    deleted_tests: Sequence[str],
) -> tuple[str, ...]:
    """Return why a person should look at a change, one short sentence each, or nothing.

    `added` and `deleted` count lines; `paths` has the deleted and renamed ones too.
    """
    rules: tuple[tuple[str, Sequence[str]], ...] = (
        ("touches authentication or secrets", _matching(paths, _by_word(_AUTH))),
        ("touches billing", _matching(paths, _by_word(_BILLING))),
        ("touches migrations", _matching(paths, _by_word(_MIGRATION))),
        ("touches continuous integration", _matching(paths, _by_path(_CI))),
        ("changes dependencies", _matching(paths, _by_path(_DEPENDENCIES))),
        ("touches deployment", _matching(paths, _deploys)),
        ("deletes tests", sorted(deleted_tests)),
        ("changes paths that the task did not declare", sorted(outside)),
    )
    found = [f"{what}: {listing(tuple(where), most=3)}" for what, where in rules if where]
    if added + deleted > MANY_LINES:
        found.append(f"changes {added + deleted:,} lines, more than {MANY_LINES}")
    return tuple(found)


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
