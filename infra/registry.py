"""How a person's package managers reach their registries, for the setup step and nothing else.

Read from the worker's own environment and home each time, and kept nowhere: no request, no store
and no agent is given any of it.
"""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from infra.regular_file import regular_content

_PREFIXES: Final = (
    *("PIP_", "UV_", "POETRY_", "PDM_", "PIPENV_", "NPM_", "YARN_", "BUN_CONFIG_", "BUNDLE_"),
    *("CARGO_HTTP_", "CARGO_NET_", "CARGO_REGISTRIES_", "CARGO_SOURCE_", "COMPOSER_", "HEX_"),
    "CONDA_",
)
_NAMES: Final = frozenset(
    (
        *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"),
        *("GOPROXY", "GOSUMDB", "GOPRIVATE", "GONOPROXY", "GONOSUMDB", "GOINSECURE", "GOFLAGS"),
        *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
        *("NODE_EXTRA_CA_CERTS", "GIT_SSL_CAINFO", "NODE_AUTH_TOKEN", "NETRC"),
    )
)
_OWN_PLACES: Final = re.compile(
    r"(?:.*_(?:CACHE_DIR|CACHE|HOME|PREFIX|USERCONFIG|GLOBALCONFIG|TARGET|USER|ROOT|PATH|DIR)"
    r"|UV_PROJECT_ENVIRONMENT|UV_PYTHON_INSTALL_DIR|PIP_REQUIRE_VIRTUALENV|PIP_CONFIG_FILE"
    r"|UV_CONFIG_FILE|NPM_LIFECYCLE_.*|NPM_PACKAGE_.*|NPM_EXECPATH|NPM_COMMAND)",
    re.IGNORECASE,
)
"""Variables that name folders of the person's, or that belong to a run of theirs."""
_FILES: Final = (
    *(".npmrc", ".yarnrc", ".yarnrc.yml", ".netrc", ".bunfig.toml", ".condarc"),
    *(".pip/pip.conf", ".config/pip/pip.conf", ".config/uv/uv.toml", ".config/go/env"),
    *(".cargo/config.toml", ".cargo/config", ".cargo/credentials.toml", ".m2/settings.xml"),
    *(".config/pypoetry/config.toml", ".config/pypoetry/auth.toml", ".config/pdm/config.toml"),
    *(".bundle/config", ".composer/auth.json", ".config/composer/auth.json"),
)
_SECRET_NAME = re.compile(r"TOKEN|PASSWORD|PASSWD|AUTH|SECRET|CREDENTIAL|_KEY", re.IGNORECASE)
_SECRET_VALUE = re.compile(
    r"(?:_authToken|_auth|_password|password|token|secret)[\"']?\s*[=:\s]\s*[\"']?([^\s\"'<>]+)",
    re.IGNORECASE,
)
_USER_IN_ADDRESS = re.compile(r"://([^/\s@]+)@")
_MOST_BYTES = 1 << 20
_FIXED: Final = {
    "CI": "1",
    # The machine's own interpreters: one that a setup fetched would not be there later.
    "UV_PYTHON_DOWNLOADS": "never",
    "GOTOOLCHAIN": "local",
    # A virtual environment refers to no folder that is gone afterwards.
    "UV_LINK_MODE": "copy",
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
}


@dataclass(frozen=True, repr=False)
class Registry:
    """What a setup is given of the person's settings.

    Attributes:
        variables: of its environment.
        files: of its HOME, by path.
        shown: folders and files of the host that the variables name, such as certificates.
        secrets: what must not be shown of its output.
    """

    variables: Mapping[str, str]
    files: Mapping[str, bytes]
    shown: tuple[Path, ...]
    secrets: tuple[str, ...]


def registry(environ: Mapping[str, str], home: Path) -> Registry:
    """Return the person's settings of package managers."""
    own = {name: value for name, value in environ.items() if value and _is_passed(name)}
    files = {
        path: content
        for path in _FILES
        if (content := regular_content(home / path)) and len(content) <= _MOST_BYTES
    }
    return Registry(
        variables={**_FIXED, **own},
        files=files,
        shown=tuple(_named_places(own)),
        secrets=tuple(dict.fromkeys(_secrets(own, files))),
    )


def _is_passed(name: str) -> bool:
    wanted = name.upper() in _NAMES or name.upper().startswith(_PREFIXES)
    return wanted and re.fullmatch(r"\w+", name, re.ASCII) is not None and _is_general(name)


def _is_general(name: str) -> bool:
    return name.upper() in _NAMES or _OWN_PLACES.fullmatch(name) is None


def _named_places(variables: Mapping[str, str]) -> Iterator[Path]:
    """Yield the files and folders that variables name, as far as they are there."""
    for name, value in variables.items():
        if "PROXY" in name.upper():
            continue
        for word in value.split():
            path = word.removeprefix("file://")
            if path.startswith("/") and os.path.exists(path):  # noqa: PTH110 - a closed folder
                yield Path(path)


def _secrets(variables: Mapping[str, str], files: Mapping[str, bytes]) -> Iterator[str]:
    for name, value in variables.items():
        if _SECRET_NAME.search(name):
            yield value
        yield from _USER_IN_ADDRESS.findall(value)
    for content in files.values():
        text = content.decode("utf-8", "replace")
        yield from _SECRET_VALUE.findall(text)
        yield from _USER_IN_ADDRESS.findall(text)
