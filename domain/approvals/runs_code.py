"""Which files of a repository run code outside the sandbox, and when: one table.

What stands here runs by itself when a person opens, enters or checks out a folder, commits in it,
or starts a tool there, or once it is pushed. Whoever wrote it, a person looks at it first. What
runs because a person starts the project's own code, its tests and scripts among it, is ordinary
work; some of that is loaded by tools as well, and needs a person only where nobody planned it.
"""

import posixpath
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import translate
from types import MappingProxyType

# File systems of other platforms ignore these characters in names, so git refuses them too.
_IGNORED = re.compile("[\u200b-\u200f\u202a-\u202e\u2060-\u2064\u206a-\u206f\ufeff]")
_SEPARATOR = re.compile(r"[/\\]")
_MOST_NAMES = 500


@dataclass(frozen=True)
class Runs:
    """Files that run by themselves.

    Attributes:
        when: what happens, as the end of a sentence about the file.
        paths: patterns at any depth, in lower case; `name/` is a folder and all that lies in it.
        planned: ordinary work where the task declares it or the person asks for it.
    """

    when: str
    paths: tuple[str, ...]
    planned: bool = False


def _of(when: str, paths: str, *, planned: bool = False) -> Runs:
    return Runs(when, tuple(paths.split()), planned=planned)


TABLE = (
    _of(
        "runs at git's hooks, such as a commit or a checkout",
        """
        .husky/ .huskyrc* .githooks/ .git-hooks/ .lefthook/ .lefthook-local/ lefthook.yml
        lefthook.yaml lefthook.toml lefthook.json .lefthook.* lefthook-local.* .lefthook-local.*
        .pre-commit-config.yaml .pre-commit-config.yml .pre-commit-hooks.yaml .overcommit.yml
        .lintstagedrc* lint-staged.config.* simple-git-hooks.* .simple-git-hooks.* .commitlintrc*
        commitlint.config.* captainhook.json grumphp.yml
        """,
    ),
    _of(
        "tells git which programs to run, and on which files",
        ".gitattributes .gitmodules .gitconfig .lfsconfig .config/git/",
    ),
    _of(
        "runs when somebody enters the folder with direnv",
        ".envrc .direnv/ .direnvrc .config/direnv/",
    ),
    _of(
        "runs when somebody enters the folder with autoenv, and sets what programs there see",
        ".env .env.leave .autoenv .autoenv.zsh .autoenv_leave.zsh",
    ),
    _of(
        "runs when somebody enters the folder with mise, devbox or Nix",
        """
        mise.toml .mise.toml mise.*.toml .mise.*.toml .mise/ .config/mise/ .config/mise.toml
        devbox.json flake.nix shell.nix devenv.nix devenv.yaml .devenv/
        """,
    ),
    _of(
        "runs when a shell starts",
        """
        .bashrc .bash_profile .bash_login .bash_aliases .bash_logout .profile .zshrc .zprofile
        .zshenv .zlogin .zlogout .kshrc .cshrc .tcshrc .config/fish/ config.fish
        """,
    ),
    _of(
        "runs when the folder is opened in an editor",
        """
        .vscode/ .vscode-server/ *.code-workspace .idea/ .run/ .fleet/ .zed/ .cursor/ .windsurf/
        .vs/ .nova/ .helix/ .theia/ *.sublime-project .settings/ .externaltoolbuilders/ .project
        .classpath .exrc .nvimrc .nvim.lua .nvim/ .vim/ .vimrc .gvimrc _vimrc .lvimrc .local.vimrc
        coc-settings.json .dir-locals.el .dir-locals-2.el .ycm_extra_conf.py .luarc.json
        .luarc.jsonc pyrightconfig.json
        """,
    ),
    _of(
        "runs when the folder is opened in a container or a hosted workspace",
        """
        .devcontainer/ .devcontainer.json .gitpod.yml .gitpod.yaml .gitpod/ .ona/ .idx/ .replit
        replit.nix devfile.yaml .devfile.yaml
        """,
    ),
    _of(
        "runs when an agent is started in the folder",
        """
        .claude/ .claude.json .mcp.json mcp.json .codex/ .gemini/ .opencode/ opencode.json
        opencode.jsonc .continue/ .roo/ .roomodes .kilocode/ .amp/ .kiro/ .qwen/ .goose/
        .aider.conf.yml crush.json .crush.json
        """,
    ),
    _of(
        "runs in continuous integration once it is pushed",
        """
        .github/workflows/ .github/actions/ .gitea/workflows/ .forgejo/workflows/ .circleci/
        .buildkite/ .woodpecker/ .woodpecker* .gitlab-ci.yml .gitlab-ci.yaml .gitlab-ci/ .gitlab/ci/
        .travis.yml .travis.yaml azure-pipelines.yml azure-pipelines.yaml bitbucket-pipelines.yml
        bitbucket-pipelines.yaml appveyor.yml appveyor.yaml .appveyor.yml .drone.yml .drone.yaml
        .cirrus.yml .cirrus.star jenkinsfile .teamcity/ .semaphore/ .tekton/ .builds/ .build.yml
        buildspec.yml cloudbuild.yaml cloudbuild.yml .ci/
        """,
    ),
    _of(
        "decides what a package manager or build tool fetches and runs",
        """
        .npmrc .yarnrc .yarnrc.yml .yarn/ .pnp.cjs .pnp.loader.mjs .pnpmfile.cjs .pnpmfile.mjs
        bunfig.toml .bunfig.toml node_modules/ .bundle/ .gemrc .condarc uv.toml pip.conf pip.ini
        .config/pip/ .config/uv/ nuget.config .bazelrc .bazelversion .bazeliskrc .mvn/ .m2/ .gradle/
        gradle-wrapper.* maven-wrapper.* gradlew gradlew.bat mvnw mvnw.cmd .jvmopts .sbtopts .cargo/
        rust-toolchain rust-toolchain.toml
        """,
    ),
    _of(
        "runs when Python starts there, or an editor finds it",
        "sitecustomize.py usercustomize.py *.pth pyvenv.cfg .venv/ venv/ .pythonrc .pythonrc.py",
    ),
    _of(
        "runs when a debugger, an interpreter or a tool starts in the folder",
        """
        .gdbinit .lldbinit .pdbrc .pdbrc.py .irbrc .pryrc .byebugrc .rprofile .renviron .iex.exs
        .ghci .ocamlinit .psqlrc .sqliterc .octaverc .radare2rc .tmux.conf .screenrc .ripgreprc
        .curlrc .wgetrc
        """,
    ),
    _of("decides what this system lets agents do", ".orchestcode/"),
    _of("may stand for another file on Windows", "*~[0-9]/ *~[0-9].*/"),
    _of(
        "is loaded whenever tests start, or an editor looks for them",
        """
        conftest.py pytest.ini .pytest.ini pytest.toml .pytest.toml tox.ini noxfile.py .coveragerc
        jest.config.* jest.setup.* vitest.config.* vitest.workspace.* .mocharc* karma.conf.*
        playwright.config.* cypress.config.* .rspec
        """,
        planned=True,
    ),
    _of(
        "is loaded when an editor checks or formats a file",
        """
        eslint.config.* .eslintrc.js .eslintrc.cjs prettier.config.* .prettierrc.js .prettierrc.cjs
        .prettierrc.mjs .prettierrc.ts stylelint.config.* .stylelintrc.js .stylelintrc.cjs
        .stylelintrc.mjs tailwind.config.* postcss.config.* svelte.config.* babel.config.*
        .babelrc.js .babelrc.cjs
        """,
        planned=True,
    ),
    _of(
        "is loaded when an editor opens the project",
        """
        build.rs settings.gradle settings.gradle.kts init.gradle init.gradle.kts gradle.properties
        buildsrc/ build.sbt directory.build.props directory.build.targets
        """,
        planned=True,
    ),
)
FREE = ((".claude", "worktrees"),)
"""A folder in a folder of the table, of which it says nothing."""
_UNTOLD = Runs("has so many names through links that nobody can tell what it does", ())


@dataclass(frozen=True)
class _Pattern:
    parts: tuple[str, ...]
    folder: bool
    wild: re.Pattern[str] | None
    runs: Runs


def _pattern(text: str, runs: Runs) -> _Pattern:
    parts = tuple(text.strip("/").split("/"))
    wild = re.compile(translate(parts[-1])) if any(sign in text for sign in "*?[") else None
    return _Pattern(parts, text.endswith("/"), wild, runs)


_PATTERNS = tuple(_pattern(text, runs) for runs in TABLE for text in runs.paths)
_PLAIN: Mapping[str, tuple[_Pattern, ...]] = MappingProxyType(
    {
        name: tuple(each for each in _PATTERNS if not each.wild and each.parts[-1] == name)
        for name in sorted({each.parts[-1] for each in _PATTERNS})
    }
)
_WILD = tuple(each for each in _PATTERNS if each.wild)
_OPENINGS = MappingProxyType(
    {each.parts[0]: each.runs for each in reversed(_PATTERNS) if len(each.parts) > 1}
)


def folded(path: str) -> tuple[str, ...]:
    """Return the parts of a path as the most forgiving file system would read them."""
    parts = (
        unicodedata.normalize("NFKC", _IGNORED.sub("", part).split(":")[0].casefold()).casefold()
        for part in _SEPARATOR.split(path)
    )
    return tuple(name for part in parts if (name := part.rstrip(" .")))


def runs(path: str) -> Runs | None:
    """Return what a file of this path does by itself, None for nothing that is known."""
    return _runs(folded(path))


def link_runs(path: str) -> Runs | None:
    """Return the same for a symbolic link, which may give a name to what lies where it leads."""
    parts = folded(path)
    return _runs(parts) or _OPENINGS.get(parts[-1] if parts else "")


def _runs(parts: Sequence[str]) -> Runs | None:
    for at, name in enumerate(parts):
        last = at == len(parts) - 1
        if not last and tuple(parts[at : at + 2]) in FREE:
            continue
        for each in _PLAIN.get(name, ()):
            if (each.folder or last) and _ends_with(parts[: at + 1], each.parts):
                return each.runs
    return next((each.runs for each in _WILD if _is_named(parts, each)), None)


def _is_named(parts: Sequence[str], pattern: _Pattern) -> bool:
    names = parts if pattern.folder else parts[-1:]
    return pattern.wild is not None and any(map(pattern.wild.match, names))


def _ends_with(parts: Sequence[str], end: Sequence[str]) -> bool:
    return tuple(parts[-len(end) :]) == tuple(end)


class Links:
    """The symbolic links of a tree, by which a file has other names as well.

    Args:
        held: what each link holds, by its path; those that lead out of the tree say nothing.
    """

    def __init__(self, held: Mapping[str, str]) -> None:
        led: dict[tuple[str, ...], list[tuple[str, ...]]] = {}
        for link, text in sorted(held.items()):
            target = posixpath.normpath(posixpath.join(posixpath.dirname(link), text))
            if not target.startswith(("/", "..")):
                led.setdefault(_inside(target), []).append(folded(link))
        self._led = {target: tuple(links) for target, links in led.items()}

    def runs(self, path: str) -> tuple[Runs, str] | None:
        """Return what a file does by itself under another of its names, and that name."""
        names = list(self._names(folded(path)))
        for name in names:
            if found := _runs(name):
                return found, "/".join(name)
        return (_UNTOLD, "") if len(names) >= _MOST_NAMES else None

    def _names(self, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        """Yield the other names of a path, through each link once; not more than most."""
        seen = {path}
        waiting: list[tuple[tuple[str, ...], frozenset[tuple[str, ...]]]] = [(path, frozenset())]
        for name, used in waiting:
            for link, rest in self._ways(name):
                other = link + rest
                if link not in used and other not in seen and len(seen) <= _MOST_NAMES:
                    seen.add(other)
                    waiting.append((other, used | {link}))
                    yield other

    def _ways(self, name: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], tuple[str, ...]]]:
        """Yield the links that lead to a name, or to a folder above it, and what follows there."""
        for depth in range(len(name) + 1 if self._led else 0):
            for link in self._led.get(name[:depth], ()):
                yield link, name[depth:]


def _inside(target: str) -> tuple[str, ...]:
    return () if target == "." else folded(target)
