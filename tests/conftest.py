"""What holds for all tests: no drawn example is judged by its time; a busy machine would decide."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
