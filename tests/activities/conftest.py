"""Fixtures of the activity tests that need every part."""

from tests.infra.conftest import agent, job, proved_sandbox, workbench

__all__ = ["agent", "job", "proved_sandbox", "workbench"]
