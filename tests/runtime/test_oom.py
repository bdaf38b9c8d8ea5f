"""A process without memory ends at once; any other error is none of this module's business."""

import signal
import subprocess
import sys

import pytest

from tests.local_deployment import ROOT

LOOP = """
import asyncio, sys
from runtime.oom import watch_memory

async def main():
    loop = asyncio.get_running_loop()
    watch_memory(loop)
    def wrong():
        raise {error}
    loop.call_soon(wrong)
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
    words = [sys.executable, "-c", code.format(error=error)]
    return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)


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
    """Whether a callback of the loop met it or it is the cause of another error."""
    ran = _run(code, error)
    assert ran.returncode == -signal.SIGKILL, ran
    assert ran.stderr.endswith("out of memory; this process ends, its supervisor starts another\n")


@pytest.mark.parametrize("code", [LOOP, DIRECT], ids=["a-callback", "a-cause"])
@pytest.mark.parametrize("error", ["ValueError('wrong')", "OSError(28, 'full')"])
def test_any_other_error_ends_nothing(code: str, error: str) -> None:
    """It is left to those who know it; the loop reports it as ever."""
    ran = _run(code, error)
    assert ran.returncode == 0, ran
    assert "out of memory" not in ran.stderr
