"""Another web page in the person's browser tries to use the web UI; a real browser, a real page."""

import asyncio
import html
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from tests.local_deployment import CHECK, LocalDeployment

if TYPE_CHECKING:
    from playwright.async_api import BrowserContext

pytestmark = pytest.mark.browser

_ATTACK = """<!doctype html><title>idle</title>
<iframe src="{ui}/" id="framed"></iframe>
<iframe name="sink"></iframe>
<form method="post" action="{signal}" target="sink" enctype="text/plain">
  <input name="{form}" value="&quot;&quot;}}"></form>
<script>
(async () => {{
  const said = [];
  for (const mode of ["no-cors", "cors"]) {{
    const headers = {{ "Content-Type": "text/plain" }};
    const sent = {{ method: "POST", mode, body: {body}, headers }};
    for (const url of ["{signal}", "{start}"]) {{
      try {{ said.push((await fetch(url, sent)).type); }} catch (error) {{ said.push("failed"); }}
    }}
    try {{ said.push((await fetch("{ui}/api/v1/namespaces", {{ mode }})).type); }}
    catch (error) {{ said.push("failed"); }}
  }}
  document.forms[0].submit();
  await new Promise((done) => setTimeout(done, 1000));
  document.title = said.join(" ");
}})();
</script>"""


@asynccontextmanager
async def page_elsewhere(text: str) -> AsyncIterator[int]:
    """Serve a page on a port of its own and yield the port."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        body = text.encode()
        kind = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n"
        writer.write(f"{kind}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def test_another_page_in_the_browser_changes_nothing(
    deployment: LocalDeployment, context: "BrowserContext"
) -> None:
    """Fetches, a form and a frame from another origin approve nothing and start nothing, and a name
    that resolves to this machine (DNS rebinding) does not get the UI.
    """
    repository = deployment.repository("attacked")
    handle = await deployment.start_request(
        "attacked", repository, checks=[CHECK], approve=["plan"]
    )
    await deployment.waiting(handle)
    ui = str(deployment.server.ui_url)
    api = f"{ui}/api/v1/namespaces/default/workflows"
    start = {"workflowType": {"name": "RequestWorkflow"}, "taskQueue": {"name": "workflows"}}
    attack = _ATTACK.format(
        ui=ui,
        signal=f"{api}/request%2Fattacked/signal/approve",
        start=f"{api}/forged",
        form=html.escape('{"identity": '),
        body=json.dumps(json.dumps(start)),
    )
    async with page_elsewhere(attack) as port:
        page = await context.new_page()
        await page.goto(f"http://evil.example:{port}/")
        await page.wait_for_function("document.title != 'idle'")
        framed = await page.frame_locator("#framed").locator("body").inner_text()
        rebound = await page.goto(ui.replace("127.0.0.1", "evil.example") + "/")
        assert rebound is not None
        refused = await rebound.text()
        await page.close()
    names = [each.id async for each in (await deployment.client()).list_workflows()]
    status = await deployment.status(handle)
    await handle.cancel()
    await deployment.ending(handle)

    assert "Another web page asked for this" in framed
    assert rebound.status == 421
    assert "answers to 127.0.0.1 and localhost alone" in refused
    assert "forged" not in names
    assert [each.id for each in status.approvals] == ["plan"]
    assert status.refused_answers == ()
