"""The author of delivered commits, as git can hold it."""

import pytest

from domain.author import author


@pytest.mark.parametrize(
    ("name", "email", "written"),
    [
        ("Ada Lovelace", "ada@example.org", "Ada Lovelace <ada@example.org>"),
        ("", "ada@example.org", "ada <ada@example.org>"),
        ("Ada <x>\ncommitter Eve", "a@b>", "Ada x committer Eve <a@b>"),
        ("Ada", "", None),
        ("Ada", " ", None),
    ],
)
def test_an_author_is_a_name_and_a_mail(name: str, email: str, written: str | None) -> None:
    """What would forge a line of the commit is gone; without a mail there is no author."""
    assert author(name, email) == written
