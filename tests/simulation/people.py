"""People who look at the questions now and then, and answer well, twice, wrongly, late or never."""

import functools
from collections.abc import Sequence
from typing import Any

from contracts.approvals import Approval
from tests.simulation import adapter
from tests.simulation.adapter import Command, Job
from tests.simulation.runs import Run
from tests.simulation.scenario import REQUEST_ID, People
from tests.simulation.temporal import SimulatedTemporal

_MOST_ANSWERS = 15
_MOST_LOOKS = 80


class Crowd:
    """All people who deal with the request of a simulation."""

    def __init__(self, temporal: SimulatedTemporal, people: People) -> None:
        self._temporal = temporal
        self._clock = temporal.clock
        self._people = people
        self._answers = 0
        self._looks = 0

    def arrive(self) -> None:
        """Schedule what they do first."""
        if self._people.pause is not None:
            self._clock.soon(self._people.pause, self._look)
        if self._people.cancel is not None:
            self._clock.at(self._people.cancel, lambda: self._temporal.cancel(REQUEST_ID))
        if self._people.terminate is not None:
            self._clock.at(self._people.terminate, lambda: self._temporal.terminate(REQUEST_ID))
        spread = self._clock.chance.choice((30.0, 300.0, 3_000.0))
        for number in range(self._people.notes):
            self._clock.soon(spread, functools.partial(self._note, number))

    def committed(self, run: Run, _jobs: Sequence[Job], commands: Sequence[Command]) -> None:
        """Cancel, if that is planned, just when the branch is being delivered."""
        delivers = any(
            each.schedule_activity.activity_type == "deliver_branch" for each in commands
        )
        if delivers and self._people.cancel_delivery:
            self._clock.soon(
                self._temporal.faults.work_seconds, lambda: self._temporal.cancel(run.workflow_id)
            )

    def _note(self, number: int) -> None:
        text = f"note {number} of a person."
        if self._clock.odds(0.3):
            text += " word" * 790  # nearly as long as a note may be
        task = self._clock.chance.choice((None, None, "t1", "t9"))
        payload: object = text if task is None else {"text": text, "task": task}
        if self._clock.odds(self._people.mess / 3):
            payload = {"txet": text}
        self._send("note", payload)

    def _look(self) -> None:
        """Answer one of the open questions, and look again later."""
        self._looks += 1
        if REQUEST_ID not in self._temporal.open or self._looks > _MOST_LOOKS:
            return
        pending: list[Approval] = (
            self._temporal.query(REQUEST_ID, "pending_approvals", list[Approval]) or []
        )
        if pending and self._answers < _MOST_ANSWERS:
            self._answer(self._clock.chance.choice(pending), alone=len(pending) == 1)
        elif self._clock.odds(self._people.mess / 20) and self._answers < _MOST_ANSWERS:
            self._nonsense()
        assert self._people.pause is not None
        self._clock.soon(2 * self._people.pause, self._look)

    def _answer(self, approval: Approval, *, alone: bool) -> None:
        self._answers += 1
        chance = self._clock.chance
        choice = "approve"
        if chance.random() > self._people.approve:
            choice = chance.choice(("reject", "revise"))
        mess = chance.random() < self._people.mess
        if mess and chance.random() < 0.3:
            self._nonsense()
            return
        fields: dict[str, Any] = {"approval": approval.id, "reason": "because", "by": "ann"}
        if chance.random() < 0.3:
            fields["digest"] = approval.digest
        if mess and chance.random() < 0.2:
            fields["digest"] = "0" * 64
        if chance.random() < 0.4:
            self._temporal.update(REQUEST_ID, "decide", {"choice": choice, **fields})
        elif alone and choice == "approve" and chance.random() < 0.4:
            self._send(choice, chance.choice((None, "", "yes", {})))
        else:
            self._send(choice, fields if chance.random() < 0.7 else approval.id)
        if mess:
            # A second person answers too, or the first once more.
            other = chance.choice(("approve", "reject", choice))
            self._answers += 1
            self._clock.soon(
                20.0, lambda: self._send(other, {**fields, "by": chance.choice(("ann", "bob"))})
            )

    def _nonsense(self) -> None:
        self._answers += 1
        chance = self._clock.chance
        name = chance.choice(("approve", "reject", "revise", "approve-it"))
        payload = chance.choice((42, False, ["x", "y"], {"approv": "plan"}, "no such thing", 1.5))
        self._send(name, payload)

    def _send(self, name: str, payload: object) -> None:
        times = 2 if self._clock.odds(self._temporal.faults.duplicate) else 1
        for _ in range(times):
            self._clock.soon(
                self._temporal.faults.hop_seconds,
                lambda: self._temporal.signal(REQUEST_ID, name, [adapter.encode(payload)]),
            )
