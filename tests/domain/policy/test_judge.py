"""Which rule decides on a call, and what it says: one row for each thing that is promised."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activities.tools.registry import tools_by_name
from contracts.verdicts import Permission
from domain.policy.judge import facts, judge, touched
from domain.policy.shell_split import MOST_CHARS, split
from tests.domain.policy.build import (
    CHECKOUT,
    EDIT,
    INSTALL,
    REMEMBER,
    RUN,
    UNRULED,
    VIEW,
    policy,
    run,
)

ALLOW, ASK, DENY = Permission.ALLOW, Permission.ASK, Permission.DENY
PUSH = "deny Bash(git push:*)"
TEST = "allow Bash(npm run test *)"

COMMANDS = [
    # No rule: the sandbox holds, and nothing asks.
    ([], "ls -la", ALLOW, "runs in the sandbox"),
    ([], "git push origin", ALLOW, "runs in the sandbox"),
    ([], "for f in *.py; do echo $f; done", ALLOW, "runs in the sandbox"),
    ([], "ls | (", ALLOW, "runs in the sandbox"),
    ([], "cd src && git status", ALLOW, "runs in the sandbox"),
    # What is critical asks, whatever stands around it.
    ([], "rm -rf /", ASK, "critical command"),
    ([], "rm -rf /*", ASK, "critical command"),
    ([], "rm -fr ~", ASK, "critical command"),
    ([], 'rm -r "$HOME"', ASK, "critical command"),
    ([], 'rm -rf "$VAR"/*', ASK, "critical command"),
    ([], "rm -rf $VAR/*", ASK, "critical command"),
    ([], "echo $(rm -rf /)", ASK, "critical command"),
    ([], "sudo env A=1 rm --recursive /usr", ASK, "critical command"),
    ([], "bash -c 'rm -rf ~'", ASK, "critical command"),
    ([], r"\rm -rf /", ASK, "critical command"),
    ([], 'r"m" -rf /', ASK, "critical command"),
    ([], "rm -rf / ((", ASK, "critical command"),
    ([], "find / -delete", ASK, "critical command"),
    ([], "dd if=x of=/dev/sda", ASK, "critical command"),
    ([], "echo x > /dev/sda", ASK, "critical command"),
    ([], "chmod -R 777 /", ASK, "critical command"),
    (["allow Bash"], "rm -rf /", ASK, "critical command"),
    ([], "rm -rf build", ALLOW, "runs in the sandbox"),
    ([], "rm -rf /tmp/*", ALLOW, "runs in the sandbox"),
    ([], 'rm -rf "$work"', ALLOW, "runs in the sandbox"),
    # A prefix and its word boundary.
    ([PUSH], "git push", DENY, "Bash(git push:*)"),
    ([PUSH], "git push origin main", DENY, "Bash(git push:*)"),
    ([PUSH], "git pushed", ALLOW, "runs in the sandbox"),
    ([PUSH], "git status", ALLOW, "runs in the sandbox"),
    (["deny Bash(ls *)"], "ls", DENY, "Bash(ls *)"),
    (["deny Bash(ls *)"], "lsof", ALLOW, "runs in the sandbox"),
    (["deny Bash(ls*)"], "lsof", DENY, "Bash(ls*)"),
    (["deny Bash(npm run *:prod)"], "npm run deploy:prod", DENY, "Bash(npm run *:prod)"),
    (["deny Bash(* --force)"], "git push a b --force", DENY, "Bash(* --force)"),
    (["deny Bash(make)"], "make test", ALLOW, "runs in the sandbox"),
    (["deny Bash"], "ls", DENY, "Bash"),
    (["deny Bash(*)"], "ls", DENY, "Bash(*)"),
    (["deny run_command(git push:*)"], "git push", DENY, "run_command(git push:*)"),
    # Each part of a compound command counts.
    ([PUSH], "npm test && git push", DENY, "Bash(git push:*)"),
    ([PUSH], "npm test; git push", DENY, "Bash(git push:*)"),
    ([PUSH], "npm test | git push", DENY, "Bash(git push:*)"),
    ([PUSH], "npm test |& git push", DENY, "Bash(git push:*)"),
    ([PUSH], "npm test & git push", DENY, "Bash(git push:*)"),
    ([PUSH], "npm test\ngit push", DENY, "Bash(git push:*)"),
    ([PUSH], "true || git push", DENY, "Bash(git push:*)"),
    ([PUSH], "echo $(git push)", DENY, "Bash(git push:*)"),
    ([PUSH], "echo `git push`", DENY, "Bash(git push:*)"),
    ([PUSH], "diff <(git push) x", DENY, "Bash(git push:*)"),
    ([PUSH], "if true; then git push; fi", DENY, "Bash(git push:*)"),
    ([PUSH], "f() { git push; }; f", DENY, "Bash(git push:*)"),
    ([PUSH], "(cd x; git push)", DENY, "Bash(git push:*)"),
    # Wrappers and runners hide nothing.
    ([PUSH], "timeout -s KILL 5 git push", DENY, "Bash(git push:*)"),
    ([PUSH], "env A=1 nice -n 3 git push", DENY, "Bash(git push:*)"),
    ([PUSH], "sudo -u bob git push", DENY, "Bash(git push:*)"),
    ([PUSH], "echo x | xargs -n 1 git push", DENY, "Bash(git push:*)"),
    ([PUSH], "nohup git push", DENY, "Bash(git push:*)"),
    ([PUSH], "A=1 B=2 git push", DENY, "Bash(git push:*)"),
    ([PUSH], "/usr/bin/git push", DENY, "Bash(git push:*)"),
    ([PUSH], "git -C other -c a.b=c push", DENY, "Bash(git push:*)"),
    ([PUSH], "bash -lc 'git push'", DENY, "Bash(git push:*)"),
    ([PUSH], "eval git push", DENY, "Bash(git push:*)"),
    ([PUSH], r"find . -exec git push \;", DENY, "Bash(git push:*)"),
    ([PUSH], 'git "push"', DENY, "Bash(git push:*)"),
    ([PUSH], r"git pu\sh", DENY, "Bash(git push:*)"),
    # What only a shell can tell asks where a rule might speak of it, and nowhere else.
    ([PUSH], 'git "$WHAT"', ASK, "Bash(git push:*)"),
    ([PUSH], "$GIT push", ASK, "Bash(git push:*)"),
    ([PUSH], "git pu?h", ASK, "Bash(git push:*)"),
    ([PUSH], "git {push,pull}", ASK, "Bash(git push:*)"),
    ([PUSH], r"$'\x67it' push", ASK, "Bash(git push:*)"),
    ([PUSH], 'bash -c "$X"', ASK, "Bash(git push:*)"),
    ([PUSH], "cat x | sh", ASK, "Bash(git push:*)"),
    ([PUSH], "echo $HOME $X *.py", ALLOW, "runs in the sandbox"),
    ([PUSH], "for f in *.py; do python $f; done", ALLOW, "runs in the sandbox"),
    ([PUSH], "cat > a.txt <<'E'\ngit push\nE", ALLOW, "runs in the sandbox"),
    ([PUSH], "ls | (", ASK, "not understood"),
    ([PUSH], "ls\r", ASK, "not understood"),
    ([PUSH], "echo " + "x" * MOST_CHARS, ASK, "not understood"),
    ([PUSH], "cd src && git status", ASK, "git in another folder"),
    ([PUSH], "cd src && npm test", ALLOW, "runs in the sandbox"),
    # deny comes before ask, and ask before allow, whatever is more specific.
    (["allow Bash(git push origin)", "ask Bash(git:*)"], "git push origin", ASK, "Bash(git:*)"),
    (["ask Bash(git push origin)", PUSH], "git push origin", DENY, "Bash(git push:*)"),
    # Redirections are writes and reads.
    (["deny Edit(./conf/**)"], "echo x > conf/a.toml", DENY, "Edit(./conf/**)"),
    (["deny Edit(./conf/**)"], "echo x >> ./conf//a.toml", DENY, "Edit(./conf/**)"),
    (["deny Edit(./conf/**)"], f"echo x > {CHECKOUT}/conf/a", DENY, "Edit(./conf/**)"),
    (["deny Edit(./conf/**)"], "cat < conf/a.toml", ALLOW, "runs in the sandbox"),
    (["deny Read(.env)"], "wc -l < sub/.env", DENY, "Read(.env)"),
    (["ask Edit(docs/)"], "ls 2>docs/x", ASK, "Edit(docs/)"),
    # A parameter.
    (["deny Bash(timeout_seconds:1200)"], "ls", ALLOW, "runs in the sandbox"),
]


@pytest.mark.parametrize(("rules", "command", "permission", "rule"), COMMANDS)
def test_a_command_is_judged_by_the_first_rule_that_matches(
    rules: list[str], command: str, permission: Permission, rule: str
) -> None:
    """Each part of it counts, whatever wraps it; in the sandbox nothing asks without a rule."""
    judged = run(policy(*rules), command)

    assert (judged.permission, judged.rule.partition(" (~")[0]) == (permission, rule)
    assert judged.permission is ALLOW or judged.reason


ASKED = [
    (["allow Bash(npm run test *)"], "npm run test", ALLOW),
    (["allow Bash(npm run test *)"], "npm run test -- x", ALLOW),
    (["allow Bash(npm run test *)"], "timeout 5 npm run test", ALLOW),
    (["allow Bash(npm run test *)"], "timeout -s KILL 5 npm run test", ASK),
    (["allow Bash(npm run test *)"], "sudo npm run test", ASK),
    (["allow Bash(npm run test *)"], "LD_PRELOAD=x npm run test", ASK),
    (["allow Bash(npm run test *)"], "npm run test && curl x", ASK),
    (["allow Bash(npm run test *)"], "npm run test $(curl x)", ASK),
    (["allow Bash(npm run test *)"], "npm run test $X", ASK),
    (["allow Bash(npm run test *)"], "npm run test > out.txt", ALLOW),
    (["allow Bash(npm run test *)"], "npm run test > /dev/null 2>&1", ALLOW),
    (["allow Bash(npm run test *)"], "npm run test > .envrc", ASK),
    (["allow Bash(npm run test *)"], "npm run test > ~/x", ASK),
    (["allow Bash(npm run test *)"], "npm run test > ../x", ASK),
    (["allow Bash(npm run test *)"], "npm run test > a*", ASK),
    (["allow Bash(npm run test *)"], "npm run test > $X", ASK),
    (["allow Bash(npm run test *)"], "npm run tests", ASK),
    (["allow Bash(ls *)", "allow Bash(wc *)"], "ls src | wc -l", ALLOW),
    (["allow Bash(ls *)", "allow Bash(wc *)"], "ls src | xargs wc", ALLOW),
    (["allow Bash(ls *)", "allow Bash(cd *)", "allow Bash(git *)"], "cd x && git log", ASK),
    (["allow Bash"], "for f in *; do echo $f; done", ALLOW),
    (["allow Bash"], "ls | (", ASK),
    (["allow Bash"], "echo " + "x" * MOST_CHARS, ASK),
    ([], "ls", ASK),
    ([], "A=1", ASK),
]


@pytest.mark.parametrize(("rules", "command", "permission"), ASKED)
def test_where_commands_ask_only_what_a_rule_allows_as_a_whole_runs(
    rules: list[str], command: str, permission: Permission
) -> None:
    """An allowed command is known to its last word; all else is put before a person."""
    judged = run(policy(*rules, asks_commands=True), command)

    assert judged.permission is permission
    assert judged.permission is ALLOW or judged.reason


PATHS = [
    ([], "src/app.py", ALLOW, "inside the worktree"),
    ([], ".envrc", ASK, "protected path"),
    ([], "../x", DENY, "path"),
    (["allow Edit"], ".github/workflows/ci.yml", ASK, "protected path"),
    (["allow Edit"], ".git/config", DENY, "path"),
    (["deny Edit"], "src/app.py", DENY, "Edit"),
    (["deny Write"], "src/app.py", DENY, "Write"),
    (["deny Edit(*.sql)"], "db/deep/a.sql", DENY, "Edit(*.sql)"),
    (["deny Edit(/src/**)"], "src/a.py", ALLOW, "inside the worktree"),
    (["deny Edit(./src/**)"], "src/a/b.py", DENY, "Edit(./src/**)"),
    (["deny Edit(src/*.py)"], "src/a/b.py", ALLOW, "inside the worktree"),
    (["deny Edit(src/*.py)"], "src//./b.py", DENY, "Edit(src/*.py)"),
    (["deny Edit(secrets/)"], "a/secrets/b", DENY, "Edit(secrets/)"),
    (["deny Edit(secrets/**)"], "a/secrets/b", DENY, "Edit(secrets/**)"),
    (["deny Edit(//home/ann/shop/x.py)"], "x.py", DENY, "Edit(//home/ann/shop/x.py)"),
    (["deny Edit(~/shop/lib/**)"], "lib/x.py", DENY, "Edit(~/shop/lib/**)"),
    (["deny Read(./keys)"], "keys/a.pem", DENY, "Read(./keys)"),
    (["ask Edit(package.json)"], "web/package.json", ASK, "Edit(package.json)"),
    (["allow Edit(docs/**)"], "docs/a.md", ALLOW, "Edit(docs/**)"),
    (["allow Edit(docs/)"], "x/docs/a.md", ALLOW, "inside the worktree"),
    (["deny Edit(command:create)"], "a.py", DENY, "Edit(command:create)"),
    (["deny Edit(command:insert)"], "a.py", ALLOW, "inside the worktree"),
]


@pytest.mark.parametrize(("rules", "path", "permission", "rule"), PATHS)
def test_an_edit_is_judged_by_gitignore_patterns(
    rules: list[str], path: str, permission: Permission, rule: str
) -> None:
    """An anchor says where a pattern begins; what is protected asks in spite of an allowance."""
    judged = judge(policy(*rules), EDIT, {"command": "create", "path": path})

    assert (judged.permission, judged.rule.partition(" (~")[0]) == (permission, rule)


@pytest.mark.parametrize(
    ("rules", "path", "permission"),
    [
        (["deny Read(./secrets/**)"], "secrets/key", DENY),
        (["deny Read(./secrets/**)"], "src/key", ALLOW),
        (["ask Read(*.pem)"], "a/b.pem", ASK),
        (["deny Edit(./secrets/**)"], "secrets/key", ALLOW),
        (["deny Read(//tmp/private/**)"], "/tmp/private/x", DENY),
        (["deny Read"], "a", DENY),
        (["deny view"], "a", DENY),
        (["deny Grep"], "a", ALLOW),
    ],
)
def test_a_view_is_judged_by_rules_about_reading(
    rules: list[str], path: str, permission: Permission
) -> None:
    """A rule about edits says nothing of views."""
    assert judge(policy(*rules), VIEW, {"path": path}).permission is permission


def test_a_repository_tightens_and_never_loosens() -> None:
    """Its denials and questions count, its allowances do not, and that is said."""
    found = policy(repository=["deny Bash(curl:*)", "allow Bash(make:*)"], asks_commands=True)

    assert run(found, "curl x").permission is DENY
    assert run(found, "make").permission is ASK
    assert any("a repository cannot allow" in each for each in found.record.warnings)


@pytest.mark.parametrize(
    ("user", "repository", "command", "path"),
    [
        ("", "", ALLOW, ASK),
        ("acceptEdits", "", ALLOW, ASK),
        ("plan", "", DENY, DENY),
        ("", "plan", DENY, DENY),
        ("dontAsk", "", ALLOW, DENY),
        ("bypassPermissions", "", ALLOW, ALLOW),
        ("", "bypassPermissions", ALLOW, ASK),
        ("bypassPermissions", "dontAsk", ALLOW, DENY),
    ],
)
def test_of_two_modes_the_stricter_counts(
    user: str, repository: str, command: Permission, path: Permission
) -> None:
    """Nothing that a repository says lets more happen than its user allows."""
    found = policy(mode=user, repository_mode=repository)

    assert run(found, "ls").permission is command
    assert judge(found, EDIT, {"command": "create", "path": ".envrc"}).permission is path


def test_no_mode_lifts_a_question_of_a_rule_or_a_critical_command() -> None:
    """They ask although the user has said to ask for nothing."""
    found = policy("ask Bash(make:*)", mode="bypassPermissions")

    assert run(found, "make").permission is ASK
    assert run(found, "rm -rf /").permission is ASK
    assert judge(found, UNRULED, {}).permission is ALLOW


def test_a_mode_that_only_reads_denies_every_change() -> None:
    """Also what is no edit; looking goes on."""
    found = policy(mode="plan")

    assert judge(found, REMEMBER, {}).permission is DENY
    assert judge(found, INSTALL, {}).permission is DENY
    assert judge(found, VIEW, {"path": "a"}).permission is ALLOW


def test_the_command_of_a_setup_is_judged_as_a_command() -> None:
    """A denied command cannot be had by asking for an installation."""
    found = policy("deny Bash(npm install:*)")

    assert judge(found, INSTALL, {"command": "npm install left-pad"}).permission is DENY
    assert judge(found, INSTALL, {"command": "uv add httpx"}).permission is ALLOW


def test_a_denial_names_rule_file_and_reason() -> None:
    """The agent that reads it knows what is meant and who says so."""
    judged = run(policy(PUSH), "git push origin")

    assert judged.rule == "Bash(git push:*) (~/.orchestcode/settings.json)"
    assert judged.reason == (
        "Bash(git push:*) of ~/.orchestcode/settings.json denies `git push origin`"
    )


BROKEN = st.text(alphabet="ab$(){}[]<>|&;`'\"\\\n ~*!#=", max_size=80)


@given(BROKEN | st.text(max_size=80))
def test_a_command_that_cannot_be_split_always_asks(command: str) -> None:
    """With rules about commands, even where all of them would be allowed."""
    problem = split(command).problem
    judged = run(policy(PUSH, "allow Bash"), command)

    assert not problem or judged.permission is ASK


@given(BROKEN)
def test_a_denied_command_is_never_allowed_by_what_surrounds_it(rest: str) -> None:
    """Whatever else a line holds, a denied command in it is denied, or a person looks."""
    for line in (f"git push\n{rest}", f"{rest}\ngit push", f"true && git push; {rest}"):
        judged = run(policy(PUSH, "allow Bash"), line)
        hidden = not any(part.text.startswith("git push") for part in split(line).parts)

        assert judged.permission is not ALLOW or hidden


@given(st.text(max_size=60))
def test_every_path_is_decided_with_a_reason(path: str) -> None:
    """Any path at all gets a decision, and a refusal or question says why."""
    judged = judge(policy("deny Edit(./x/**)"), EDIT, {"command": "create", "path": path})

    assert judged.permission is ALLOW or judged.reason
    assert judged.permission is not ALLOW or ".." not in path.split("/")
    assert touched(facts(EDIT), {"path": path}) == (path,)


@pytest.mark.parametrize(
    ("rules", "path", "permission"),
    [
        ((), "src/b.py", ALLOW),
        ((), ".envrc", ASK),
        ((), ".git/config", DENY),
        ((), "../b.py", DENY),
        (("ask Edit(docs/**)",), "docs/b.md", ASK),
        (("deny Edit(docs/**)",), "docs/b.md", DENY),
        (("deny Read(docs/**)",), "docs/b.md", DENY),
        (("deny MultiEdit",), "src/b.py", DENY),
        (("deny apply_patch",), "src/b.py", DENY),
        (("allow Edit(docs/**)",), "docs/.envrc", ASK),
        (("allow Edit",), "docs/.envrc", ASK),
    ],
)
def test_a_patch_is_judged_by_the_strictest_verdict_of_its_paths(
    rules: tuple[str, ...], path: str, permission: Permission
) -> None:
    """Whether a file of it is changed, added, deleted or moved; allowed only where all are."""
    patch = tools_by_name()["apply_patch"].spec
    first = "*** Update File: src/a.py\n"
    for part in (
        f"{first}@@\n-a\n+b\n*** Add File: {path}\n+x\n",
        f"{first}@@\n-a\n+b\n*** Delete File: {path}\n",
        f"{first}*** Move to: {path}\n",
    ):
        judged = judge(policy(*rules), patch, {"patch": part})

        assert judged.permission is permission
        assert judged.permission is ALLOW or judged.reason


@pytest.mark.parametrize("asks", [True, False])
def test_a_reason_quotes_a_call_without_its_secrets(*, asks: bool) -> None:
    """It is recorded in history, so that what is secret is replaced before anything is cut."""
    found = policy(asks_commands=True) if asks else policy("deny Bash(curl:*)")
    line = f"curl -H {'x' * 60} hunter2-hunter2"

    judged = judge(found, RUN, {"command": line}, lambda text: text.replace("hunter2", "***"))

    assert judged.permission is not ALLOW
    assert "hunter2" not in judged.reason
