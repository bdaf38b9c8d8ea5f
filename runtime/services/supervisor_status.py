"""
How a supervisor and what it keeps alive stand: for other processes a record, for a person lines.
"""

import asyncio
import os
import shutil
from collections.abc import Callable

from runtime.records import SupervisorRecord, supervisor_file, write_record
from runtime.settings import Settings

Announce = Callable[[str], None]
"""Tells a person one line."""

_DISK_SECONDS = 2.0
_LEAST_BYTES = 50_000_000
"""Room under which no activity begins."""


class SupervisorStatus:
    """
    The standing of the services of one home, kept by its supervisor.

    Args:
        announce: told when all is ready, and whatever else a person should know.

    Attributes:
        record: what others may know.
    """

    def __init__(self, settings: Settings, *, own_server: bool, announce: Announce) -> None:
        self._settings = settings
        self._announce = announce
        self._was_ready = False
        self._written = True
        self.record = SupervisorRecord(
            pid=os.getpid(), address=settings.temporal_address, own_server=own_server
        )

    def note(self, **changes: object) -> None:
        """Change the record, and say once when all is ready."""
        self.record = self.record.model_copy(update=changes)
        self._write()
        if self.record.ready and not self._was_ready:
            self._was_ready = True
            self._announce(f"Ready: Temporal at {self.record.address}{web_ui(self.record)}.")

    def withdraw(self) -> None:
        """Remove the record: nobody may take an ending supervisor for a ready one."""
        supervisor_file(self._settings).unlink(missing_ok=True)

    def say(self, line: str) -> None:
        """Tell a person one line."""
        self._announce(line)

    def starts_again(self, what: str, reason: str, delay: float) -> None:
        """Tell a person that something ended and when it starts again."""
        full = self._full_disk()
        self._announce(f"{what} ended ({reason}); it starts again in {delay} s.{full}")

    async def watch_disk(self) -> None:
        """Tell a person when the home's disk is full and when it no longer is."""
        told = ""
        while True:
            full = self._full_disk()
            if bool(full) != bool(told):
                home = self._settings.home
                self._announce(full.strip() or f"The disk of {home} has room again.")
                told = full
            if not self._written:
                self._write()
            await asyncio.sleep(_DISK_SECONDS)

    def _write(self) -> None:
        """Write the record; without room on the disk it is kept and written once there is some."""
        try:
            write_record(supervisor_file(self._settings), self.record)
        except OSError as problem:
            if self._written:
                self._announce(f"Nothing can be written to {self._settings.run}: {problem}.")
            self._written = False
        else:
            self._written = True

    def _full_disk(self) -> str:
        """Return a sentence when the home's disk is full, else ""."""
        home = self._settings.home
        try:
            free = shutil.disk_usage(home).free
        except OSError:
            return ""
        if free >= _LEAST_BYTES:
            return ""
        return (
            f" The disk of {home} is full: {free // 1_000_000} MB are free, at least "
            f"{_LEAST_BYTES // 1_000_000} MB are needed; all goes on by itself once there is room."
        )


def web_ui(record: SupervisorRecord) -> str:
    """Return where the web UI is, as the end of a sentence; "" for none."""
    return f", web UI at {record.ui_url}" if record.ui_url else ""
