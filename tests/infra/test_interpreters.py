"""The interpreters to which a repository's files lead, on homes that are made here."""

import base64
import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from infra.interpreters import Interpreters, interpreters

PYTHONS = ("pyenv", "3.12.1"), ("pyenv", "3.12.10"), ("pyenv", "3.11.7"), ("asdf", "3.10.4")
NODES = ("nvm", "20.11.0"), ("nvm", "22.3.0"), ("mise", "18.19.1")
PLACES = {
    ("pyenv", "python"): ".pyenv/versions/{}/bin/python3",
    ("asdf", "python"): ".asdf/installs/python/{}/bin/python3",
    ("nvm", "node"): ".nvm/versions/node/v{}/bin/node",
    ("mise", "node"): ".local/share/mise/installs/node/{}/bin/node",
}
POETRY = '[tool.poetry]\nname = "My Shop"\n'
Found = Callable[..., Interpreters]


def program(file: Path) -> Path:
    """Make a program that must never be run."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("#!/bin/sh\nexit 99\n")
    file.chmod(0o755)
    return file


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with what version managers install."""
    folder = tmp_path / "home"
    monkeypatch.setenv("HOME", str(folder))
    for tool, found in (("python", PYTHONS), ("node", NODES)):
        for manager, version in found:
            program(folder / PLACES[manager, tool].format(version))
    lts = folder / ".nvm" / "alias" / "lts"
    lts.mkdir(parents=True)
    (lts / "iron").write_text("v20.11.0\n")
    (lts / "*").write_text("lts/iron\n")
    (lts / "loop").write_text("lts/loop\n")
    return folder


@pytest.fixture
def found(home: Path, tmp_path: Path) -> Found:
    """Look for the interpreters of a checkout with some files."""

    def look(
        texts: dict[str, str],
        *,
        own: Path | None = None,
        active: str | None = None,
        path: str = "/nowhere",
        **environ: str,
    ) -> Interpreters:
        return interpreters(
            tmp_path / "shop", texts, own=own, active=active, search_path=path, environ=environ
        )

    return look


@pytest.mark.parametrize(
    ("texts", "folder", "version"),
    [
        ({".python-version": "3.12\n"}, ".pyenv/versions/3.12.10", "python 3.12.10 of pyenv"),
        ({".python-version": "# x\n3.11.7\n3.10\n"}, ".pyenv/versions/3.11.7", "python 3.11.7 of"),
        ({".tool-versions": "python 3.10.4\n"}, ".asdf/installs/python/3.10.4", "of asdf"),
        ({".nvmrc": "v20"}, ".nvm/versions/node/v20.11.0", "node 20.11.0 of nvm"),
        ({".nvmrc": "22"}, ".nvm/versions/node/v22.3.0", "node 22.3.0 of nvm"),
        ({".nvmrc": "lts/iron"}, ".nvm/versions/node/v20.11.0", "node 20.11.0 of nvm"),
        ({".nvmrc": "lts/*"}, ".nvm/versions/node/v20.11.0", "node 20.11.0 of nvm"),
        ({".node-version": "18.19"}, ".local/share/mise/installs/node/18.19.1", "of mise"),
        ({"mise.toml": '[tools]\nnode = "18"\n'}, ".local/share/mise/installs/node/18.19.1", "18"),
    ],
)
def test_a_version_file_leads_to_what_a_version_manager_has(
    found: Found, home: Path, texts: dict[str, str], folder: str, version: str
) -> None:
    """The newest that fits goes before the PATH, and a sentence says so."""
    led = found(texts)

    assert led.folders == (str(home / folder / "bin"),)
    assert version in led.notes[0]
    assert next(iter(texts)) in led.notes[0]


@pytest.mark.parametrize(
    ("texts", "note"),
    [
        (
            {".python-version": "3.13\n"},
            "asks for python 3.13, which no version manager has here; ",
        ),
        ({".nvmrc": "16"}, "install it with `nvm install 16`, if that is another version"),
        ({".nvmrc": "lts/loop"}, "asks for node lts/loop"),
        ({".nvmrc": "node"}, "asks for node node"),
    ],
)
def test_what_no_version_manager_has_is_told_with_the_remedy(
    found: Found, texts: dict[str, str], note: str
) -> None:
    """In one sentence; commands go on with what the PATH has."""
    led = found(texts)

    assert led.folders == ()
    (said,) = led.notes
    assert note in said


@pytest.mark.parametrize(
    "version",
    [
        "../../../secret",
        "lts/../../../secret",
        "/etc",
        "3.12/../3.11.7",
        "$(id)",
        "private",
        "x" * 99,
    ],
)
def test_no_version_leads_out_of_what_version_managers_have(
    found: Found, home: Path, version: str
) -> None:
    """Neither a path nor a link: the repository chooses among versions, never a folder."""
    program(home / "secret" / "bin" / "python3")
    program(home / ".pyenv" / "secret" / "bin" / "python3")
    (home / ".pyenv" / "versions" / "private").symlink_to(home / "secret")

    for file in (".python-version", ".nvmrc"):
        assert found({file: version}).folders == ()


def test_what_the_path_has_already_is_no_news(found: Found, tmp_path: Path) -> None:
    """A version that no manager has and the PATH's own place names needs no sentence."""
    folder = program(tmp_path / "opt" / "node-v16.2.0" / "bin" / "node").parent

    assert found({".nvmrc": "16"}, path=str(folder)).notes == ()


def test_an_environment_counts_before_a_version_file(found: Found, tmp_path: Path) -> None:
    """The repository's own and an active one bring their interpreter."""
    texts = {".python-version": "3.12", ".nvmrc": "20"}

    for led in (found(texts, own=tmp_path / ".venv"), found(texts, active="/elsewhere")):
        assert [folder.rpartition("/v")[2] for folder in led.folders] == ["20.11.0/bin"]


def poetry_folder(checkout: Path, version: str, cache: Path) -> Path:
    """Make the environment that poetry keeps for a checkout."""
    digest = hashlib.sha256(os.path.realpath(checkout).encode()).digest()
    name = f"my_shop-{base64.urlsafe_b64encode(digest).decode()[:8]}"
    folder = cache / "virtualenvs" / f"{name}-py{version}"
    python = program(folder / "bin" / "python")
    (folder / "pyvenv.cfg").write_text(f"home = {program(cache / 'base' / 'python3').parent}\n")
    assert python.exists()
    return folder


def test_poetrys_environment_of_the_checkout_is_found(
    found: Found, home: Path, tmp_path: Path
) -> None:
    """In its usual folder, where a variable or the person's configuration says, by the checkout's
    path alone; that which poetry has active counts.
    """
    (tmp_path / "shop").mkdir()
    texts = {"pyproject.toml": POETRY}
    usual = home / ".cache" / "pypoetry"
    poetry_folder(tmp_path / "other", "3.11", usual)
    assert found(texts).environment is None

    old = poetry_folder(tmp_path / "shop", "3.11", usual)
    new = poetry_folder(tmp_path / "shop", "3.12", usual)
    os.utime(old, (1, 1))
    assert found(texts).environment == new
    name = old.name.removesuffix("-py3.11")
    (usual / "virtualenvs" / "envs.toml").write_text(f'["{name}"]\nminor = "3.11"\n')
    assert found(texts).environment == old
    assert found({"pyproject.toml": '[project]\nname = "My Shop"\n'}).environment is None
    assert found(texts, own=tmp_path / ".venv").environment == tmp_path / ".venv"

    elsewhere = poetry_folder(tmp_path / "shop", "3.12", tmp_path / "cache")
    assert found(texts, POETRY_CACHE_DIR=str(tmp_path / "cache")).environment == elsewhere
    config = home / ".config" / "pypoetry" / "config.toml"
    config.parent.mkdir(parents=True)
    config.write_text(f'[virtualenvs]\npath = "{tmp_path}/cache/virtualenvs"\n')
    assert found(texts).environment == elsewhere


@pytest.mark.parametrize("name", ["../../secret", "/etc", ".ssh", "*"])
def test_no_project_name_leads_out_of_poetrys_folder(
    found: Found, home: Path, tmp_path: Path, name: str
) -> None:
    """It is part of a folder's name, beside a digest that no author of a repository knows."""
    poetry_folder(tmp_path / "shop", "3.11", home / ".cache" / "pypoetry")

    assert found({"pyproject.toml": f'[tool.poetry]\nname = "{name}"\n'}).environment is None


def test_condas_environment_is_told(found: Found, tmp_path: Path) -> None:
    """That which is active, and that one of the repository is not."""
    active = tmp_path / "envs" / "shop"
    program(active / "bin" / "python")
    (active / "conda-meta").mkdir()
    path = f"{active}/bin:/nowhere"
    told = "environment.yml is for the conda environment tools, which is not active here"

    assert found({"environment.yml": "name: shop\n"}, path=path).notes == (
        "Commands use the active conda environment shop.",
    )
    (said,) = found({"environment.yml": "name: 'tools'\n"}, path=path).notes
    assert said.startswith(f"{told}, while shop is: run `conda activate tools` and then start")
    assert told in found({"environment.yml": "name: tools\n"}).notes[0]
    assert found({".python-version": "3.12"}, path=path).folders == ()
