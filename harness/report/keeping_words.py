"""Which images a data set keeps, in words."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from harness.report.evidence import Evidence

KEEP_WORDS = {
    "surrogate-correct": "Only images that the surrogate classifies correctly when clean are counted",
    "all-correct": "Only images that every model of the suite classifies correctly when clean are counted",
}
"""What `keep` leaves."""


def keep_sentences(keeps: Collection[str], evidence: Evidence, clean: bool = False) -> Iterator[str]:
    """A sentence for each way in which data sets keep some of their images.

    Args:
        keeps: the data sets' `keep`.
        evidence: of the suite.
        clean: whether clean accuracies, which count all images, stand beside what is counted.
    """
    for keep in sorted(KEEP_WORDS.keys() & keeps):
        without = keep == "all-correct" and any(model.left_out for model in evidence.cells.models)
        aside = ", those left out aside" if without else ""
        yield f"{KEEP_WORDS[keep]}{aside}{'; clean accuracy counts all images.' if clean else '.'}"
