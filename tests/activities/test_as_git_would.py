"""A repository as it is: what the person's git ignores, converts, merges and names holds here."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from contracts.agent import AgentLimits
from contracts.baseline import Survey
from domain.agent.environment import environment
from tests.activities.test_patches import chained, files, landed, rebased
from tests.activities.test_survey import surveyed
from tests.infra.bench import ActivityEnv, Job
from tests.local_deployment import commit, git

CRLF_EVERYWHERE = "*.bat text eol=crlf\n*.txt text\n*.auto text=auto\n*.raw -text\n"


Files = Mapping[str, str | bytes | None]


async def opened(env: ActivityEnv, written: Mapping[str, str | bytes]) -> Job:
    """Commit files to the user's repository and open a request on it."""
    for path, content in written.items():
        file = env.person / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.encode() if isinstance(content, str) else content)
    commit(env.person, "more")
    return await env.open()


# ---- what is ignored


@pytest.fixture
def configured(env: ActivityEnv, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the worker's user a home of their own."""
    home = env.folder / "users-home"
    (home / ".config" / "git").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    return home


@pytest.mark.parametrize("where", ["exclude", "core.excludesFile", "default"])
async def test_what_the_person_ignores_gets_into_no_patch(
    env: ActivityEnv, configured: Path, where: str
) -> None:
    """`.git/info/exclude` and the person's own ignore file count, in checkpoints and in status."""
    file = {
        "exclude": env.person / ".git" / "info" / "exclude",
        "core.excludesFile": configured / "ignored",
        "default": configured / ".config" / "git" / "ignore",
    }[where]
    file.parent.mkdir(exist_ok=True)
    file.write_text("*.scratch\n.idea/")
    if where == "core.excludesFile":
        (configured / ".gitconfig").write_text("[core]\n\texcludesFile = ~/ignored\n")
    job = await env.open()
    agent = await job.agent()

    done = await agent.run(
        "mkdir .idea && touch x.scratch .idea/y kept.txt && git status --porcelain"
    )

    assert [line for line in done.text.splitlines() if line.startswith("??")] == ["?? kept.txt"]
    patch = await job.patch(agent.at)
    assert patch.paths == ("kept.txt",)


async def test_what_is_not_ignored_any_more_counts_again(env: ActivityEnv) -> None:
    """The next request on the repository goes by what is ignored then."""
    exclude = env.person / ".git" / "info" / "exclude"
    exclude.parent.mkdir(exist_ok=True)
    exclude.write_text("*.scratch\n")
    await env.open()
    exclude.unlink()
    job = await env.open(request="request/two", branch="two")
    agent = await job.agent()

    await agent.run("touch x.scratch")

    assert (await job.patch(agent.at)).paths == ("x.scratch",)


# ---- what is converted


async def test_line_ends_are_recorded_as_git_would(env: ActivityEnv) -> None:
    """The delivered branch is clean in a fresh checkout: no file is modified for ever."""
    binary = b"\x00\r\n\x01"
    (env.person / "old.auto").write_bytes(b"kept\r\n")
    commit(env.person, "before there were attributes")
    job = await opened(env, {".gitattributes": CRLF_EVERYWHERE, "sub/x.txt": "one\n"})
    crlf: dict[str, str | bytes | None] = {
        "run.bat": "@echo off\r\n",
        "sub/x.txt": "one\r\ntwo\r\n",
        "new.auto": "a\r\nb\r\n",
        "bin.auto": binary,
        "as-is.raw": "raw\r\n",
        "other.md": "no attribute\r\n",
        "old.auto": "kept\r\nmore\r\n",
        "lone.txt": "a\rb\r\n",
    }

    patch = await job.patch(await job.changed(crlf))

    await _same_as_git(env, job, patch.commit, crlf)
    held = {path: await job.store.get_blob(f"{patch.commit}:{path}") for path in crlf}
    assert held == {
        "run.bat": b"@echo off\n",
        "sub/x.txt": b"one\ntwo\n",
        "new.auto": b"a\nb\n",
        "bin.auto": binary,
        "as-is.raw": b"raw\r\n",
        "other.md": b"no attribute\r\n",
        "old.auto": b"kept\r\nmore\r\n",
        "lone.txt": b"a\rb\n",
    }
    assert (patch.files, patch.deleted_lines) == (8, 0), "only what changed is in the diff"


async def _same_as_git(env: ActivityEnv, job: Job, made: str, written: Files) -> None:
    """Compare with what `git add` records in a clone, and look at a checkout of ours."""
    clone = env.folder / "clone"
    git(env.folder, "clone", "-q", str(env.person), str(clone))
    for path, content in written.items():
        data = content.encode() if isinstance(content, str) else content
        (clone / path).write_bytes(data or b"")
    commit(clone, "by git itself")
    tree = (await job.store.get_commit(made)).tree
    assert git(clone, "rev-parse", "HEAD^{tree}") == tree
    git(clone, "fetch", "-q", str(job.store.path), made)
    git(clone, "checkout", "-q", "--detach", made)
    assert git(clone, "status", "--porcelain") == ""


async def test_a_change_of_line_ends_alone_is_none_where_git_stores_none(env: ActivityEnv) -> None:
    """What git would not record is not reviewed and not delivered."""
    job = await opened(env, {".gitattributes": "* text=auto\n", "x.py": "one\ntwo\n"})

    patch = await job.patch(await job.changed({"x.py": "one\r\ntwo\r\n"}))

    assert (patch.files, patch.commit) == (0, job.base)


async def test_attributes_of_the_patch_itself_count(env: ActivityEnv) -> None:
    """As for `git add`, the .gitattributes as the patch leaves them decide, in every folder."""
    job = await opened(env, {".gitattributes": "*.txt -text\n"})

    patch = await job.patch(
        await job.changed(
            {"sub/.gitattributes": "*.txt text\n", "sub/a.txt": "a\r\n", "b.txt": "b\r\n"}
        )
    )

    assert await job.store.get_blob(f"{patch.commit}:sub/a.txt") == b"a\n"
    assert await job.store.get_blob(f"{patch.commit}:b.txt") == b"b\r\n"


async def test_a_file_of_a_filter_is_a_named_risk(env: ActivityEnv) -> None:
    """LFS is not run here: a file that it should keep waits for a person."""
    pointer = "version https://git-lfs.github.com/spec/v1\r\noid sha256:0\r\nsize 1\r\n"
    job = await opened(
        env,
        {
            ".gitattributes": "*.psd filter=lfs diff=lfs merge=lfs -text\n"
            "*.rc working-tree-encoding=UTF-16 text\n",
            "old.psd": pointer,
        },
    )

    patch = await job.patch(
        await job.changed(
            {"old.psd": f"{pointer}x", "new.psd": b"\0\1", "a.rc": "x", "b.py": "y\n"}
        )
    )

    risk = "changes a file of a git filter, which is not run here"
    assert f"{risk}: a.rc (UTF-16), new.psd (lfs), old.psd (lfs)" in patch.risks
    assert await job.store.get_blob(f"{patch.commit}:old.psd") == f"{pointer}x".encode()


# ---- what is merged


@pytest.mark.parametrize("where", [".gitattributes", "docs/.gitattributes"])
async def test_a_union_merge_keeps_the_lines_of_both(env: ActivityEnv, where: str) -> None:
    """`merge=union` of a changelog means that two tasks never conflict in it."""
    job = await opened(env, {where: "CHANGES merge=union\n", "docs/CHANGES": "# Changes\n"})
    one = await job.patch(await job.changed({"docs/CHANGES": "# Changes\none\n"}), task="one")
    two = await job.patch(await job.changed({"docs/CHANGES": "# Changes\ntwo\n"}), task="two")

    chain = await chained(job, one, two)

    assert [link.conflicts for link in chain.links] == [(), ()]
    last = chain.links[-1].commit or ""
    assert (await files(job, last))["docs/CHANGES"] == "# Changes\none\ntwo\n"
    assert await landed(job, job.base, last)


async def test_neither_a_driver_nor_a_marker_size_of_a_project_is_obeyed(
    env: ActivityEnv, tmp_path: Path
) -> None:
    """No program of a project runs in a merge, and markers are those that we look for."""
    (Path(env.person) / ".git" / "config").write_text(
        (env.person / ".git" / "config").read_text()
        + f'[merge "evil"]\n\tdriver = touch {tmp_path}/ran; false\n'
    )
    job = await opened(env, {".gitattributes": "* merge=evil conflict-marker-size=40\n"})
    one = await job.patch(await job.changed({"a.txt": "one\nONE\nthree\n"}), task="one")
    two = await job.patch(await job.changed({"a.txt": "one\nTWO\nthree\n"}), task="two")
    await landed(job, job.base, one.commit)

    chain = await chained(job, two)

    assert chain.links[0].conflicts == ("a.txt",)
    back = await rebased(job, two)
    assert "\n<<<<<<< landed by one\nONE\n=======\n" in (await files(job, back.checkpoint))["a.txt"]
    assert not (tmp_path / "ran").exists()


# ---- what is named


async def test_tags_and_the_base_branch_are_named_in_a_worktree(env: ActivityEnv) -> None:
    """`git describe`, `git diff main` and `git log v1..` say what they say in the checkout."""
    person = env.person
    git(person, "tag", "-a", "v1.0", "-m", "one")
    git(person, "tag", "light/weight")
    (person / "c.txt").write_text("c\n")
    commit(person, "second")
    job = await env.open()
    agent = await job.agent()
    words = "git describe --long && git describe --tags --match 'light/*' && git rev-parse main"

    told = await agent.run(f"echo changed > c.txt && {words} && git diff --stat main")
    checked = await job.check(job.base, words, "git merge-base --is-ancestor main HEAD")

    for line in (
        git(person, "describe", "--long"),
        "light/weight-1-g",
        git(person, "rev-parse", "main"),
    ):
        assert line in told.text
        assert line in checked.results[0].tail
    assert "c.txt | 2 +-" in told.text
    assert [result.passed for result in checked.results] == [True, True]


async def test_tags_follow_the_repository(env: ActivityEnv) -> None:
    """A tag that moved, came or went is so for the next request; one that the base does not reach
    is not there, so that no name leads to what is missing.
    """
    person = env.person
    git(person, "tag", "gone")
    git(person, "tag", "moved")
    first = await (await env.open()).agent()
    git(person, "tag", "-d", "gone")
    git(person, "checkout", "-q", "--orphan", "elsewhere")
    (person / "o.txt").write_text("o\n")
    commit(person, "other history")
    git(person, "tag", "of-another")
    git(person, "checkout", "-q", "main")
    (person / "c.txt").write_text("c\n")
    commit(person, "second")
    git(person, "tag", "-f", "-a", "moved", "-m", "moved")
    git(person, "tag", "gone/deeper")
    job = await env.open(request="request/two", branch="two")
    agent = await job.agent("b")

    told = await agent.run("git tag && git show moved:c.txt && git fsck --connectivity-only")
    before = await first.run("git tag && git rev-parse moved HEAD && git fsck")

    assert told.text.startswith("gone/deeper\nmoved\nc\n")
    assert (told.outcome, before.outcome) == ("done", "done"), (told.text, before.text)
    moved, head = before.text.splitlines()[2:4]
    assert before.text.startswith("gone\nmoved\n")
    assert moved == head


async def test_a_broken_tag_keeps_nobody_from_working(env: ActivityEnv) -> None:
    """What cannot be fetched of it is left out."""
    (env.person / ".git" / "refs" / "tags" / "broken").write_text("1" * 40 + "\n")

    assert (await env.open()).base == git(env.person, "rev-parse", "HEAD")


async def test_tests_that_commit_have_an_identity(env: ActivityEnv) -> None:
    """In the worktree and in every repository that they make, also with a home of their own."""
    job = await env.open()
    agent = await job.agent()
    mine = "git log -1 --format=%an | grep Me"
    makes = "git init -q x && cd x && git commit -q --allow-empty -m one"

    for line in (
        f"{makes} && git log -1 --format=%an",
        f"mkdir h && HOME=$PWD/h && {makes}",
        f"GIT_CONFIG_GLOBAL=/dev/null && {makes}",
        f"{makes} && git config user.name Me && git commit -q --allow-empty -m b && {mine}",
        "git commit -q --allow-empty -m here",
    ):
        place = f'mkdir /tmp/t && cd /tmp/t && {line}; code=$?; rm -rf /tmp/t; exit "$code"'
        done = await agent.run(line if line.endswith("here") else place)
        assert done.outcome == "done", (line, done.text)


async def test_an_empty_submodule_is_said(env: ActivityEnv) -> None:
    """To the person at the opening, to every agent at its beginning and where it looks."""
    link = f"160000,{git(env.person, 'rev-parse', 'HEAD')},libs/inner"
    git(env.person, "update-index", "--add", "--cacheinfo", link)
    git(env.person, "commit", "-q", "-m", "A submodule")
    job = await env.open()
    agent = await job.agent()

    assert job.opened.notes == (
        "A submodule is empty here, so what needs its files cannot work: libs/inner.",
    )
    seen = await agent.view("libs/inner")
    assert seen.text == "(empty here: a submodule, whose files are not checked out)"
    found = Survey.model_validate_json(await job.store.get_blob((await surveyed(job)).survey))
    told = environment(found, landed=(), log=(), limits=AgentLimits(), budget_microusd=0)
    assert "Submodules, empty here: libs/inner" in told.splitlines()
