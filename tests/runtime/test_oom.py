"""A process that runs out of memory ends at once; other errors do not end it."""

import signal
import subprocess
import sys

import pytest

from tests.local_deployment import ROOT

LOOP = """
import asyncio, sys
from runtime.oom import install_oom_handler

async def main():
    loop = asyncio.get_running_loop()
    install_oom_handler(loop)
    def fail():
        raise {error}
    loop.call_soon(fail)
    await asyncio.sleep(0.05)

asyncio.run(main())
"""
DIRECT = """
from runtime.oom import end_if_out_of_memory

error = RuntimeError("the outer one")
error.__cause__ = {error}
end_if_out_of_memory(error)
"""


def _run(code: str, error: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code.format(error=error)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("code", [LOOP, DIRECT], ids=["a-callback", "a-cause"])
@pytest.mark.parametrize(
    "error",
    [
        "MemoryError()",
        "OSError(12, 'Cannot allocate memory')",
        'RuntimeError("can\'t start new thread")',
    ],
)
def test_a_process_without_memory_ends_at_once_and_says_why(code: str, error: str) -> None:
    """Raised in a callback of the loop, or as the cause of another error."""
    ran = _run(code, error)
    assert ran.returncode == -signal.SIGKILL, ran
    assert ran.stderr.endswith("out of memory; this process ends, its supervisor starts another\n")


@pytest.mark.parametrize("code", [LOOP, DIRECT], ids=["a-callback", "a-cause"])
@pytest.mark.parametrize("error", ["ValueError('wrong')", "OSError(28, 'full')"])
def test_other_errors_do_not_end_the_process(code: str, error: str) -> None:
    """The loop reports them as usual."""
    ran = _run(code, error)
    assert ran.returncode == 0, ran
    assert "out of memory" not in ran.stderr
