from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from harness.core.errors import HarnessError
from harness.report import Table, check, render
from harness.report.table import Entry
from harness.spec import TableSpec

from .lab import Lab

T, F = True, False
L2 = ("l2", 0.5, "L2 0.5")


def table(lab: Lab, rows: list[str], columns: list[str], **keys: Any) -> Table:
    spec = TableSpec.model_validate({"rows": rows, "columns": columns, **keys})
    return render(lab.suite(spec), lab.cells(), lab.store).tables[0]


def numbers(made: Table) -> list[list[float | str]]:
    """Percentages, or why there is none."""

    def number(entry: Entry) -> float | str:
        return round(100 * entry.estimate.value, 1) if entry.estimate else entry.missing

    return [[number(entry) for entry in row.entries] for row in made.rows]


def headers(made: Table) -> list[tuple[str, ...]]:
    return [row.header for row in made.rows]


def test_whitebox_table_has_clean_accuracy_first_and_attacks_in_order_of_the_suite(whitebox: Lab) -> None:
    made = table(whitebox, ["model"], ["attack", "threat"])
    assert made.columns == (
        ("Clean", ""), ("PGD", "L∞ 8/255"), ("PGD", "L2 0.5"), ("CW", "L∞ 8/255"), ("CW", "L2 0.5"),
    )  # fmt: skip
    assert headers(made) == [("Plain",), ("Batch",)]
    assert numbers(made) == [[75, 50, 75, 25, 50], [100, 25, 50, 0, "not run"]]


def test_rows_and_columns_can_change_places(whitebox: Lab) -> None:
    made = table(whitebox, ["attack", "threat"], ["model"])
    assert headers(made)[0] == ("Clean", "")
    assert numbers(made) == [[75, 100], [50, 25], [75, 50], [25, 0], [50, "not run"]]


def test_clean_accuracy_stands_beside_every_threat_model_of_its_model(whitebox: Lab) -> None:
    made = table(whitebox, ["model", "threat"], ["attack"])
    assert headers(made) == [("Plain", "L∞ 8/255"), ("Plain", "L2 0.5"), ("Batch", "L∞ 8/255"), ("Batch", "L2 0.5")]
    assert numbers(made) == [[75, 50, 25], [75, 75, 50], [100, 25, 0], [100, 50, "not run"]]


def test_clean_accuracy_can_be_left_out(whitebox: Lab) -> None:
    made = table(whitebox, ["model"], ["attack", "threat"], clean=False)
    assert made.columns[0] == ("PGD", "L∞ 8/255")


def test_outer_headers_group_inner_ones(whitebox: Lab) -> None:
    made = table(whitebox, ["model"], ["threat", "attack"], clean=False)
    assert [column[0] for column in made.columns] == ["L∞ 8/255", "L∞ 8/255", "L2 0.5", "L2 0.5"]
    assert numbers(made)[0] == [50, 25, 75, 50]


def test_filters_choose_cells_by_any_facet(whitebox: Lab) -> None:
    made = table(whitebox, ["model"], ["attack"], where={"norm": "l2", "facts.bn": ["N"]})
    assert headers(made) == [("Plain",)]
    assert numbers(made) == [[75, 75, 50]]


def test_robust_error_is_what_is_missing_from_robust_accuracy(whitebox: Lab) -> None:
    made = table(whitebox, ["model"], ["attack"], value="robust_error", where={"norm": "linf"})
    assert numbers(made) == [[50, 75], [75, 100]]


def test_whitebox_success_counts_only_what_the_model_got_right(whitebox: Lab) -> None:
    made = table(whitebox, ["model"], ["attack"], value="attack_success_rate", where={"norm": "linf"})
    assert numbers(made) == [[33.3, 66.7], [75, 100]]
    assert [entry.estimate.n for row in made.rows for entry in row.entries if entry.estimate] == [3, 3, 4, 4]


def test_facts_and_detected_norms_make_rows(whitebox: Lab) -> None:
    made = table(whitebox, ["facts.bn", "model.norm"], ["attack"], where={"norm": "linf"}, clean=False)
    assert made.row_headers == ("bn", "Normalization")
    assert headers(made) == [("N", "None"), ("Y", "BN")]


def test_headers_are_printed_in_the_words_of_the_suite(whitebox: Lab) -> None:
    words = {"facts.bn": "BN", "clean": "Acc", "mean": "Avg", "PGD": "Projected", "Y": "yes"}
    made = table(whitebox, ["facts.bn"], ["attack", "mean"], where={"norm": "linf"}, headers=words)
    assert made.row_headers == ("BN",)
    assert made.columns == (("Acc",), ("Projected",), ("CW",), ("Avg",))
    assert headers(made) == [("N",), ("yes",)]


# Transfer. Clean errors: A misses image 4, B image 3, C image 2.


@pytest.mark.parametrize(
    ("denominator", "expected"),
    [
        # A on C: C gets images 1, 3, 4 right when clean, and 3, 4 under attack; image 2 was wrong before.
        ("own-correct", [[100, 33.3, 33.3, 55.6], [33.3, 100, 0, 44.4]]),
        # Plain error on all images.
        ("all", [[100, 50, 50, 66.7], [50, 100, 25, 58.3]]),
        # Over the images the surrogate gets right: A 1, 2, 3; B 1, 2, 4.
        ("surrogate-correct", [[100, 66.7, 66.7, 77.8], [66.7, 100, 33.3, 66.7]]),
        # Only image 1 is right for all three.
        ("common-correct", [[100, 100, 100, 100], [0, 100, 0, 33.3]]),
    ],
)
def test_transfer_success_by_denominator_counts_by_hand(
    transfer: Lab, denominator: str, expected: list[list[float]]
) -> None:
    made = table(transfer, ["surrogate"], ["target", "mean"], value="attack_success_rate", denominator=denominator)
    assert made.columns == (("A",), ("B",), ("C",), ("Mean",))
    assert numbers(made) == expected


def test_an_image_that_a_target_gets_wrong_in_the_surrogates_geometry_is_not_common(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    lab.data()
    for name in ("A", "B"):
        lab.model(name)
        lab.judge_clean(name, [True] * 4)
    lab.clean["B", "Digits"] = [True, True, False, True]  # as B sees the images of A
    lab.attack("A", "B", [False, True, False, True])
    made = table(lab, ["surrogate"], ["target"], value="attack_success_rate", denominator="common-correct")
    assert numbers(made) == [[33.3]]


@pytest.mark.parametrize(
    ("keep", "denominator", "expected"),
    [
        ("all-correct", "all", [[100, 100, 100], [0, 100, 0]]),
        ("all-correct", "own-correct", [[100, 100, 100], [0, 100, 0]]),
        # Images that surrogate and target both get right: A and B 1, 2; A and C 1, 3; B and C 1, 4.
        ("surrogate-correct", "own-correct", [[100, 50, 50], [50, 100, 0]]),
    ],
)
def test_keep_and_denominator_compose(transfer: Lab, keep: str, denominator: str, expected: list[list[float]]) -> None:
    transfer.datasets[0] = transfer.datasets[0].model_copy(update={"keep": keep})
    made = table(transfer, ["surrogate"], ["target"], value="attack_success_rate", denominator=denominator)
    assert numbers(made) == expected


def test_clean_accuracy_counts_all_images_even_when_tables_keep_the_correct_ones(whitebox: Lab) -> None:
    whitebox.datasets[0] = whitebox.datasets[0].model_copy(update={"keep": "all-correct"})
    made = table(whitebox, ["model"], ["attack"], where={"norm": "linf"})
    assert numbers(made) == [[75, 66.7, 33.3], [100, 33.3, 0]]
    assert any("clean accuracy counts all images" in note for note in made.notes)


def test_clean_row_of_a_transfer_table_shows_the_targets(transfer: Lab) -> None:
    made = table(transfer, ["attack", "surrogate"], ["target"], value="robust_accuracy", clean=True)
    assert headers(made) == [("Clean", ""), ("MI", "A"), ("MI", "B")]
    assert numbers(made)[0] == [75, 75, 75]


def test_targeted_success_is_read_from_the_samples_and_not_from_the_error(lab: Lab) -> None:
    lab.model("m")
    lab.judge_clean("m", [T, T, T, F])
    lab.attack("m", "m", [F, F, T, F], goal="next", success=[T, F, F, T])
    made = table(lab, ["model"], ["attack"], value="attack_success_rate", denominator="all", clean=False)
    assert numbers(made) == [[50]]
    assert numbers(table(lab, ["model"], ["attack"], value="attack_success_rate")) == [[33.3]]


def test_mean_distance_has_the_normal_interval_of_its_samples(lab: Lab) -> None:
    lab.model("m")
    lab.judge_clean("m", [T] * 4)
    lab.attack("m", "m", [F] * 4, l2=[1.0, 2.0, 3.0, 4.0])
    estimate = table(lab, ["model"], ["attack"], value="mean_l2").rows[0].entries[0].estimate
    assert estimate is not None
    assert estimate.value == 2.5
    assert estimate.margin == pytest.approx(1.96 * 1.2909944 / 2, rel=1e-4)


def test_seeds_of_one_entry_become_mean_and_spread(lab: Lab) -> None:
    lab.model("m")
    lab.judge_clean("m", [T] * 4)
    for seed, right in enumerate((1, 2, 3)):
        lab.attack("m", "m", [i < right for i in range(4)], seed=seed)
    entry = table(lab, ["model"], ["attack"], clean=False).rows[0].entries[0]
    assert entry.estimate is not None
    assert entry.estimate.value == pytest.approx(0.5)
    assert entry.spread == pytest.approx(0.25)
    assert len(entry.runs) == 3


def test_trainings_under_one_label_become_mean_and_spread(lab: Lab) -> None:
    for name, right in (("m0", 1), ("m1", 3)):
        lab.model(name, label="ResNet", seed=name)
        lab.judge_clean(name, [T] * 4)
        lab.attack(name, name, [i < right for i in range(4)])
    made = table(lab, ["model"], ["attack"])
    assert numbers(made) == [[100, 50]]
    assert made.rows[0].entries[1].spread == pytest.approx(0.5 / 2**0.5)
    assert "ResNet (BN) stands for 2 models: m0, m1." in made.notes


def test_cells_with_the_same_record_count_once(lab: Lab) -> None:
    lab.model("m")
    lab.judge_clean("m", [T] * 4)
    lab.attack("m", "m", [T, F, F, F])
    lab.planned.append(lab.planned[-1])
    assert len(table(lab, ["model"], ["attack"]).rows[0].entries[1].runs) == 1


def test_an_entry_that_lacks_a_seed_is_marked_and_counted(lab: Lab) -> None:
    lab.model("m")
    lab.judge_clean("m", [T] * 4)
    lab.attack("m", "m", [T, F, F, F], seed=0)
    lab.attack("m", "m", None, seed=1)
    made = table(lab, ["model"], ["attack"], clean=False)
    assert made.rows[0].entries[0].incomplete
    assert "– 1 of 2 cells not run." in made.notes


def test_a_mean_of_a_row_is_missing_when_a_part_is(transfer: Lab) -> None:
    transfer.attack("c", "a", None, "MI")
    transfer.attack("c", "b", [F] * 4, "MI")
    made = table(transfer, ["surrogate"], ["target", "mean"], value="attack_success_rate")
    assert numbers(made)[2] == ["not run", 100, "not planned", "not run"]


def test_a_failed_cell_says_why(lab: Lab) -> None:
    lab.model("m")
    lab.judge_clean("m", [T] * 4)
    first = lab.attack("m", "m", None, "PGD")
    second = lab.attack("m", "m", None, "CW")
    lab.store.fail(first.id, "images left the ball by 0.1\nmore")
    lab.store.fail(second.id, "KeyError: 'y'\n\nTraceback (most recent call last):\n  File x\nKeyError: 'y'")
    made = table(lab, ["model"], ["attack"], clean=False)
    assert numbers(made) == [["failed", "failed"]]
    assert "– 2 of 2 cells failed: images left the ball by 0.1; KeyError: 'y'." in made.notes


def test_a_rate_over_no_image_is_missing_and_not_zero(lab: Lab) -> None:
    lab.model("m")
    lab.judge_clean("m", [F] * 4)
    lab.attack("m", "m", [F] * 4)
    made = table(lab, ["model"], ["attack"], value="attack_success_rate")
    assert numbers(made) == [["undefined"]]
    assert "– 1 of 1 cells without an image to count." in made.notes


def test_missing_clean_predictions_of_another_model_are_named(transfer: Lab, make_lab: Callable[[str], Lab]) -> None:
    lab = make_lab("other")
    lab.data()
    for name in ("a", "b"):
        lab.model(name)
    lab.judge_clean("a", [T] * 4, run=False)
    lab.judge_clean("b", [T] * 4)
    lab.attack("a", "b", [F] * 4)
    made = table(lab, ["surrogate"], ["target"], value="attack_success_rate", denominator="surrogate-correct")
    assert numbers(made) == [["not run"]]
    assert "– 1 of 1 cells not run: no clean predictions of a." in made.notes


def test_random_weights_show_below_the_table(lab: Lab) -> None:
    lab.model("m", label="M", random=True)
    lab.judge_clean("m", [T] * 4)
    lab.attack("m", "m", [F] * 4)
    made = table(lab, ["model"], ["attack"], clean=False)
    assert headers(made) == [("M†",)]
    assert "† random weights, never trained." in made.notes


def test_two_data_sets_with_the_same_models_stay_apart(lab: Lab) -> None:
    lab.data("Letters")
    lab.model("m")
    for data, right in (("Digits", 4), ("Letters", 2)):
        lab.judge_clean("m", [i < right for i in range(4)], data)
        lab.attack("m", "m", [i < right - 1 for i in range(4)], data=data)
    made = table(lab, ["model"], ["dataset", "attack"])
    assert made.columns == (("Digits", "Clean"), ("Digits", "PGD"), ("Letters", "Clean"), ("Letters", "PGD"))
    assert numbers(made) == [[100, 75, 50, 25]]


@pytest.mark.parametrize(
    ("rows", "columns", "keys", "message"),
    [
        (["model"], ["attack"], {}, "would mix several values of threat"),
        (["model"], ["threat"], {}, "would mix several values of attack"),
        (["attack"], ["threat"], {}, "would mix several values of model"),
        (["model"], ["attack"], {"where": {"attack": "PDG"}}, "did you mean: PGD"),
        (["model"], ["attack"], {"where": {"norm": "l2", "epsilon": "8/255"}}, "no cell of the suite fits"),
        (["model"], ["attack", "threat"], {"headers": {"facts.nb": "BN"}}, 'headers name "facts.nb"'),
        (["modell"], ["attack"], {}, "did you mean: model"),
        (["surrogate"], ["target"], {"mode": "transfer"}, "no section [transfer]"),
    ],
)
def test_a_table_that_would_mislead_is_refused(
    whitebox: Lab, rows: list[str], columns: list[str], keys: dict[str, Any], message: str
) -> None:
    spec = TableSpec.model_validate({"name": "wrong", "rows": rows, "columns": columns, **keys})
    assert message in check(whitebox.suite(spec), whitebox.cells())[0]
    with pytest.raises(HarnessError) as error:
        table(whitebox, rows, columns, name="wrong", **keys)
    assert message in str(error.value)
    assert 'table "wrong"' in str(error.value)


def test_networks_of_one_label_with_other_norms_are_not_averaged(lab: Lab) -> None:
    for name, norm in (("v", "none"), ("v-bn", "bn"), ("v-rms", "rms"), ("v-power", "PowerNorm")):
        lab.model(name, label="VGG", norm=norm)
        lab.judge_clean(name, [T] * 4)
        lab.attack(name, name, [F] * 4)
    with pytest.raises(HarnessError, match=r'add "model\.norm" to rows or columns'):
        table(lab, ["model"], ["attack"])
    made = render(lab.suite(), lab.cells(), lab.store).tables[0]
    assert headers(made) == [("VGG", "None"), ("VGG", "BN"), ("VGG", "rms"), ("VGG", "PowerNorm")]


def test_two_tables_of_one_name_are_refused(whitebox: Lab) -> None:
    one = TableSpec(name="t", rows=["model"], columns=["attack", "threat"])
    assert "two tables have this name" in check(whitebox.suite(one, one), whitebox.cells())[0]


def test_tables_of_a_planned_suite_can_be_checked_without_any_record(lab: Lab) -> None:
    lab.model("m")
    lab.judge_clean("m", [T] * 4, run=False)
    lab.attack("m", "m", None)
    spec = TableSpec(rows=["model"], columns=["attack"])
    assert check(lab.suite(spec), lab.cells()) == []


def test_default_tables_follow_the_sections_of_the_suite(whitebox: Lab) -> None:
    whitebox.model("other", label="Other")
    whitebox.judge_clean("other", [T] * 4)
    whitebox.attack("plain", "other", [T, T, F, F], "MI")
    first, second = render(whitebox.suite(), whitebox.cells(), whitebox.store).tables
    assert (first.name, second.name) == ("whitebox", "transfer")
    assert first.title == "White-box robust accuracy (%), Digits"
    assert headers(first) == [("Plain",), ("Batch",)]
    assert second.title == "Transfer attack success rate (%), L∞ 8/255, Digits"
    assert headers(second) == [("MI", "Plain")]
    assert second.columns == (("Other",),), "the mean of one entry is that entry"
    whitebox.attack("plain", "batch", [T, T, F, F], "MI")
    _, second = render(whitebox.suite(), whitebox.cells(), whitebox.store).tables
    assert second.columns == (("Batch",), ("Other",), ("Mean",))


def test_a_suite_without_attacks_shows_clean_accuracies(lab: Lab) -> None:
    lab.model("m")
    lab.judge_clean("m", [T, T, T, F])
    made = render(lab.suite(), lab.cells(), lab.store).tables[0]
    assert (made.name, made.title) == ("clean", "Clean accuracy (%), Digits")
    assert made.columns == (("Digits",),)
    assert numbers(made) == [[75]]
    assert made.notes[0] == "Clean accuracy in percent of all images; n = 4 per entry."


def test_aggregates_and_samples_give_the_same_numbers(transfer: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    tables = [
        {"value": value, "denominator": denominator}
        for value in ("robust_accuracy", "robust_error", "attack_success_rate")
        for denominator in ("all", "own-correct")
    ]
    quick = [table(transfer, ["surrogate"], ["target"], **keys).rows for keys in tables]
    monkeypatch.setattr("harness.report.measure._from_aggregates", lambda *_: None)
    assert [table(transfer, ["surrogate"], ["target"], **keys).rows for keys in tables] == quick


def test_every_file_is_read_at_most_once(transfer: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    original = transfer.store.outcomes

    def noted(id: str) -> pd.DataFrame:
        read.append(id)
        return original(id)

    monkeypatch.setattr(transfer.store, "outcomes", noted)
    spec = TableSpec(
        rows=["surrogate"], columns=["target"], value="attack_success_rate", denominator="common-correct"
    )  # fmt: skip
    second = spec.model_copy(update={"name": "second", "denominator": "surrogate-correct"})
    render(transfer.suite(spec, second), transfer.cells(), transfer.store)
    assert len(read) == len(set(read)) == 9


def test_tables_of_accuracies_do_not_read_samples(whitebox: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whitebox.store, "outcomes", lambda _: pytest.fail("samples were read"))
    table(whitebox, ["model"], ["attack", "threat"])


def test_two_decimals_are_printed_only_for_ten_thousand_samples(lab: Lab) -> None:
    lab.model("m")
    lab.judge_clean("m", [T] * 10_000)
    lab.attack("m", "m", [i < 3931 for i in range(10_000)])
    assert table(lab, ["model"], ["attack"]).decimals == 2


# --- distances ----------------------------------------------------------------------------------------------------


def test_a_mean_distance_says_that_images_without_an_attack_count_as_zero(lab: Lab) -> None:
    for name in ("m", "n"):
        lab.model(name)
        lab.judge_clean(name, [T, T, T, F])
        lab.attack("m", name, [F, F, F, F], l2=[1.0, 1.0, 1.0, 0.0])
    note = "Images that are wrong when clean are not attacked and count as 0."
    keys: dict[str, Any] = {"rows": ["target"], "columns": ["attack"], "value": "mean_l2"}
    for mode, denominator, said in (
        ("whitebox", "all", True), ("whitebox", "own-correct", False), ("transfer", "all", False),
    ):  # fmt: skip
        spec = TableSpec.model_validate({**keys, "mode": mode, "denominator": denominator})
        made = render(lab.suite(spec), lab.cells(), lab.store).tables[0]
        assert (note in made.notes) == said


# --- filters ------------------------------------------------------------------------------------------------------


def test_a_filter_by_what_is_one_models_name_and_anothers_label_is_a_mistake(lab: Lab) -> None:
    lab.model("none", label="bn")
    lab.model("bn", label="mine")
    for name in ("none", "bn"):
        lab.judge_clean(name, [T] * 4)
        lab.attack(name, name, [T] * 4)
    suite = lab.suite(TableSpec(rows=["model"], columns=["attack"], where={"model": "bn"}))
    with pytest.raises(HarnessError, match="'bn' is the name of one model and the label of another, \"none\""):
        render(suite, lab.cells(), lab.store)
    other = lab.suite(TableSpec(rows=["model"], columns=["attack"], where={"model": "none"}))
    assert len(render(other, lab.cells(), lab.store).tables[0].rows) == 1
