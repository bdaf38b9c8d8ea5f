"""What has to be installed for an agent that asks for dependencies while it works."""

import shutil
from dataclasses import dataclass

from activities.wanted_setup import setup_digest
from contracts.repository import Environment
from contracts.setup import SetupOrigin, SetupRule, WantedSetup
from domain import lock_updates, setup, setup_words
from domain.ids import digest
from domain.text import clip, for_people
from infra.layers import Layers
from infra.store import Store, diffs, trees
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
    """

    base: str
    commit: str
    command: str
    folder: str
    reason: str
    record: str


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
) -> WantedSetup | NothingToRun:
    """Return the setup that an agent's files need, and whether a person has to allow it."""
    rule = environment.setup
    if rule is None or not rule.layer or layers is None:
        return NothingToRun(setup_words.NO_SETUP, refused=True)
    stated = await stated_at(store, rule, asks.commit)
    if gone := tuple(path for path in rule.stated_in if path not in stated):
        return NothingToRun(setup_words.gone_sentence(gone), refused=True)
    changes = await diffs.changes(store, asks.base, asks.commit)
    changed = [each.path for each in changes if each.status != "D"]
    if asks.command:
        if problem := lock_updates.update_problem(asks.command):
            return NothingToRun(setup_words.no_update(asks.command, problem), refused=True)
        updates: tuple[str, ...] = (lock_updates.in_folder(asks.command, asks.folder),)
        program = asks.command.split()[0]
    else:
        files = await trees.paths(store, asks.commit)
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
    said = tuple(path for path in changed if lock_updates.is_stated(path) or path in stated)
    others = len(changed) - len(said)
    text = await diffs.text_of(store, asks.base, asks.commit, said, _DIFF_CHARS) if said else ""
    why = setup_words.agent_says(asks.reason, others=others if update else 0)
    return wanted.model_copy(
        update={
            "record": asks.record,
            "because": clip(why, _NOTE_CHARS),
            "ask": layers.answer(wanted.digest) is not True,
            "diff": clip(for_people(text, _DIFF_CHARS), _DIFF_CHARS),
        }
    )


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
