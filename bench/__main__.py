"""Measure and print: one JSON object a line. docs/benchmarks.md explains each figure."""

import argparse
import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from bench import cli, demo, edits, policy, recall, symbols, turns, windows, words
from bench.figures import Figure
from runtime.services.child_process import end_process

WINDOWS_TURNS = 5_000
Measure = Callable[[], Coroutine[Any, Any, list[Figure]]]


def main() -> None:
    """Print the figures as they are measured."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--turns", type=int, default=40, help="edit turns of each agent")
    only = parser.add_mutually_exclusive_group()
    only.add_argument(
        "--long", action="store_true", help="only compare an agent's turn 500 with its turn 50"
    )
    only.add_argument("--words", action="store_true", help="only time words of a running reply")
    only.add_argument("--symbols", action="store_true", help="only time maps of a repository")
    only.add_argument("--policy", action="store_true", help="only time judgements of commands")
    only.add_argument("--edits", action="store_true", help="only time edits and patches")
    only.add_argument("--recall", action="store_true", help="only time searches of the past")
    only.add_argument(
        "--windows", type=int, metavar="TURNS", help="only a conversation over many windows"
    )
    only.add_argument("--cli", action="store_true", help="only time the command line")
    typed = parser.parse_args()
    everything: list[tuple[Measure, bool]] = [
        (cli.measure, typed.cli),
        (words.measure, typed.words),
        (partial(turns.measure, typed.turns), False),
        (turns.measure_long, typed.long),
        (symbols.measure, typed.symbols),
        (recall.measure, typed.recall),
        (policy.measure, typed.policy),
        (edits.measure, typed.edits),
        (partial(windows.measure, typed.windows or WINDOWS_TURNS), bool(typed.windows)),
    ]
    alone = [measure for measure, wanted in everything if wanted]
    for measure in alone or [each for each, _ in everything]:
        _show(asyncio.run(measure()))
    if not alone:
        _show(demo.measure())


def _show(figures: list[Figure]) -> None:
    for figure in figures:
        print(figure.line(), flush=True)


if __name__ == "__main__":
    main()
    end_process(0)
