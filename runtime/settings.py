"""Settings: all environment variables, read and checked once, in this one module."""

import json
import os
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from runtime.errors import SettingsError
from runtime.home_owner import refuse_foreign_home
from runtime.secret import Secret

DEFAULT_MODEL = "claude-sonnet-5-5"
DEFAULT_NAMESPACE = "default"
WATCHDOG_SECONDS = 30
BACKUP_SECONDS = 30
GRACE_SECONDS = 5
REPLY_GRACE_SECONDS = 60
IDLE_SECONDS = 900
ROLES = ("planner", "coder", "reviewer")
"""Roles that may have a model of their own, by `ORCHESTCODE_MODEL_<ROLE>`."""
HEARTBEAT_FD = "ORCHESTCODE_PULSE"
"""Set by the supervisor for its worker, not by people."""
_OURS = (
    "ORCHESTCODE_",
    "TEMPORAL_",
    "ANTHROPIC_API_KEY",
    "ANTHROPIC_AUTH_TOKEN",
    "ANTHROPIC_BASE_URL",
)
_STRIPPED = frozenset({"ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"})
_WINDOW_TOKENS = range(10_000, 2_000_001)
_EFFORTS = ("low", "medium", "high", "xhigh", "max")
_YES_NO = ("yes", "no")
_LOG_LEVELS = ("debug", "info", "warning", "error")
_LOG_FORMATS = ("json", "console")
_AUTHOR = re.compile(r"[^<>\n\0]*[^<>\s] <[^<>\s]+>")
_VISIBLE_PARTS = 2
_PORTS = range(1, 65_536)


@dataclass(frozen=True)
class Settings:
    """The checked settings.

    Attributes:
        home: the folder of all OrchestCode files outside repositories.
        temporal_address: host:port of a Temporal service; None means the embedded server.
        temporal_environment: the TEMPORAL_* variables, for the SDK's own profiles and TLS.
        temporal_port, ui_port: ports that the embedded server must use; None lets it choose.
        model_key, model_token: credentials of the Messages API: an API key, a bearer token.
        model_base_url: of the Messages API; None means the vendor's own address.
        model: the model of every role without one of its own.
        role_models: role to model, only for roles with a model of their own.
        author: "Name <mail>" of delivered commits; None means each repository's own user.
        instruction_files: of which the first with a text holds what the person tells every agent.
        permissions_file: the person's own settings of what agents may do, which need not exist.
        prices: of models, as their user says: dollars per million tokens by "input", "output" and,
            if it is said, "cached".
        effort: the effort level of model calls; None means the model's default.
        window_tokens: input tokens of a call after which an agent goes on in a fresh window; None
            means the usual.
        log_level, log_format: in lower case, "json" or "console".
        metrics_address: host:port of a Prometheus endpoint; None means no endpoint.
        check_slots: checks that may run at once on this host.
        command_memory_mb, command_processes, command_disk_mb: what one command may use; None means
            what fits this host.
        cloud_minutes: how long a clone of the cloud lane lasts; None means the usual.
        visible_paths: folders that commands may read beside the system's.
        retention_days: after which a finished request is deleted by itself; None means never.
        disk_budget_mb: of all stores, beyond which the oldest finished requests are deleted by
            themselves; None means any.
        checkpoint_file_mb, checkpoint_mb: what a checkpoint holds; None means the usual.
        watchdog_seconds: after how long without a heartbeat or an answer the supervisor kills and
            restarts the worker or the embedded server; 0 means never.
        backup_seconds: how often the embedded server's database is backed up; 0 means never.
        grace_seconds: how long a stopping worker continues with its running activities.
        reply_grace_seconds: how long it waits for the model's replies that are coming, at least
            `grace_seconds`.
        idle_seconds: how long the background service goes on when nothing is open.
        shared_host: others log in to this machine: only this user's processes and root's reach the
            embedded server.
        answer_codes: answers, notes and starts count only with a code made of the home's secret.
        heartbeat_fd: descriptor into which a worker writes heartbeats for its supervisor.
        path: the person's search path for programs.
        environment: the whole environment, for child processes only.
    """

    home: Path
    temporal_address: str | None = None
    temporal_namespace: str = DEFAULT_NAMESPACE
    temporal_environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    temporal_port: int | None = None
    ui_port: int | None = None
    model_key: Secret | None = None
    model_token: Secret | None = None
    model_base_url: str | None = None
    model: str = DEFAULT_MODEL
    role_models: Mapping[str, str] = field(default_factory=dict)
    fallback_model: str | None = None
    author: str | None = None
    instruction_files: tuple[Path, ...] = ()
    permissions_file: Path | None = None
    prices: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    effort: str | None = None
    window_tokens: int | None = None
    log_level: str = "info"
    log_format: str = "json"
    metrics_address: str | None = None
    check_slots: int = 1
    command_memory_mb: int | None = None
    command_processes: int | None = None
    command_disk_mb: int | None = None
    cloud_minutes: int | None = None
    visible_paths: tuple[Path, ...] = ()
    retention_days: int | None = None
    disk_budget_mb: int | None = None
    checkpoint_file_mb: int | None = None
    checkpoint_mb: int | None = None
    watchdog_seconds: int = WATCHDOG_SECONDS
    backup_seconds: int = BACKUP_SECONDS
    grace_seconds: int = GRACE_SECONDS
    reply_grace_seconds: int = REPLY_GRACE_SECONDS
    idle_seconds: int = IDLE_SECONDS
    shared_host: bool = False
    answer_codes: bool = False
    heartbeat_fd: int | None = None
    path: str = os.defpath
    virtual_env: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def database(self) -> Path:
        """The embedded server's SQLite file."""
        return self.home / "temporal.db"

    @property
    def stores(self) -> Path:
        """The folder of the managed bare repositories."""
        return self.home / "stores"

    @property
    def worktrees(self) -> Path:
        """The folder of the leased worktrees."""
        return self.home / "worktrees"

    @property
    def live(self) -> Path:
        """The folder of what running model calls say, a file each, gone with the call."""
        return self.home / "live"

    @property
    def layers(self) -> Path:
        """The folder of what setup steps installed."""
        return self.home / "layers"

    @property
    def logs(self) -> Path:
        """The folder of the log files."""
        return self.home / "logs"

    @property
    def run(self) -> Path:
        """The folder of locks and of the records of running processes."""
        return self.home / "run"

    @property
    def host_id_file(self) -> Path:
        """The file of this host's id."""
        return self.home / "host_id"

    def model_for(self, role: str) -> str:
        """Return the model of a role: its own, else the common one."""
        return self.role_models.get(role, self.model)

    @property
    def has_model_access(self) -> bool:
        """Whether the model's service can be asked: credentials, or a service that needs none."""
        return bool(self.model_key or self.model_token or self.model_base_url)

    @property
    def takes_model_calls(self) -> bool:
        """Whether a worker is given model calls: another may have the key that this one lacks.

        On a server of its own there is no other; it says what is missing, and requests show it.
        """
        return self.has_model_access or self.temporal_address is None

    def secrets(self) -> tuple[str, ...]:
        """Return the values that must not appear in a log or a stored object."""
        api_key = self.temporal_environment.get("TEMPORAL_API_KEY", "")
        credentials = [
            secret.get_secret_value() for secret in (self.model_key, self.model_token) if secret
        ]
        return tuple(value for value in (*credentials, api_key) if value)

    def ensure_home(self) -> Path:
        """Create the home and its subfolders for their owner only.

        Raises:
            SettingsError: that fails, or the home is another user's or can be changed by others.
        """
        refuse_foreign_home(self.home)
        try:
            for folder in (self.home, self.stores, self.worktrees, self.logs, self.run):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.home.chmod(0o700)
        except OSError as problem:
            raise SettingsError(
                f"ORCHESTCODE_HOME: the folder {self.home} cannot be used ({problem.strerror})."
            ) from problem
        # Somebody may have been quicker to create it.
        refuse_foreign_home(self.home)
        return self.home


def load(environ: Mapping[str, str] | None = None) -> Settings:
    """Read the settings from variables, by default the process's environment.

    Empty variables count as absent.

    Raises:
        SettingsError: a variable holds an invalid value.
    """
    variables = os.environ if environ is None else environ
    env = {name: value for name, value in variables.items() if value}
    _refuse_control_characters(env)
    temporal = {name: value for name, value in env.items() if name.startswith("TEMPORAL_")}
    address, namespace = _service(temporal)
    grace_seconds, reply_grace_seconds = _graces(env)
    return Settings(
        home=_home(env),
        temporal_address=address,
        temporal_namespace=namespace or DEFAULT_NAMESPACE,
        temporal_environment=temporal,
        temporal_port=_port(env, "ORCHESTCODE_TEMPORAL_PORT"),
        ui_port=_port(env, "ORCHESTCODE_UI_PORT"),
        model_key=_secret(env, "ANTHROPIC_API_KEY"),
        model_token=_secret(env, "ANTHROPIC_AUTH_TOKEN"),
        model_base_url=_url(env, "ANTHROPIC_BASE_URL"),
        model=env.get("ORCHESTCODE_MODEL", DEFAULT_MODEL),
        role_models=_role_models(env),
        fallback_model=env.get("ORCHESTCODE_FALLBACK_MODEL"),
        author=_author(env, "ORCHESTCODE_AUTHOR"),
        instruction_files=_instruction_files(env, "ORCHESTCODE_INSTRUCTIONS"),
        permissions_file=_permissions_file(env, "ORCHESTCODE_SETTINGS"),
        prices=_prices(env.get("ORCHESTCODE_PRICES", "{}")),
        effort=_choice(env, "ORCHESTCODE_EFFORT", _EFFORTS),
        window_tokens=_window_tokens(env, "ORCHESTCODE_WINDOW_TOKENS"),
        log_level=_choice(env, "ORCHESTCODE_LOG_LEVEL", _LOG_LEVELS) or "info",
        log_format=_choice(env, "ORCHESTCODE_LOG_FORMAT", _LOG_FORMATS) or "json",
        metrics_address=_address(env, "ORCHESTCODE_METRICS_ADDRESS"),
        check_slots=_count(env, "ORCHESTCODE_CHECK_SLOTS") or max(1, os.cpu_count() or 1),
        command_memory_mb=_count(env, "ORCHESTCODE_COMMAND_MEMORY_MB"),
        command_processes=_count(env, "ORCHESTCODE_COMMAND_PROCESSES"),
        command_disk_mb=_count(env, "ORCHESTCODE_COMMAND_DISK_MB"),
        cloud_minutes=_count(env, "ORCHESTCODE_CLOUD_MINUTES"),
        visible_paths=_visible_paths(env, "ORCHESTCODE_VISIBLE_PATHS"),
        retention_days=_count(env, "ORCHESTCODE_RETENTION_DAYS"),
        disk_budget_mb=_count(env, "ORCHESTCODE_DISK_BUDGET_MB"),
        checkpoint_file_mb=_count(env, "ORCHESTCODE_CHECKPOINT_FILE_MB"),
        checkpoint_mb=_count(env, "ORCHESTCODE_CHECKPOINT_MB"),
        watchdog_seconds=_seconds(env, "ORCHESTCODE_WATCHDOG_SECONDS", WATCHDOG_SECONDS),
        backup_seconds=_seconds(env, "ORCHESTCODE_BACKUP_SECONDS", BACKUP_SECONDS),
        grace_seconds=grace_seconds,
        reply_grace_seconds=reply_grace_seconds,
        idle_seconds=_seconds(env, "ORCHESTCODE_IDLE_SECONDS", IDLE_SECONDS),
        shared_host=_choice(env, "ORCHESTCODE_SHARED_HOST", _YES_NO) == "yes",
        answer_codes=_choice(env, "ORCHESTCODE_ANSWER_CODES", _YES_NO) == "yes",
        heartbeat_fd=_number(env, HEARTBEAT_FD),
        path=env.get("PATH", os.defpath),
        virtual_env=env.get("VIRTUAL_ENV"),
        environment=env,
    )


def _role_models(env: Mapping[str, str]) -> dict[str, str]:
    names = {role: f"ORCHESTCODE_MODEL_{role.upper()}" for role in ROLES}
    return {role: env[name] for role, name in names.items() if name in env}


def _graces(env: Mapping[str, str]) -> tuple[int, int]:
    """Return how many seconds activities, and replies that are coming, may take to end."""
    grace = _seconds(env, "ORCHESTCODE_GRACE_SECONDS", GRACE_SECONDS)
    reply = _seconds(env, "ORCHESTCODE_REPLY_GRACE_SECONDS", REPLY_GRACE_SECONDS)
    return grace, max(grace, reply)


def _refuse_control_characters(env: Mapping[str, str]) -> None:
    for name, value in env.items():
        # Certificates are texts of many lines.
        ours = name.startswith(_OURS) and not name.endswith("_DATA")
        text = value.strip() if name in _STRIPPED else value
        if ours and any(unicodedata.category(each) in {"Cc", "Zl", "Zp"} for each in text):
            raise SettingsError(
                f"{name} holds a line end or another control character: set it without."
            )


def _home(env: Mapping[str, str]) -> Path:
    if chosen := env.get("ORCHESTCODE_HOME"):
        path = Path(chosen).expanduser()
        if not path.is_absolute():
            raise SettingsError(f"ORCHESTCODE_HOME must be an absolute path, not {chosen!r}.")
        return path
    state = env.get("XDG_STATE_HOME")
    # By the XDG specification a relative path is ignored.
    base = Path(state) if state and Path(state).is_absolute() else _user_home(env) / ".local/state"
    return base / "orchestcode"


def _user_home(env: Mapping[str, str]) -> Path:
    return Path(env["HOME"]) if "HOME" in env else Path.home()


def _service(temporal: Mapping[str, str]) -> tuple[str | None, str | None]:
    """Return address and namespace of a Temporal service, from variables or a profile."""
    address = _address(temporal, "TEMPORAL_ADDRESS")
    if not {"TEMPORAL_PROFILE", "TEMPORAL_CONFIG_FILE"} & temporal.keys():
        return address, temporal.get("TEMPORAL_NAMESPACE")
    profile = _profile(temporal)
    if profile[0] is None and "TEMPORAL_PROFILE" in temporal:
        raise SettingsError("TEMPORAL_PROFILE names a profile that gives no address.")
    return profile


def _profile(temporal: Mapping[str, str]) -> tuple[str | None, str | None]:
    # Only a named profile pays for loading the SDK.
    from temporalio.envconfig import ClientConfigProfile  # noqa: PLC0415

    try:
        profile = ClientConfigProfile.load(override_env_vars=temporal)
    except RuntimeError as problem:
        names = " or ".join(sorted({"TEMPORAL_PROFILE", "TEMPORAL_CONFIG_FILE"} & temporal.keys()))
        raise SettingsError(f"{names} cannot be read: {problem}.") from problem
    return profile.address, profile.namespace


def _secret(env: Mapping[str, str], name: str) -> Secret | None:
    value = env.get(name, "").strip()
    # What cannot stand in a header would be quoted by the error that says so.
    if not (value.isascii() and value.isprintable()):
        raise SettingsError(f"{name} holds a character that no key has: copy it again.")
    return Secret(value) if value else None


def _choice(env: Mapping[str, str], name: str, allowed: tuple[str, ...]) -> str | None:
    value = env.get(name)
    if value is None:
        return None
    if value.lower() not in allowed:
        raise SettingsError(f"{name} must be one of {', '.join(allowed)}, not {value!r}.")
    return value.lower()


def _author(env: Mapping[str, str], name: str) -> str | None:
    value = env.get(name, "").strip()
    if value and not _AUTHOR.fullmatch(value):
        raise SettingsError(f"{name} must be written as Name <mail>, not {value!r}.")
    return value or None


def _instruction_files(env: Mapping[str, str], name: str) -> tuple[Path, ...]:
    """Return the file that is named, none for "none", else those of other harnesses and our own."""
    named = env.get(name)
    if named == "none":
        return ()
    if named is not None:
        file = Path(named).expanduser()
        if not file.is_file():
            raise SettingsError(f'{name} must be a file, or "none"; there is no file {named}.')
        return (file.absolute(),)
    if "HOME" not in env:
        return (_home(env) / "AGENTS.md",)
    home = Path(env["HOME"])
    codex = Path(env.get("CODEX_HOME", home / ".codex"))
    return (
        _home(env) / "AGENTS.md",
        codex / "AGENTS.override.md",
        codex / "AGENTS.md",
        home / ".claude" / "CLAUDE.md",
    )


def _permissions_file(env: Mapping[str, str], name: str) -> Path | None:
    """Return the file that is named, None for "none", else the one of the home."""
    named = env.get(name)
    if named == "none":
        return None
    if named is None:
        return _home(env) / "settings.json"
    file = Path(named).expanduser()
    if not file.is_file():
        raise SettingsError(f'{name} must be a file, or "none"; there is no file {named}.')
    return file.absolute()


def _prices(text: str) -> Mapping[str, Mapping[str, float]]:
    """Return prices by model, written as JSON or as the path of a file of JSON."""
    try:
        found = json.loads(text if text.lstrip().startswith("{") else Path(text).read_bytes())
        return {str(name): _price(each) for name, each in found.items()}
    except (OSError, ValueError, AttributeError, TypeError) as problem:
        raise SettingsError(
            f"ORCHESTCODE_PRICES cannot be used ({problem}): write dollars per million tokens, "
            'as {"my-model": {"input": 1, "output": 5, "cached": 0.1}}, or name a file of that.'
        ) from problem


def _price(fields: Mapping[str, float]) -> Mapping[str, float]:
    unknown = sorted(set(fields) - {"input", "output", "cached"})
    missing = sorted({"input", "output"} - set(fields))
    wrong = [name for name, usd in fields.items() if not _is_price(usd)]
    if unknown or missing or wrong:
        raise ValueError(", ".join([*unknown, *missing, *wrong]))
    return {name: float(usd) for name, usd in fields.items()}


def _is_price(usd: object) -> bool:
    return isinstance(usd, int | float) and not isinstance(usd, bool) and 0 <= usd < 1e6


def _number(env: Mapping[str, str], name: str) -> int | None:
    value = env.get(name)
    if value is None:
        return None
    if not (value.isascii() and value.isdigit()):
        raise SettingsError(f"{name} must be a whole number, not {value!r}.")
    return int(value)


def _seconds(env: Mapping[str, str], name: str, default: int) -> int:
    number = _number(env, name)
    return default if number is None else number


def _count(env: Mapping[str, str], name: str) -> int | None:
    number = _number(env, name)
    if number == 0:
        raise SettingsError(f"{name} must be at least 1.")
    return number


def _window_tokens(env: Mapping[str, str], name: str) -> int | None:
    number = _number(env, name)
    if number is not None and number not in _WINDOW_TOKENS:
        least, most = _WINDOW_TOKENS[0], _WINDOW_TOKENS[-1]
        raise SettingsError(f"{name} must be from {least:,} to {most:,} tokens, not {number:,}.")
    return number


def _port(env: Mapping[str, str], name: str) -> int | None:
    number = _number(env, name)
    if number is not None and number not in _PORTS:
        raise SettingsError(f"{name} must be a port from 1 to 65535, not {number}.")
    return number


def _address(env: Mapping[str, str], name: str) -> str | None:
    value = env.get(name)
    if value is None:
        return None
    host, _, port = value.rpartition(":")
    if not host or not (port.isascii() and port.isdigit()) or int(port) not in _PORTS:
        raise SettingsError(f"{name} must be written as host:port, not {value!r}.")
    return value


def _visible_paths(env: Mapping[str, str], name: str) -> tuple[Path, ...]:
    """Return absolute paths, written like PATH; never a root or a whole home."""
    paths = tuple(Path(os.path.normpath(each)) for each in env.get(name, "").split(":") if each)
    for path in paths:
        if not path.is_absolute() or len(path.parts) < _VISIBLE_PARTS or path == _user_home(env):
            raise SettingsError(
                f"{name} must name folders by absolute paths, joined by colons, none of them / or "
                f"a home, not {str(path)!r}."
            )
    return paths


def _url(env: Mapping[str, str], name: str) -> str | None:
    value = env.get(name)
    if value is not None and not value.startswith(("http://", "https://")):
        raise SettingsError(f"{name} must begin with http:// or https://.")
    if value is not None and value.rstrip("/").endswith("/v1"):
        raise SettingsError(f"{name} must not end in /v1: that is added to it.")
    return value
