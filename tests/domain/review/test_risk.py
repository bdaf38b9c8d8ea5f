"""Why a person should look at a change: which paths say so, and which only look as if."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.review.risk import LARGE_FILE_BYTES, PatchFile, risks

PROPERTY = settings(deadline=None, max_examples=150)


def of(*paths: str, lines: int = 1) -> str:
    """The risks of a change of these paths, joined."""
    return "; ".join(risks(paths, added=lines, deleted=0, outside=(), deleted_tests=()))


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("src/auth/login.py", "authentication"),
        ("src/authClient.ts", "authentication"),
        ("app/OAuthProvider.java", "authentication"),
        ("api/reset_password.py", "authentication"),
        ("config/secrets.yml", "authentication"),
        ("billing/invoice.py", "billing"),
        ("src/StripePayment.ts", "billing"),
        ("app/migrations/0001_initial.py", "migrations"),
        ("alembic/env.py", "migrations"),
        (".github/workflows/ci.yml", "continuous integration"),
        (".gitlab-ci.yml", "continuous integration"),
        ("Jenkinsfile", "continuous integration"),
        ("pyproject.toml", "dependencies"),
        ("requirements/dev.in", "dependencies"),
        ("requirements-dev.txt", "dependencies"),
        ("web/package.json", "dependencies"),
        ("uv.lock", "dependencies"),
        ("Cargo.toml", "dependencies"),
        ("Dockerfile", "deployment"),
        ("infra/main.tf", "deployment"),
        ("deploy/run.sh", "deployment"),
        ("docker-compose.prod.yml", "deployment"),
    ],
)
def test_a_sensitive_path_is_named(path: str, words: str) -> None:
    """The kind of risk and the path."""
    assert words in of(path)
    assert path in of(path)


@pytest.mark.parametrize(
    "path",
    [
        "src/author.py",
        "src/authoring/page.py",
        "src/tokenizer.py",
        "docs/authentication.md",
        "docs/deploy.rst",
        "src/billboard.py",
        "src/immigration.py",
        "src/lockfile.py",
        "src/package.py",
        "src/app.py",
        "tests/test_app.py",
    ],
)
def test_a_harmless_path_is_not(path: str) -> None:
    """Words that merely contain a sensitive one, and prose, need nobody."""
    assert of(path) == ""


def test_size_deleted_tests_and_strange_paths_are_risks_of_their_own() -> None:
    """More than 400 lines; tests that are gone; paths that nobody declared."""
    found = risks(
        ["src/a.py"],
        added=300,
        deleted=101,
        outside=["z.py", "b.py"],
        deleted_tests=["tests/test_a.py"],
    )

    assert found == (
        "deletes tests: tests/test_a.py",
        "changes paths that the task did not declare: b.py, z.py",
        "changes 401 lines, more than 400",
    )
    assert of("src/a.py", lines=400) == ""


def what(file: PatchFile) -> str:
    """The risks of one file for what it is, joined."""
    return "; ".join(risks([], added=0, deleted=0, outside=(), deleted_tests=(), files=[file]))


@pytest.mark.parametrize(
    ("file", "words"),
    [
        (
            PatchFile(path="link", target="/etc/passwd"),
            "adds a link that leads out of the repository: link -> /etc/passwd",
        ),
        (
            PatchFile(path="a/b/link", target="../../../x"),
            "adds a link that leads out of the repository: a/b/link -> ../../../x",
        ),
        (
            PatchFile(path="a/hooks", target="../.git/hooks"),
            "adds a link into git's own folder: a/hooks -> ../.git/hooks",
        ),
        (
            PatchFile(path="vendor", repository=True),
            "changes which commit of another repository belongs here: vendor",
        ),
        (
            PatchFile(path="data.csv", size=30_000_000),
            "adds a file of more than 1,000,000 bytes: data.csv (30,000,000 bytes)",
        ),
        (
            PatchFile(path="lib.so", size=9, binary=True),
            "adds a binary file, which no review can read: lib.so",
        ),
        (
            PatchFile(path="a\nb.txt"),
            r"has a file name that cannot be shown as it is: 'a\nb.txt'",
        ),
        (
            PatchFile(path="r\udce9.txt"),
            r"has a file name that cannot be shown as it is: 'r\xe9.txt'",
        ),
        (
            PatchFile(path="x.py", misleads=True),
            "adds text whose direction is turned, so that it reads otherwise than it runs: x.py",
        ),
    ],
)
def test_what_a_file_is_can_be_a_risk_wherever_it_lies(file: PatchFile, words: str) -> None:
    """Each kind has words of its own, and the name is shown so that nothing in it is hidden."""
    assert what(file) == words


@pytest.mark.parametrize(
    "file",
    [
        PatchFile(path="a.txt", size=LARGE_FILE_BYTES),
        PatchFile(path="docs/link", target="../README.md"),
        PatchFile(path="a/.gitignore", target=".gitignore"),
        PatchFile(path="logo.png", size=40_000, binary=True),
        PatchFile(path="moved.bin", size=30_000_000, binary=True, moved=True),
        PatchFile(path="straße 👩\u200d💻.txt"),
    ],
)
def test_ordinary_files_need_nobody(file: PatchFile) -> None:
    """Links inside, small pictures, what was only moved, and names in any script."""
    assert what(file) == ""


def test_many_paths_are_counted() -> None:
    """A sentence stays short however many files it is about."""
    assert of(*(f"auth/f{n}.py" for n in range(9))) == (
        "touches authentication or secrets: auth/f0.py, auth/f1.py, auth/f2.py and 6 more"
    )


@PROPERTY
@given(st.lists(st.text(max_size=40) | st.sampled_from(["auth/a.py", "go.mod"]), max_size=8))
def test_the_order_of_paths_means_nothing(paths: list[str]) -> None:
    """Any paths, even nonsense, give the same sentences in any order, none of them long."""
    assert of(*paths) == of(*reversed(paths))
    assert all(len(each) <= 1_000 for each in of(*paths).split("; "))
