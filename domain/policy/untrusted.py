"""What holds for a request whose words are a stranger's: nothing is allowed by itself."""

from typing import Final

from contracts.permissions import PermissionMode, RequestPermissions
from contracts.verdicts import Permission

_TIGHTENS: Final = (PermissionMode.PLAN, PermissionMode.DONT_ASK)


def for_stranger(record: RequestPermissions) -> RequestPermissions:
    """Return permissions without all that loosens: rules that allow, such a mode, more folders.

    What is left out is said among the warnings.
    """
    kept = tuple(rule for rule in record.rules if rule.permission is not Permission.ALLOW)
    tightens = record.mode in _TIGHTENS
    lost = [rule.text for rule in record.rules if rule.permission is Permission.ALLOW]
    lost += [] if tightens or record.mode is PermissionMode.DEFAULT else [record.mode.value]
    lost += [f"additionalDirectories: {each}" for each in record.folders]
    warnings = (f"{each} does not count: the words are a stranger's"[:1_000] for each in lost)
    return record.model_copy(
        update={
            "rules": kept,
            "mode": record.mode if tightens else PermissionMode.DEFAULT,
            "mode_file": record.mode_file if tightens else "",
            "folders": (),
            "warnings": (*record.warnings, *warnings),
            "untrusted": True,
        }
    )
