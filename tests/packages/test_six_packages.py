"""Six real packages of four languages, each changed by a request of two tasks in a fresh clone.

Their sources come from the registries through the ordinary clients, pinned by version; their
dependencies are installed by the setup that `init` proposes, their own test suites are the checks
that it proposes. The model's replies are rehearsed, its tools work for real. Run by
`make test-packages`; what a package needs and is not here is named by the skipped test.
"""

import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from contracts.request import RequestStatus
from contracts.settings_file import SETTINGS_FILE
from tests.local_deployment import LocalDeployment, commit, disturbed, git, snapshot
from tests.model_scripts import Task, command, create, done, play, script, turn

pytestmark = [pytest.mark.packages, pytest.mark.system, pytest.mark.timeout(1_500)]
SECONDS = 1_200.0
"""For one request: two suites are run several times, on two cores with others at work."""


@dataclass(frozen=True)
class Package:
    """A package and what is done with it.

    Attributes:
        needs: the programs that must be on the PATH.
        fetch: brings the published sources into a folder.
        more: files that its repository has and its publication lacks.
        locks: the command that writes a lock file where none was published.
        settings: what `init` proposes.
        own: what its person writes instead; empty where that is right.
        adds: the file that the first task adds, its text, and the command that tests it.
        proves: a command that fails unless the setup has built or installed what it should.
    """

    name: str
    needs: Sequence[str]
    fetch: Callable[[Path], None]
    settings: Mapping[str, Sequence[str]]
    adds: tuple[str, str, str]
    proves: str
    more: Mapping[str, str] = field(default_factory=dict)
    locks: str = ""
    own: Mapping[str, Sequence[str]] = field(default_factory=dict)


def ran(*words: str, folder: Path) -> str:
    """Run a client of a registry; return its output."""
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.fail(f"{' '.join(words)} failed: is its registry reachable? {done.stderr[-500:]}")
    return done.stdout


def from_pypi(requirement: str) -> Callable[[Path], None]:
    """Return what unpacks a source distribution."""

    def fetch(folder: Path) -> None:
        words = ("-q", "--no-deps", "--no-binary", ":all:", "-d", str(folder.parent), requirement)
        ran(sys.executable, "-m", "pip", "download", *words, folder=folder.parent)
        _unpack(next(folder.parent.glob("*.tar.gz")), folder)

    return fetch


def from_npm(package: str) -> Callable[[Path], None]:
    """Return what unpacks a published package of npm's."""

    def fetch(folder: Path) -> None:
        ran("npm", "pack", "--silent", package, folder=folder.parent)
        _unpack(next(folder.parent.glob("*.tgz")), folder)

    return fetch


def _unpack(archive: Path, folder: Path) -> None:
    with tarfile.open(archive) as files:
        files.extractall(folder.parent / "unpacked", filter="data")
    next((folder.parent / "unpacked").iterdir()).rename(folder)


def from_go(module: str) -> Callable[[Path], None]:
    """Return what copies a module from where go keeps it."""

    def fetch(folder: Path) -> None:
        (folder.parent / "go.mod").write_text("module example.org/fetch\n")
        found = json.loads(ran("go", "mod", "download", "-json", module, folder=folder.parent))
        shutil.copytree(found["Dir"], folder)
        for each in (folder, *folder.rglob("*")):
            each.chmod(0o755 if each.is_dir() else 0o644)

    return fetch


def from_crates(name: str, version: str) -> Callable[[Path], None]:
    """Return what copies a crate from where cargo keeps it."""

    def fetch(folder: Path) -> None:
        wanted = '[package]\nname = "fetch"\nversion = "0.0.0"\n[lib]\npath = "x.rs"\n'
        (folder.parent / "x.rs").touch()
        (folder.parent / "Cargo.toml").write_text(
            f'{wanted}[dependencies]\n{name} = "={version}"\n'
        )
        ran("cargo", "fetch", "--quiet", folder=folder.parent)
        said = ran("cargo", "metadata", "--format-version", "1", "--offline", folder=folder.parent)
        found = next(each for each in json.loads(said)["packages"] if each["name"] == name)
        shutil.copytree(Path(found["manifest_path"]).parent, folder)
        (folder / ".cargo-ok").unlink(missing_ok=True)

    return fetch


TSCONFIG = json.dumps(
    {
        "compilerOptions": {
            "target": "es2018",
            "module": "es2015",
            "moduleResolution": "node",
            "outDir": "lib",
            "lib": ["es2020"],
            "types": ["node", "mocha"],
            "strict": True,
            "skipLibCheck": True,
        },
        "include": ["src/**/*.ts"],
    }
)
PYTEST = ".venv/bin/python -m pytest -q"
PIP = "python3 -m venv .venv && .venv/bin/pip install -q -r requirements/tests.txt -e ."
PACKAGES = (
    Package(
        name="flask",
        needs=("uv",),
        fetch=from_pypi("flask==3.1.2"),
        settings={"setup": ["uv sync --frozen"], "checks": [PYTEST]},
        more={".gitignore": ".venv/\n__pycache__/\n.pytest_cache/\n"},
        adds=(
            "tests/test_added.py",
            ("import flask\n\n\ndef test_added():\n    app = flask.Flask('added')\n"
            "    app.add_url_rule('/', view_func=lambda: 'here')\n"
            "    assert app.test_client().get('/').text == 'here'\n"),
            f"{PYTEST} tests/test_added.py",
        ),
        proves=".venv/bin/python -c 'import flask; assert \"/project/src/\" in flask.__file__'",
    ),
    Package(
        name="markupsafe",
        needs=("python3", "cc"),
        fetch=from_pypi("markupsafe==3.0.2"),
        settings={"setup": [PIP], "checks": [PYTEST]},
        more={".gitignore": ".venv/\nbuild/\n*.so\n*.egg-info/\n__pycache__/\n.pytest_cache/\n"},
        adds=(
            "tests/test_added.py",
            ("from markupsafe import _speedups, escape\n\n\ndef test_added():\n"
            "    assert _speedups.__file__.endswith('.so')\n    assert escape('<') == '&lt;'\n"),
            f"{PYTEST} tests/test_added.py",
        ),
        proves=".venv/bin/python -c 'import markupsafe._speedups'",
    ),
    Package(
        name="pump",
        needs=("node", "npm"),
        fetch=from_npm("pump@3.0.2"),
        settings={"setup": ["npm ci"], "checks": ["npm test"]},
        more={".gitignore": "node_modules/\n"},
        locks="npm install --package-lock-only",
        adds=(
            "test-added.js",
            ("var pump = require('./')\nvar fs = require('fs')\n"
            "pump(fs.createReadStream(__filename), fs.createWriteStream('/dev/null'), "
            "function (err) { if (err) process.exit(1); console.log('added passed') })\n"),
            "node test-added.js | grep passed",
        ),
        proves="test -f node_modules/end-of-stream/index.js",
    ),
    Package(
        name="optimism",
        needs=("node", "npm"),
        fetch=from_npm("optimism@0.18.1"),
        settings={"setup": ["npm ci"], "checks": ["npm test"]},
        # What builds it for both kinds of modules was not published; its suite has timed tests.
        own={
            "setup": ["npm ci --ignore-scripts"],
            "checks": [
                ("npx tsc && npx rollup -c && "
                "npm run mocha -- --timeout 120000 --invert --grep performance lib/tests/bundle.js")
            ],
        },
        more={
            ".gitignore": "node_modules/\nlib/\n",
            "tsconfig.json": TSCONFIG,
            "rollup.config.js": "export default { input: 'lib/tests/main.js', "
            "output: { file: 'lib/tests/bundle.js', format: 'esm' } }\n",
        },
        locks="npm install --package-lock-only --ignore-scripts",
        adds=(
            "src/tests/added.ts",
            ('import * as assert from "assert";\nimport { wrap } from "../index";\n\n'
            'describe("added", () => {\n  it("computes", () => {\n'
            "    assert.strictEqual(wrap((n: number) => n + 1)(1), 2);\n  });\n});\n"),
            ("npx tsc && npx rollup lib/tests/added.js -f esm -o lib/tests/only.js && "
            "npx mocha lib/tests/only.js"),
        ),
        proves="test -f node_modules/@wry/trie/lib/index.js",
    ),
    Package(
        name="go-multierror",
        needs=("go",),
        fetch=from_go("github.com/hashicorp/go-multierror@v1.1.1"),
        settings={"setup": ["go mod download"], "checks": ["go test ./..."]},
        # Go compiles its standard library anew wherever there is no cache: here once.
        own={"setup": ["go mod download", "go test -run none ./..."], "checks": ["go test ./..."]},
        adds=(
            "added_test.go",
            ('package multierror\n\nimport (\n\t"errors"\n\t"testing"\n)\n\n'
            'func TestAdded(t *testing.T) {\n\tif Append(nil, errors.New("a")).Len() != 1 {\n'
            '\t\tt.Fatal("one error was appended")\n\t}\n}\n'),
            "go test -run TestAdded .",
        ),
        proves="test -d ~/go/pkg/mod/github.com/hashicorp/errwrap@v1.0.0",
    ),
    Package(
        name="csv-core",
        needs=("cargo",),
        fetch=from_crates("csv-core", "0.1.11"),
        settings={"setup": ["cargo fetch --locked"], "checks": ["cargo test"]},
        more={".gitignore": "target/\n"},
        locks="cargo generate-lockfile",
        adds=(
            "tests/added.rs",
            ("#[test]\nfn added() {\n    let mut reader = csv_core::Reader::new();\n"
            "    let (mut out, mut ends) = ([0; 8], [0; 4]);\n"
            '    let found = reader.read_record(b"a,b\\n", &mut out, &mut ends);\n'
            "    assert_eq!(found.3, 2);\n}\n"),
            "cargo test --test added",
        ),
        proves="ls ~/.cargo/registry/src/*/memchr-2*",
    ),
)  # fmt: skip


def environ() -> dict[str, str]:
    """Return what package clients of this machine are told, for the setup's sandbox."""
    names = ("PIP_", "UV_", "NPM_", "NODE_", "GO", "CARGO_", "SSL_", "HTTP", "NO_PROXY")
    return {key: value for key, value in os.environ.items() if key.startswith(names)}


def lend_settings(home: Path) -> None:
    """Copy the settings of this user's package clients, and nothing that they have fetched."""
    for name in (".npmrc", ".cargo/config.toml", ".config/go/env", ".config/pip/pip.conf"):
        if (source := Path.home() / name).is_file():
            (home / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, home / name)


def prepared(package: Package, folder: Path) -> Path:
    """Make the package's repository with the settings that `init` proposes; return a clone."""
    (folder / "fetched").mkdir()
    origin = folder / "fetched" / package.name
    package.fetch(origin)
    for name, text in package.more.items():
        (origin / name).write_text(text)
    if package.locks:
        ran(*package.locks.split(), folder=origin)
    git(origin, "init", "-q", "-b", "main")
    commit(origin, "As it was published")
    proposed = ran(
        *(sys.executable, "starter.py", "init", "--yes", "--repo", str(origin)),
        folder=Path(__file__).parents[2],
    )
    settings = json.loads((origin / SETTINGS_FILE).read_text())
    assert settings == package.settings, proposed
    if package.own:
        (origin / SETTINGS_FILE).write_text(json.dumps(package.own))
    commit(origin, "Settings")
    clone = folder / package.name
    git(folder, "clone", "-q", str(origin), str(clone))
    return clone


def tasks(package: Package) -> tuple[Task, Task]:
    """Return the two tasks: a test beside the package's own, and a note."""
    file, text, tests = package.adds
    add = Task(
        id="add-test",
        coder=(turn(create(file, text)), turn(command(f"{package.proves} && {tests}")), done()),
        writes=(file,),
        acceptance=(package.proves, tests),
    )
    note = Task(
        id="add-note",
        coder=(turn(create("NOTES.md", "How to test it: see the settings.\n")), done()),
        writes=("NOTES.md",),
        acceptance=("grep -q settings NOTES.md",),
    )
    return add, note


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.name)
async def test_a_request_of_two_tasks_is_delivered(package: Package) -> None:
    """In a clone without anything installed: the setup is allowed once, installs what the package
    needs, and base, tasks and merged tree pass its own suite; the clone gets a branch alone.
    """
    if missing := [each for each in package.needs if shutil.which(each) is None]:
        pytest.fail(f"{package.name} needs {', '.join(missing)} on the PATH: install Debian's")
    said = script(play(package.name, *tasks(package)))
    folder = Path(tempfile.mkdtemp(prefix="orchestcode-test-"))
    lend_settings(folder)
    async with LocalDeployment(said, environ=environ(), folder=folder) as deployment:
        clone = prepared(package, deployment.folder)
        before = snapshot(clone)
        handle = await deployment.start_request(package.name, clone, branch="made")
        asked = await deployment.waiting(handle)
        assert [each.id for each in asked.approvals] == ["setup"]
        answered = await deployment.starter("approve", package.name, "setup")
        assert answered.returncode == 0, answered
        status = await deployment.delivered(handle, seconds=SECONDS)
        print(*shown(package, status), sep="\n")
        assert disturbed(before, snapshot(clone), branch="made") == set()

    checks = (package.own or package.settings)["checks"]
    assert [task.state for task in status.tasks] == ["done", "done"]
    assert list(status.base_passes) == list(checks)
    assert all(check.passed for check in status.checks)
    assert [check.command for check in status.checks][-len(checks) :] == list(checks)
    assert status.checks_from == f"{SETTINGS_FILE} of the base"
    assert any("ran in" in note for note in status.notes)


def shown(package: Package, status: RequestStatus) -> list[str]:
    """Return what a reader of the run wants to see."""
    return [
        f"== {package.name}: {status.state}, branch {status.branch} at {str(status.commit)[:12]}",
        *(f"   {note}" for note in status.notes),
        *(f"   base passes: {command}" for command in status.base_passes),
        *(
            f"   {'passed' if check.passed else 'FAILED'} in {check.seconds:.1f} s: {check.command}"
            for check in status.checks
        ),
    ]
