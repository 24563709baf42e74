from typing import Any

import pytest

from harness.core.errors import HarnessError
from harness.report.axes import check_table
from harness.report.cell_facets import CellFacets
from harness.report.facets import about_attacks
from harness.spec import TableSpec

from .lab import Lab

OURS = {"name": "pgd", "facts": {"implementation": "ours"}}


def spec(**keys: Any) -> TableSpec:
    return TableSpec.model_validate({"rows": ["model"], "columns": ["attack"], **keys})


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"rows": ["modle"]}, 'facet "modle" is not known.\n     did you mean: mode, model'),
        ({"rows": ["facts.bm"]}, "did you mean: facts.bn"),
        ({"where": {"atack": "PGD"}}, "did you mean: attack"),
        ({"rows": ["attack.facts.implementatoin"]}, "did you mean: attack.facts.implementation"),
        ({"columns": ["attack", "spraed"]}, "did you mean: spread"),
        ({"where": {"spread": "x"}}, 'facet "spread" is not known'),
        ({"columns": ["mean", "attack"]}, '"mean" can only stand at the end of columns'),
        ({"columns": ["spread", "attack", "mean"]}, '"spread" can only stand at the end of columns'),
        ({"rows": ["mean"]}, '"mean" can only stand at the end of columns'),
        ({"columns": ["attack", "spread", "spread"]}, 'facet "spread" is named twice'),
        ({"columns": ["attack", "dataset", "agreement"]}, 'move "dataset" to rows'),
        ({"columns": ["mean"]}, "rows and columns each need a facet"),
        ({"columns": ["attack", "model"]}, 'facet "model" is named twice'),
        ({"mode": "transfer"}, "the suite has no section [transfer]"),
        ({"columns": ["dataset"], "clean": True}, "clean = true needs a place"),
    ],
)
def test_a_table_that_cannot_be_is_refused_before_anything_runs(
    whitebox: Lab, keys: dict[str, Any], message: str
) -> None:
    suite = whitebox.suite(models=[{"name": "plain", "id": "zoo:plain", "facts": {"bn": "N"}}], attacks=[OURS])
    with pytest.raises(HarnessError) as error:
        check_table(spec(**keys), suite)
    assert message in str(error.value)


def test_a_table_that_fits_the_suite_passes(whitebox: Lab) -> None:
    check_table(spec(columns=["attack", "threat", "mean"], where={"norm": "linf"}), whitebox.suite())
    made = spec(columns=["attack.facts.implementation", "mean", "spread", "agreement"], where={"threat": "linf"})
    check_table(made, whitebox.suite(attacks=[OURS]))


def test_facts_of_models_are_not_facts_of_attacks(whitebox: Lab) -> None:
    suite = whitebox.suite(models=[{"name": "plain", "id": "zoo:plain", "facts": {"bn": "N"}}], attacks=[OURS])
    for facet in ("attack.facts.bn", "facts.implementation"):
        with pytest.raises(HarnessError, match="is not known"):
            check_table(spec(rows=[facet]), suite)


def test_model_means_nothing_in_a_transfer_table(transfer: Lab) -> None:
    with pytest.raises(HarnessError, match="write surrogate or target"):
        check_table(spec(), transfer.suite())


def test_facts_and_surrogates_describe_the_attack_only_in_transfer_tables() -> None:
    assert about_attacks("facts.bn", "transfer")
    assert not about_attacks("facts.bn", "whitebox")
    assert about_attacks("surrogate.norm", "transfer")
    assert not about_attacks("target", "transfer")
    assert about_attacks("epsilon", "whitebox")
    assert about_attacks("attack.facts.implementation", "whitebox")


def test_every_facet_reads_its_own_side_of_a_transfer_cell(lab: Lab) -> None:
    lab.model("s", label="Sur", norm="none", bn="N")
    lab.model("t", label="Tar", norm="bn", bn="Y", random=True)
    lab.judge_clean("t", [True] * 4)
    cell = lab.attack("s", "t", [True] * 4, seed=5)
    lab.facts("PGD", bn="any", steps=20)
    facets = CellFacets(lab.cells(), "transfer")
    expected = {
        "surrogate": "Sur", "target": "Tar†", "attack": "PGD", "threat": "L∞ 8/255", "epsilon": "8/255", "norm": "L∞",
        "dataset": "Digits", "seed": "5", "mode": "Transfer", "surrogate.norm": "None", "target.norm": "BN",
        "facts.bn": "N", "attack.facts.bn": "any", "attack.facts.steps": "20", "attack.facts.other": "",
    }  # fmt: skip
    assert {facet: facets.text(facet, cell) for facet in expected} == expected


@pytest.mark.parametrize(
    ("facet", "wanted", "fits"),
    [
        ("epsilon", "8/255", True),
        ("epsilon", 8 / 255, True),
        ("epsilon", "4/255", False),
        ("epsilon", "large", False),
        ("norm", "linf", True),
        ("norm", "L∞", True),
        ("seed", 0, True),
        ("seed", "1", False),
        ("target", "t", True),
        ("target", "Tar", True),
        ("surrogate", "t", False),
        ("target.norm", "bn", True),
        ("facts.deep", True, True),
        ("facts.deep", "yes", True),
        ("facts.deep", False, False),
        ("attack.facts.exact", True, True),
        ("attack.facts.exact", "yes", True),
        ("attack.facts.exact", "no", False),
        ("attack.facts.steps", 20, True),
        ("mode", "transfer", True),
    ],
)
def test_filters_accept_values_as_printed_as_stored_and_by_name(
    lab: Lab, facet: str, wanted: object, fits: bool
) -> None:
    lab.model("s", label="Sur", norm="none", deep=True)
    lab.model("t", label="Tar", norm="bn", deep=False)
    lab.judge_clean("t", [True] * 4)
    lab.facts("PGD", exact=True, steps=20)
    cell = lab.attack("s", "t", None)
    assert CellFacets(lab.cells(), "transfer").matches(facet, cell, wanted) is fits
