"""Tests that share ports or a deployment run in one process: the runner keeps groups together."""

import re
import subprocess
import sys
from pathlib import Path

MODULE = """
import pytest

pytestmark = pytest.mark.xdist_group("one")


@pytest.mark.parametrize("number", range(6))
def test_it(number: int) -> None:
    assert number >= 0
"""


def test_the_tests_of_a_group_run_in_one_process(tmp_path: Path) -> None:
    """Of two modules; where the runner's parts do not fit each other it says nothing."""
    for name in ("first", "second"):
        (tmp_path / f"test_{name}.py").write_text(MODULE)
    options = ("-v", "-n", "2", "--dist", "loadgroup", "-p", "no:cacheprovider")
    words = [sys.executable, "-m", "pytest", *options, f"--rootdir={tmp_path}", str(tmp_path)]
    ran = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=True)

    processes = re.findall(r"^\[(gw\d)\].*PASSED", ran.stdout, re.MULTILINE)
    assert len(processes) == 12, ran.stdout
    assert len(set(processes)) == 1, ran.stdout
