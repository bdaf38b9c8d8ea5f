"""What an answer may allow for the rest of a request: what a rule of the person's could."""

import pytest

from contracts.permissions import AllowedRule
from contracts.verdicts import CallVerdict, Permission
from domain.policy.answered import with_allowed
from domain.policy.judge import Policy, judge
from domain.policy.offers import is_rule, with_offers
from domain.policy.tools import BUILT_IN
from domain.tools.registry import ToolSpec
from tests.domain.policy.build import EDIT, INSTALL, RUN, UNRULED, policy, run

ASKS = policy("allow Bash(ls *)", "allow Bash(cd *)", asks_commands=True)


def offered(found: Policy, spec: ToolSpec, **arguments: object) -> tuple[str, ...]:
    """Return what a person who is asked about a call may allow."""
    verdict = judge(found, spec, arguments)
    assert verdict.permission is Permission.ASK
    return with_offers(found, spec, arguments, verdict).offers


def answered(found: Policy, *rules: str) -> Policy:
    """Return a policy after answers have allowed these rules."""
    return Policy(with_allowed(found.record, [AllowedRule(text=rule) for rule in rules]), BUILT_IN)


@pytest.mark.parametrize(
    ("line", "rules"),
    [
        ("make release", ("Bash(make release)",)),
        ("ls src && make release", ("Bash(make release)",)),
        ("make a; make b | tee", ("Bash(make a)", "Bash(make b)", "Bash(tee)")),
        ("make a && make a", ("Bash(make a)",)),
        ("make 'a b' > out.txt", ("Bash(make a b)",)),
    ],
)
def test_a_command_that_no_rule_allows_is_offered_part_by_part(
    line: str, rules: tuple[str, ...]
) -> None:
    """The narrowest rules, those alone that are missing; with them the same line is allowed, and
    another is asked about.
    """
    assert offered(ASKS, RUN, command=line) == rules
    after = answered(ASKS, *rules)
    assert run(after, line).permission is Permission.ALLOW
    assert run(after, f"{line} && make publish").permission is Permission.ASK
    assert run(after, "make releases").permission is Permission.ASK


@pytest.mark.parametrize(
    "line",
    [
        "rm -rf /",
        "make && rm -rf ~",
        "git push origin",
        "make $TARGET",
        "ls *.py > /etc/x",
        "echo $(make)",
        "make > .envrc",
        "X=1 make",
        "for x in a; do make; done",
        "echo 'a*b'; make",
        "make \x1b[2J",
        "a; b; c; d; e; f; g",
        f"make {'x' * 500}",
        "echo sesame",
    ],
)
def test_what_must_go_on_asking_is_not_offered(line: str) -> None:
    """A critical command, one that a rule asks about, what only a shell can tell, a protected file,
    what cannot be shown whole as a rule, too many rules, a secret.
    """
    found = policy("ask Bash(git push:*)", asks_commands=True)
    verdict = CallVerdict(permission=Permission.ASK, rule="r")
    hides = lambda text: text.replace("sesame", "…")  # noqa: E731 - a redactor

    assert with_offers(found, RUN, {"command": line}, verdict, hides).offers == ()


def test_no_rule_is_offered_for_protected_paths_rules_that_ask_and_setups() -> None:
    """They ask each time, also where a settings file of the person's allows them."""
    asks = policy("ask Edit(migrations/**)", "ask Bash(npm:*)", "allow Edit")

    assert offered(asks, EDIT, path=".envrc") == ()
    assert offered(asks, EDIT, path="migrations/1.sql") == ()
    assert offered(asks, INSTALL, command="npm install x", reason="r") == ()


def test_a_tool_that_always_asks_is_offered_by_its_name() -> None:
    """So long as the rule allows it; in a mode that denies, nothing is asked."""
    known = {**BUILT_IN, UNRULED.name: BUILT_IN["remember"]}
    found = Policy(policy().record, known)

    assert offered(found, UNRULED, x="1") == ("call_anything",)
    allowed = Policy(with_allowed(found.record, [AllowedRule(text="call_anything")]), known)
    assert judge(allowed, UNRULED, {"x": "1"}).permission is Permission.ALLOW
    assert with_offers(found, RUN, {"command": "ls"}, CallVerdict(rule="r")).offers == ()


def test_an_answer_lifts_no_rule_that_denies_or_asks() -> None:
    """Whatever was allowed: order and modes are those of settings files."""
    after = answered(
        policy("deny Bash(git push:*)", "ask Bash(make:*)", asks_commands=True), "Bash(git push)"
    )

    assert run(after, "git push").permission is Permission.DENY
    assert run(answered(after, "Bash(make all)"), "make all").permission is Permission.ASK
    assert run(after, "rm -rf /").permission is Permission.ASK


def test_a_rule_by_an_answer_says_whose_it_is() -> None:
    """In the verdict that it decides."""
    rules = [AllowedRule(text="Bash(make)", by="Ann", approval="tool/x/1")]
    verdict = run(Policy(with_allowed(ASKS.record, rules), BUILT_IN), "make")

    assert verdict.rule == "Bash(make) (an answer to tool/x/1 by Ann)"


@pytest.mark.parametrize(
    ("text", "whether"),
    [("Bash(make)", True), ("run_command", True), ("Bash(", False), ("nothing", False)],
)
def test_only_a_rule_is_taken_for_one(text: str, whether: bool) -> None:  # noqa: FBT001
    """What was tampered with cannot make a request's permissions unreadable."""
    assert is_rule(text, BUILT_IN) is whether
    assert not is_rule(f"Bash({'x' * 600})", BUILT_IN)
