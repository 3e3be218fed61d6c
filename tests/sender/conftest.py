"""What the sender's tests share."""

from __future__ import annotations

import pytest
from tests.sender.world import World


@pytest.fixture
def world() -> World:
    """A sender with everything around it simulated, at rest."""
    return World()
