"""Git objects made without a work tree: trees of patches, merges and resolutions."""

import os
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.cooperbench.dataset import DatasetError


class Git:
    """One repository, and what it makes.

    Args:
        folder: the repository's git directory.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "GIT_DIR": str(folder),
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_AUTHOR_DATE": "1600000000 +0000",
            "GIT_COMMITTER_DATE": "1600000000 +0000",
            **{
                f"GIT_{who}_{what}": value
                for who in ("AUTHOR", "COMMITTER")
                for what, value in (("NAME", "Bench"), ("EMAIL", "bench@example.org"))
            },
        }

    def run(
        self,
        *words: str,
        data: bytes = b"",
        ok: Sequence[int] = (0,),
        environment: Mapping[str, str] | None = None,
    ) -> tuple[int, bytes]:
        """Run git and return its exit code and output.

        Raises:
            DatasetError: another exit code than those that are ok.
        """
        done = subprocess.run(
            ["git", *words],
            input=data,
            env={**self._environment, **(environment or {})},
            capture_output=True,
            check=False,
        )
        if done.returncode not in ok:
            said = done.stderr.decode(errors="replace").strip()
            raise DatasetError(f"git {' '.join(words[:3])} in {self.folder}: {said[-300:]}")
        return done.returncode, done.stdout

    def text(self, *words: str) -> str:
        """Run git and return what it prints, stripped."""
        return self.run(*words)[1].decode(errors="surrogateescape").strip()

    def blob(self, data: bytes) -> str:
        """Store a file's content."""
        return self.run("hash-object", "-w", "--stdin", data=data)[1].decode().strip()

    def content(self, tree: str, path: str) -> bytes | None:
        """Return a file of a tree, None when there is none."""
        code, data = self.run("cat-file", "blob", f"{tree}:{path}", ok=(0, 128))
        return data if code == 0 else None

    def commit(self, tree: str, *parents: str, message: str) -> str:
        """Store a commit."""
        words = [word for parent in parents for word in ("-p", parent)]
        return self.run("commit-tree", tree, *words, data=message.encode())[1].decode().strip()

    def applied(self, tree: str, patch: bytes) -> str:
        """Return a tree with a patch, taken as the dataset's own runner takes it.

        Raises:
            DatasetError: it does not apply.
        """
        with tempfile.TemporaryDirectory() as folder:
            environment = {"GIT_INDEX_FILE": f"{folder}/index", "GIT_WORK_TREE": folder}
            self.run("read-tree", tree, environment=environment)
            plain = ("apply", "--cached", "--ignore-whitespace", "--whitespace=nowarn", "-")
            code, _ = self.run(*plain, data=patch, ok=(0, 1, 128), environment=environment)
            if code:
                self.run("apply", "--cached", "--3way", "-", data=patch, environment=environment)
            return self.run("write-tree", environment=environment)[1].decode().strip()

    def with_files(self, tree: str, files: Mapping[str, bytes | None]) -> str:
        """Return a tree with these files; None leaves one out."""
        with tempfile.TemporaryDirectory() as folder:
            environment = {"GIT_INDEX_FILE": f"{folder}/index"}
            self.run("read-tree", tree, environment=environment)
            lines = [
                f"0 {'0' * 40}\t{path}\n" if data is None else f"{mode} {self.blob(data)}\t{path}\n"
                for path, data in files.items()
                for mode in (self._mode(tree, path),)
            ]
            self.run(
                "update-index",
                "--index-info",
                data="".join(lines).encode(),
                environment=environment,
            )
            return self.run("write-tree", environment=environment)[1].decode().strip()

    def _mode(self, tree: str, path: str) -> str:
        return self.text("ls-tree", "--format=%(objectmode)", tree, "--", path) or "100644"

    def merge(self, ours: str, theirs: str) -> tuple[str, tuple[str, ...]]:
        """Return the tree of a merge of two commits, and the paths in which it conflicts."""
        words = ("merge-tree", "--write-tree", "-z", "--name-only", "--no-messages", ours, theirs)
        _, out = self.run(*words, ok=(0, 1))
        tree, *paths = out.decode(errors="surrogateescape").split("\0")
        return tree, tuple(path for path in paths if path)

    def missing(self, tree: str) -> list[str]:
        """Return the paths of a tree whose content is not there: mirrors may lack large files."""
        out = self.run("ls-tree", "-r", "-z", "--format=%(objecttype) %(objectname) %(path)", tree)[
            1
        ]
        rows = [os.fsdecode(row).split(" ", 2) for row in out.split(b"\0") if row]
        blobs = [(oid, path) for kind, oid, path in rows if kind == "blob"]
        asked = "".join(f"{oid}\n" for oid, _ in blobs).encode()
        told = self.run("cat-file", "--batch-check=%(objectname)", data=asked)[1].splitlines()
        answers = zip(blobs, told, strict=True)
        return [path for (_, path), line in answers if line.endswith(b" missing")]

    def changed(self, before: str, after: str) -> list[str]:
        """Return the paths that differ between two trees."""
        out = self.run("diff-tree", "-r", "-z", "--no-renames", "--name-only", before, after)[1]
        return [os.fsdecode(path) for path in out.split(b"\0") if path]
