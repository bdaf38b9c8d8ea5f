"""`python -m tests.system.dying_cleaner HOME ADDRESS`: clean-ups that die at a step.

Each line of standard input is `[ORDER, STEP]`. A process of its own does what the worker's
activity does, on the same home, and kills itself (SIGKILL) right before its step STEP: a file that
it renames or removes, a git that it starts, references that it moves, a history that it has
deleted. 0: it does not die. Answers with report and number of steps, or with null when it died.
"""

import asyncio
import json
import os
import signal
import sys
import traceback
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from temporalio.testing import ActivityEnvironment

from activities.clean_up import FinishedRequests
from activities.reconcile import HostReconciler
from contracts.clean_up import CleanUp
from contracts.reconcile import Reconcile
from infra.layers import Layers
from infra.store.open_stores import OpenStores
from infra.store.refs import References
from infra.worktrees.open_pools import OpenPools
from infra.worktrees.users import first_user
from runtime.connect import connect
from runtime.host import host_id
from runtime.services.child_process import end_process
from runtime.settings import Settings, load

_FILES = ("os.rename", "os.remove", "os.rmdir", "shutil.rmtree")


class Steps:
    """Counts steps, and ends this process before one of them."""

    def __init__(self, last: int, home: Path) -> None:
        self.count = 0
        self._last = last
        self._home = str(home)

    def step(self) -> None:
        """Count one; die if it is the last."""
        self.count += 1
        if self.count == self._last:
            os.kill(os.getpid(), signal.SIGKILL)

    def audited(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Count what Python says it is about to do below the home."""
        if event == "subprocess.Popen" or (
            event in _FILES and str(arguments[0]).startswith(self._home)
        ):
            self.step()

    def before(self, method: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        """Return a method that is a step."""

        async def counted(*arguments: Any, **options: Any) -> Any:
            self.step()
            return await method(*arguments, **options)

        return counted


async def clean_up(settings: Settings, address: str, order: CleanUp, steps: Steps) -> str:
    """Clean up, and return the report as JSON."""
    client = await connect(settings, address=address)
    stores = OpenStores(settings.stores)
    pools = OpenPools(
        stores,
        settings.worktrees,
        host_id=host_id(settings),
        uid_base=first_user(settings.home),
    )
    reconciler = HostReconciler(
        stores,
        pools,
        client,
        home=settings.home,
        layers=Layers(settings.layers),
        forgotten=lambda: None,
    )
    wanted = Reconcile(host_id=host_id(settings), without_packing=True, clean=order)
    counted = ((References, "update"), (FinishedRequests, "_forget"))
    for owner, name in counted:
        setattr(owner, name, steps.before(getattr(owner, name)))
    sys.addaudithook(steps.audited)
    try:
        report = await ActivityEnvironment().run(reconciler.reconcile, wanted)
    finally:
        await stores.close()
    assert report.cleaned is not None
    return str(report.cleaned.model_dump_json())


def main() -> None:
    """Clean up as each line says."""
    home, address = sys.argv[1:]
    settings = load({**os.environ, "ORCHESTCODE_HOME": home})
    for line in sys.stdin:
        order, last = json.loads(line)
        child = os.fork()  # nothing of the SDK runs yet
        if child == 0:
            _child(settings, address, CleanUp.model_validate(order), Steps(last, settings.home))
        if os.waitpid(child, 0)[1] == signal.SIGKILL:
            print("null", flush=True)


def _child(settings: Settings, address: str, order: CleanUp, steps: Steps) -> None:
    try:
        report = asyncio.run(clean_up(settings, address, order, steps))
        print(json.dumps({"report": json.loads(report), "steps": steps.count}), flush=True)
    except Exception:  # noqa: BLE001 - told to whoever ordered it
        print(json.dumps({"error": traceback.format_exc()}), flush=True)
    end_process(0)


if __name__ == "__main__":
    main()
    end_process(0)
