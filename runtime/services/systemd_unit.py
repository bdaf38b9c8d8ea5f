"""The systemd user unit that runs `up`: its text, its files, and systemctl where it works."""

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from runtime.errors import SettingsError
from runtime.settings import HEARTBEAT_FD, Settings
from runtime.version import ROOT

NAME = "orchestcode.service"
_RELOAD = ("systemctl", "--user", "daemon-reload")
_START = ("systemctl", "--user", "enable", "--now", NAME)
_STOP = ("systemctl", "--user", "disable", "--now", NAME)
START_COMMANDS = (_RELOAD, _START)
_PREFIXES = ("ORCHESTCODE_", "ANTHROPIC_", "TEMPORAL_")
_NAMES = frozenset(
    {"PATH", "VIRTUAL_ENV", "LANG", "XDG_STATE_HOME", "SSL_CERT_FILE", "SSL_CERT_DIR"}
    | {name for each in ("HTTPS", "HTTP", "ALL", "NO") for name in (f"{each}_PROXY",)}
    | {name for each in ("https", "http", "all", "no") for name in (f"{each}_proxy",)}
)
_SYSTEMCTL_SECONDS = 90.0


def unit_file(environ: Mapping[str, str]) -> Path:
    """Return where a user's unit lies; the file may not exist."""
    chosen = environ.get("XDG_CONFIG_HOME", "")
    # By the XDG specification a relative path is ignored.
    base = Path(chosen) if Path(chosen).is_absolute() else _home(environ) / ".config"
    return base / "systemd" / "user" / NAME


def settings_file(settings: Settings) -> Path:
    """Return the file of the settings with which the unit runs."""
    return settings.home / "service.env"


def install(settings: Settings, *, starter: Path) -> Path:
    """Write the unit and its settings, and return the unit's path.

    Raises:
        SettingsError: a unit of that name is another home's, or a folder cannot be written.
    """
    path = unit_file(settings.environment)
    text = unit_text(settings, starter=starter)
    if path.exists() and f"EnvironmentFile={_plain(settings_file(settings))}" not in _lines(path):
        raise SettingsError(
            f"{path} is not of this home: remove it with `service uninstall` under its "
            "ORCHESTCODE_HOME, or by hand."
        )
    try:
        _write_private(settings_file(settings), settings_text(settings))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as problem:
        raise SettingsError(f"{problem.filename} cannot be written: {problem.strerror}.") from None
    return path


def reload(settings: Settings) -> None:
    """Have systemd read the unit; SettingsError where that does not work."""
    _systemctl(settings, _RELOAD)


def start(settings: Settings) -> None:
    """Have systemd start the unit, now and at each login; SettingsError when it does not."""
    _systemctl(settings, _START)


def stop(settings: Settings) -> None:
    """Have systemd end the unit; SettingsError where that does not work."""
    _systemctl(settings, _STOP)


def remove(settings: Settings) -> list[Path]:
    """Remove the unit and its settings, and return what was removed."""
    paths = (unit_file(settings.environment), settings_file(settings))
    removed = [path for path in paths if path.exists()]
    for path in removed:
        path.unlink()
    with contextlib.suppress(SettingsError):
        _systemctl(settings, _RELOAD)
    return removed


def unit_text(settings: Settings, *, starter: Path) -> str:
    """Return the unit: `up` in the foreground, started again when it fails."""
    return f"""\
[Unit]
Description=OrchestCode: Temporal server and worker

[Service]
Type=exec
WorkingDirectory={_plain(ROOT)}
EnvironmentFile={_plain(settings_file(settings))}
ExecStart={_word(sys.executable)} {_word(str(starter))} up
Restart=on-failure
RestartSec=30
# The worker is ended by `up`, which gives it its grace.
KillMode=mixed
TimeoutStopSec={settings.reply_grace_seconds + 60}

[Install]
WantedBy=default.target
"""


def settings_text(settings: Settings) -> str:
    """Return the variables that the service works by, as systemd reads a file of them."""
    kept = {
        name: value
        for name, value in settings.environment.items()
        if (name.startswith(_PREFIXES) or name in _NAMES) and name != HEARTBEAT_FD
    }
    kept["ORCHESTCODE_HOME"] = str(settings.home)
    return "".join(f"{name}={_quoted(value)}\n" for name, value in sorted(kept.items()))


def _home(environ: Mapping[str, str]) -> Path:
    return Path(environ["HOME"]) if environ.get("HOME") else Path.home()


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8", errors="replace").splitlines()


def _write_private(path: Path, text: str) -> None:
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    draft.replace(path)


def _quoted(value: str) -> str:
    """Return a value as an environment file of systemd quotes it; a line end may stand inside."""
    for character in ("\\", '"', "$", "`"):
        value = value.replace(character, f"\\{character}")
    return f'"{value}"'


def _plain(path: Path) -> str:
    """Return a path as the whole value of a unit's key: only specifiers need an escape."""
    return str(path).replace("%", "%%")


def _word(text: str) -> str:
    """Return a word of a command line of a unit."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped.replace("%", "%%").replace("$", "$$")}"'


def _systemctl(settings: Settings, words: tuple[str, ...]) -> None:
    program = shutil.which(words[0], path=settings.path)
    if program is None:
        raise SettingsError("there is no systemctl here.")
    try:
        ran = subprocess.run(
            [program, *words[1:]],
            env=settings.environment,
            capture_output=True,
            text=True,
            timeout=_SYSTEMCTL_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as problem:
        raise SettingsError(f"systemctl does not work here ({problem}).") from problem
    if ran.returncode:
        reason = " ".join(ran.stderr.split()) or f"exit code {ran.returncode}"
        raise SettingsError(f"systemctl does not work here ({reason}).")
