"""What has to be installed for an agent that asks for dependencies while it works."""

import shutil
from dataclasses import dataclass

from activities.wanted_setup import setup_digest
from contracts.repository import Environment
from contracts.setup import SetupOrigin, SetupReport, SetupRule, WantedSetup
from domain import lock_updates, setup, setup_words
from domain.ids import digest, shared_setup_ref
from domain.text import clip, for_people
from infra.layers import Layers
from infra.store import Store, diffs, journal, trees
from infra.tree_environment import stated_at

_NOTE_CHARS = 1_000
_DIFF_CHARS = 2_500


@dataclass(frozen=True)
class Asks:
    """What an agent asks for.

    Attributes:
        base: the commit that its work began on.
        commit: its last checkpoint.
        command: of a package manager, "" for none.
        folder: of the repository in which that runs, "" for the top.
        reason: why, in its own words.
        record: the ref under which what it comes to is kept.
        request: the key of its request.
    """

    base: str
    commit: str
    command: str
    folder: str
    reason: str
    record: str
    request: str = ""


@dataclass(frozen=True)
class NothingToRun:
    """Why nothing is installed, in words for the agent.

    Attributes:
        refused: it cannot be; else it is there already.
    """

    said: str
    refused: bool = False


async def setup_of_call(
    store: Store, environment: Environment, asks: Asks, layers: Layers | None
) -> WantedSetup | SetupReport | NothingToRun:
    """Return the setup that an agent's files need, and whether a person has to allow it.

    What the same has come to for another call of the request is returned as it is.
    """
    rule = environment.setup
    if rule is None or not rule.layer or layers is None:
        return NothingToRun(setup_words.NO_SETUP, refused=True)
    stated = await stated_at(store, rule, asks.commit)
    if gone := tuple(path for path in rule.stated_in if path not in stated):
        return NothingToRun(setup_words.gone_sentence(gone), refused=True)
    changes = await diffs.changes(store, asks.base, asks.commit)
    changed = [each.path for each in changes if each.status != "D"]
    files = await trees.object_ids(store, asks.commit)
    if asks.command:
        if problem := lock_updates.update_problem(asks.command):
            return NothingToRun(setup_words.no_update(asks.command, problem), refused=True)
        updates: tuple[str, ...] = (lock_updates.in_folder(asks.command, asks.folder),)
        program = asks.command.split()[0]
    else:
        updates = lock_updates.relocks(files, changed)
        program = ""
    if program and not shutil.which(program, path=environment.path):
        return NothingToRun(setup_words.no_program(program), refused=True)
    name = setup.layer_name(rule.commands, stated, rule.host)
    if not updates and (name == rule.layer or layers.find(name)):
        return NothingToRun(setup_words.nothing_new(rule.stated_in))
    tree = (await store.get_commit(asks.commit)).tree
    update = " && ".join(updates)
    wanted = _wanted(rule, stated, name, update=update, tree=tree)
    said_by = {path: oid for path, oid in files.items() if lock_updates.is_stated(path)} | stated
    same = setup.same_setup(update, wanted.rule, said_by) if update else wanted.digest
    if update and (done := await _done_before(store, asks.request, wanted, same, layers)):
        return done
    said = tuple(path for path in changed if lock_updates.is_stated(path) or path in stated)
    others = len(changed) - len(said)
    text = await diffs.text_of(store, asks.base, asks.commit, said, _DIFF_CHARS) if said else ""
    why = setup_words.agent_says(asks.reason, others=others if update else 0)
    return wanted.model_copy(
        update={
            "record": asks.record,
            "same": same,
            "because": clip(why, _NOTE_CHARS),
            "ask": layers.answer(wanted.digest) is not True,
            "diff": clip(for_people(text, _DIFF_CHARS), _DIFF_CHARS),
        }
    )


async def _done_before(
    store: Store, request: str, wanted: WantedSetup, same: str, layers: Layers
) -> SetupReport | None:
    """Return what the same has come to for another call, where what it installed is there yet."""
    found = await journal.recorded(store, shared_setup_ref(request, same)) if request else None
    if found is None:
        return None
    report = SetupReport.model_validate_json(found)
    rule = wanted.rule
    after = {path: report.changed.get(path, oid) for path, oid in rule.stated.items()}
    name = setup.layer_name(rule.commands, after, rule.host)
    return report if layers.find(name) else None


def _wanted(
    rule: SetupRule, stated: dict[str, str], name: str, *, update: str, tree: str
) -> WantedSetup:
    """Return a setup of what is stated; what an update may read is the whole tree."""
    asked = setup_digest(rule.commands, stated)
    if update:
        asked = digest("update", update, *rule.commands, tree, length=64)
    return WantedSetup(
        rule=rule.model_copy(update={"stated": stated, "layer": name}),
        origin=SetupOrigin.DETECTED,
        layer=name,
        digest=asked,
        update=update,
    )
