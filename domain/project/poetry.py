"""How poetry names the virtual environments that it keeps outside of projects."""

import base64
import hashlib
import re
import tomllib
from pathlib import Path
from typing import Any, Final

from domain.project.facts import table

_REPLACED: Final = re.compile(r'[ $`!*@"\\\r\n\t]')
_NAME_CHARS: Final = 42


def poetry_name(pyproject: str, checkout: str) -> str:
    """Return the name that poetry gives the environment of a checkout; "" where it is none of its.

    Args:
        pyproject: the text of its pyproject.toml.
        checkout: its real path.
    """
    project = _toml(pyproject)
    poetry = table(project, "tool", "poetry")
    name = poetry.get("name") or table(project, "project").get("name")
    backend = str(table(project, "build-system").get("build-backend", ""))
    if not isinstance(name, str) or not (poetry or backend.startswith("poetry.")):
        return ""
    clean = _REPLACED.sub("_", name.lower())[:_NAME_CHARS]
    if "/" in clean or clean.startswith("."):
        return ""
    digest = hashlib.sha256(checkout.encode("utf-8", "surrogateescape")).digest()
    return f"{clean}-{base64.urlsafe_b64encode(digest).decode()[:8]}"


def poetry_active(envs: str, name: str) -> str:
    """Return the version (`3.11`) whose environment of a name poetry's envs.toml has active."""
    return str(table(_toml(envs), name).get("minor", ""))


def poetry_virtualenvs(config: str, cache: Path) -> Path:
    """Return the folder of environments by the person's configuration of poetry."""
    found = _toml(config)
    cache = Path(str(found.get("cache-dir") or cache))
    named = str(table(found, "virtualenvs").get("path") or "{cache-dir}/virtualenvs")
    return Path(named.replace("{cache-dir}", str(cache)))


def _toml(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError):
        return {}
