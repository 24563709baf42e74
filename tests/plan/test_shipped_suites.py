"""The suites that come with the project, as far as they can be read without their data."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from harness.cells import Cell, Cells, DatasetEntry, ModelEntry
from harness.plan.attacks import plan_attacks, plan_threats
from harness.plan.claims import check_claim_facets
from harness.plan.mistakes import Mistakes
from harness.plan.papers import check_papers
from harness.plan.sections import plan_sections
from harness.plan.tables import check_facets
from harness.report.pairing import pair_up
from harness.report.reprint import bind, resolve_reprint
from harness.spec import ModelSpec, read_suite
from harness.store import ModelDescription

SUITES = sorted((Path(__file__).resolve().parents[2] / "suites").glob("*.toml"))


@pytest.mark.parametrize("path", SUITES, ids=lambda path: path.stem)
def test_attacks_tables_and_claims_of_a_shipped_suite_have_no_mistake(path: Path) -> None:
    reading = read_suite(path)
    mistakes = Mistakes(reading.problems)
    plan_attacks(reading, plan_threats(reading, mistakes), mistakes)
    check_facets(reading, mistakes)
    check_claim_facets(reading, mistakes)
    check_papers(reading, mistakes)
    # The one suite that compares with the official package says that it needs it.
    assert [problem for problem in mistakes.found if "needs the official package" not in problem] == []


def test_implementations_of_a_method_run_under_the_same_threat_models() -> None:
    suite = read_suite(next(path for path in SUITES if path.stem == "implementations_cifar10")).suite
    ran: dict[str, list[tuple[object, tuple[str, ...]]]] = {"harness": [], "torchattacks": []}
    for attack in suite.attacks:
        ran[str(attack.facts["implementation"])].append((attack.facts["method"], tuple(attack.threats or ())))
    assert ran["harness"] == ran["torchattacks"]
    assert len(ran["harness"]) == 10


def as_planned(path: Path) -> Cells:
    """The cells of a suite without its weights and data: normalization is what the names say."""
    reading = read_suite(path)
    suite, mistakes = reading.suite, Mistakes(reading.problems)
    threats = plan_threats(reading, mistakes)
    variants = plan_attacks(reading, threats, mistakes)
    (data,) = (spec.label or spec.id for spec in suite.datasets)
    common: dict[str, Any] = {"dataset": data, "seed": 0}
    cells = [
        Cell(
            id=m.name,
            mode="clean",
            attack="Clean",
            threat="",
            norm="",
            epsilon=0,
            surrogate=m.name,
            target=m.name,
            **common,
        )
        for m in suite.models
    ]
    for section in plan_sections(reading, variants, threats, mistakes):
        for attack, _, threat in section.craftings:
            for surrogate in section.surrogates:
                for target in [surrogate] if section.mode == "whitebox" else section.targets:
                    names: dict[str, Any] = {
                        "surrogate": surrogate,
                        "target": target,
                        "mode": section.mode,
                        "attack": attack,
                    }
                    budget: dict[str, Any] = {"threat": threat.label, "norm": threat.norm, "epsilon": threat.epsilon}
                    id = f"{surrogate}, {target}, {attack}, {threat.label}"
                    cells.append(Cell(id=id, **names, **budget, **common))
    assert not mistakes.found
    spec = suite.datasets[0]
    paper = {"dataset": spec.id, **spec.paper.model_dump(exclude_none=True)}
    entry = DatasetEntry(label=data, samples=1, selection="first", fingerprints={}, keep="all", paper=paper)
    models = [entry_of(model) for model in suite.models]
    return Cells(suite="s", models=models, datasets=[entry], attacks=[v.entry for v in variants], cells=cells)


def entry_of(model: ModelSpec) -> ModelEntry:
    bare = model.id.startswith(("torchvision:vgg16@", "torchvision:vgg19@", "timm:nf_"))
    said = {"none", "in", "ln", "gn", "rn"}.intersection(re.split(r"[-_.@]", model.id))
    norm = "none" if bare else min(said, default="bn")
    description = ModelDescription(id=model.id, fingerprint=model.name, norm=norm, norm_layers={}, parameters=1)
    paper = model.paper.model_dump(exclude_none=True)
    return ModelEntry(
        name=model.name, label=model.label or model.name, facts=model.facts, paper=paper, description=description
    )


@pytest.mark.parametrize(
    ("suite", "reference", "filled", "of"),
    [
        ("transfer_cifar10", "benz2021/4", 56, 56),
        ("transfer_cifar10", "benz2021/12", 56, 56),
        ("transfer_imagenet", "benz2021/3", 112, 112),
        ("transfer_robust_imagenet", "benz2021/11", 112, 112),
        ("whitebox_cifar10", "benz2021/1", 30, 30),
        ("whitebox_svhn", "benz2021/1", 20, 20),
        ("whitebox_imagenet", "benz2021/1", 40, 40),
        ("normalization_cifar10", "benz2021/2", 24, 30),
        ("normalization_svhn", "benz2021/2", 20, 20),
        ("normalization_imagenet", "benz2021/2", 10, 20),
        ("fgsm_cifar10", "benz2021/10", 12, 12),
        ("bn_tuning_cifar10", "walter2022/2", 22, 22),
    ],
)
def test_a_shipped_suite_fills_its_table_of_the_paper(suite: str, reference: str, filled: int, of: int) -> None:
    path = next(path for path in SUITES if path.stem == suite)
    (table,) = (table for table in read_suite(path).suite.tables if table.reference == reference)
    planned = as_planned(path)
    bound = bind(resolve_reprint(table), planned)
    twins = {entry.name: (entry.label, entry.description.norm) for entry in planned.models}
    assert (sum(map(bool, bound.values())), len(bound)) == (filled, of)
    for value, cells in bound.items():
        # Several cells stand for one number only if they are of one network trained again.
        judged = {(*twins[cell.target], cell.attack, cell.threat) for cell in cells}
        assert len(judged) == (6 if value.target == "avg" else 1 if cells else 0)


@pytest.mark.parametrize(
    ("suite", "pairs"),
    [
        ("transfer_cifar10", {"B11": 10, "B12": 12, "B13": 4, "B14": 10, "B15": 12, "B16": 4}),
        ("whitebox_cifar10", {"B01": 3, "B02": 12}),
        ("whitebox_svhn", {"B01": 2, "B02": 8}),
        ("whitebox_imagenet", {"B01": 4, "B02": 16}),
        ("normalization_cifar10", {"B03": 9, "B04a": 4, "B07": 9}),
        ("normalization_svhn", {"B03": 8, "B04a": 8, "B07": 8}),
        ("normalization_imagenet", {"B03": 3}),
        ("fgsm_cifar10", {"B21": 3, "no reversal": 3, "one step misses": 6}),
        (
            "bn_tuning_cifar10",
            {"W01": 1, "W02": 1, "W03": 2, "W04": 2, "W05": 3, "W06": 4}
            | {"W07": 1, "W08": 2, "W09": 1, "W10": 1, "W11": 10, "W12": 2},
        ),
    ],
)
def test_a_shipped_suite_has_the_pairs_of_the_papers_claims(suite: str, pairs: dict[str, int]) -> None:
    path = next(path for path in SUITES if path.stem == suite)
    cells = as_planned(path)
    assert {claim.name: len(pair_up(claim, cells).pairs) for claim in read_suite(path).suite.claims} == pairs
