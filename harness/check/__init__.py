"""The regression gate: a suite's records against a baseline, cell by cell, image by image. No torch, no model.

`take` reads what the records say, `compare` gives every cell a verdict, FORMATS print them. To add a format, register a
function from a `Check` to something that prints, in a new module.
"""

from __future__ import annotations

from harness.check.baseline import Baseline, CellName, Entry, Images, read_baseline, write_baseline
from harness.check.compare import VERDICTS, Check, Comparison, Verdict, compare
from harness.check.formats import FORMATS
from harness.check.rule import Rule
from harness.check.take import Taken, take

__all__ = [
    "FORMATS", "VERDICTS", "Baseline", "CellName", "Check", "Comparison", "Entry", "Images", "Rule", "Taken", "Verdict",
    "compare", "read_baseline", "take", "write_baseline",
]  # fmt: skip
