"""What a seed means: a request, the plan of its planner, its agents, its people and its faults."""

import random
from dataclasses import dataclass, replace
from typing import Any

from tests.simulation.temporal import Faults

REQUEST_ID = "request/simulated-1"
HOUR = 3_600.0


@dataclass(frozen=True)
class Manners:
    """How often an agent of this seed does what.

    Attributes:
        flawed: a reply that is cut, silent, malformed or paused.
        refusal: the model declines.
        bad: work that the acceptance commands find wrong.
        stray: a change of a file that all tasks share.
        protected: an edit that a person must allow.
        revise: the reviewer sends it back.
        reject: the reviewer rejects it.
        turns: most edits before it finishes.
        drops: its lines in the shared file take the place of those that landed there.
    """

    flawed: float
    refusal: float
    bad: float
    stray: float
    protected: float
    revise: float
    reject: float
    turns: int
    drops: float = 0.0


@dataclass(frozen=True)
class Oddities:
    """How often an agent of this seed does what none should, or ends as few do.

    Attributes:
        strange: a reply with names of another harness, one id for two calls, or a useless finish.
        unfinished: a round that ends with what its task lacks.
        idle: a round in which nothing is changed.
        needless: tasks whose acceptance passes before any change.
        unreadable: a reply that cannot be read and may have to be paid for.
        unreadable_from: from this second on none can be read; None for never.
        circles: tasks whose agents make the same call for ever.
        no_way: of such a task the planner sees no better way.
    """

    strange: float = 0.0
    unfinished: float = 0.0
    idle: float = 0.0
    needless: tuple[str, ...] = ()
    unreadable: float = 0.0
    unreadable_from: float | None = None
    circles: tuple[str, ...] = ()
    no_way: bool = False


@dataclass(frozen=True)
class OutsideFaults:
    """What fails outside the product.

    Attributes:
        flaky: a check that is red for no reason.
        semantic: pairs of tasks whose first versions pass alone and fail together.
        dead_model: from this second on the model refuses our key; None for never.
        dead_sandbox: checks cannot run at all.
        moved: another process moves the target once.
        full_disk: from when until when the disk is full.
        overload: from when until when the model takes no call.
        lost_worktree: a worktree is deleted before a tool call.
    """

    flaky: float
    semantic: tuple[tuple[str, str], ...]
    dead_model: float | None
    dead_sandbox: bool
    moved: float
    full_disk: tuple[float, float]
    overload: tuple[float, float]
    lost_worktree: float = 0.0


@dataclass(frozen=True)
class People:
    """How people behave.

    Attributes:
        pause: most seconds between two looks at the questions; None: no one ever looks.
        approve: share of approvals among the answers.
        mess: answers that cannot be taken, come twice or contradict themselves.
        notes: most notes.
        cancel: when the request is cancelled, None for never.
        terminate: when it is ended by force, None for never.
        cancel_delivery: it is cancelled while its branch is being delivered.
        retries: how often they have it go on when it has ended badly.
    """

    pause: float | None
    approve: float
    mess: float
    notes: int
    cancel: float | None
    terminate: float | None
    cancel_delivery: bool = False
    retries: int = 0


@dataclass(frozen=True)
class Goal:
    """A command that the request is to make pass: `reach N`.

    Attributes:
        steps: fresh tasks that must have landed good work; 0: it passes on the base.
        rounds: at most so many of an attempt; None: as many as the worker allows.
        minutes: until the deadline; None: there is none.
    """

    steps: int
    rounds: int | None = None
    minutes: int | None = None

    @property
    def command(self) -> str:
        """The command."""
        return f"reach {self.steps}"

    @property
    def payload(self) -> dict[str, Any]:
        """Its fields of the input."""
        given = {"rounds": self.rounds, "deadline_minutes": self.minutes}
        fields = {name: value for name, value in given.items() if value}
        return {"until": self.command, **fields}


@dataclass(frozen=True)
class Scenario:
    """One simulation.

    Attributes:
        payload: the input of RequestWorkflow.
        goal: of the request; None where it has none.
        tasks: TaskSpec fields, as in the planner's plan.
        plan_flaw: "", "cycle", "prose" or "never": what is wrong with the first plan.
    """

    seed: int
    payload: dict[str, Any]
    tasks: tuple[dict[str, Any], ...]
    plan_flaw: str
    manners: Manners
    outside: OutsideFaults
    people: People
    faults: Faults
    oddities: Oddities = Oddities()
    goal: Goal | None = None

    @property
    def sluggish(self) -> bool:
        """True when an activity may take longer than a cancelled workflow waits for it."""
        return self.faults.slow > 0 or self.faults.work_seconds > 5 or self.outside.full_disk[1] > 0


def of(seed: int) -> Scenario:
    """Return the scenario of a seed."""
    chance = random.Random(f"scenario {seed}")
    tasks = _overlapping(seed, _tasks(chance))
    goal = _goal(seed)
    return Scenario(
        seed=seed,
        payload=_payload(chance) | (goal.payload if goal else {}),
        tasks=tasks,
        plan_flaw=chance.choices(("", "cycle", "prose", "never"), (85, 6, 6, 3))[0],
        manners=replace(_manners(chance), drops=_drops(seed)),
        outside=replace(_outside(chance, tasks), lost_worktree=_lost(seed)),
        people=replace(_people(chance), cancel_delivery=_late(seed), retries=_retries(seed)),
        faults=_faults(chance),
        oddities=replace(_oddities(seed, tasks), **_circles(seed, tasks)),
        goal=goal,
    )


def _tasks(chance: random.Random) -> tuple[dict[str, Any], ...]:
    count = chance.choices((1, 2, 3, 4, 5, 6), (48, 28, 14, 6, 3, 1))[0]
    tasks: list[dict[str, Any]] = []
    for number in range(1, count + 1):
        before = [task["id"] for task in tasks]
        reads = chance.random() < 0.08
        name = f"t{number}"
        tasks.append(
            {
                "id": name,
                "title": f"task {number}",
                "goal": f"do {number}",
                "depends_on": chance.sample(before, min(len(before), chance.choice((0, 0, 1, 2)))),
                "writes": [] if reads else [f"{name}/"],
                "acceptance": [] if reads else [f"test {name}"],
                "size": chance.randint(1, 30),
                "risk": chance.choices(("low", "normal", "high"), (20, 72, 8))[0],
            }
        )
    return tuple(tasks)


def _overlapping(seed: int, tasks: tuple[dict[str, Any], ...]) -> tuple[dict[str, Any], ...]:
    """Return the tasks, in some seeds all of them honest about the file that they share."""
    # Drawn apart, so that the seeds before it was thought of still mean what they meant.
    if random.Random(f"overlap {seed}").random() > 0.2:
        return tasks
    return tuple(
        {**task, "writes": [*task["writes"], "shared"]} if task["writes"] else task
        for task in tasks
    )


def _payload(chance: random.Random) -> dict[str, Any]:
    steps = [step for step in ("plan", "review", "delivery") if chance.random() < 0.2]
    if chance.random() < 0.55:
        steps = []
    return {
        "repository": "/simulated",
        "request": "Do everything.",
        "checks": ["make check"] if chance.random() < 0.7 else [],
        "approve": steps,
        "budget_usd": chance.choices((20.0, 2.0, 0.6, 0.2), (80, 10, 6, 4))[0],
        "max_parallel": chance.choice((1, 2, 3, 4)),
    }


def _manners(chance: random.Random) -> Manners:
    wild = chance.random() < 0.5
    return Manners(
        flawed=0.12 if wild else 0.0,
        refusal=0.02 if wild else 0.0,
        bad=chance.choice((0.0, 0.2, 0.4)),
        stray=chance.choice((0.0, 0.0, 0.3)),
        protected=chance.choice((0.0, 0.0, 0.1)),
        revise=chance.choice((0.0, 0.2, 0.5)),
        reject=chance.choice((0.0, 0.0, 0.1)),
        turns=chance.choice((1, 1, 1, 2, 3)),
    )


def _outside(chance: random.Random, tasks: tuple[dict[str, Any], ...]) -> OutsideFaults:
    names = [task["id"] for task in tasks if task["writes"]]
    pair = tuple(chance.sample(names, 2)) if len(names) > 1 and chance.random() < 0.3 else None
    return OutsideFaults(
        flaky=chance.choice((0.0, 0.0, 0.1)),
        semantic=((pair[0], pair[1]),) if pair else (),
        dead_model=chance.uniform(0, HOUR) if chance.random() < 0.04 else None,
        dead_sandbox=chance.random() < 0.03,
        moved=chance.choice((0.0, 0.0, 0.2)),
        full_disk=_window(chance),
        overload=_window(chance),
    )


def _lost(seed: int) -> float:
    # Drawn apart, so that the seeds before it was thought of still mean what they meant.
    return random.Random(f"worktrees {seed}").choice((0.0, 0.0, 0.0, 0.1))


def _drops(seed: int) -> float:
    return random.Random(f"drops {seed}").choice((0.0, 0.0, 0.0, 0.7))


def _oddities(seed: int, tasks: tuple[dict[str, Any], ...]) -> Oddities:
    # Drawn apart, and nothing for the seeds that are kept: they still mean what they meant.
    chance = random.Random(f"oddities late {seed}")
    if chance.random() > 0.35:
        return Oddities()
    names = [task["id"] for task in tasks if task["writes"]]
    return Oddities(
        strange=chance.choice((0.0, 0.1, 0.3)),
        unfinished=chance.choice((0.0, 0.3, 0.6)),
        idle=chance.choice((0.0, 0.2, 0.5)),
        needless=tuple(name for name in names if chance.random() < 0.25),
        unreadable=chance.choice((0.0, 0.05, 0.2)),
        unreadable_from=chance.uniform(0, 600) if chance.random() < 0.05 else None,
    )


def _goal(seed: int) -> Goal | None:
    # Drawn apart, and none for the seeds that are kept: they still mean what they meant.
    chance = random.Random(f"goal rounds {seed}")
    if chance.random() > 0.15:
        return None
    return Goal(
        steps=chance.choice((0, 1, 1, 2, 3, 5)),
        rounds=chance.choice((None, None, 1, 2, 4)),
        minutes=chance.choice((None, None, 10, 60)),
    )


def _circles(seed: int, tasks: tuple[dict[str, Any], ...]) -> dict[str, Any]:
    # Drawn apart, and nothing for the seeds that are kept: they still mean what they meant.
    chance = random.Random(f"stuck agents {seed}")
    if chance.random() > 0.12:
        return {}
    names = [task["id"] for task in tasks if task["writes"]]
    circles = tuple(name for name in names if chance.random() < 0.6)
    return {"circles": circles, "no_way": chance.random() < 0.2}


def _late(seed: int) -> bool:
    return random.Random(f"delivery {seed}").random() < 0.06


def _retries(seed: int) -> int:
    # Drawn apart, so that the seeds before it was thought of still mean what they meant.
    return random.Random(f"retries {seed}").choice((0, 0, 1, 2))


def _window(chance: random.Random) -> tuple[float, float]:
    start = chance.uniform(0, 400) if chance.random() < 0.04 else 0.0
    return (start, start + chance.choice((30.0, 300.0, 1_200.0))) if start else (0.0, 0.0)


def _people(chance: random.Random) -> People:
    return People(
        pause=None if chance.random() < 0.15 else chance.choice((60.0, 600.0, 5 * HOUR)),
        approve=chance.choice((1.0, 0.7, 0.3)),
        mess=chance.choice((0.0, 0.2, 0.6)),
        notes=chance.choice((0, 0, 0, 1, 3, 8)),
        cancel=chance.uniform(0, 1_000) if chance.random() < 0.12 else None,
        terminate=chance.uniform(0, 1_000) if chance.random() < 0.02 else None,
    )


def _faults(chance: random.Random) -> Faults:
    if chance.random() < 0.15:
        return Faults()
    return Faults(
        crash=chance.choice((0.0, 0.01, 0.03, 0.1)),
        fail=chance.choice((0.0, 0.05, 0.15)),
        lost=chance.choice((0.0, 0.05, 0.15)),
        duplicate=chance.choice((0.0, 0.3)),
        slow=chance.choice((0.0, 0.02)),
        new_run=chance.choice((0.0, 0.1, 0.5)),
        work_seconds=chance.choice((0.5, 5.0, 30.0)),
        hop_seconds=chance.choice((0.05, 0.5, 3.0)),
        task_seconds=chance.choice((0.05, 0.05, 1.0, 2.5)),
    )
