"""The commands against a real Temporal server, with scripted requests."""

import asyncio
import contextlib
import datetime as dt
import io
import json
import os
import secrets
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from temporalio.client import Client

from cli import inbox, watcher
from cli.client import RequestClient, queries
from cli.command import run_command
from cli.command_files import split_command
from cli.context import CliContext
from cli.exit_codes import ExitCode, ServiceUnavailable, UsageError
from cli.main import main
from contracts.request import RequestStart
from contracts.visibility import RunState
from domain.text import NO_TEXT
from tests.cli.played_request import COMMIT, playing

if TYPE_CHECKING:
    from runtime.services.embedded_server import EmbeddedServer
    from runtime.settings import Settings

pytestmark = pytest.mark.system


class Person:
    """Types commands and reads what they print."""

    def __init__(self, environ: dict[str, str], folder: Path) -> None:
        self.environ = environ
        self.folder = folder
        self.out = io.StringIO()
        self.err = io.StringIO()

    def context(self) -> CliContext:
        """Return the context of the next command, with empty streams."""
        self.out, self.err = io.StringIO(), io.StringIO()
        return CliContext(
            environ=self.environ,
            folder=self.folder,
            now=time.time,
            user="ada",
            stdout=self.out,
            stderr=self.err,
        )

    async def types(self, *words: str) -> ExitCode:
        """Execute a command and return its exit code."""
        name, rest = split_command(words)
        return await run_command(name, rest, self.context())


@pytest.fixture(scope="module", autouse=True)
async def tidy(client: Client) -> AsyncIterator[None]:
    """Leave no open request on the session's server for the workers of other tests."""
    begun = dt.datetime.now(dt.UTC).isoformat()
    yield
    query = f'WorkflowType="RequestWorkflow" AND ExecutionStatus="Running" AND StartTime>="{begun}"'
    async for left in client.list_workflows(query):
        await client.get_workflow_handle(left.id).terminate()


@pytest.fixture
def short_timeouts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Report an unavailable worker soon."""
    monkeypatch.setattr(queries, "QUERY_SECONDS", 0.7)
    monkeypatch.setattr(watcher, "UNAVAILABLE_SECONDS", 0.5)


@pytest.fixture
async def person(
    temporal_server: "EmbeddedServer", tmp_path: Path, home: Path, short_timeouts: None
) -> Person:
    """A person with a model key and an empty folder `repo`, who uses the session's server."""
    (tmp_path / "repo").mkdir()
    return Person(
        {
            "ORCHESTCODE_HOME": str(home),
            "HOME": str(tmp_path),
            "TEMPORAL_ADDRESS": temporal_server.address,
            "ANTHROPIC_API_KEY": "none of a real account",
            "PATH": "/usr/bin:/bin",
            "VIRTUAL_ENV": "/venv",
        },
        tmp_path,
    )


async def started(client: Client, request: str = "Mend the shop") -> str:
    """Start a request as `run` would and return its id."""
    name = f"request/mend-{secrets.token_hex(4)}"
    await RequestClient(client).start(
        RequestStart(repository="/r", request=request, checks=("true",)), request_id=name
    )
    return name


async def listed(client: Client, *names: str, states: Collection[RunState] = ()) -> None:
    """Wait until the service lists requests, in some states where they are named."""
    async with asyncio.timeout(60):
        while True:
            found = {each.id: each.state for each in await RequestClient(client).newest()}
            there = {found[name] for name in names if name in found}
            if set(names) <= found.keys() and (not states or there == set(states)):
                return
            await asyncio.sleep(0.05)


async def until(true: Callable[[], bool]) -> None:
    """Wait for something to become true, at most a minute."""
    async with asyncio.timeout(60):
        while not true():
            await asyncio.sleep(0.02)


async def test_run_watches_to_the_end_while_another_terminal_approves(
    client: Client, person: Person
) -> None:
    """`run` shows the question with the command that answers it; once answered it ends with 0 and
    the report. The workflow's input holds the absolute path, the checks and the environment.
    """
    async with playing(client):
        words = ["run", "--repo", "repo", "--check", "make test", "--approve", "plan", "Mend it"]
        run = asyncio.create_task(person.types(*words))
        await until(lambda: "approval answer with:" in person.out.getvalue())
        out = person.out
        line = next(row for row in out.getvalue().splitlines() if " approve " in row)
        answer = line.partition("starter.py ")[2].split()
        assert await person.types(*answer) is ExitCode.DELIVERED
        assert "taken from ada" in person.out.getvalue()
        assert await run is ExitCode.DELIVERED

    printed = out.getvalue()
    for word in ("Delivered: branch orchestcode/x", "claude-x (rehearsed)", "task one done"):
        assert word in printed
    first = await anext(client.get_workflow_handle("request/" + answer[1]).fetch_history_events())
    payload = first.workflow_execution_started_event_attributes.input.payloads[0].data
    sent = RequestStart.model_validate_json(payload)
    assert sent.repository == str((person.folder / "repo").resolve())
    assert sent.checks == ("make test",)
    assert sent.environment is not None
    assert sent.environment.path == "/usr/bin:/bin"
    assert sent.environment.virtual_env == "/venv"


async def test_run_detached_says_how_to_come_back(client: Client, person: Person) -> None:
    """`run --detach` ends with 3 at once and names the commands that go on with the request."""
    async with playing(client):
        code = await person.types("run", "--repo", "repo", "--detach", "Mend it")

    assert code is ExitCode.WAITING
    assert "starter.py watch mend-it-" in person.err.getvalue()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "SIGTERM"])
async def test_an_interruption_leaves_the_request_and_says_so(
    client: Client, person: Person, number: signal.Signals
) -> None:
    """Interrupted, `starter.py watch` ends within a second with 3; the request goes on."""
    starter = str(Path(__file__).parents[2] / "starter.py")
    async with playing(client):
        name = await started(client)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, starter, "watch", name),
            env=person.environ,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        assert process.stdout is not None
        async for line in process.stdout:
            if b"approval plan waits" in line:
                break
        begun = time.monotonic()
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(number)
        _, printed = await process.communicate()
        assert time.monotonic() - begun < 20
        assert (process.returncode, printed.count(b"goes on in the background")) == (3, 1)
        assert (await RequestClient(client).summary(name)).closed is None


async def test_a_refused_request_ends_with_usage(client: Client, person: Person) -> None:
    """What the worker refuses has exit code 2 and the sentence that says why."""
    async with playing(client):
        code = await person.types("run", "--repo", "repo", "Refuse this")

    assert code is ExitCode.USAGE
    assert "Refused: there is no base branch x" in person.out.getvalue()


async def test_a_rejected_request_fails_with_its_last_status(
    client: Client, person: Person
) -> None:
    """A rejection ends `watch` with 1; `status` later shows the same from the history alone."""
    async with playing(client):
        name = await started(client)
        assert await person.types("reject", name, "--reason", "too big") is ExitCode.DELIVERED
        assert await person.types("watch", name) is ExitCode.FAILED
        assert "Failed: rejected: too big" in person.out.getvalue()

    assert await person.types("status", name, "--json") is ExitCode.DELIVERED
    printed = json.loads(person.out.getvalue())
    assert printed["state"] == "FAILED"
    assert printed["reason"] == "rejected: too big"
    assert printed["tasks"][0]["id"] == "one"


async def test_status_needs_a_worker_only_while_the_request_is_open(
    client: Client, person: Person
) -> None:
    """Without a worker an open request shows what the server knows and says that no worker answers;
    an answer sent meanwhile counts when a worker comes; the end needs none.
    """
    async with playing(client):
        name = await started(client)
        await person.types("status", name)
        assert "request WAITING_APPROVAL: waits" in person.out.getvalue()

    await person.types("status", name, "--json")
    printed = json.loads(person.out.getvalue())
    assert printed["state"] == "WAITING_APPROVAL"
    assert "No worker answers" in printed["reason"]
    assert printed["request"] == "Mend the shop"
    assert await person.types("approve", name) is ExitCode.DELIVERED
    assert "The answer is sent" in person.out.getvalue()
    with pytest.raises(UsageError, match="cannot be compared"):
        await person.types("approve", name, "--digest", "0123")

    async with playing(client):
        assert await person.types("watch", name) is ExitCode.DELIVERED
    await person.types("status", name)
    assert f"Delivered: branch orchestcode/x at {COMMIT[:10]}" in person.out.getvalue()


async def test_answers_that_cannot_count_are_refused(client: Client, person: Person) -> None:
    """A question of another name, a changed digest, and a request that has ended are refused."""
    async with playing(client):
        name = await started(client)
        with pytest.raises(UsageError, match=r"^nothing called review waits"):
            await person.types("approve", name, "review")
        with pytest.raises(UsageError, match=r"^you saw ffff, not this"):
            await person.types("approve", name, "--digest", "ffff")
        with pytest.raises(UsageError, match="--digest is empty"):
            await person.types("approve", name, "--digest", "")
        assert await person.types("approve", name, "--digest", "0123") is ExitCode.DELIVERED
        await RequestClient(client).outcome(name)
        with pytest.raises(UsageError, match="has ended"):
            await person.types("approve", name)


async def test_the_inbox_lists_what_waits_of_all_requests(client: Client, person: Person) -> None:
    """Until it is answered; without a worker it says how many questions each request has."""
    async with playing(client):
        names = [await started(client), await started(client)]
        await listed(client, *names, states=[RunState.WAITING_APPROVAL])
        assert await person.types("inbox") is ExitCode.DELIVERED
        shown = person.out.getvalue()
        for name in names:
            assert f"approve {name.removeprefix('request/')} plan --digest 0123456789ab" in shown
        await person.types("approve", names[0])
        await listed(client, names[0], states=[RunState.DONE])
        await person.types("inbox", "--json")
        found = {each["request"]: each for each in json.loads(person.out.getvalue())}
        assert names[0] not in found
        question = found[names[1]]
        assert (question["id"], question["kind"], question["what"]) == ("plan", "plan", "one task")
        assert question["until"] == question["since"] + 86_400
        assert len(question["commands"]) == 3

    assert await person.types("inbox") is ExitCode.DELIVERED
    assert f"{names[1].removeprefix('request/')}: 1 question" in person.out.getvalue()
    assert "No worker answers" in person.err.getvalue()


async def test_the_inbox_asks_the_oldest_of_many_requests(
    client: Client, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And says how many it leaves out, and which command asks all."""
    monkeypatch.setattr(inbox, "_SHOWN", 1)
    async with playing(client):
        names = [await started(client) for _ in range(2)]
        await listed(client, *names, states=[RunState.WAITING_APPROVAL])
        await person.types("inbox")
        assert names[1].removeprefix("request/") not in person.out.getvalue()
        assert "with questions; list all with: " in person.err.getvalue()
        await person.types("inbox", "--all")
        assert all(name.removeprefix("request/") in person.out.getvalue() for name in names)


async def test_several_questions_are_answered_by_one_command(
    client: Client, person: Person
) -> None:
    """Each is printed with its digest; a name that does not wait answers nothing."""
    async with playing(client):
        name = await started(client)
        with pytest.raises(UsageError, match="review does not wait, so nothing was answered"):
            await person.types("approve", name, "plan", "review")
        with pytest.raises(UsageError, match="--digest is of one approval"):
            await person.types("approve", name, "--all", "--digest", "0123")
        with pytest.raises(UsageError, match="not both"):
            await person.types("approve", name, "plan", "--all")
        assert await person.types("approve", name, "--all", "--reason", "fine") is (
            ExitCode.DELIVERED
        )
        assert person.out.getvalue() == (
            "plan  0123456789ab  one task\n  approve taken from ada: fine\n"
        )


@pytest.mark.parametrize(
    ("verb", "option"), [("approve", "--reason"), ("reject", "--reason"), ("revise", "--feedback")]
)
async def test_each_answer_sends_its_choice(
    verb: str, option: str, client: Client, person: Person
) -> None:
    """`approve`, `reject` and `revise` each reach the request as that choice, with the text."""
    async with playing(client):
        name = await started(client)
        assert await person.types(verb, name, "plan", option, "as agreed") is ExitCode.DELIVERED
        assert person.out.getvalue() == f"{verb} taken from ada: as agreed\n"


async def test_notes_reach_the_request(client: Client, person: Person) -> None:
    """A note reaches the request; one for an unknown task is refused with the tasks' names."""
    async with playing(client):
        name = await started(client)
        assert await person.types("note", name, "use tabs") is ExitCode.DELIVERED
        await person.types("status", name)
        assert "notes: use tabs" in person.out.getvalue()
        with pytest.raises(UsageError, match="there are one"):
            await person.types("note", name, "use tabs", "--task", "two")
        with pytest.raises(UsageError, match="1 to 4,000"):
            await person.types("note", name, " ")


async def test_cancel_waits_for_the_end(client: Client, person: Person) -> None:
    """`cancel` ends the request and says so; a second one is refused."""
    async with playing(client):
        name = await started(client)
        assert await person.types("cancel", name) is ExitCode.DELIVERED
        assert "has ended: CANCELLED" in person.out.getvalue()
        with pytest.raises(UsageError, match="has ended"):
            await person.types("cancel", name)
        assert await person.types("watch", name) is ExitCode.FAILED


async def test_requests_are_found_by_any_unambiguous_name(client: Client) -> None:
    """The whole id, the part after request/, or a beginning; nothing and several are refused."""
    requests = RequestClient(client)
    mark = secrets.token_hex(4)
    for end in ("one", "other"):
        await requests.start(
            RequestStart(repository="/r", request="x"), request_id=f"request/{mark}-{end}"
        )
    with pytest.raises(UsageError, match="already"):
        await requests.start(
            RequestStart(repository="/r", request="x"), request_id=f"request/{mark}-one"
        )
    # The service lists what has begun a moment later.
    await listed(client, f"request/{mark}-one", f"request/{mark}-other")

    for typed in (f"request/{mark}-one", f"{mark}-one", f"{mark}-on"):
        assert (await requests.find(typed)).id == f"request/{mark}-one"
    with pytest.raises(UsageError, match="could be one of"):
        await requests.find(mark)
    with pytest.raises(UsageError, match="No request is called"):
        await requests.find(f"{mark}-two")
    with pytest.raises(UsageError, match="No request is called"):
        await requests.find('x" OR WorkflowId STARTS_WITH "')
    for end in ("one", "other"):
        await client.get_workflow_handle(f"request/{mark}-{end}").terminate()
    assert (await requests.outcome(f"request/{mark}-one")).reason == "it was terminated by a person"


async def test_list_shows_every_request_without_a_worker(client: Client, person: Person) -> None:
    """The table and the JSON array hold open and ended requests, with the same keys as status."""
    async with playing(client):
        ended, waiting = await started(client), await started(client)
        await person.types("approve", ended)
        await RequestClient(client).outcome(ended)
        await RequestClient(client).status(waiting)
    await listed(client, ended, waiting, states={RunState.DONE, RunState.WAITING_APPROVAL})

    assert await person.types("list") is ExitCode.DELIVERED
    rows = {row.split()[0]: row for row in person.out.getvalue().splitlines()}
    assert "DONE" in rows[ended.removeprefix("request/")]
    assert rows[waiting.removeprefix("request/")].split()[1:3] == ["WAITING_APPROVAL", "1"]
    await person.types("list", "--json")
    printed = {one["id"]: one for one in json.loads(person.out.getvalue())}
    assert printed[ended]["branch"] == "orchestcode/x"
    assert "No worker answers" in printed[waiting]["reason"]
    assert printed[ended].keys() == printed[waiting].keys()


@pytest.mark.parametrize(
    "words",
    [
        ["note", "mine", "x\udcff"],
        ["approve", "mine", "--reason", "x\udcff"],
        ["reject", "mine", "plan\ud800", "--reason", "x"],
        ["revise", "mine", "--feedback", "x\udcff"],
        ["status", "mine\udcff"],
    ],
    ids=ascii,
)
def test_what_is_no_text_is_refused_at_the_door(words: list[str], person: Person) -> None:
    """Bytes that are not UTF-8 are refused in one sentence, before any service is asked."""
    code = main(words, person.context())

    assert code is ExitCode.USAGE
    assert NO_TEXT in person.err.getvalue()


def test_run_without_a_model_key_says_what_to_do(person: Person) -> None:
    """Without a key nothing is started; one sentence names the variable and `make demo`."""
    del person.environ["ANTHROPIC_API_KEY"]

    code = main(["run", "--repo", "repo", "Mend it"], person.context())

    assert code is ExitCode.USAGE
    printed = person.err.getvalue()
    assert "ANTHROPIC_API_KEY" in printed
    assert "make demo" in printed
    assert printed.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        pytest.param(["--repo", "nowhere", "Mend it"], "no folder", id="no such folder"),
        pytest.param(["--repo", "repo", "  "], "REQUEST is empty", id="an empty request"),
        pytest.param(["--repo", "repo", "--check", " ", "x"], "checks", id="an empty check"),
        pytest.param(["--repo", "repo", "--base", "", "x"], "base", id="an empty base"),
        *(
            pytest.param(["--repo", "repo", *words], NO_TEXT, id=f"bytes in {words[0]!a}")
            for words in (
                ["x\udcff"],
                ["--check", "x\ud800", "x"],
                ["--base", "x\udcff", "x"],
                ["--branch", "x\udfff", "x"],
            )
        ),
    ],
)
def test_run_refuses_bad_input_before_anything_starts(
    words: list[str], said: str, person: Person
) -> None:
    """What cannot be a request ends with 2 and one sentence, before any service is asked."""
    code = main(["run", *words], person.context())

    assert code is ExitCode.USAGE
    assert said in person.err.getvalue()
    assert person.err.getvalue().count("\n") == 1


def test_a_server_that_is_gone_is_named(tmp_path: Path) -> None:
    """An address where nothing listens ends with one sentence."""
    person = Person(
        {"ORCHESTCODE_HOME": str(tmp_path), "TEMPORAL_ADDRESS": "127.0.0.1:1"}, tmp_path
    )

    code = main(["list"], person.context())

    assert code is ExitCode.FAILED
    assert "No Temporal service answers at 127.0.0.1:1" in person.err.getvalue()


@pytest.mark.usefixtures("short_timeouts")
async def test_a_query_names_what_does_not_answer(client: Client) -> None:
    """Without any worker a query says that no worker answers."""
    name = await started(client)

    with pytest.raises(ServiceUnavailable, match="No worker answers"):
        await RequestClient(client).status(name)


@pytest.mark.usefixtures("short_timeouts")
async def test_watch_continues_after_a_server_outage(settings: "Settings", tmp_path: Path) -> None:
    """While the server is down `watch` says so; when it is back, so does `watch`, and goes on."""
    from runtime.connect import connect  # noqa: PLC0415
    from runtime.services.embedded_server import EmbeddedServer  # noqa: PLC0415

    server = EmbeddedServer(settings, headless=True, free_ports=True)
    await server.start()
    try:
        client = await connect(settings, address=server.address)
        environ = {"ORCHESTCODE_HOME": str(settings.home), "TEMPORAL_ADDRESS": server.address}
        person = Person(environ, tmp_path)
        async with playing(client):
            name = await started(client)
            watch = asyncio.create_task(person.types("watch", name))
            await until(lambda: "approval plan waits" in person.out.getvalue())
            printed = person.out
            os.kill(server.pid, signal.SIGKILL)
            await server.wait()
            await until(lambda: "connection The Temporal server does not" in printed.getvalue())
            await server.start()
            await until(lambda: "connection is back" in printed.getvalue())
            await person.types("approve", name)
            assert await watch is ExitCode.DELIVERED
    finally:
        await server.stop()
