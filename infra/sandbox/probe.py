"""The canary from outside: its throw-away worktree, its command, the verdict on its answer.

`canary.py` is the script that runs inside. Only an answer that repeats a nonce, from a process
that ended well, counts; no answer is as bad as a leak.
"""

import json
import secrets
import sys
from pathlib import Path

from infra.sandbox.types import (
    DEFAULT_PATH,
    CommandOutcome,
    Mounts,
    SandboxCommand,
    SandboxUnavailable,
)

_NAMESPACES = ("ipc", "mnt", "net", "pid", "uts")
_CANARY_SECONDS = 30.0
# The sandbox's, bash's, the interpreter's: a command without variables of its own has no other.
_ALLOWED_VARIABLES = (
    *("PATH", "HOME", "USER", "LOGNAME", "LANG", "VIRTUAL_ENV", "GIT_CONFIG_SYSTEM"),
    *("PWD", "OLDPWD", "SHLVL", "_", "LC_CTYPE"),
)
_SOCKETS_LIMIT = 500


def canary_mounts(folder: Path, port: int) -> tuple[Mounts, str]:
    """Create a throw-away worktree, and everything that the canary must not reach.

    Return what to mount, and the nonce that an honest answer repeats.
    """
    folder.chmod(0o755)
    worktree, store, private, hide, foreign, scratch = (
        folder / name for name in ("worktree", "store", "private", "hidden", "foreign", "scratch")
    )
    for each in (worktree, store, private, hide, foreign, scratch):
        each.mkdir()
    # Open to all, so that only the mount and no permission can refuse the canary.
    for each in (store, foreign):
        each.chmod(0o777)
    (hide / "secret").write_text("secret", "utf-8")
    gitfile = folder / "gitfile"
    for each in (gitfile, worktree / ".git"):
        each.write_text(f"gitdir: {private.resolve()}\n", "utf-8")
    nonce = secrets.token_hex(16)
    facts = {
        "nonce": nonce,
        "loopback_port": port,
        "namespaces": {kind: str(Path(f"/proc/self/ns/{kind}").readlink()) for kind in _NAMESPACES},
        "environment": _ALLOWED_VARIABLES,
        "store": str(store.resolve()),
        "foreign": str(foreign.resolve()),
        "secret": str((hide / "secret").resolve()),
        "sockets": _host_sockets(),
    }
    (worktree / "facts.json").write_text(json.dumps(facts), "utf-8")
    script = Path(__file__).with_name("canary.py").read_text("utf-8")
    (worktree / "canary.py").write_text(script, "utf-8")
    mounts = Mounts(
        worktree=worktree,
        store=store,
        private_git=private,
        gitfile=gitfile,
        scratch=scratch,
        hide=(hide,),
    )
    return mounts, nonce


def canary_command() -> SandboxCommand:
    """Run the canary with the worker's own interpreter, found as a project's would be."""
    interpreter = Path(sys.executable)
    return SandboxCommand(
        line=f"exec '{interpreter}' -I -S canary.py facts.json",
        timeout_seconds=_CANARY_SECONDS,
        path=f"{interpreter.parent}:{DEFAULT_PATH}",
        virtual_env=Path(sys.prefix) if sys.prefix != sys.base_prefix else None,
    )


def _host_sockets() -> list[str]:
    """List the unix sockets with a path that exist now; inside, the kernel shows none of them."""
    try:
        lines = Path("/proc/net/unix").read_text("utf-8", "replace").splitlines()[1:]
    except OSError:
        return []
    paths = {fields[7] for line in lines if len(fields := line.split(maxsplit=7)) == 8}
    return sorted(path for path in paths if path.startswith("/"))[:_SOCKETS_LIMIT]


def reached_sockets(outcome: CommandOutcome, nonce: str) -> list[str]:
    """Return the sockets that the canary reached; refuse an answer with leaks or a wrong nonce."""
    try:
        answer = json.loads(outcome.output)
        answered, leaks, sockets = answer["nonce"], answer["leaks"], answer["sockets"]
    except (ValueError, KeyError, TypeError):
        raise SandboxUnavailable(_not_answering(outcome)) from None
    if answered != nonce or outcome.exit_code != 0:
        raise SandboxUnavailable(_not_answering(outcome))
    if leaks:
        raise SandboxUnavailable(not_holding(str(leaks[0])))
    return [str(path) for path in sockets]


def _not_answering(outcome: CommandOutcome) -> str:
    text = outcome.output.decode("utf-8", "replace").strip()
    words = text.splitlines()[-1][:300].rstrip(".") if text else f"exit {outcome.exit_code}"
    return (
        f"The canary did not come back from the sandbox ({words}): see that the worker's "
        "interpreter can be read by other users and that bwrap works on this machine."
    )


def not_holding(leak: str) -> str:
    """Return one sentence with the remedy for the first leak."""
    return (
        f"The sandbox does not hold ({leak.rstrip('.')}): use bubblewrap 0.8 or newer, not "
        "replaced or wrapped, or run the worker on a machine where it is allowed to isolate."
    )
