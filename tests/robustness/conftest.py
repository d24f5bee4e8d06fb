"""Fixtures of the robustness tests."""

from tests.servers.conftest import postgresql

__all__ = ["postgresql"]
