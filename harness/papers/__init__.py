"""What the three papers print: every number, how their tables are laid out, and what they claim. No torch.

A printed table goes by paper and number, such as "benz2021/4"; those of supplements also by the number in the
stand-alone copy: "benz2021/12" is "benz2021/A8". `printed_table` finds one, `printed_values` its numbers,
`paper_claim` a claim by its id, such as "B11".
"""

from __future__ import annotations

from harness.papers.claims import PaperClaim, paper_claim, paper_claims
from harness.papers.tables import PAPERS, Paper, PrintedTable, printed_table, printed_tables
from harness.papers.values import KEYS, PrintedValue, printed_values, same

__all__ = [
    "KEYS", "PAPERS", "Paper", "PaperClaim", "PrintedTable", "PrintedValue", "paper_claim", "paper_claims",
    "printed_table", "printed_tables", "printed_values", "same",
]  # fmt: skip
