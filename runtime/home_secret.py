"""The secret of a home, of which codes are made: kept on disk, for its owner alone."""

import os
import secrets

from runtime.errors import SettingsError
from runtime.settings import Settings

_BYTES = 32


def home_secret(settings: Settings) -> bytes:
    """Return the secret, the same for every process of the home; the first caller makes it.

    Raises:
        SettingsError: the home cannot be used, or others could have read the secret.
    """
    path = settings.ensure_home() / "secret"
    if not path.exists():
        draft = path.with_name(f".secret.{os.getpid()}.{secrets.token_hex(4)}")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_hex(_BYTES).encode("ascii"))
            file.flush()
            os.fsync(file.fileno())
        try:
            # A hard link, unlike a rename, fails when another process was first.
            path.hardlink_to(draft)
        except FileExistsError:
            pass
        finally:
            draft.unlink(missing_ok=True)
    if path.stat().st_mode & 0o077:
        raise SettingsError(
            f"Others could read {path}, of which codes are made: delete it, and a new one is made."
        )
    return path.read_bytes()
