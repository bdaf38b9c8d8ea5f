"""One request of a pair: its plan, and what its agents reply."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from bench.cooperbench import kit
from bench.cooperbench.agent import KIT
from bench.cooperbench.dataset import Feature, Pair

Json = dict[str, Any]

PLANS = ("narrow", "honest")
"""A narrow plan declares only what no other task writes, an honest one all that a task writes."""
FIRST_FAILS = "first-fails"
"""The first task's agent never changes anything; the second one unites."""
WRONG = ("own", "landed")
_ROUNDS = 60
_REASON = "It has to go."


@dataclass(frozen=True)
class Play:
    """One request.

    Attributes:
        mind: of both agents, one of `agent.MINDS`, or FIRST_FAILS.
        tests: of which features the acceptance is their own tests.
    """

    pair: Pair
    plan: str
    mind: str
    paths: tuple[tuple[str, ...], tuple[str, ...]]
    tests: frozenset[int]

    @property
    def name(self) -> str:
        """Name of its row."""
        return f"{self.pair.name}/{self.plan}/{self.mind}"

    @property
    def key(self) -> str:
        """Its name as a part of ids and branches."""
        return "".join(each if each.isalnum() else "-" for each in self.name).lower()

    def features(self) -> tuple[Feature, Feature]:
        """Return both features, the first first."""
        return self.pair.first, self.pair.second

    def acceptance(self, feature: Feature) -> str:
        """Return a feature's acceptance command."""
        return kit.acceptance(feature, tests=feature.number in self.tests)

    def casts(self) -> list[Json]:
        """Return the casts of its agents."""
        request = f"request/{self.key}"
        tasks = [
            self._task(feature, paths)
            for feature, paths in zip(self.features(), self.paths, strict=True)
        ]
        plan = _call("finish", summary="Both features.", tasks=tasks)
        found: list[Json] = [{"match": {"role": "planner", "request": request}, "turns": [plan]}]
        for feature in self.features():
            who: Json = {"request": request, "task": feature.task}
            found.append(_coder(feature, who, self._mind(feature)))
            found.append({"match": {"role": "reviewer", **who}, "turns": [_approval()] * 3})
        return found

    def _mind(self, feature: Feature) -> str:
        if self.mind != FIRST_FAILS:
            return self.mind
        return "fails" if feature is self.pair.first else "unites"

    def _task(self, feature: Feature, paths: Sequence[str]) -> Json:
        own = kit.note(feature)
        return {
            "id": feature.task,
            "title": feature.title[:80],
            "goal": feature.title,
            "depends_on": [],
            "writes": [own] if self.plan == "narrow" else [own, *paths],
            "acceptance": [self.acceptance(feature)],
            "size": 3,
            "risk": "normal",
        }


def minds_of(*, plan: str, conflicts: bool) -> Iterator[str]:
    """Yield the minds that make a difference in a plan for a pair."""
    yield "unites"
    yield FIRST_FAILS
    if conflicts or plan == "honest":
        yield "own"
    if conflicts:
        yield from ("landed", "gives-up")


def script(plays: Sequence[Play]) -> Json:
    """Return one script of many requests."""
    return {"seed": 7, "casts": [cast for play in plays for cast in play.casts()]}


def _coder(feature: Feature, who: Json, mind: str) -> Json:
    """Apply, finish; after a conflict resolve and finish, at last with a reason for what goes."""
    program = f"python3 {KIT}/agent.py"
    apply, resolve = (
        _call("run_command", command=f"{program} {verb} {feature.task} {mind}")
        for verb in ("apply", "resolve")
    )
    words = {"summary": f"{feature.title}.", "commit_title": feature.title[:70]}
    plain, reasoned = _call("finish", **words), _call("finish", **words, undoes=_REASON)
    return {
        "match": {"role": "coder", **who},
        "turns": [apply, plain, resolve, plain],
        "generate": {"turns": _ROUNDS, "bytes": 0, **reasoned},
    }


def _approval() -> Json:
    return _call("finish", verdict="approve", summary="It does what was asked.", findings=[])


def _call(tool: str, **arguments: object) -> Json:
    return {"say": "I go on.", "call": [{"tool": tool, "input": arguments}]}
