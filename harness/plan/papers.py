"""What a suite says with `paper` about its data sets, attacks and models, held against the printed tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from math import isclose

from pydantic import BaseModel

from harness.core.errors import HarnessError, did_you_mean
from harness.core.numbers import parse_number
from harness.papers import PAPERS, PrintedValue, paper_claim, printed_table, printed_values, same
from harness.papers.values import AVERAGE, FEATURES
from harness.plan.mistakes import Mistakes
from harness.spec import Reading, Suite


def check_papers(reading: Reading, mistakes: Mistakes) -> None:
    """Note every name that the printed tables of a suite do not have."""
    suite = reading.suite
    values = list(values_for(suite))
    known = words_of(values)
    norms = {value.attack: value.norm_p for value in values}
    said: dict[str, list[BaseModel]] = {
        "datasets": [entry.paper for entry in suite.datasets],
        "models": [entry.paper for entry in suite.models],
        "attacks": [entry.paper for entry in suite.attacks],
    }
    for kind, papers in said.items():
        for position, paper in enumerate(papers):
            for key, name in paper.model_dump(exclude_none=True, exclude={"note"}).items():
                if any(same(name, one) or same(name + norms.get(one, ""), one) for one in known[key]):
                    continue
                tables = " and ".join(dict.fromkeys(value.reference for value in values))
                problem = f'{tables} has no {key} "{name}".\n     {did_you_mean(name, known[key])}'
                mistakes.add(f"{reading.place(kind, position)}.paper", problem)
    _check_budgets(reading, values, mistakes)


def _check_budgets(reading: Reading, values: list[PrintedValue], mistakes: Mistakes) -> None:
    """Note every budget that is said to be printed and is not, where tables print any."""
    printed = {value.eps for value in values} - {""}
    for position, spec in enumerate(reading.suite.threats):
        epsilon = spec.paper.epsilon
        if epsilon is None or not printed or any(isclose(epsilon, parse_number(eps)) for eps in printed):
            continue
        tables = " and ".join(dict.fromkeys(value.reference for value in values if value.eps))
        problem = f"{tables} has no budget of {epsilon:g}.\n     printed are {', '.join(sorted(printed))}"
        mistakes.add(f"{reading.place('threats', position)}.paper", problem)


def words_of(values: Iterable[PrintedValue]) -> dict[str, set[str]]:
    """What printed numbers have for every key that a suite can name."""
    values = list(values)
    keys = ("dataset", "arch", "norm", "stats", "training", "attack")
    words = {key: {str(getattr(value, key)) for value in values} - {""} for key in keys}
    return {
        **words,
        "arch": words["arch"] | {value.target for value in values if value.attack != FEATURES} - {"", AVERAGE},
    }


def values_for(suite: Suite) -> Iterator[PrintedValue]:
    """The numbers of the printed tables and claims that a suite refers to; else those of its paper, or of all."""
    references = {table.reference for table in suite.tables if table.reference}
    for claim in suite.claims:
        references |= paper_claim(claim.paper).references if claim.paper and _exists(claim.paper) else set()
    found = [value for reference in sorted(references) for value in _values(reference)]
    name = (suite.paper or "").partition("/")[0]
    yield from found or printed_values(**({"paper": name} if name in PAPERS else {}))


def _values(reference: str) -> tuple[PrintedValue, ...]:
    try:
        return printed_table(reference).values
    except HarnessError:
        return ()  # is told as a mistake of the table


def _exists(claim: str) -> bool:
    try:
        paper_claim(claim)
    except HarnessError:
        return False  # is told as a mistake of the claim
    return True
