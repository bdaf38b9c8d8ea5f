"""Search in a worktree: ripgrep, on the files that git names, with the lines of a view."""

import shutil
import sysconfig

import pytest

from infra.files import ripgrep
from tests.infra.bench import ActivityEnv, Agent

GERMAN = "straße.txt"


async def test_matches_name_path_and_line(agent: Agent) -> None:
    """Tracked and new files are searched, ignored ones are not, and of a binary one it is said;
    names are readable.
    """
    await agent.edit("create", ".gitignore", file_text="*.log\n")
    await agent.edit("create", GERMAN, file_text="first\nthe needle\n")
    await agent.run("echo needle > x.log; printf 'needle\\0' > x.bin; mkdir d; echo needle > d/n")

    found = await agent.search("needle")

    assert found.outcome == "done"
    assert found.text.splitlines() == [
        "d/n:1:needle",
        f"{GERMAN}:2:the needle",
        "[not searched, binary: x.bin]",
    ]
    assert (await agent.search("NEEDLE", path="d", ignore_case=True)).text == "d/n:1:needle"
    assert (await agent.search("needle", path="./d/")).text == "d/n:1:needle"
    assert (await agent.search("nowhere", path="d")).text == "No matches in 1 file."


@pytest.mark.parametrize(
    ("pattern", "lines"),
    [
        (r"\d+", ["n.py:1:x = 12", "n.py:2:xy = 3"]),
        (r"^x(?!y)", ["n.py:1:x = 12"]),
        (r"(?<=y = )3", ["n.py:2:xy = 3"]),
        (r"\bxy\b", ["n.py:2:xy = 3"]),
        (r"[[:digit:]]{2}$", ["n.py:1:x = 12"]),
        (r"(\w)\1", ["n.py:3:aa"]),
        ("12|aa", ["n.py:1:x = 12", "n.py:3:aa"]),
    ],
)
async def test_what_models_write_in_patterns_is_understood(
    agent: Agent, pattern: str, lines: list[str]
) -> None:
    r"""Classes such as \d, lookaround, back references and alternatives find what they mean."""
    await agent.edit("create", "n.py", file_text="x = 12\nxy = 3\naa\n")

    assert (await agent.search(pattern, path="n.py")).text.splitlines() == lines


async def test_a_pattern_that_is_not_understood_is_refused(agent: Agent) -> None:
    """It is never "no matches": a broken pattern, a line end in it; an option is only text; and
    grep's form of "or" is explained.
    """
    broken = await agent.search("(")
    across = await agent.search(r"one\ntwo")
    option = await agent.search("--pre=touch pwned")
    grep = await agent.search(r"one\|two")

    assert [broken.outcome, across.outcome] == ["failed"] * 2
    assert "The pattern is not understood" in broken.text
    assert "unclosed group" in broken.text
    assert "lies within one line" in across.text
    assert (await agent.search(r"^[^\n]*ee$")).text == "a.txt:3:three"
    assert option.text == "No matches in 2 files."
    assert "write a|b for a or b" in grep.text


async def test_a_path_may_be_a_glob(agent: Agent) -> None:
    """Without a slash in any folder, with one from the root; a file of that very name comes first;
    one that matches nothing is said.
    """
    await agent.run(
        "mkdir -p src/in; for f in a.py src/b.py src/in/c.py src/d.js; do echo x > $f; done"
    )
    await agent.run("echo x > 'odd[1].py'")

    async def found(path: str) -> list[str]:
        text = (await agent.search("x", path=path)).text
        return [line.partition(":")[0] for line in text.splitlines()]

    assert await found("*.py") == ["a.py", "odd[1].py", "src/b.py", "src/in/c.py"]
    assert await found("src/*.py") == ["src/b.py"]
    assert await found("src/**/*.py") == ["src/b.py", "src/in/c.py"]
    assert await found("odd[1].py") == ["odd[1].py"]
    none = await agent.search("x", path="*.rs")
    assert (none.outcome, none.text) == (
        "failed",
        "Error: No file matches '*.rs': nothing was searched.",
    )


async def test_a_path_that_is_not_there_or_not_open_is_said(env: ActivityEnv, agent: Agent) -> None:
    """A missing, an outside or a linked path is a failed search with the reason."""
    await agent.run("ln -s a.txt link")
    missing = await agent.search("x", path="src/gone")
    tries = [
        await agent.search("x", path=path)
        for path in ("/etc", "../person", str(env.folder), ".git", "link", "a\0b")
    ]

    assert missing.outcome == "failed"
    assert missing.text == "Error: There is no file or folder 'src/gone': nothing was searched."
    assert [each.outcome for each in tries] == ["failed"] * 6
    assert "relative to the root" in tries[0].text
    assert "use 'a.txt'" in tries[4].text


async def test_an_ignored_file_is_searched_when_it_is_named(agent: Agent) -> None:
    """Who names it wants it; and one that is tracked is searched although a rule ignores it."""
    await agent.edit("create", ".gitignore", file_text="build/\na.txt\n")
    await agent.run("mkdir -p build/out; echo needle > build/out/log; echo needle >> a.txt")

    assert (await agent.search("needle")).text == "a.txt:4:needle"
    assert (await agent.search("needle", path="build")).text == "build/out/log:1:needle"
    assert (await agent.search("needle", path="build/out/log")).text == "build/out/log:1:needle"


async def test_other_encodings_are_searched(agent: Agent) -> None:
    """UTF-16 and Latin-1 are text for a view and an edit, and so for a search."""
    await agent.run(
        "printf 'first\\ncaf\\xe9 na\\xefve\\n' > latin.txt;"
        "printf 'first\\ncafé\\n' | iconv -t UTF-16 > u16.txt;"
        "printf 'first\\r\\ncafé\\r\\n' | iconv -t UTF-16LE > noise.bin;"
        "printf '\\xef\\xbb\\xbfcafé\\n' > marked.txt"
    )

    found = await agent.search("^café")

    assert found.text.splitlines() == [
        "latin.txt:2:café naïve",
        "marked.txt:1:café",
        "u16.txt:2:café",
        "[not searched, binary: noise.bin]",
    ]


async def test_a_line_is_the_same_in_view_search_edit_and_insert(agent: Agent) -> None:
    """Also where lines end in a lone CR: the number that a search gives is the view's."""
    await agent.run("printf 'one\\rtwo\\r\\nneedle\\nfour needle\\r' > mixed.txt")

    found = await agent.search("^.*needle$", path="mixed.txt")
    viewed = await agent.view("mixed.txt", view_range=[3, 4])
    await agent.edit("insert", "mixed.txt", insert_line=3, insert_text="new\n")

    assert found.text == "mixed.txt:3:needle\nmixed.txt:4:four needle"
    assert viewed.text.startswith("     3\tneedle\n     4\tfour needle")
    assert (await agent.files())["mixed.txt"] == b"one\rtwo\r\nneedle\nnew\nfour needle\r"


async def test_a_search_follows_no_link_and_enters_no_repository(
    env: ActivityEnv, agent: Agent
) -> None:
    """What lies outside, or in a nested repository, is not searched, also where a tracked folder
    was replaced by a link; and that is said.
    """
    await agent.run("mkdir d; echo old > d/s")
    (env.folder / "outside").mkdir()
    (env.folder / "outside" / "s").write_text("needle\n")
    await agent.run("git add d")
    await agent.run(
        f"rm -r d; ln -s {env.folder}/outside d; ln -s {env.folder}/outside/s link;"
        "git init -q inner; echo needle > inner/n; mkfifo pipe"
    )

    found = await agent.search("needle")

    assert "needle" not in found.text
    assert found.text.splitlines()[0] == "No matches in 2 files."
    assert "[not searched, another repository: inner]" in found.text
    assert "[not searched, a symbolic link: d, link]" in found.text
    assert "needle" not in (await agent.search("needle", path="inner")).text


async def test_many_and_long_matches_are_bounded(agent: Agent) -> None:
    """200 lines are shown, each at most 300 characters, however much there is."""
    await agent.run(
        "seq 1 500 > n.txt; for i in 1 2 3; do head -c 800000 /dev/zero | tr '\\0' x > w$i; done;"
        "yes 'many x' | head -200000 > y"
    )

    many = await agent.search("^[0-9]+$", path="n.txt")
    wide = await agent.search("x")
    single = await agent.search("xxx", path="w1")

    assert len(many.text.splitlines()) == 201
    assert many.text.endswith("… and 300 more matches")
    assert "… and at least " in wide.text
    assert all(len(line) <= 301 for line in wide.text.splitlines())
    assert single.text.startswith("w1:1:xxx")


async def test_output_of_any_encoding_is_text(agent: Agent) -> None:
    """A line or a name with terminal codes or broken bytes comes out as harmless text; the joiners
    of scripts and emoji stay.
    """
    await agent.run(
        "printf '\\033[2Jneedle\\r\\nneedle 👩\\xe2\\x80\\x8d💻\\n' > l.txt; echo needle > $'a\\nb'"
    )

    found = await agent.search("needle")

    assert found.outcome == "done"
    assert "\x1b" not in found.text
    assert found.text.splitlines() == [
        r"a\nb:1:needle",
        "l.txt:1:needle",
        "l.txt:2:needle 👩\u200d💻",
    ]


async def test_a_kept_output_and_tmp_can_be_searched(agent: Agent) -> None:
    """Paths of /tmp are the agent's own, and shown as it names them."""
    told = await agent.run(
        "seq 1 20000; echo needle > /tmp/a; mkdir /tmp/d; echo needle > /tmp/d/b"
    )
    kept = told.text.partition("output in ")[2].partition(" ")[0]

    assert (await agent.search("^10000$", path=kept)).text == f"{kept}:10000:10000"
    assert (await agent.search("needle", path="/tmp")).text == "/tmp/a:1:needle\n/tmp/d/b:1:needle"
    assert (await agent.search("x", path="/tmp/gone")).outcome == "failed"
    assert (await agent.search("x", path="/tmp/../etc")).outcome == "failed"


async def test_a_pattern_that_takes_too_long_is_given_up(agent: Agent) -> None:
    """A pattern that explodes on a line says so, instead of "no matches"."""
    await agent.run("printf '%05000d\\n' 0 | tr 0 x > long")

    found = await agent.search("(x+x+)+(?=y)", path="long")

    assert "[not searched to the end: " in found.text
    assert "match limit exceeded" in found.text


async def test_without_ripgrep_a_search_says_what_to_do(
    agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is a failed call that names the missing program, not an answer."""
    monkeypatch.setattr(sysconfig, "get_path", lambda _name: "/nowhere")
    monkeypatch.setattr(shutil, "which", lambda _name: None)

    found = await agent.search("one")

    assert found.outcome == "failed"
    assert "ripgrep is missing" in found.text


async def test_names_beyond_one_command_line_are_searched(
    agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A large tree is searched in several runs, in the order of its names."""
    await agent.run("for i in $(seq 100 160); do echo needle > f$i; done")
    monkeypatch.setattr(ripgrep, "_NAMES_BYTES", 200)

    found = await agent.search("needle")

    assert [line.partition(":")[0] for line in found.text.splitlines()] == [
        f"f{number}" for number in range(100, 161)
    ]
