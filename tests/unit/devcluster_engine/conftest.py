"""Shared fixtures."""

from datetime import UTC, datetime

import pytest


@pytest.fixture
def now():
    return datetime(2026, 11, 24, 12, tzinfo=UTC)
