"""Tables whose entries are means over several attacks, surrogates or targets on purpose."""

from __future__ import annotations

import copy
import json
from typing import Any

import pandas as pd
import pytest

from harness.core.errors import HarnessError
from harness.metrics import Estimate, wilson
from harness.metrics.averages import average
from harness.report import Table, render
from harness.report.csv_file import frame
from harness.report.figure import svg
from harness.report.json_file import json_text
from harness.report.markdown import markdown
from harness.spec import TableSpec

from .lab import Lab
from .test_pivot import headers, numbers

T, F = True, False

BLOCKS = {
    "rows": ["surrogate.norm"], "columns": ["target.norm"], "value": "attack_success_rate",
    "denominator": "common-correct", "where": {"relation": "other architecture"},
    "average": ["attack", "surrogate", "target"],
}  # fmt: skip


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """Two architectures, each with BN and without; two attacks; all right when clean but image 4, for one model."""
    lab = Lab(tmp_path_factory.mktemp("blocks") / "store")
    lab.data()
    for label in ("V", "R"):
        for norm in ("none", "bn"):
            lab.model(f"{label}-{norm}", label=label, norm=norm)
            lab.judge_clean(f"{label}-{norm}", [T, T, T, label == "V" or norm == "bn"])
    hits = {("none", "none"): 3, ("none", "bn"): 2, ("bn", "none"): 1, ("bn", "bn"): 0}
    for surrogate in ("V", "R"):
        for target in ("V", "R"):
            for attack, more in (("I", 0), ("MI", 1)):
                for (one, other), count in hits.items():
                    correct = [i >= min(3, count + more) for i in range(3)] + [F]
                    lab.attack(f"{surrogate}-{one}", f"{target}-{other}", correct, attack, mode="transfer")
    return lab


@pytest.fixture
def blocks(filled: Lab) -> Lab:
    """The same for one test, which may plan more cells."""
    lab = copy.copy(filled)
    lab.planned = list(filled.planned)
    return lab


def table(lab: Lab, **keys: Any) -> Table:
    spec = TableSpec.model_validate({**BLOCKS, **keys})
    return render(lab.suite(spec), lab.cells(), lab.store).tables[0]


def estimates(made: Table) -> list[Estimate]:
    return [entry.estimate for row in made.rows for entry in row.entries if entry.estimate]


def test_the_matrix_of_blocks_averages_over_all_that_it_names(blocks: Lab) -> None:
    made = table(blocks)
    assert headers(made) == [("None",), ("BN",)]
    assert made.columns == (("None",), ("BN",))
    # Of the 3 common images: 3 and 3, 2 and 3, 1 and 2, 0 and 1 by the two attacks.
    assert numbers(made) == [[100, 83.3], [50, 16.7]]
    # V on R and R on V by two attacks each.
    assert [len(entry.runs) for entry in made.entries] == [4, 4, 4, 4]
    assert {estimate.n for estimate in estimates(made)} == {3}


def test_an_entry_has_the_interval_of_a_mean_over_images(blocks: Lab) -> None:
    entry = table(blocks).rows[1].entries[0]
    # Image 1 is fooled by both attacks, image 2 by MI, image 3 by none.
    verdicts = [pd.Series([1.0, 0.0, 0.0]), pd.Series([1.0, 1.0, 0.0])] * 2
    expected = average(verdicts, rates=True)
    assert entry.estimate is not None
    assert entry.estimate[:4] == pytest.approx(expected[:4])
    assert entry.spread is None


def test_cells_that_count_other_images_are_averaged_by_their_rates(blocks: Lab) -> None:
    made = table(blocks, denominator="own-correct")
    # On the one target that errs on it image 4 does not count; on the others it is fooled.
    runs = [run.estimate.value for run in made.rows[1].entries[0].runs if run.estimate]
    assert sorted(runs) == [pytest.approx(value) for value in (1 / 3, 2 / 4, 2 / 3, 3 / 4)]
    assert estimates(made)[2].value == pytest.approx(sum(runs) / 4)
    assert estimates(made)[2].n == 3


def test_notes_say_what_was_averaged_and_what_the_interval_is(blocks: Lab) -> None:
    made = table(blocks)
    notes = " ".join(made.notes)
    assert "Entries are means over 4 cells (attack, surrogate, target) of equal weight." in notes
    assert "the interval is that of a mean over images" in notes
    assert "mean of the intervals" not in notes
    assert "stands for" not in notes
    assert "averages over cells have that of a mean over images" in markdown(made)
    assert "In 8 of the 32 cells behind the table surrogate and target are the same model" in " ".join(
        table(blocks, where={}).notes
    )


def test_a_mean_lacks_its_interval_and_value_when_a_cell_has_not_run(blocks: Lab) -> None:
    blocks.attack("V-bn", "R-bn", None, "TI", mode="transfer")
    assert numbers(table(blocks)) == [[100, 83.3], [50, "not run"]]


def test_a_table_may_average_over_less(blocks: Lab) -> None:
    made = table(blocks, rows=["attack", "surrogate.norm"], average=["surrogate", "target"])
    assert numbers(made) == [[100, 66.7], [33.3, 0], [100, 100], [66.7, 33.3]]
    made = table(blocks, rows=["surrogate.norm", "surrogate"], average="attack", columns=["target.norm", "target"])
    assert numbers(made)[0] == ["not planned", 100, "not planned", 83.3]


def test_averaging_over_targets_includes_their_normalization(blocks: Lab) -> None:
    made = table(blocks, columns=["attack"], average=["surrogate", "target"])
    assert numbers(made) == [[83.3, 100], [16.7, 50]]


def test_a_row_of_averages_has_its_means(blocks: Lab) -> None:
    made = table(blocks, columns=["target.norm", "mean", "mean.other-architecture"], where={})
    first = made.rows[0]
    # Without a filter the twins and the networks themselves are in the mean; here all of a block are alike.
    assert numbers(made)[0] == [100, 83.3, 91.7, 91.7]
    assert first.entries[0].estimate is not None
    confined = made.rows[0].entries[3].estimate
    assert confined is not None
    assert confined.value == pytest.approx(11 / 12)
    assert "mean of the intervals" in " ".join(made.notes)


def test_white_box_tables_average_over_attacks_and_models(whitebox: Lab) -> None:
    keys: dict[str, Any] = {"value": "robust_accuracy", "denominator": "all", "where": {"norm": "linf"}}
    made = table(whitebox, rows=["model"], columns=["threat"], average=["attack"], **keys)
    # Clean accuracies are not averaged over anything.
    assert numbers(made) == [[75, 37.5], [100, 12.5]]
    assert made.rows[0].entries[0].estimate == wilson(3, 4)
    made = table(whitebox, rows=["threat"], columns=["attack"], average="model", **keys)
    assert numbers(made) == [[87.5, 37.5, 12.5]]


def test_means_of_distances_are_averaged_too(lab: Lab) -> None:
    lab.model("m")
    lab.judge_clean("m", [T] * 4)
    lab.attack("m", "m", [F] * 4, "A", l2=[1.0, 2.0, 3.0, 4.0])
    lab.attack("m", "m", [F] * 4, "B", l2=[3.0, 2.0, 1.0, 2.0])
    keys: dict[str, Any] = {"denominator": "all", "where": {}, "average": ["attack"]}
    made = table(lab, rows=["model"], columns=["threat"], value="mean_l2", **keys)
    (estimate,) = estimates(made)
    assert estimate.value == 2.25
    assert estimate.margin == pytest.approx(1.959964 * 0.5 / 2)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"average": ["attack", "surrogate"]}, 'or take the mean with average = ["target"]'),
        ({"average": ["atack"]}, 'average: no mean is taken over "atack".\n     did you mean: attack'),
        ({"average": ["model"]}, 'no mean is taken over "model"'),
        ({"average": ["epsilon"]}, 'no mean is taken over "epsilon"'),
        ({"average": ["dataset"]}, "data sets share no images"),
        ({"average": ["target", "target.norm"]}, '"target.norm" cannot both tell apart and be averaged over'),
    ],
)
def test_what_cannot_be_averaged_is_a_mistake(blocks: Lab, keys: dict[str, Any], message: str) -> None:
    with pytest.raises(HarnessError) as error:
        table(blocks, **keys)
    assert message in str(error.value)


def test_data_sets_stay_apart_whatever_is_averaged(lab: Lab) -> None:
    lab.data("Letters")
    lab.model("m")
    for data in ("Digits", "Letters"):
        lab.judge_clean("m", [T] * 4, data)
        lab.attack("m", "m", [F] * 4, data=data)
    with pytest.raises(HarnessError, match="would mix several values of dataset") as error:
        table(lab, rows=["model"], columns=["threat"], where={}, average=["attack"])
    assert "take the mean" not in str(error.value)


def test_samples_are_read_only_for_tables_that_average(blocks: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    original = blocks.store.outcomes

    def noted(id: str) -> pd.DataFrame:
        read.append(id)
        return original(id)

    monkeypatch.setattr(blocks.store, "outcomes", noted)
    table(blocks, denominator="all", where={"relation": "other architecture", "surrogate.norm": "bn"})
    # Two surrogates, two targets of the other architecture each, two attacks.
    assert len(read) == len(set(read)) == 8


def test_files_hold_the_averages_and_the_cells_behind_them(blocks: Lab) -> None:
    made = table(blocks)
    entry = json.loads(json_text(made))["rows"][1]["entries"][0]
    assert (entry["value"], entry["spread"], len(entry["records"])) == (0.5, None, 4)
    lines = frame(made)
    assert len(lines) == 16
    assert lines[["attack", "surrogate", "target"]].drop_duplicates().shape == (16, 3)
    assert "<svg" in svg(made).decode()
