"""A real package with a test suite of its own, changed in three ways at once.

Its source distribution comes from the package index through pip, pinned by its hash, and is kept
under build/. The model's replies are rehearsed (real_package.json); its tools work for real.
"""

import importlib.util
import itertools
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterable
from pathlib import Path

import pytest

from rehearsal import journal
from rehearsal.journal import Entry
from tests import journal_checks
from tests.local_deployment import ROOT, LocalDeployment, changed, commit, git, snapshot

pytestmark = pytest.mark.minutes

SCRIPT = Path(__file__).with_name("real_package.json")
REQUIREMENTS = ROOT / "requirements"
KEPT = ROOT / "build" / "real-input"
SUITE = "python3 -m unittest -q"
"""The package's own suite: 119 tests, a fraction of a second."""
TASKS = ("mend-normalize", "add-read-spec", "document-prefix")
SOUND = "\t\t# Remove current directory prefix.\n\t\tnorm_file = norm_file[2:]"
PLANTED = SOUND.replace("[2:]", "[1:]")


def source_distribution() -> Path:
    """Return the package's source distribution, fetched once and checked against its hash each
    time.

    pip builds a distribution's metadata even when it only downloads it. The backend for that is a
    pinned wheel, which Python imports as it is: nothing is installed, nothing unpinned runs.
    """
    backend = _fetched("real-input-build.txt", "flit_core-*.whl")
    from_source = ("--no-binary", ":all:", "--no-build-isolation")
    return _fetched("real-input.txt", "pathspec-*.tar.gz", *from_source, path=backend)


def _fetched(requirements: str, pattern: str, *options: str, path: Path | None = None) -> Path:
    there = next(KEPT.glob(pattern), None)
    index = [] if there is None else ["--no-index", "--find-links", str(KEPT)]
    pinned = ["--no-deps", "--require-hashes", "-r", str(REQUIREMENTS / requirements)]
    _pip("download", *index, *pinned, *options, "--dest", str(KEPT), path=path)
    return next(KEPT.glob(pattern))


def _pip(*words: str, path: Path | None = None) -> None:
    # A virtual environment may have been made without pip; the Python beneath it has one then.
    own = importlib.util.find_spec("pip") is not None
    python = sys.executable if own else str(getattr(sys, "_base_executable", sys.executable))
    command = [python, "-m", "pip", *words, "--quiet", "--disable-pip-version-check"]
    environ = {**os.environ, **({"PYTHONPATH": str(path)} if path else {})}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(words)}: {done.stderr}"


def unpacked(archive: Path, folder: Path) -> Path:
    """Make a repository of the published archive, and plant a bug in a second commit."""
    with tarfile.open(archive) as files:
        files.extractall(folder.parent / "unpacked", filter="data")
    next((folder.parent / "unpacked").iterdir()).rename(folder)
    git(folder, "init", "-q", "-b", "main")
    commit(folder, "As it was published")
    util = folder / "pathspec" / "util.py"
    text = util.read_text()
    assert text.count(SOUND) == 1
    util.write_text(text.replace(SOUND, PLANTED))
    commit(folder, "Tidy up")
    return folder


def suite(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the package's own suite in a folder."""
    environ = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, *SUITE.split()[1:]]
    return subprocess.run(
        command, cwd=folder, env=environ, capture_output=True, text=True, check=False
    )


def worked(entries: Iterable[Entry], task: str) -> tuple[float, float]:
    """Return when a task's coder began its first and ended its last call of the model."""
    own = [entry for entry in entries if (entry.role, entry.task) == ("coder", task)]
    return min(entry.time_received for entry in own), max(entry.time_done for entry in own)


@pytest.mark.system
async def test_three_parallel_changes_of_a_real_package_are_delivered(tmp_path: Path) -> None:
    """A fixed bug, a new function and a page become three tested commits on one branch."""
    async with LocalDeployment(SCRIPT) as deployment:
        package = unpacked(source_distribution(), deployment.folder / "pathspec")
        assert "FAILED (failures=1)" in suite(package).stderr
        base, before = git(package, "rev-parse", "HEAD"), snapshot(package)

        handle = await deployment.start_request("pathspec", package, checks=[SUITE], branch="three")
        status = await deployment.delivered(handle, seconds=180)

        tip = git(package, "rev-parse", "three")
        assert (status.branch, status.commit) == ("three", tip)
        assert {task.id: task.state for task in status.tasks} == dict.fromkeys(TASKS, "done")
        assert [(check.command, check.exit_code) for check in status.checks][-1] == (SUITE, 0)
        assert all(check.passed for check in status.checks)
        _look_at_commits(package, base)
        _look_at_files(package, tmp_path / "delivered")
        touched = changed(before, snapshot(package))
        assert {path for path in touched if not path.startswith(".git/objects")} <= {
            *(".git/refs/heads", ".git/refs/heads/three"),
            *(".git/logs/refs/heads", ".git/logs/refs/heads/three"),
        }
        _look_at_journal(deployment.journal())


def _look_at_commits(package: Path, base: str) -> None:
    """One commit a task, with the agent's title and the task's name, beside merges of the queue."""
    log = git(package, "log", "--no-merges", "--format=%s", f"{base}..three")

    assert sorted(log.splitlines()) == [
        "Add read_spec(), which reads patterns from a file",
        "Document paths that begin with ./",
        "Remove the whole ./ prefix of a path",
    ]
    trailers = git(
        package,
        "log",
        "--no-merges",
        "--format=%(trailers:key=OrchestCode-Task,valueonly,separator=)",
        f"{base}..three",
    )
    assert sorted(trailers.split()) == sorted(TASKS)


def _look_at_files(package: Path, delivered: Path) -> None:
    """The branch holds all three changes and nothing else, and the test suite passes on it."""
    names = git(package, "diff", "--name-status", "main", "three").splitlines()

    assert names == [
        "M\tREADME.rst",
        "M\tpathspec/__init__.py",
        "A\tpathspec/reading.py",
        "M\tpathspec/util.py",
        "A\ttests/test_05_reading.py",
    ]
    git(package, "clone", "-q", "--branch", "three", str(package), str(delivered))
    assert SOUND in (delivered / "pathspec" / "util.py").read_text()
    ran = suite(delivered)
    assert ran.returncode == 0, ran.stderr
    assert "Ran 121 tests" in ran.stderr


def _look_at_journal(entries: list[Entry]) -> None:
    """The script answered every call, nothing was repeated, and the three coders overlapped."""
    assert journal.failures(entries) == []
    assert journal_checks.repeated(entries) == []
    spans = [worked(entries, task) for task in TASKS]
    for (first, ended), (second, until) in itertools.combinations(spans, 2):
        assert max(first, second) < min(ended, until)
