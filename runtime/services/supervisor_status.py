"""The status of a supervisor's processes: a record for other processes, lines for a person."""

import asyncio
import shutil
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from runtime.records import SupervisorRecord
from runtime.settings import Settings

Announce = Callable[[str], None]
"""Shows one line to a person."""

_DISK_SECONDS = 2.0
_MIN_FREE_BYTES = 50_000_000
"""Below this much free space no activity starts."""


class SupervisorStatus:
    """The status of one home's services, written by its supervisor.

    Attributes:
        announce: shows that all is ready, and everything else that a person should know.
        record: what other processes read.
    """

    def __init__(self, settings: Settings, record: SupervisorRecord, *, announce: Announce) -> None:
        self._settings = settings
        self.announce = announce
        self._was_ready = False
        self._written = True
        self.record = record

    def update(self, **changes: Any) -> None:
        """Change the record, and announce once that all is ready."""
        self.record = replace(self.record, **changes)
        self._write()
        if self.record.ready and not self._was_ready:
            self._was_ready = True
            self.announce(f"Ready: Temporal at {self.record.address}{web_ui(self.record)}.")

    def announce_restart(self, what: str, reason: str, delay: float) -> None:
        """Announce that something ended and when it is restarted."""
        full = self._full_disk_sentence()
        self.announce(f"{what} ended ({reason}); it starts again in {delay} s.{full}")

    async def watch_disk(self) -> None:
        """Announce when the home's disk becomes full and when it has room again."""
        was_full = False
        while True:
            sentence = self._full_disk_sentence()
            if bool(sentence) != was_full:
                home = self._settings.home
                self.announce(sentence.strip() or f"The disk of {home} has room again.")
                was_full = bool(sentence)
            if not self._written:
                self._write()
            await asyncio.sleep(_DISK_SECONDS)

    def _write(self) -> None:
        """Write the record; on a full disk `watch_disk` writes it once there is room."""
        try:
            self.record.write(self._settings)
        except OSError as problem:
            if self._written:
                self.announce(f"Nothing can be written to {self._settings.run}: {problem}.")
            self._written = False
        else:
            self._written = True

    def _full_disk_sentence(self) -> str:
        """Return a sentence when the home's disk is full, else ""."""
        home = self._settings.home
        try:
            free = shutil.disk_usage(home).free
        except OSError:
            return ""
        if free >= _MIN_FREE_BYTES:
            return ""
        return (
            f" The disk of {home} is full: {free // 1_000_000} MB are free, at least "
            f"{_MIN_FREE_BYTES // 1_000_000} MB are needed; everything continues by itself once "
            "there is room."
        )


def web_ui(record: SupervisorRecord) -> str:
    """Return where the web UI is, as the end of a sentence; "" for none."""
    return f", web UI at {record.ui_url}" if record.ui_url else ""
