"""Fixtures of all tests; imports are inside the fixtures, so that tests pay for what they use."""

import os
import signal
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from temporalio.client import Client

    from runtime.services.embedded_server import EmbeddedServer
    from runtime.settings import Settings

# A suite that a shell runs in the background ignores SIGINT, and so would every process that it
# starts; some tests send it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_configure() -> None:
    """Give examples of property tests all the time they need: a busy machine is no failure."""
    from hypothesis import settings  # noqa: PLC0415

    settings.register_profile("untimed", deadline=None)
    settings.load_profile("untimed")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what another kind of user has to run; `tests/infra/test_every_user.py` does so."""
    if os.geteuid() != 0:
        for item in items:
            if item.get_closest_marker("needs_root"):
                item.add_marker(pytest.mark.skip(reason="needs root"))
        return
    ordinary = [item for item in items if item.get_closest_marker("ordinary_user")]
    if ordinary:
        config.hook.pytest_deselected(items=ordinary)
        items[:] = [item for item in items if item not in ordinary]


_SERVER_CONFIG: Mapping[str, str] = {"frontend.WorkflowTimeSkippingEnabled": "true"}


@pytest.fixture(scope="session")
def server_settings(tmp_path_factory: pytest.TempPathFactory) -> "Settings":
    """Settings on a home of the test session's own, blind to the person's environment."""
    from runtime.settings import load  # noqa: PLC0415

    home = tmp_path_factory.mktemp("home")
    return load({"ORCHESTCODE_HOME": str(home), "HOME": str(home), "PATH": _path()})


@pytest.fixture(scope="session")
async def temporal_server(server_settings: "Settings") -> AsyncIterator["EmbeddedServer"]:
    """One real server for the session, started as the product starts it; see `.address`."""
    from runtime.services.embedded_server import EmbeddedServer  # noqa: PLC0415

    server = EmbeddedServer(
        server_settings, headless=True, free_ports=True, dynamic_config=_SERVER_CONFIG
    )
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


@pytest.fixture(scope="session")
async def client(server_settings: "Settings", temporal_server: "EmbeddedServer") -> "Client":
    """A client of the session's server, made as the product makes it."""
    from runtime.connect import connect  # noqa: PLC0415

    return await connect(server_settings, address=temporal_server.address)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home folder of the test's own."""
    return tmp_path / "home"


@pytest.fixture
def settings(home: Path) -> "Settings":
    """Settings on the test's own home, blind to the person's environment."""
    from runtime.settings import load  # noqa: PLC0415

    return load({"ORCHESTCODE_HOME": str(home), "HOME": str(home.parent), "PATH": _path()})


def _path() -> str:
    return os.environ.get("PATH", os.defpath)
