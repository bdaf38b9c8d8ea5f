"""Logs: one line per event, in one format, without secrets."""

import asyncio
import json
import logging
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.testing import ActivityEnvironment
from temporalio.worker import Replayer, Worker

from runtime.connect import connect, converter
from runtime.log_schema import EXTRA_KEYS, LINE_KEYS
from runtime.logging import configure
from runtime.metrics import telemetry_runtime
from runtime.services.embedded_server import EmbeddedServer
from runtime.settings import Settings, load
from runtime.tcp_ports import free_port
from runtime.workflow_sandbox import workflow_runner
from tests.runtime.flows.talkative import BrokenWorkflow, TalkativeWorkflow
from tests.runtime.processes import eventually

CANARY = "canary-0123456789"


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Path]:
    """A configured log file; the previous logging configuration is restored after the test."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    file = tmp_path / "log"
    configure(load({"ORCHESTCODE_HOME": str(tmp_path), "ANTHROPIC_API_KEY": CANARY}), file=file)
    yield file
    for handler in root.handlers:
        handler.close()
    root.handlers = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def lines(log: Path, logger: str | None = None) -> list[dict[str, object]]:
    """Return the lines of a log, of one logger or of all."""
    found = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    return [line for line in found if logger in (None, line["logger"])]


def test_structlog_and_logging_write_the_same_line(log: Path) -> None:
    """An event has the same keys from either."""
    structlog.get_logger("oc").info("turn.start", turn=3)
    logging.getLogger("oc").info("turn.start", extra={"turn": 3})
    first, second = lines(log)

    assert str(first.pop("ts")).endswith("Z")
    second.pop("ts")
    assert first == second == {"event": "turn.start", "level": "info", "logger": "oc", "turn": 3}


def test_no_line_holds_a_secret(log: Path) -> None:
    """Neither in a message, an extra, a list nor a traceback."""
    logger = logging.getLogger("oc")
    logger.info("key %s", CANARY, extra={"reason": ["deep", CANARY]})
    structlog.get_logger("oc").info("event", reason={"inner": CANARY})
    try:
        int(CANARY)
    except ValueError:
        logger.exception("object.missing")

    assert len(lines(log)) == 3
    assert "ValueError" in str(lines(log)[2]["exception"])
    assert CANARY not in log.read_text()


def test_a_secret_is_redacted_before_the_text_is_cut(log: Path) -> None:
    """The size limit would cut this secret in two."""
    logging.getLogger("oc").info("%s", "x" * 990 + CANARY + "y" * 5_000)

    assert "canary" not in log.read_text()


def test_a_long_text_is_cut_in_the_middle(log: Path) -> None:
    """The line says how much was cut."""
    logging.getLogger("oc").info("%s", "a" * 3_000 + "end")

    event = str(lines(log)[0]["event"])
    assert len(event) < 2_100
    assert event.endswith("end")
    assert "1003 characters" in event


def test_configuring_again_replaces_the_configuration(log: Path, tmp_path: Path) -> None:
    """One event stays one line."""
    configure(load({"ORCHESTCODE_HOME": str(tmp_path)}), file=log)
    logging.getLogger("oc").info("once")

    assert len(lines(log)) == 1


def test_events_below_the_level_are_not_written(tmp_path: Path, log: Path) -> None:
    """Neither structlog's nor the standard library's."""
    settings = load({"ORCHESTCODE_HOME": str(tmp_path), "ORCHESTCODE_LOG_LEVEL": "error"})
    configure(settings, file=log)
    logging.getLogger("oc").warning("quiet")
    structlog.get_logger("oc").warning("quiet")
    logging.getLogger("oc").error("loud")

    assert [line["event"] for line in lines(log)] == ["loud"]


def test_the_console_format_is_plain_text(
    tmp_path: Path, log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """On standard error, with tracebacks."""
    configure(load({"ORCHESTCODE_HOME": str(tmp_path), "ORCHESTCODE_LOG_FORMAT": "console"}))
    try:
        int("seven")
    except ValueError:
        logging.getLogger("oc").exception("turn.end")

    shown = capsys.readouterr()
    assert "turn.end" in shown.err
    assert "ValueError: invalid literal" in shown.err
    assert not shown.out


def test_no_extra_key_is_a_field_of_a_log_record() -> None:
    """The standard library raises for such a key."""
    record = logging.LogRecord("", 0, "", 0, "", (), None)

    assert not EXTRA_KEYS & (record.__dict__.keys() | {"message", "asctime"})
    assert EXTRA_KEYS < LINE_KEYS


def test_an_unknown_key_is_dropped(log: Path) -> None:
    """The line itself is written."""
    logging.getLogger("oc").info("event", extra={"prompt": "the whole prompt"})

    assert "prompt" not in lines(log)[0]


async def test_an_activitys_line_has_its_ids_as_keys(log: Path) -> None:
    """The message does not repeat them."""

    @activity.defn
    async def speak() -> None:
        activity.logger.info("check.end", extra={"command": "true"})

    await ActivityEnvironment().run(speak)
    (line,) = lines(log)

    assert line["event"] == "check.end"
    assert line["command"] == "true"
    assert line["activity_id"] == "test"
    assert line["attempt"] == 1
    assert line.keys() <= LINE_KEYS


@pytest.mark.system
async def test_no_line_is_written_during_replay(client: Client, log: Path) -> None:
    """Each event is one line, though every step replays the steps before it."""
    queue = uuid.uuid4().hex
    async with Worker(
        client,
        task_queue=queue,
        workflows=[TalkativeWorkflow],
        workflow_runner=workflow_runner(),
        max_cached_workflows=0,
    ):
        handle = await client.start_workflow(TalkativeWorkflow.run, 4, id=queue, task_queue=queue)
        assert await handle.result() == 4
    live = lines(log, workflow.logger.base_logger.name)
    plain = lines(log, "plain")

    assert [line["turn"] for line in live] == [0, 1, 2, 3]
    assert [line["turn"] for line in plain] == [0, 1, 2, 3]
    assert {line["workflow_id"] for line in live} == {queue}
    assert {line["event"] for line in live} == {"turn.start"}
    assert set().union(*live) <= LINE_KEYS

    before = lines(log)
    await Replayer(
        workflows=[TalkativeWorkflow],
        workflow_runner=workflow_runner(),
        data_converter=converter(),
    ).replay_workflow(await handle.fetch_history())

    assert lines(log) == before


@pytest.mark.system
async def test_core_logs_and_metrics_are_forwarded(
    server_settings: Settings, temporal_server: EmbeddedServer, log: Path, tmp_path: Path
) -> None:
    """The Rust core's warnings are in the log, with their fields; metrics are served."""
    metrics = f"127.0.0.1:{free_port([])}"
    runtime = telemetry_runtime(
        load({"ORCHESTCODE_HOME": str(tmp_path), "ORCHESTCODE_METRICS_ADDRESS": metrics})
    )
    client = await connect(server_settings, address=temporal_server.address, runtime=runtime)
    queue = uuid.uuid4().hex
    async with Worker(
        client,
        task_queue=queue,
        workflows=[BrokenWorkflow],
        workflow_runner=workflow_runner(),
    ):
        handle = await client.start_workflow(BrokenWorkflow.run, id=queue, task_queue=queue)
        await eventually(lambda: "Failing workflow task" in log.read_text())
        await handle.terminate()
        shown = await read(metrics)
    warnings = [line for line in lines(log) if "Failing workflow task" in str(line["event"])]

    assert "broken on purpose" in str(warnings[0]["core_fields"])
    assert warnings[0].keys() <= LINE_KEYS
    assert "temporal_workflow_task_execution_latency_seconds" in shown


async def read(address: str) -> str:
    """Return the response of a metrics endpoint."""
    host, _, port = address.partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(f"GET /metrics HTTP/1.0\r\nHost: {host}\r\n\r\n".encode())
    text = (await reader.read()).decode()
    writer.close()
    await writer.wait_closed()
    return text
