"""Properties are checked on the same examples every time: no deadline, no database, no chance."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("same-every-time", derandomize=True, deadline=None, max_examples=40)
settings.load_profile("same-every-time")
