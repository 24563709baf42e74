"""Judged claims as data: JSON, and CSV with one line per pair."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from harness.report.claims import Claim, Comparison


def claims_json(claims: Sequence[Claim]) -> str:
    """Claims with their pairs; rates and differences are shares, `needed_n` is null where no number would do."""
    return json.dumps([claim_content(claim) for claim in claims], indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def claim_content(claim: Claim) -> dict[str, Any]:
    """A claim as JSON holds it."""
    spec = claim.spec
    return {
        **{
            key: getattr(spec, key) for key in ("name", "text", "value", "greater", "than", "where", "match", "average")
        },
        **({"paper": spec.paper, "absent": claim.absent} if spec.paper else {}),
        "denominator": claim.denominator,
        "verdict": claim.verdict,
        "needed_n": _finite(claim.needed_n),
        "pairs": [_pair_content(comparison) for comparison in claim.comparisons],
        "without_partner": list(claim.alone),
    }


def claims_csv(claims: Sequence[Claim]) -> str:
    """One line per pair of every claim, with a column per matched facet; `missing` says why a line has no numbers."""
    pairs = [(claim, comparison) for claim in claims for comparison in claim.comparisons]
    facets = dict.fromkeys(facet for _, comparison in pairs for facet in comparison.pair.match)
    frame = pd.DataFrame([_line(claim, comparison, facets) for claim, comparison in pairs])
    return frame.astype({"n": "Int64", "needed_n": "Int64"}).to_csv(index=False, lineterminator="\n")


def _line(claim: Claim, comparison: Comparison, facets: Iterable[str]) -> dict[str, Any]:
    content = _pair_content(comparison)
    match = content.pop("match")
    return {
        "claim": claim.spec.name,
        "claim_verdict": claim.verdict,
        "value": claim.spec.value,
        "denominator": claim.denominator,
        **{facet: match.get(facet) for facet in facets},
        **{key: " ".join(value) if isinstance(value, list) else value for key, value in content.items()},
    }


def _finite(images: float | None) -> int | None:
    return None if images is None or images == math.inf else int(images)


def _pair_content(comparison: Comparison) -> dict[str, Any]:
    means, pair = comparison.means, comparison.pair
    measured = ("first", "second", "difference", "low", "high", "n", "p_value")
    numbers = {key: getattr(means, key) if means else None for key in measured}
    return {
        "match": dict(pair.match),
        "greater": numbers.pop("first"),
        "than": numbers.pop("second"),
        **numbers,
        "p_adjusted": comparison.adjusted if means else None,
        "needed_n": _finite(comparison.needed_n),
        "verdict": comparison.verdict,
        "missing": comparison.missing,
        "detail": comparison.detail,
        "records_greater": [cell.id for cell in pair.sides[0]],
        "records_than": [cell.id for cell in pair.sides[1]],
    }


CLAIM_FILES: Mapping[str, Callable[[Sequence[Claim]], str]] = {"csv": claims_csv, "json": claims_json}
"""Formats of which claims have a file of their own; the page holds them in Markdown."""
