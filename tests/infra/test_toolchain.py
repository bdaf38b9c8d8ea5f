"""Which parts of a hidden home are shown to commands: enough to work, never more."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.sandbox.toolchain import toolchain_binds, toolchain_variables


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home folder, hidden in all tests, with something private in it."""
    made = tmp_path.resolve() / "home"
    (made / ".ssh").mkdir(parents=True)
    (made / ".ssh/id").touch()
    return made


def installed_python(prefix: Path, version: str = "python3.11") -> Path:
    """Lay out an interpreter's installation and return its executable."""
    for folder in (prefix / "bin", prefix / "lib" / version):
        folder.mkdir(parents=True)
    (prefix / "lib" / version / "os.py").touch()
    executable = prefix / "bin" / version
    executable.touch(0o755)
    (prefix / "bin/python3").symlink_to(version)
    return executable


def environment(folder: Path, interpreter: Path) -> Path:
    """Lay out a virtual environment over an interpreter."""
    (folder / "bin").mkdir(parents=True)
    (folder / "pyvenv.cfg").write_text(f"home = {interpreter.parent}\nversion = 3.11\n")
    (folder / "bin/python3").symlink_to(interpreter)
    (folder / "bin/python").symlink_to("python3")
    return folder


def binds(home: Path, *entries: Path, **more: tuple[Path, ...]) -> list[Path]:
    """Ask with a PATH made of the entries."""
    path = ":".join(map(str, entries))
    return list(toolchain_binds(path, None, (home,), untrusted=more.get("untrusted", ())))


def test_nothing_is_needed_outside_hidden_folders(home: Path) -> None:
    """The system's own folders are visible anyway."""
    assert toolchain_binds("/usr/bin:/bin:relative:", None, (home,)) == ()


def test_a_version_manager_is_shown_whole(home: Path) -> None:
    """Shims call the manager, which calls one of its versions."""
    (home / ".pyenv/shims").mkdir(parents=True)
    (home / ".pyenv/bin").mkdir()
    installed_python(home / ".pyenv/versions/3.11.7")

    shown = binds(home, home / ".pyenv/shims", home / ".pyenv/bin", Path("/usr/bin"))

    assert shown == [home / ".pyenv"]


def test_shims_in_a_home_do_not_show_the_home(home: Path) -> None:
    """A folder that merely has the name gives only itself away."""
    (home / "shims").mkdir()

    assert home not in binds(home, home / "shims")


def test_the_interpreter_behind_an_environment_is_shown(home: Path, tmp_path: Path) -> None:
    """The environment may be visible while the interpreter it links to is not."""
    prefix = home / ".pyenv/versions/3.11.7"
    venv = environment(tmp_path / "work/.venv", installed_python(prefix))

    assert toolchain_binds("/usr/bin", venv, (home,)) == (prefix,)
    assert binds(home, venv / "bin") == [prefix]


def test_an_installation_that_the_worker_may_not_enter_is_no_error(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only its bin folder is named; bubblewrap then says that it cannot be found."""
    prefix = home / ".pyenv/versions/3.11.7"
    venv = environment(tmp_path / "venv", installed_python(prefix))

    real = Path.glob

    def closed(path: Path, pattern: str) -> Iterator[Path]:
        if prefix in path.parents:
            raise PermissionError(path)
        return real(path, pattern)

    monkeypatch.setattr(Path, "glob", closed)

    assert prefix / "bin" in binds(home, venv / "bin")


def test_every_name_on_the_way_to_an_interpreter_is_shown(home: Path, tmp_path: Path) -> None:
    """An alias of an installation must exist as well, or the link to it breaks inside."""
    real = home / ".local/share/uv/python/cpython-3.11.9"
    installed_python(real)
    alias = real.parent / "cpython-3.11"
    alias.symlink_to(real.name)
    venv = environment(tmp_path / ".venv", alias / "bin/python3.11")

    assert toolchain_binds("", venv, (home,)) == (alias, real)


def test_a_hidden_environment_is_shown_with_its_interpreter(home: Path) -> None:
    """Both lie in the home here."""
    venv = environment(home / "project/.venv", installed_python(home / "python"))

    assert set(toolchain_binds("", venv, (home,))) == {venv, home / "python"}


def test_a_bin_folder_does_not_show_its_parent(home: Path) -> None:
    """Beside ~/.local/bin and ~/bin lie key rings and keys."""
    for folder in ("bin", ".local/bin", ".local/share/keyrings", ".local/lib/python3.11"):
        (home / folder).mkdir(parents=True)
    (home / ".local/bin/python3").touch()
    (home / ".local/lib/python3.11/os.py").touch()

    assert binds(home, home / "bin", home / ".local/bin") == [home / ".local/bin", home / "bin"]


def test_a_home_on_the_path_is_not_shown(home: Path) -> None:
    """Neither as an entry nor as what an entry seems to be installed in."""
    installed_python(home)

    assert binds(home, home) == []
    assert binds(home, home / "bin") == []


def test_a_linked_tool_is_shown_alone_or_with_its_installation(home: Path) -> None:
    """A single file gives only itself away; a tool of an environment brings the environment."""
    (home / ".local/bin").mkdir(parents=True)
    (home / "versions").mkdir()
    (home / "versions/tool-1.2").touch()
    (home / ".local/bin/tool").symlink_to(home / "versions/tool-1.2")
    installed_python(home / "python")
    venv = environment(home / "tools/black", home / "python/bin/python3.11")
    (venv / "bin/black").touch()
    (home / ".local/bin/black").symlink_to(venv / "bin/black")

    assert set(binds(home, home / ".local/bin")) >= {
        home / ".local/bin",
        home / "versions/tool-1.2",
        venv,
    }
    assert not any(home / ".ssh" in (each, *each.parents) for each in binds(home, home))


def test_a_node_installation_is_shown_whole(home: Path) -> None:
    """The package manager is found from bin by a relative path."""
    prefix = home / ".nvm/versions/node/v22"
    (prefix / "bin").mkdir(parents=True)
    (prefix / "lib/node_modules/npm/bin").mkdir(parents=True)

    assert binds(home, prefix / "bin") == [prefix]


def test_rust_toolchains_are_shown_and_named(home: Path) -> None:
    """The proxies look for them in HOME, which is another one inside."""
    for folder in (".cargo/bin", ".rustup/toolchains"):
        (home / folder).mkdir(parents=True)
    (home / ".cargo/credentials.toml").touch()
    path = str(home / ".cargo/bin")

    assert binds(home, home / ".cargo/bin") == [home / ".cargo/bin", home / ".rustup"]
    assert toolchain_variables(path) == {"RUSTUP_HOME": str(home / ".rustup")}
    assert toolchain_variables("/usr/bin") == {}
    assert toolchain_variables(path, untrusted=(home,)) == {}


def test_an_agents_links_choose_nothing(home: Path, tmp_path: Path) -> None:
    """A worktree's own bin folder is on the PATH, but what it points to is not followed."""
    worktree = tmp_path / "worktree"
    (worktree / ".venv/bin").mkdir(parents=True)
    (worktree / ".venv/pyvenv.cfg").write_text(f"home = {home / '.ssh'}\n")
    (worktree / ".venv/bin/python").symlink_to(home / ".ssh/id")
    entry = worktree / ".venv/bin"

    assert binds(home, entry, untrusted=(worktree,)) == []
    assert toolchain_binds("", worktree / ".venv", (home,), untrusted=(worktree,)) == ()


def test_links_in_a_circle_are_survived(home: Path) -> None:
    """And so are dangling ones."""
    (home / "bin").mkdir()
    (home / "bin/a").symlink_to(home / "bin/b")
    (home / "bin/b").symlink_to(home / "bin/a")
    (home / "bin/c").symlink_to(home / "gone")

    assert binds(home, home / "bin") == [home / "bin"]


def test_this_machines_own_tools(home: Path) -> None:
    """With the PATH of the tests themselves, no home is shown."""
    hidden = tuple(map(Path, ("/root", "/home", "/run", "/tmp")))
    shown = toolchain_binds(os.environ["PATH"], None, hidden)

    assert not {*hidden, Path.home(), *Path("/home").glob("*")} & set(shown)
