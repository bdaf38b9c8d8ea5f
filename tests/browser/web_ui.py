"""The Temporal web UI as a person uses it: a request's page, its card, its dialogs."""

from pathlib import Path
from typing import TYPE_CHECKING

from cli.hints import deep_link
from tests.local_deployment import ROOT, Handle, LocalDeployment, until

if TYPE_CHECKING:
    from playwright.async_api import Locator, Page

SCREENSHOTS = ROOT / "build" / "screenshots"
"""Where what was seen is kept; git ignores it."""
_CARD = "#user-metadata-current-details"
_SUBMIT = "confirm-modal-button"
_SECONDS = 60.0
_LOAD_MS = 15_000


class WebUi:
    """One tab of the browser, on one request.

    Args:
        page: the tab.
        deployment: where the server with the web UI runs.
    """

    def __init__(self, page: "Page", deployment: LocalDeployment) -> None:
        self._page = page
        self._stage = deployment

    async def open(self, handle: Handle) -> None:
        """Open the deep link that the product prints: the tab User Metadata of a request."""
        run = handle.result_run_id or handle.first_execution_run_id or ""
        ui_url, namespace = self._stage.server.ui_url, self._stage.settings.temporal_namespace
        await self._page.goto(deep_link(ui_url, handle.id, run_id=run, namespace=namespace))

    async def card(self, *words: str) -> str:
        """Reload the page until the card's text has all of `words`; return the text."""
        seen = ""

        async def told() -> bool:
            nonlocal seen
            seen = await self._card_text()
            if all(word in seen for word in words):
                return True
            await self._page.reload()
            return False

        try:
            await until(told, seconds=_SECONDS)
        except TimeoutError:
            raise AssertionError(f"the card does not say {words}, but:\n{seen}") from None
        return seen

    async def _card_text(self) -> str:
        from playwright.async_api import Error  # noqa: PLC0415 - the suite runs without it

        body = self._page.frame_locator(_CARD).locator("main")
        try:
            text: str = await body.inner_text(timeout=_LOAD_MS)
        except Error:
            return ""
        return text

    async def tab(self, name: str, *words: str) -> None:
        """Go to another tab of the request and wait until it shows each text of `words`."""
        await self._page.get_by_role("tab", name=name).click()
        for word in words:
            await self._page.get_by_text(word).locator("visible=true").first.wait_for()

    async def signal(
        self, name: str, payload: str, *, custom: bool = False, shot: str = ""
    ) -> None:
        """Send a signal by More Actions, Send a Signal.

        Args:
            name: chosen from the list; with `custom`, typed.
            payload: the input as typed; "" for none.
            custom: choose "Custom" and type the name.
            shot: keep a screenshot of the filled dialog under this name.
        """
        dialog = await self._dialog("Send a Signal")
        await dialog.get_by_test_id("signal-select-button").click()
        await self._choose(dialog, "Custom" if custom else name)
        if custom:
            await dialog.get_by_test_id("signal-name").fill(name)
        await self._type(dialog, payload)
        if shot:
            await self.shot(shot)
        await dialog.get_by_test_id(_SUBMIT).click()
        await dialog.wait_for(state="hidden")

    async def update(self, name: str, payload: str) -> None:
        """Send an update that is accepted by More Actions, Send an Update; the dialog closes
        itself.
        """
        dialog = await self._submit_update(name, payload)
        await dialog.wait_for(state="hidden")

    async def refused_update(self, name: str, payload: str, *, says: str, shot: str) -> None:
        """Send an update that is refused: the dialog stays and shows why; then leave it."""
        dialog = await self._submit_update(name, payload)
        await dialog.get_by_text(says).first.wait_for()
        await self.shot(shot)
        await dialog.get_by_test_id("cancel-modal-button").click()
        await dialog.wait_for(state="hidden")

    async def _submit_update(self, name: str, payload: str) -> "Locator":
        dialog = await self._dialog("Send an Update")
        await dialog.get_by_test_id("update-select-button").click()
        await self._choose(dialog, name)
        await self._type(dialog, payload)
        await dialog.get_by_test_id(_SUBMIT).click()
        return dialog

    async def cancel(self) -> None:
        """Give the request up by Request Cancellation."""
        await self._page.get_by_role("button", name="Request Cancellation").click()
        await self._page.get_by_role("dialog").get_by_test_id(_SUBMIT).click()

    async def shot(self, name: str) -> Path:
        """Keep a screenshot of the page and return where."""
        path = SCREENSHOTS / f"{name}.png"
        await self._page.screenshot(path=path, full_page=True)
        return path

    async def _dialog(self, action: str) -> "Locator":
        await self._page.get_by_role("button", name="More Actions").click()
        await self._page.get_by_role("menuitem", name=action).click()
        dialog = self._page.get_by_role("dialog")
        await dialog.wait_for()
        return dialog

    async def _choose(self, dialog: "Locator", name: str) -> None:
        options = dialog.get_by_role("option")
        named = self._page.locator(".menu-item-wrapper").get_by_text(name, exact=True)
        await options.filter(has=named).first.click()

    async def _type(self, dialog: "Locator", payload: str) -> None:
        if payload:
            await dialog.get_by_role("textbox", name="Data").click()
            # The dialog keeps what was typed before.
            await self._page.keyboard.press("ControlOrMeta+a")
            await self._page.keyboard.insert_text(payload)
            # Otherwise the box reformats its JSON and moves the button under the mouse.
            await dialog.get_by_test_id(_SUBMIT).focus()
