"""A deployment with the web UI, and the machine's own chromium to look at it.

The driver is imported inside the fixtures: the rest of the suite runs without it.
"""

import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.browser.plays import SCRIPT
from tests.browser.web_ui import WebUi
from tests.local_deployment import LocalDeployment

if TYPE_CHECKING:
    from playwright.async_api import BrowserContext

_ARGUMENTS = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP *.example 127.0.0.1",
)
_STEP_MS = 30_000
_WIDTH, _HEIGHT = 1400, 1800
"""High enough for a complete card in one screenshot: the UI scrolls inside its own frame."""


@pytest.fixture(scope="session")
async def deployment() -> AsyncIterator[LocalDeployment]:
    """Server with web UI, worker and a rehearsed model, for all tests of this folder."""
    async with LocalDeployment(SCRIPT, web_ui=True) as deployment:
        yield deployment


@pytest.fixture(scope="session")
def chromium() -> str:
    """Where the machine's chromium is."""
    found = shutil.which("chromium")
    if found is None:
        pytest.fail("chromium is not on PATH: install Debian's package chromium.", pytrace=False)
    return found


@pytest.fixture(scope="session")
async def context(chromium: str) -> AsyncIterator["BrowserContext"]:
    """A browser without a past, of the test session's own."""
    from playwright.async_api import async_playwright  # noqa: PLC0415

    root = ["--no-sandbox"] if os.geteuid() == 0 else []
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        async with async_playwright() as driver:
            context = await driver.chromium.launch_persistent_context(
                Path(profile),
                executable_path=chromium,
                args=[*_ARGUMENTS, *root],
                viewport={"width": _WIDTH, "height": _HEIGHT},
            )
            context.set_default_timeout(_STEP_MS)
            yield context
            await context.close()


@pytest.fixture
async def ui(context: "BrowserContext", deployment: LocalDeployment) -> AsyncIterator[WebUi]:
    """A tab of the test's own."""
    page = await context.new_page()
    yield WebUi(page, deployment)
    await page.close()
