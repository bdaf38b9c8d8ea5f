"""Search in a worktree: git's own grep, on whatever lies there."""

from tests.infra.bench import ActivityEnv, Agent

GERMAN = "straße.txt"


async def test_matches_name_path_and_line(agent: Agent) -> None:
    """Tracked and new files are searched, ignored and binary ones are not; names are readable."""
    await agent.edit("create", ".gitignore", file_text="*.log\n")
    await agent.edit("create", GERMAN, file_text="first\nthe needle\n")
    await agent.run("echo needle > x.log; printf 'needle\\0' > x.bin; mkdir d; echo needle > d/n")

    found = await agent.search("needle")

    assert found.outcome == "done"
    assert sorted(found.text.splitlines()) == sorted([f"{GERMAN}:2:the needle", "d/n:1:needle"])
    assert (await agent.search("NEEDLE", path="d", ignore_case=True)).text == "d/n:1:needle"
    assert (await agent.search("needle", path="./d/")).text == "d/n:1:needle"
    assert (await agent.search("nowhere")).text == "No matches."


async def test_a_search_follows_no_link_and_enters_no_repository(
    env: ActivityEnv, agent: Agent
) -> None:
    """What lies outside, or in a nested repository, is not searched."""
    (env.folder / "outside").mkdir()
    (env.folder / "outside" / "s").write_text("needle\n")
    await agent.run(
        f"ln -s {env.folder}/outside out; ln -s {env.folder}/outside/s link;"
        "git init -q inner; echo needle > inner/n; mkfifo pipe"
    )

    assert (await agent.search("needle")).text == "No matches."
    for path in ("out", "link", "..", str(env.folder), "../person", ".git"):
        found = await agent.search("needle", path=path)
        assert "needle" not in found.text.replace("'needle'", ""), path


async def test_mistakes_are_told(agent: Agent) -> None:
    """A broken pattern, a path outside or a NUL is a failed search with the reason."""
    broken = await agent.search("(")
    outside = await agent.search("x", path="/etc")
    nul = await agent.search("a\0b")
    option = await agent.search("--open-files-in-pager=touch pwned")

    assert [each.outcome for each in (broken, outside, nul)] == ["failed"] * 3
    assert "parenthes" in broken.text.lower() or "unmatched" in broken.text.lower()
    assert "outside" in outside.text
    assert "NUL" in nul.text
    assert option.text == "No matches."


async def test_many_and_long_matches_are_bounded(agent: Agent) -> None:
    """200 lines are shown, each at most 300 characters, however much there is."""
    await agent.run(
        "seq 1 500 > n.txt; for i in 1 2 3; do head -c 800000 /dev/zero | tr '\\0' x > w$i; done"
    )

    many = await agent.search("^[0-9]+$", path="n.txt")
    wide = await agent.search("x")
    single = await agent.search("xxx", path="w1")

    assert len(many.text.splitlines()) == 201
    assert many.text.endswith("… and 300 more matches")
    assert wide.text.endswith("… and more matches")
    assert all(len(line) <= 301 for line in wide.text.splitlines())
    assert single.text.startswith("w1:1:xxx")


async def test_output_of_any_encoding_is_text(agent: Agent) -> None:
    """A line that is not UTF-8, or holds terminal codes, comes out as harmless text."""
    await agent.run("printf 'needle \\xe9\\n\\033[2Jneedle\\r\\n' > l.txt")

    found = await agent.search("needle")

    assert found.outcome == "done"
    assert "\x1b" not in found.text
    assert found.text.splitlines() == ["l.txt:1:needle �", "l.txt:2:needle"]
