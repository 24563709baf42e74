"""What of a suite decides what is run, and what is only shown."""

from __future__ import annotations

import hashlib
import json

from harness.spec.suite import Suite

SHOWN = ("name", "title", "paper", "notes", "tables", "claims")
"""What of a suite reports are made of; all else is in the records."""


def content_sha256(suite: Suite) -> str:
    """sha256 over all that a suite's file says, defaults aside, but for what reports are made of."""
    said = suite.model_dump(mode="json", exclude=set(SHOWN), exclude_unset=True)
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()
