"""What the reconciler's tests share."""

from __future__ import annotations

import pytest
from tests.reconciler.world import World


@pytest.fixture
def world() -> World:
    """A reconciler with everything around it simulated, at rest."""
    return World()
