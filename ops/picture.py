"""Make the pictures of README.md: `make picture`, or `python -m ops.picture`.

They show one request of the demonstration, carried out for them: the live view while its agents
work, and its card while the plan waits. The model is rehearsed, everything else is real.
"""

import asyncio
import io
import json
import os
import re
import time
from collections.abc import Iterable
from pathlib import Path

from rich.console import Console, RenderableType
from rich.markdown import Markdown

from cli.answer_pad import AnswerPad
from cli.answers import answer_shown
from cli.client import RequestSummary
from cli.client.connection import Service, connected
from cli.context import CliContext
from cli.kept import KeptOnHost, kept_on_host
from cli.main import main as run_command
from cli.snapshot import Snapshot
from cli.views.live import live_view
from cli.views.pad import PadView
from cli.watching.feed_reader import FeedReader
from contracts.approvals import Choice
from contracts.request import RequestStatus
from contracts.task import TaskState
from domain.request.markdown import card
from examples.demo.__main__ import CHECK, REQUEST
from examples.demo.deployment import HERE, DemoDeployment, demo_deployment, sample_repository
from infra.live.reader import LiveReader
from runtime.services.child_process import end_process
from runtime.settings import load

ROOT = Path(__file__).resolve().parents[1]
PICTURES = ROOT / "docs" / "pictures"
COLUMNS, ROWS = 100, 32
_CARD_COLUMNS = 88
_PAUSE_SECONDS = 0.05
_MOST_SECONDS = 180.0
_PROGRAM = "orchestcode"
_FETCHED_FONT = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)


def main() -> int:
    """Carry the request out and write both pictures."""
    build = ROOT / "build" / "picture"
    build.mkdir(parents=True, exist_ok=True)
    script = build / "script.json"
    script.write_text(json.dumps(_spoken_slowly(json.loads((HERE / "script.json").read_text()))))
    with demo_deployment(build, os.environ, keep=None, script=script) as deployment:
        asked, watched = _carry_out(deployment)
    PICTURES.mkdir(exist_ok=True)
    pad = PadView(AnswerPad(), watched.status.id, _PROGRAM)
    view = live_view(watched, program=_PROGRAM, fit=True, asked=pad)
    _write("watch", f"{_PROGRAM} watch", view, columns=COLUMNS)
    _write("card", "User Metadata", Markdown(card(asked)), columns=_CARD_COLUMNS)
    print(f"The request cost ${watched.status.cost_usd:.2f} up to its picture.")
    return 0


def _spoken_slowly(script: dict[str, object]) -> dict[str, object]:
    """Return the demonstration's script with pauses in what coders say, so that it is seen."""
    casts = script["casts"]
    assert isinstance(casts, list)
    for cast in casts:
        for turn in cast["turns"]:
            turn.setdefault("fault", [{"kind": "slow", "ms": 150}])
    return script


def _carry_out(deployment: DemoDeployment) -> tuple[RequestStatus, Snapshot]:
    repository = sample_repository(deployment.folder / "shop")
    context = CliContext(
        environ=deployment.environ,
        folder=Path.cwd(),
        now=time.time,
        program=_PROGRAM,
        stdout=io.StringIO(),
    )
    words = ["run", "--repo", str(repository), "--check", CHECK, "--approve", "plan", "--detach"]
    run_command([*words, REQUEST], context)
    return asyncio.run(_watched(context))


async def _watched(context: CliContext) -> tuple[RequestStatus, Snapshot]:
    """Return the status while the plan waits, and the snapshot that shows most."""
    async with connected(context, worker=False) as service, kept_on_host(context) as kept:
        [request] = await service.requests.open()
        reader = LiveReader(load(context.environ).live, request.key)
        feed = FeedReader(kept, request, reader, str)
        asked = await _until_asked(service, request)
        [plan] = asked.approvals
        await answer_shown(service, request, plan, Choice.APPROVE, reason="", context=context)
        best = await _best(service, request, kept, feed, context)
    return asked, best


async def _until_asked(service: Service, request: RequestSummary) -> RequestStatus:
    while True:
        status = await service.requests.status(request.id)
        if status.approvals:
            return status
        await asyncio.sleep(_PAUSE_SECONDS)


async def _best(
    service: Service,
    request: RequestSummary,
    kept: KeptOnHost,
    feed: FeedReader,
    context: CliContext,
) -> Snapshot:
    best, most = None, -1
    until = time.monotonic() + _MOST_SECONDS
    while time.monotonic() < until:
        if (await service.requests.summary(request.id)).closed:
            break
        status = await service.requests.status(request.id)
        taken = await kept.snapshot(service.requests, request, status)
        await feed.read_log()
        shown = Snapshot(
            status=taken.status,
            agents=taken.agents,
            queue=taken.queue,
            seconds=request.seconds(context.now()),
            feed=feed.feed(),
        )
        if (value := _value(shown)) >= most:
            best, most = shown, value
        await asyncio.sleep(_PAUSE_SECONDS)
    if best is None:
        raise SystemExit("The request ended before anything of it was seen.")
    return best


def _value(shown: Snapshot) -> int:
    """Return how much of what the view can show is seen in a snapshot."""
    states = {row.state for row in shown.status.tasks}
    words = sum(min(reply.chars, 60) for reply in shown.feed.replies)
    wanted = (TaskState.DONE, TaskState.RUNNING, TaskState.REVIEW)
    at_work = sum(row.state is TaskState.RUNNING for row in shown.status.tasks)
    return 100 * sum(state in states for state in wanted) + words + 30 * at_work


def _write(name: str, title: str, view: RenderableType, *, columns: int) -> None:
    console = Console(
        file=io.StringIO(), record=True, width=columns, height=ROWS, force_terminal=True
    )
    console.print(view)
    file = PICTURES / f"{name}.svg"
    file.write_text(_own_font(console.export_svg(title=title, unique_id=name)), encoding="utf-8")
    print(f"{file.relative_to(ROOT)}: {file.stat().st_size // 1_000} kB")


def _own_font(svg: str) -> str:
    """Return the picture without the fonts that it would fetch from elsewhere."""
    return _FETCHED_FONT.sub("", svg).replace("Fira Code", "ui-monospace, monospace")


def texts(svg: str) -> Iterable[str]:
    """Return the texts of a picture, each on its own."""
    return (found.replace("&#160;", " ") for found in re.findall(r"<text[^>]*>(.*?)</text>", svg))


if __name__ == "__main__":
    end_process(main())
