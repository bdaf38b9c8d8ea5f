"""Measure and print: one JSON object a line. docs/benchmarks.md explains each figure."""

import argparse
import asyncio

from bench import cli, demo, recall, symbols, turns, windows, words
from bench.figures import Figure
from runtime.services.child_process import end_process


def main() -> None:
    """Print the figures as they are measured."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--turns", type=int, default=40, help="edit turns of each agent")
    parser.add_argument(
        "--long", action="store_true", help="only compare an agent's turn 500 with its turn 50"
    )
    parser.add_argument("--words", action="store_true", help="only time words of a running reply")
    parser.add_argument("--symbols", action="store_true", help="only time maps of definitions")
    parser.add_argument("--recall", action="store_true", help="only time searches of the past")
    parser.add_argument(
        "--windows", type=int, metavar="TURNS", help="only a conversation over many windows"
    )
    parser.add_argument("--cli", action="store_true", help="only time the command line")
    typed = parser.parse_args()
    if typed.long:
        _show(asyncio.run(turns.measure_long()))
        return
    if typed.words:
        _show(asyncio.run(words.measure()))
        return
    if typed.windows:
        _show(asyncio.run(windows.measure(typed.windows)))
        return
    if typed.symbols:
        _show(asyncio.run(symbols.measure()))
        return
    if typed.recall:
        _show(asyncio.run(recall.measure()))
        return
    _show(asyncio.run(cli.measure()))
    if typed.cli:
        return
    _show(asyncio.run(words.measure()))
    _show(asyncio.run(turns.measure(typed.turns)))
    _show(asyncio.run(symbols.measure()))
    _show(asyncio.run(recall.measure()))
    _show(demo.measure())


def _show(figures: list[Figure]) -> None:
    for figure in figures:
        print(figure.line(), flush=True)


if __name__ == "__main__":
    main()
    end_process(0)
