"""The environment of commands on one tree: what is installed there is what its lock files name."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from contracts.repository import Dependencies, Environment
from contracts.setup import SetupRule
from domain.setup import layer_name
from infra.layers import Layers
from infra.sandbox import PROJECT
from infra.store import Store


@dataclass(frozen=True)
class TreeEnvironment:
    """Where commands run on one tree.

    Attributes:
        layer: the name of what is installed there, "" = the same as at the request's base.
        stale: files that say what is installed and differ from the base's, while what they name is
            not installed.
    """

    environment: Environment
    layer: str = ""
    stale: tuple[str, ...] = ()


def activated(environment: Environment, virtual_env: str | None) -> dict[str, str]:
    """Return what changes when a virtual environment is activated."""
    if virtual_env is None:
        return {}
    path = os.pathsep.join((str(Path(virtual_env, "bin")), environment.path))
    return {"virtual_env": virtual_env, "path": path}


def with_layer(environment: Environment, found: Sequence[Dependencies]) -> Environment:
    """Return the environment in which a layer stands in the place of what is there."""
    taken = {(each.path, each.in_home) for each in found}
    others = (
        each
        for each in environment.dependencies
        if (each.path, each.in_home) not in taken and not each.layer
    )
    python = next((each.path for each in found if each.read_only and "/" not in each.path), None)
    used = {}
    if python and environment.virtual_env != str(PROJECT / python):
        used = activated(environment, str(PROJECT / python))
    return environment.model_copy(update={"dependencies": (*others, *found), **used})


async def stated_at(store: Store, rule: SetupRule, commit: str) -> dict[str, str]:
    """Return the object ids of the files that decide a setup, as far as a commit has them."""
    found = {path: await store.resolve(f"{commit}:{path}") for path in rule.stated_in}
    return {path: oid for path, oid in found.items() if oid is not None}


async def environment_at(
    store: Store, environment: Environment, commit: str, layers: Layers | None
) -> TreeEnvironment:
    """Return the environment of commands on a commit."""
    rule = environment.setup
    if rule is None or layers is None or not rule.layer:
        return TreeEnvironment(environment)
    stated = await stated_at(store, rule, commit)
    name = layer_name(rule.commands, stated, rule.host)
    if name == rule.layer:
        return TreeEnvironment(environment)
    layer = layers.find(name)
    if layer is None:
        changed = (path for path in rule.stated_in if stated.get(path) != rule.stated.get(path))
        return TreeEnvironment(environment, stale=tuple(changed))
    return TreeEnvironment(with_layer(environment, layer.dependencies()), layer=name)
