"""The suites that come with the project, as far as they can be read without their data."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from harness.cells import Cell, Cells, DatasetEntry, ModelEntry
from harness.plan.attacks import describe_threats, plan_attacks, plan_threats
from harness.plan.claims import check_claim_facets
from harness.plan.mistakes import Mistakes
from harness.plan.papers import check_papers
from harness.plan.sections import plan_sections
from harness.plan.tables import check_facets
from harness.report.pairing import pair_up
from harness.report.reprint import bind, resolve_reprint
from harness.spec import ModelSpec, read_suite
from harness.store import ModelDescription

STATISTICS = ("mnist", "fashion_mnist", "cifar10", "cifar100", "imagenet")
"""The parts of Table 1 of awais2020, one suite each."""

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
    labels = [spec.label or spec.id for spec in suite.datasets]
    cells = [
        Cell(
            id=f"{m.name} on {data}",
            mode="clean",
            attack="Clean",
            threat="",
            norm="",
            epsilon=0,
            surrogate=m.name,
            target=m.name,
            dataset=data,
            seed=0,
        )
        for data in labels
        for m in suite.models
    ]
    (data, *others) = labels
    common: dict[str, Any] = {"dataset": data, "seed": 0}
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
    assert not (others and suite.attacks), "suites that attack have one data set here"
    datasets = [
        DatasetEntry(
            label=label, samples=1, selection="first", fingerprints={}, keep="all", origin="one",
            paper={"dataset": spec.id, **spec.paper.model_dump(exclude_none=True)},
        )
        for label, spec in zip(labels, suite.datasets, strict=True)
    ]  # fmt: skip
    models = [entry_of(model) for model in suite.models]
    attacks, offered = [variant.entry for variant in variants], describe_threats(suite.threats)
    return Cells(suite="s", models=models, datasets=datasets, attacks=attacks, threats=offered, cells=cells)


def entry_of(model: ModelSpec) -> ModelEntry:
    bare = model.id.startswith(("torchvision:vgg16@", "torchvision:vgg19@", "timm:nf_"))
    said = {"none", "in", "ln", "gn", "rn"}.intersection(re.split(r"[-_.@]", model.id))
    norm = "none" if bare else min(said, default="bn")
    view = {"view": {"bn": model.bn}} if model.bn else {}
    description = ModelDescription(
        id=model.id, fingerprint=model.name, norm=norm, norm_layers={}, parameters=1, details=view
    )
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
        ("features_cifar10", "benz2021/7", 20, 20),
        ("features_cifar10", "benz2021/8", 20, 20),
        ("fgsm_cifar10", "benz2021/10", 12, 12),
        ("bn_tuning_cifar10", "walter2022/2", 22, 22),
        *((f"statistics_{data}", "awais2020/1", 12, 12) for data in STATISTICS),
        ("statistics_training", "awais2020/4", 20, 20),
        ("statistics_architectures", "awais2020/2", 36, 48),
        ("normalization_free_cifar10", "awais2020/3", 24, 24),
        ("robustnorm_cifar10", "awais2020/5", 30, 60),
        ("robustnorm_imagenet", "awais2020/6", 18, 18),
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
        ("features_cifar10", {"B17": 12, "B18": 12, "B19": 20, "B20": 3}),
        ("whitebox_cifar10", {"B01": 3, "B02": 12}),
        ("whitebox_svhn", {"B01": 2, "B02": 8}),
        ("whitebox_imagenet", {"B01": 4, "B02": 16}),
        ("normalization_cifar10", {"B03": 9, "B04a": 4, "B07": 9}),
        ("normalization_svhn", {"B03": 8, "B04a": 8, "B07": 8}),
        ("normalization_imagenet", {"B03": 2}),
        ("fgsm_cifar10", {"B21": 3, "no reversal": 3, "one step misses": 6}),
        (
            "bn_tuning_cifar10",
            {"W01": 1, "W02": 1, "W03": 2, "W04": 2, "W05": 3, "W06": 4}
            | {"W07": 1, "W08": 2, "W09": 1, "W10": 1, "W11": 10, "W12": 2},
        ),
        *((f"statistics_{data}", {"A01": 5, "A02": 1, "A01-pixel": 5, "A01-static": 11}) for data in STATISTICS),
        ("statistics_architectures", {"A03": 15, "A04": 3}),
        ("normalization_free_cifar10", {"A06": 15, "A07": 3}),
        ("statistics_training", {"A08": 5, "gain-normal": 5, "gain-adversarial": 5}),
        ("robustnorm_cifar10", {"A09": 10, "A10": 10, "A11": 10}),
        ("robustnorm_imagenet", {"A12": 5, "A13": 5, "A14": 5, "A15": 2}),
    ],
)
def test_a_shipped_suite_has_the_pairs_of_the_papers_claims(suite: str, pairs: dict[str, int]) -> None:
    path = next(path for path in SUITES if path.stem == suite)
    cells = as_planned(path)
    assert {claim.name: len(pair_up(claim, cells).pairs) for claim in read_suite(path).suite.claims} == pairs


def test_parts_of_table_1_of_awais2020_keep_to_the_budgets_that_they_stand_for() -> None:
    printed = {"mnist": 0.2, "fashion_mnist": 0.06, "cifar10": 0.02, "cifar100": 0.02, "imagenet": 0.008}
    deviations = {"mnist": 0.3081, "fashion_mnist": 0.353, "cifar10": 0.2507, "cifar100": 0.2663, "imagenet": 0.226}
    for data, epsilon in printed.items():
        suite = read_suite(next(path for path in SUITES if path.stem == f"statistics_{data}")).suite
        standardized, pixel, unbounded = suite.threats
        assert pixel.epsilon == [epsilon]
        assert standardized.paper.epsilon == epsilon
        assert standardized.epsilon == [pytest.approx(epsilon * deviations[data], rel=3e-4)]
        pixels = {"imagenet": 3 * 224**2, "mnist": 28**2, "fashion_mnist": 28**2}.get(data, 3 * 32**2)
        assert unbounded.epsilon[0] > pixels**0.5
        (cw,) = (attack for attack in suite.attacks if attack.name == "cw")
        wanted = (0.3, 10) if "mnist" in data else (epsilon / 10, 0.01)
        assert (cw.arguments.get("learning_rate", 0.002), cw.arguments.get("initial_constant", 0.01)) == wanted
