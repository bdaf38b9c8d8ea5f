"""Starts that count only with their code, each code for one run."""

from pathlib import Path

from contracts.request import RequestStart
from infra.start_codes import StartCodes

START = RequestStart(repository="/srv/shop", request="Fix the cart")


def test_a_start_counts_with_its_code_for_one_run(tmp_path: Path) -> None:
    """Repeated by its own run it counts again; another run cannot take a code from a history."""
    starts = StartCodes(b"s" * 64, tmp_path / "starts")
    asked = starts.sign("request/mine", START).model_dump_json(exclude_defaults=True)

    assert starts.problem("request/mine", asked, "run-1") == ""
    assert starts.problem("request/mine", asked, "run-1") == ""
    assert "was used by another run" in starts.problem("request/mine", asked, "run-2")
    assert "only with its code" in starts.problem("request/other", asked, "run-3")


def test_a_start_without_its_code_does_not_count(tmp_path: Path) -> None:
    """No code, another home's, or one for another input; the sentence names the remedy."""
    starts = StartCodes(b"s" * 64, tmp_path / "starts")
    foreign = StartCodes(b"t" * 64, tmp_path / "others").sign("request/mine", START)
    changed = starts.sign("request/mine", START).model_copy(update={"repository": "/home/ada"})

    for start in (START, foreign, changed):
        asked = start.model_dump_json(exclude_defaults=True)
        assert "orchestcode code" in starts.problem("request/mine", asked, "run-1")
    assert not (tmp_path / "starts").exists()


def test_a_forgotten_request_is_started_again(tmp_path: Path) -> None:
    """However often its database is lost: it repeats no finished step."""
    starts = StartCodes(b"s" * 64, tmp_path / "starts")
    again = starts.sign("request/mine", START.model_copy(update={"resumes": "mine-0123456789"}))
    asked = again.model_dump_json(exclude_defaults=True)

    assert [starts.problem("request/mine", asked, run) for run in ("run-1", "run-2")] == ["", ""]
