"""docs/model.md says exactly what each role is told."""

from tests.architecture.model_page import PAGE, page


async def test_the_page_of_what_roles_are_told_is_current() -> None:
    """Write it anew with `python -m tests.architecture.model_page` after a change of a prompt, a
    tool, an opening or a message.
    """
    assert PAGE.read_text("utf-8") == await page()
