"""What a request's base needs installed before its agents start, and who has to allow it."""

import asyncio
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from contracts.repository import Environment
from contracts.setup import SetupOrigin, SetupRule, WantedSetup
from domain import setup
from domain.ids import digest
from domain.project.fetched import HOME_LOCKS
from domain.text import clip, for_people, listing
from infra.dependencies import lacks_fetched
from infra.layers import Layers
from infra.setup_host import setup_host
from infra.store import Store, diffs
from infra.tree_environment import stated_at

_NOTE_CHARS = 1_000
_DIFF_CHARS = 2_500


@dataclass(frozen=True)
class SetupOfBase:
    """What is known of a base's setup.

    Attributes:
        wanted: what has to be installed before agents start, None for nothing.
        rule: what installs what the base depends on, should a lock file change; None = unknown.
        notes: what the person should know.
    """

    wanted: WantedSetup | None = None
    rule: SetupRule | None = None
    notes: tuple[str, ...] = ()


async def setup_of_base(
    store: Store,
    files: Mapping[str, str],
    environment: Environment,
    *,
    asked: Sequence[str] | None,
    of_settings: Sequence[str],
    layers: Layers,
) -> SetupOfBase:
    """Return what a base needs.

    Args:
        store: it holds the base.
        files: object ids of the base's files, by path.
        environment: with what the person's checkout has installed.
        asked: what the person named; None = nothing, () = there is to be no setup.
        of_settings: what the settings of the base name.
        layers: what is installed already, and what people allowed.
    """
    if asked is not None:
        found = _wanted(asked, SetupOrigin.PERSON, files, environment, layers) if asked else None
        return SetupOfBase(found, found.rule if found else None)
    there = _there(environment) - await _incomplete(store, files)
    lacking = setup.missing(tuple(files), there)
    if of_settings:
        rule = _wanted(of_settings, SetupOrigin.SETTINGS, files, environment, layers)
        if setup.installers(tuple(files)) and not lacking:
            return SetupOfBase(rule=rule.rule)
        return _asked_about(rule, environment, lacking, layers)
    every = await _possible(store, files, environment, setup.installers(tuple(files)))
    lacking, absent = await _possible(store, files, environment, lacking)
    notes = tuple(map(_no_program, absent))
    # Of all lock files: one layer holds what a tree needs.
    commands = tuple(each.command for each in every[0])
    rule = _wanted(commands, SetupOrigin.DETECTED, files, environment, layers)
    if not lacking:
        return SetupOfBase(rule=rule.rule if commands else None, notes=notes)
    found = _wanted(
        tuple(each.command for each in lacking), SetupOrigin.DETECTED, files, environment, layers
    )
    return _asked_about(found, environment, lacking, layers, notes)


def _asked_about(
    found: WantedSetup,
    environment: Environment,
    lacking: Sequence[setup.Missing],
    layers: Layers,
    notes: tuple[str, ...] = (),
) -> SetupOfBase:
    """Return a setup that a person has to allow, unless they answered before."""
    commands, answer = found.rule.commands, layers.answer(found.digest)
    if answer is False:
        said = f"The setup {listing(commands)} does not run, as you answered before; --setup runs"
        return SetupOfBase(rule=found.rule, notes=(*notes, clip(f"{said} it.", _NOTE_CHARS)))
    outdated = [each.path for each in environment.dependencies if each.outdated_by]
    why = setup.because(lacking, outdated) if lacking else "the settings of the base name it."
    update = {"ask": answer is None, "because": clip(why, _NOTE_CHARS)}
    return SetupOfBase(found.model_copy(update=update), found.rule, notes)


async def setup_of_patch(
    store: Store, environment: Environment, base: str, commit: str, layers: Layers
) -> WantedSetup | None:
    """Return the setup that a patch needs because it changes a lock file; None for none."""
    rule = environment.setup
    if rule is None or not rule.layer:
        return None
    stated = await stated_at(store, rule, commit)
    name = setup.layer_name(rule.commands, stated, rule.host)
    layers.note_use(name)  # first: what is found then stays until the commands have it
    if name == rule.layer or stated.keys() != rule.stated.keys() or layers.find(name):
        return None
    changed = tuple(path for path, oid in stated.items() if oid != rule.stated[path])
    asked = setup_digest(rule.commands, stated)
    text = await diffs.text_of(store, base, commit, changed, _DIFF_CHARS)
    return WantedSetup(
        rule=rule.model_copy(update={"stated": stated, "layer": name}),
        origin=SetupOrigin.DETECTED,
        layer=name,
        because=clip(f"the patch changes {listing(changed)}.", _NOTE_CHARS),
        ask=layers.answer(asked) is not True,
        digest=asked,
        same=asked,
        diff=clip(for_people(text, _DIFF_CHARS), _DIFF_CHARS),
    )


def _wanted(
    commands: Sequence[str],
    origin: SetupOrigin,
    files: Mapping[str, str],
    environment: Environment,
    layers: Layers,
) -> WantedSetup:
    stated = {path: files[path] for path in setup.stated_in(tuple(files), commands)}
    host = setup_host(environment.path)
    name = setup.layer_name(commands, stated, host)
    return WantedSetup(
        rule=SetupRule(commands=tuple(commands), stated=stated, host=host, layer=name),
        origin=origin,
        layer=name,
        digest=setup_digest(commands, stated),
        installed=layers.find(name) is not None,
    )


def setup_digest(commands: Sequence[str], stated: Mapping[str, str]) -> str:
    """Return the digest of what is asked about, the same on every machine."""
    return digest(setup.layer_name(commands, stated, ""), length=64)


def _there(environment: Environment) -> set[str]:
    """Return where dependencies are installed as the base needs them."""
    found = {
        f"{'~/' * each.in_home}{each.path}"
        for each in environment.dependencies
        if not each.outdated_by
    }
    # One that is active elsewhere is the person's choice for a project at the top.
    inside = any(each.read_only and each.outdated_by for each in environment.dependencies)
    return found | ({".venv"} if environment.virtual_env and not inside else set())


async def _incomplete(store: Store, files: Mapping[str, str]) -> set[str]:
    """Return the caches in the home that lack a package which a lock file of the base names.

    Such a cache serves all projects, so that it is there says nothing of this one.
    """
    found = set[str]()
    for name, place in HOME_LOCKS:
        for lock in (path for path in files if path.rpartition("/")[2] == name):
            content = (await store.get_blob(files[lock])).decode("utf-8", "replace")
            if await asyncio.to_thread(lacks_fetched, Path.home(), name, content):
                found.add(f"~/{place}")
                break
    return found


async def _possible(
    store: Store,
    files: Mapping[str, str],
    environment: Environment,
    found: Sequence[setup.Missing],
) -> tuple[list[setup.Missing], list[setup.Missing]]:
    """Return the lock files that name packages: those this machine can install, and the others."""
    can, cannot = list[setup.Missing](), list[setup.Missing]()
    for each in found:
        content = (await store.get_blob(files[each.lock])).decode("utf-8", "replace")
        if setup.names_any(each.installer, content):
            there = shutil.which(each.installer.program, path=environment.path)
            (can if there else cannot).append(each)
    return can, cannot


def _no_program(absent: setup.Missing) -> str:
    said = (
        f"What {absent.lock} names is not installed, and there is no {absent.installer.program} on "
        "the PATH to install it: install it in your checkout, or name commands that do with "
        "--setup."
    )
    return clip(said, _NOTE_CHARS)
