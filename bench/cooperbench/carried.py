"""One request carried through the product, with a person who answers, and what came of it."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from bench.cooperbench import kit
from bench.cooperbench.checker import Checker
from bench.cooperbench.dataset import Feature
from bench.cooperbench.plays import WRONG, Play
from bench.cooperbench.rule import dropped_lines, not_extended
from bench.cooperbench.workshop import Workshop
from cli.client import RequestClient
from cli.exit_codes import ServiceUnavailable, UsageError
from contracts.approvals import Approval, Choice, Decide
from contracts.repository import Environment
from contracts.request import RequestStart, RequestStatus
from contracts.task import TaskState

_UNDOES = "The change undoes"
_PAUSE_SECONDS = 0.2
_SECONDS = 600


@dataclass(frozen=True)
class RequestRow:
    """What became of one request.

    Attributes:
        clean: the pair merges without a conflict.
        sound: its clean merge passes both acceptances; None when it does not merge.
        tests: the acceptance is both features' own tests.
        landed: tasks that are done.
        asked: why a person was asked, by patch.
        told: tasks of which a person was told that they undo landed work; each was rejected.
        red: landed tasks whose acceptance is red on what was delivered.
        equal: what was delivered is the clean merge; None when it need not be.
        dropped: lines of landed tasks that what was delivered lacks; of wrong minds alone.
    """

    pair: str
    plan: str
    mind: str
    clean: bool
    sound: bool | None
    tests: bool
    state: str
    landed: tuple[str, ...]
    rounds: int
    asked: tuple[str, ...]
    told: tuple[str, ...]
    red: tuple[str, ...]
    equal: bool | None
    dropped: tuple[str, ...]
    reasons: tuple[str, ...]
    seconds: float

    def fields(self) -> dict[str, object]:
        """Return the row as JSON holds it."""
        return {"kind": "request", **asdict(self)}


@dataclass
class _Person:
    """Approves every patch but one that undoes landed work."""

    client: RequestClient
    request: str
    asked: list[str] = field(default_factory=list)
    told: list[str] = field(default_factory=list)

    async def answer(self) -> None:
        """Answer what is asked until cancelled."""
        while True:
            try:
                for approval in await self.client.approvals(self.request):
                    await self._decide(approval)
            except (ServiceUnavailable, UsageError):
                pass  # it starts, it has ended, or the question is answered already
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _decide(self, approval: Approval) -> None:
        undoes = _UNDOES in approval.why
        choice = Choice.REJECT if undoes else Choice.APPROVE
        await self.client.decide(
            self.request,
            Decide(choice=choice, approval=approval.id, digest=approval.digest, reason="Because."),
        )
        self.asked.append(f"{approval.id}: {approval.why}"[:300])
        if undoes:
            self.told.append(approval.id.split("/")[1])


@dataclass(frozen=True)
class Site:
    """Where a change's requests are carried out.

    Attributes:
        repository: of the person.
    """

    workshop: Workshop
    repository: Path
    environment: Environment
    checker: Checker

    async def carry(self, client: RequestClient, play: Play) -> RequestRow:
        """Carry one request out and look at what came of it."""
        began = time.monotonic()
        request, branch = f"request/{play.key}", f"made/{play.key}"
        start = RequestStart(
            repository=str(self.repository),
            request=f"Make {play.pair.first.title} and {play.pair.second.title}."[:500],
            branch=branch,
            environment=self.environment,
        )
        await client.start(start, request_id=request)
        person = _Person(client, request)
        answering = asyncio.create_task(person.answer())
        try:
            async with asyncio.timeout(_SECONDS):
                outcome = await client.outcome(request)
        finally:
            answering.cancel()
        status = outcome.status
        row = await self._row(play, person, status, branch if status and status.commit else None)
        seconds = round(time.monotonic() - began, 1)
        reasons = row.reasons or ((outcome.reason,) if outcome.reason else ())
        return RequestRow(
            **{**asdict(row), "state": outcome.state.value, "seconds": seconds, "reasons": reasons}
        )

    async def _row(
        self, play: Play, person: _Person, status: RequestStatus | None, branch: str | None
    ) -> RequestRow:
        rows = status.tasks if status else ()
        landed = [row.id for row in rows if row.state is TaskState.DONE]
        features = [each for each in play.features() if each.task in landed]
        outcome = self.workshop.outcome(play.pair)
        clean = outcome.trees.get("clean")
        commit = self._fetched(branch) if branch else None
        return RequestRow(
            pair=play.pair.name,
            plan=play.plan,
            mind=play.mind,
            clean=clean is not None,
            sound=await self._sound(play, clean) if clean else None,
            tests={each.number for each in play.features()} <= play.tests,
            state="",
            landed=tuple(landed),
            rounds=sum(row.rounds for row in rows),
            asked=tuple(person.asked),
            told=tuple(person.told),
            red=await self._red(play, features, commit),
            equal=self._equal(play, commit, clean) if clean and len(landed) == 2 else None,
            dropped=self._dropped(play, features, commit),
            reasons=tuple(f"{row.id}: {row.reason}"[:300] for row in rows if row.reason),
            seconds=0.0,
        )

    async def _sound(self, play: Play, tree: str) -> bool:
        commit = self.workshop.git.commit(tree, self.workshop.base, message="Clean\n")
        self.workshop.keep("clean", commit)
        return not await self._red(play, play.features(), commit)

    async def _red(
        self, play: Play, features: Sequence[Feature], commit: str | None
    ) -> tuple[str, ...]:
        if commit is None:
            return ()
        folder = self.workshop.git.folder
        return tuple(
            [
                each.task
                for each in features
                if not await self.checker.passes(folder, commit, play.acceptance(each))
            ]
        )

    def _fetched(self, branch: str) -> str:
        git = self.workshop.git
        git.run("fetch", "-q", "--no-tags", str(self.repository), f"+{branch}:{branch}")
        return git.text("rev-parse", branch)

    def _equal(self, play: Play, commit: str | None, clean: str) -> bool | None:
        if commit is None:
            return None
        notes: dict[str, bytes | None] = {kit.note(each): None for each in play.features()}
        return self.workshop.git.with_files(f"{commit}^{{tree}}", notes) == clean

    def _dropped(
        self, play: Play, features: Sequence[Feature], commit: str | None
    ) -> tuple[str, ...]:
        if commit is None or play.mind not in WRONG:
            return ()
        content = self.workshop.git.content
        return tuple(
            f"{each.task} {path}: {line}"
            for each in features
            for path, lines in dropped_lines(self.workshop, each, commit)
            for line in not_extended(lines, content(commit, path))
        )[:20]
