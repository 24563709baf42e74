"""How targets are related to surrogates: a facet of cells, and means over part of a row."""

from __future__ import annotations

from typing import Any

import pytest

from harness.core.errors import HarnessError
from harness.metrics import mean_over, wilson
from harness.report import Table, render
from harness.report.axes import SUMMARIES, check_table
from harness.report.cell_facets import CellFacets
from harness.report.relation import MEANS_OVER, RELATIONS
from harness.spec import TableSpec

from .lab import Lab
from .test_pivot import headers, numbers

T, F = True, False


@pytest.fixture
def related(lab: Lab) -> Lab:
    """VGG and its twin with BN on four networks; 4 images, right when clean. Fooled: 4 white-box, then 3, 2, 1."""
    lab.model("vgg", label="VGG", norm="none")
    lab.model("vgg-bn", label="VGG")
    lab.model("alex", label="Alex", norm="none")
    lab.model("res", label="Res")
    for model in lab.models:
        lab.judge_clean(model.name, [T] * 4)
    for surrogate in ("vgg", "vgg-bn"):
        for target, hits in (("vgg", 3), ("vgg-bn", 3), ("alex", 2), ("res", 1)):
            fooled = 4 if surrogate == target else hits
            lab.attack(surrogate, target, [i >= fooled for i in range(4)], "MI", mode="transfer")
    return lab


ROWS = {"rows": ["surrogate.norm"], "value": "attack_success_rate"}


def table(lab: Lab, columns: list[str], **keys: Any) -> Table:
    spec = TableSpec.model_validate({**ROWS, "columns": columns, **keys})
    return render(lab.suite(spec), lab.cells(), lab.store).tables[0]


def relation(lab: Lab, surrogate: str, target: str) -> str:
    (cell,) = (c for c in lab.planned if (c.mode, c.surrogate, c.target) == ("transfer", surrogate, target))
    return CellFacets(lab.cells(), "transfer").text("relation", cell)


def test_twins_share_their_architecture_and_are_not_the_same_network(related: Lab) -> None:
    assert relation(related, "vgg", "vgg") == "White-box"
    assert relation(related, "vgg", "vgg-bn") == relation(related, "vgg-bn", "vgg") == "Same architecture"
    assert relation(related, "vgg", "alex") == "Other architecture"


def test_the_same_weights_under_another_name_are_white_box(lab: Lab) -> None:
    lab.model("a")
    lab.model("b")
    same = lab.models[1].description.model_copy(update={"fingerprint": lab.models[0].description.fingerprint})
    lab.models[1] = lab.models[1].model_copy(update={"description": same})
    lab.judge_clean("b", [T] * 4)
    lab.attack("a", "b", [T] * 4)
    assert relation(lab, "a", "b") == "White-box"


def test_a_fact_tells_the_architecture_where_labels_do_not(lab: Lab) -> None:
    lab.model("a", label="Ours", architecture="vgg16")
    lab.model("b", label="Theirs", architecture="vgg16")
    lab.model("c", label="Ours", architecture="vgg19")
    lab.judge_clean("b", [T] * 4)
    lab.judge_clean("c", [T] * 4)
    lab.attack("a", "b", [T] * 4)
    lab.attack("a", "c", [T] * 4)
    assert relation(lab, "a", "b") == "Same architecture"
    assert relation(lab, "a", "c") == "Other architecture"


@pytest.mark.parametrize(
    ("wanted", "kept"),
    [
        ("other architecture", ["Alex None", "Res BN"]),
        ("other-architecture", ["Alex None", "Res BN"]),
        ("Same architecture", ["VGG None"]),
        ("white-box", ["VGG BN"]),
        (["white-box", "other architecture"], ["VGG BN", "Alex None", "Res BN"]),
        ("black-box", ["VGG None", "Alex None", "Res BN"]),
    ],
)
def test_relations_filter(related: Lab, wanted: Any, kept: list[str]) -> None:
    made = table(related, ["target", "target.norm"], where={"relation": wanted, "surrogate": "vgg-bn"})
    assert [" ".join(column) for column in made.columns] == kept


def test_a_misspelt_relation_is_a_mistake(related: Lab) -> None:
    with pytest.raises(HarnessError, match="did you mean: Other architecture"):
        table(related, ["target"], where={"relation": "other architectures"})


def test_relations_make_columns_in_their_own_order(related: Lab) -> None:
    made = table(related, ["relation"], average=["target"])
    assert made.columns == tuple((text,) for text in RELATIONS)
    assert made.column_headers == ("Relation",)
    assert numbers(made) == [[100, 75, 37.5], [100, 75, 37.5]]


def test_clean_accuracy_stands_beside_every_relation(related: Lab) -> None:
    made = table(related, ["target"], rows=["relation", "surrogate.norm"], value="robust_accuracy", clean=True,
                 where={"target": ["alex", "res"]})  # fmt: skip
    assert headers(made) == [("Clean", ""), ("Other architecture", "None"), ("Other architecture", "BN")]
    assert numbers(made)[0] == [100, 100]


MEANS = ["mean", "mean.black-box", "mean.white-box", "mean.same-architecture", "mean.other-architecture"]


def test_means_take_the_part_of_the_row_that_they_name(related: Lab) -> None:
    made = table(related, ["target", "target.norm", *MEANS])
    assert [column[0] for column in made.columns[4:]] == [
        "Mean", "Mean, black-box", "Mean, white-box", "Mean, same architecture", "Mean, other architectures",
    ]  # fmt: skip
    # To VGG, VGG with BN, Alex, Res: 4, 3, 2, 1 of 4 without BN, and 3, 4, 2, 1 with it.
    assert numbers(made) == [[100, 75, 50, 25, 62.5, 50, 100, 75, 37.5], [75, 100, 50, 25, 62.5, 50, 100, 75, 37.5]]
    assert made.rows[0].entries[-1].estimate == mean_over([wilson(2, 4), wilson(1, 4)])


def test_notes_say_which_mean_counts_what(related: Lab) -> None:
    notes = " ".join(table(related, ["target", "target.norm", *MEANS]).notes)
    assert "the entry is white-box, and the mean includes it." in notes
    assert "Mean, other architectures: over the cells of the row whose relation is other architecture." in notes
    assert "Mean, black-box: over the cells of the row whose relation is same architecture or other arch" in notes
    notes = " ".join(table(related, ["target", "target.norm", "mean.black-box"]).notes)
    assert "the entry is white-box." in notes


def test_a_mean_over_nothing_is_an_empty_place(related: Lab) -> None:
    made = table(related, ["target", "target.norm", "mean.white-box"], where={"target": ["alex", "res"]})
    assert numbers(made) == [[50, 25, "not planned"], [50, 25, "not planned"]]


def test_a_mean_is_missing_when_a_part_of_its_own_is(related: Lab) -> None:
    related.model("late", label="Late")
    related.attack("vgg", "late", None, "MI", mode="transfer")
    made = table(related, ["target", "target.norm", "mean.other-architecture", "mean.same-architecture"])
    assert numbers(made)[0][-2:] == ["not run", 75]


def test_a_place_of_several_trainings_gives_each_mean_its_own_runs(lab: Lab) -> None:
    """Two trainings under one label: on the label's column one cell is white-box and the other is not."""
    for name in ("v0", "v1"):
        lab.model(name, label="VGG")
        lab.judge_clean(name, [T] * 4)
    for target, hits in (("v0", 4), ("v1", 1)):
        lab.attack("v0", target, [i >= hits for i in range(4)], mode="transfer")
    made = table(lab, ["target", "mean.white-box", "mean.same-architecture"], rows=["surrogate"])
    assert numbers(made) == [[62.5, 100, 25]]
    assert (
        "Where surrogate and target have one label, the entry mixes models attacked by themselves with others: 1 of "
        "its 2 runs are white-box."
    ) in made.notes
    assert not any("the entry is white-box" in note for note in made.notes)


def test_in_white_box_tables_there_are_no_relations_to_take_means_over(whitebox: Lab) -> None:
    for name in MEANS_OVER:
        spec = TableSpec(rows=["model"], columns=["attack", name], where={"norm": "linf"})
        with pytest.raises(HarnessError, match="needs a transfer table"):
            check_table(spec, whitebox.suite())
    assert set(MEANS_OVER) < set(SUMMARIES)


def test_headers_of_means_can_be_chosen(related: Lab) -> None:
    made = table(related, ["target", "target.norm", "mean.black-box"], headers={"mean.black-box": "Black-box"})
    assert made.columns[-1] == ("Black-box", "")


def test_samples_are_not_read_for_means_over_part_of_a_row(related: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(related.store, "outcomes", lambda _: pytest.fail("samples were read"))
    table(related, ["target", "target.norm", *MEANS])
