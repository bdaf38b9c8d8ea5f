"""Whose home is used; other users are made by their number, as root."""

import os
from pathlib import Path

import pytest

from runtime.errors import SettingsError
from runtime.home_owner import _problem
from runtime.settings import Settings, load

ADA = 54_321
"""A user without a name on this machine."""


@pytest.fixture
def settings(home: Path) -> Settings:
    """Settings on a home that does not exist yet."""
    return load({"ORCHESTCODE_HOME": str(home)})


def refusal(settings: Settings) -> str:
    """Return the sentence with which the home is refused."""
    with pytest.raises(SettingsError) as caught:
        settings.ensure_home()
    return str(caught.value)


def test_a_system_folder_is_no_home_for_an_ordinary_user() -> None:
    """Nor may a folder of root's be taken over by whoever else; root's own could be used."""
    problem = _problem(Path("/usr"), Path("/usr"))

    assert bool(problem) is (os.geteuid() != 0)


@pytest.mark.needs_root
def test_a_home_of_another_user_is_refused(settings: Settings, home: Path) -> None:
    """Also by root, for whom it would be another user's code and settings; nothing is written."""
    home.mkdir(mode=0o700)
    os.chown(home, ADA, ADA)

    assert refusal(settings) == (
        f"ORCHESTCODE_HOME: the folder {home} belongs to user {ADA}; run OrchestCode as user "
        f"{ADA}, or set it to a folder of your own."
    )
    assert list(home.iterdir()) == []


@pytest.mark.needs_root
def test_a_home_inside_another_user_s_folder_is_refused(tmp_path: Path) -> None:
    """Its owner could replace it at any time; nothing is created there."""
    theirs = tmp_path / "ada"
    theirs.mkdir()
    os.chown(theirs, ADA, ADA)
    settings = load({"ORCHESTCODE_HOME": str(theirs / "state" / "orchestcode")})

    assert f"{theirs}, on the way to {settings.home}, belongs to user {ADA}" in refusal(settings)
    assert list(theirs.iterdir()) == []


@pytest.mark.needs_root
def test_a_link_of_another_user_is_refused(tmp_path: Path) -> None:
    """It could be turned to another folder."""
    real, link = tmp_path / "real", tmp_path / "link"
    real.mkdir(mode=0o700)
    link.symlink_to(real)
    os.chown(link, ADA, ADA, follow_symlinks=False)

    assert f"belongs to user {ADA}" in refusal(load({"ORCHESTCODE_HOME": str(link)}))


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o702])
def test_a_home_that_others_can_write_is_refused(settings: Settings, home: Path, mode: int) -> None:
    """What lies in it may be theirs; the remedy is named, and the person looks before."""
    home.mkdir()
    home.chmod(mode)

    said = refusal(settings)

    assert f"others can write to {home}" in said
    assert f"`chmod go-w {home}`" in said
    assert list(home.iterdir()) == []


def test_a_folder_above_that_others_can_write_is_refused(tmp_path: Path) -> None:
    """Without the sticky bit, as /tmp has it, they could put another folder in its place."""
    shared = tmp_path / "shared"
    shared.mkdir()
    settings = load({"ORCHESTCODE_HOME": str(shared / "home")})
    shared.chmod(0o777)

    assert f"others can write to {shared}" in refusal(settings)
    shared.chmod(0o1777)
    assert settings.ensure_home() == shared / "home"


def test_a_home_by_a_link_of_one_s_own_or_of_one_s_own_group_is_used(tmp_path: Path) -> None:
    """A link to another disk, and a folder that only the own group can write."""
    real, link = tmp_path / "real", tmp_path / "link"
    real.mkdir()
    real.chmod(0o775)
    link.symlink_to(real)

    assert load({"ORCHESTCODE_HOME": str(link)}).ensure_home() == link
    assert real.stat().st_mode & 0o777 == 0o700
