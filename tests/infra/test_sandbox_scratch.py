"""The scratch folder made ready for mounts, whatever a command left in it."""

from pathlib import Path, PurePath

from infra.sandbox.scratch import make_ready


def test_nothing_that_a_command_left_stands_in_the_way_of_a_mount(tmp_path: Path) -> None:
    """Links and files at the place of a mount, or above it, become real folders; nothing is made
    or removed where a link leads; other files stay.
    """
    outside, scratch = tmp_path / "outside", tmp_path / "scratch"
    for folder in (outside, scratch, scratch / "folder.json"):
        folder.mkdir()
    (outside / "kept").touch()
    (scratch / "a").symlink_to(outside)
    (scratch / "b").write_text("file")
    (scratch / "file.json").symlink_to(outside / "kept")
    (scratch / "mine").write_text("mine")
    scratch.chmod(0)

    points = [PurePath("a/b/c"), PurePath("b/c")]
    for _ in range(2):
        make_ready(scratch, points, files=[PurePath("file.json"), PurePath("folder.json")])

    for made in ("a", "a/b/c", "b/c"):
        assert (scratch / made).is_dir()
        assert not (scratch / made).is_symlink()
    for name in ("file.json", "folder.json"):
        assert (scratch / name).is_file()
        assert not (scratch / name).is_symlink()
    assert (scratch / "mine").read_text() == "mine"
    assert [each.name for each in outside.iterdir()] == ["kept"]
    assert scratch.stat().st_mode & 0o777 == 0o700
