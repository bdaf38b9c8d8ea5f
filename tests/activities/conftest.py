"""Fixtures of tests on real activities."""

from tests.infra.conftest import agent, env, job, proved_sandbox

__all__ = ["agent", "env", "job", "proved_sandbox"]
