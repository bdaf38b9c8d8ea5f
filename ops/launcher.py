"""Put `orchestcode` on the PATH, or take it away: a launcher to this checkout's environment.

`python ops/launcher.py install|uninstall PREFIX`, run by the checkout's own Python. The launcher
goes into PREFIX/bin, completions where bash, zsh and fish look below PREFIX/share. A file of that
name that leads elsewhere is neither replaced nor removed.
"""

import argparse
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NAME = "orchestcode"
COMPLETIONS = {
    "bash": f"share/bash-completion/completions/{NAME}",
    "zsh": f"share/zsh/site-functions/_{NAME}",
    "fish": f"share/fish/vendor_completions.d/{NAME}.fish",
}
_MARK = "# Made by `make install` of "
# A shell reads the first lines, and has Python read the rest: a path in a first line `#!` may be
# neither long nor hold blanks.
_TEXT = """\
#!/bin/sh
{mark}
''':'
if [ ! -x {python} ]; then
  echo {missing} >&2
  exit 1
fi
exec {python} "$0" "$@"
'''
import sys

sys.path[0] = {root!r}
from starter import end, start

end(start(program=sys.argv[0]))
"""


def main(words: Sequence[str]) -> int:
    """Install or uninstall, say what was done, and return the exit code."""
    parser = argparse.ArgumentParser(prog="make", description=__doc__)
    parser.add_argument("verb", choices=("install", "uninstall"))
    parser.add_argument("prefix", type=Path)
    chosen = parser.parse_args(words)
    prefix = Path(os.path.abspath(chosen.prefix.expanduser()))  # noqa: PTH100 - links stay
    try:
        lines = install(prefix) if chosen.verb == "install" else uninstall(prefix)
    except OSError as error:
        lines = [f"{error.filename} cannot be changed: {error.strerror}. PREFIX=FOLDER chooses."]
        print(f"{NAME}: {lines[0]}", file=sys.stderr)
        return 1
    print("\n".join(lines))
    return 0


def install(prefix: Path) -> list[str]:
    """Write launcher and completions, and return what a person should know."""
    from cli.completion import Shell, completion  # noqa: PLC0415 - `uninstall` needs no package

    launcher = prefix / "bin" / NAME
    if launcher.is_symlink() or (launcher.exists() and not _is_launcher(launcher)):
        raise FileExistsError(0, "it is not a launcher that make install has made", str(launcher))
    _write(launcher, launcher_text())
    launcher.chmod(0o755)
    for shell, place in COMPLETIONS.items():
        _write(prefix / place, completion(Shell(shell)))
    return [
        f"Installed {launcher}, which runs {ROOT}.",
        f"Completion for bash, zsh and fish lies below {prefix / 'share'}.",
        *_path_advice(launcher),
    ]


def uninstall(prefix: Path) -> list[str]:
    """Remove the launcher of this checkout and the completions; return what was removed."""
    launcher = prefix / "bin" / NAME
    if not launcher.exists():
        return [f"There is no {launcher}; nothing was removed."]
    if _mark() not in launcher.read_text(errors="replace").splitlines():
        raise FileExistsError(0, f"it is not the launcher of {ROOT}", str(launcher))
    removed = [launcher, *(prefix / place for place in COMPLETIONS.values())]
    removed = [path for path in removed if path.exists()]
    for path in removed:
        path.unlink()
    return [f"Removed {path}" for path in removed]


def launcher_text() -> str:
    """Return the launcher: a shell script that is a Python program too."""
    missing = f"{NAME}: {sys.executable} is missing: run `make setup` in {ROOT}"
    python = shlex.quote(sys.executable)
    return _TEXT.format(mark=_mark(), python=python, missing=shlex.quote(missing), root=str(ROOT))


def _mark() -> str:
    return f"{_MARK}{ROOT}"


def _is_launcher(path: Path) -> bool:
    return any(line.startswith(_MARK) for line in path.read_text(errors="replace").splitlines())


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _path_advice(launcher: Path) -> list[str]:
    """Return how a shell finds the launcher, where it does not yet or finds another."""
    for folder in filter(None, os.environ.get("PATH", "").split(os.pathsep)):
        found = Path(folder) / NAME
        if os.access(found, os.X_OK):
            if found.samefile(launcher):
                return []
            return [f"Your PATH has {found} before it: remove that, or call {launcher}."]
    line = f"export PATH={shlex.quote(str(launcher.parent))}:$PATH"
    return [
        f"{launcher.parent} is not on your PATH: add it in your shell's profile, as in",
        f"  {line}",
    ]


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    sys.exit(main(sys.argv[1:]))
