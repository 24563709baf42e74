"""JSON: everything that the gate found, for programs."""

from __future__ import annotations

import json
from typing import Any

from harness.check.compare import Check, Comparison
from harness.check.formats import FORMATS


@FORMATS.register("json")
def json_text(check: Check) -> str:
    """Every cell with its numbers as shares, and the indices of all images that flipped."""
    content = {
        "suite": check.suite,
        "baseline": check.baseline,
        "written": check.written,
        "rule": check.rule.model_dump(),
        "exit_code": check.exit_code,
        "cells": [_cell(comparison) for comparison in check.comparisons],
    }
    return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)


def _cell(one: Comparison) -> dict[str, Any]:
    measured = ("difference", "low", "high", "n", "p_value")
    return {
        **one.name.model_dump(),
        "metric": one.name.metric.replace(" ", "_"),
        "verdict": one.verdict,
        "reason": one.reason,
        "before": one.before,
        "after": one.after,
        **{key: getattr(one.means, key) if one.means else None for key in measured},
        "p_adjusted": one.adjusted if one.means else None,
        "needed_n": one.needed_n,
        "lost": list(one.lost),
        "won": list(one.won),
    }
