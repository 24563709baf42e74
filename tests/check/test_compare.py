"""Every verdict, on records made by hand."""

from __future__ import annotations

from typing import Any

import pytest

from harness.check import Comparison, Entry, Rule
from harness.metrics.sign_tests import needed_images, two_sided_sign_test

from .made import F, T, baseline, check, entry, right


def only(old: Entry, new: Entry, **rule: Any) -> Comparison:
    """What the gate finds about a single cell."""
    (comparison,) = check(baseline(old), baseline(new), **rule).comparisons
    return comparison


def test_what_stays_as_it_was_is_ok() -> None:
    one = only(entry(right(60)), entry(right(60)))
    assert (one.verdict, one.reason, one.before, one.after, one.adjusted) == ("ok", "", 0.6, 0.6, 1.0)
    assert (one.lost, one.won, one.is_lower) == ((), (), False)


def test_a_model_of_other_weights_that_is_less_robust_is_a_regression() -> None:
    one = only(entry(right(60)), entry(right(40), weights="new"))
    assert one.verdict == "regression"
    assert one.means is not None
    assert one.means.difference == pytest.approx(-0.2)
    assert one.adjusted == pytest.approx(2 * 0.5**20)
    assert one.lost == tuple(10 * i + 3 for i in range(40, 60))
    assert one.won == ()


def test_a_model_of_other_weights_that_is_more_robust_is_an_improvement() -> None:
    one = only(entry(right(40)), entry(right(60), weights="new"))
    assert (one.verdict, len(one.won), one.lost) == ("improvement", 20, ())


def test_a_drop_of_clean_accuracy_is_a_regression() -> None:
    one = only(entry(right(99), mode="clean"), entry(right(80), mode="clean", weights="new"))
    assert (one.verdict, one.name.metric) == ("regression", "clean accuracy")


STRONGER: list[dict[str, Any]] = [
    {"arguments": {"steps": 20}}, {"arguments": {"steps": 10, "restarts": 5}}, {"attack_version": "2"},
    {"epsilon": 16 / 255}, {"goal": "random"}, {"precision": "bfloat16"}, {"attack": "apgd-ce"}, {"norm": "l2"},
]  # fmt: skip


@pytest.mark.parametrize("change", STRONGER, ids=str)
def test_the_same_weights_under_another_attack_are_no_regression(change: dict[str, Any]) -> None:
    one = only(entry(right(60)), entry(right(40), **change))
    assert one.verdict == "stronger attack"
    assert one.reason.startswith("same weights; ")
    assert only(entry(right(40)), entry(right(60), **change)).verdict == "weaker attack"
    assert only(entry(right(60)), entry(right(60), **change)).verdict == "ok"


def test_the_reason_names_what_changed_of_the_attack() -> None:
    change: dict[str, Any] = {"arguments": {"steps": 20, "loss": "dlr"}, "attack_version": "2"}
    assert only(entry(right(60)), entry(right(40), **change)).reason == (
        "same weights; version 1 → 2, steps 10 → 20, loss absent → dlr"
    )


@pytest.mark.parametrize("after", [40, 60, 80])
@pytest.mark.parametrize("change", STRONGER, ids=str)
def test_other_weights_under_another_attack_cannot_be_told_apart(change: dict[str, Any], after: int) -> None:
    one = only(entry(right(60)), entry(right(after), weights="new", **change))
    assert one.verdict == "cannot be compared"
    assert one.reason.startswith("weights and attack changed (")
    assert (one.means, one.before, one.after) == (None, 0.6, after / 100)


def transferred(correct: list[bool], **more: Any) -> Entry:
    return entry(correct, mode="transfer", surrogate="source", **more)


def test_a_surrogate_of_other_weights_does_not_make_the_target_worse() -> None:
    one = only(transferred(right(60)), transferred(right(40), surrogate_weights="new"))
    assert (one.verdict, one.reason) == ("stronger attack", "same weights; crafted on other weights of source")


def test_a_target_of_other_weights_is_judged_whatever_the_surrogate() -> None:
    alone = only(transferred(right(60)), transferred(right(40), weights="new"))
    assert (alone.verdict, alone.reason) == ("regression", "other weights")
    both = only(transferred(right(60)), transferred(right(40), weights="new", surrogate_weights="new"))
    assert (both.verdict, both.reason) == ("regression", "other weights, crafted on other weights of source")


def test_other_numbers_without_any_change_are_not_reproducible() -> None:
    few = only(entry(right(60)), entry(right(58)))
    assert (few.verdict, few.is_lower) == ("ok", True)
    assert few.reason.startswith("not reproducible: 2 images differ with the same weights, images and attack")
    many = only(entry(right(60)), entry(right(40)))
    assert (many.verdict, many.reason.partition(":")[0]) == ("regression", "not reproducible")


def test_other_images_cannot_be_compared_and_the_reason_says_what_differs() -> None:
    old = baseline(entry(right(60)), indices=range(100))
    pixels = check(old, baseline(entry(right(60), images="others"), indices=range(100))).comparisons[0]
    assert (pixels.verdict, pixels.means) == ("cannot be compared", None)
    assert pixels.reason == "other images: the indices are the same, pixels or labels differ"
    indices = check(old, baseline(entry(right(60, 80), images="others"), indices=range(50, 130))).comparisons[0]
    assert indices.reason == "other images: indices differ (100 before, 80 now, 50 in common)"


def test_cells_of_one_side_are_new_gone_or_not_run() -> None:
    old = baseline(entry(right(60)), entry(right(50), label="CW"), entry(right(40), label="FGSM"))
    new = baseline(entry(right(60)), entry(right(30), label="APGD"))
    cw = old.cells[1].name
    found = check(old, new, {cw: "failed: out of memory"})
    assert {one.name.attack: (one.verdict, one.reason) for one in found.comparisons} == {
        "PGD": ("ok", ""),
        "APGD": ("new cell", "not in the baseline"),
        "CW": ("cannot be compared", "failed: out of memory"),
        "FGSM": ("gone", "in the baseline only"),
    }


@pytest.mark.parametrize(("field", "value"), [("seed", 1), ("target", "other"), ("label", "PGD-20")])
def test_cells_are_matched_by_all_their_names(field: str, value: Any) -> None:
    verdicts = {
        one.verdict
        for one in check(baseline(entry(right(60))), baseline(entry(right(60), **{field: value}))).comparisons
    }
    assert verdicts == {"new cell", "gone"}


def test_a_drop_without_significance_passes_and_says_how_many_images_would_decide() -> None:
    one = only(entry(right(60)), entry(right(57), weights="new"))
    assert (one.verdict, one.is_lower, one.adjusted) == ("ok", True, 0.25)
    assert one.needed_n == needed_images(-0.03, 0.03, level=0.05)
    assert 100 < one.needed_n < 1000


def test_a_rise_without_significance_is_ok_and_needs_nothing() -> None:
    one = only(entry(right(57)), entry(right(60), weights="new"))
    assert (one.verdict, one.is_lower, one.needed_n) == ("ok", False, None)


def test_p_values_are_adjusted_for_all_cells_in_common_run_or_not() -> None:
    cells = [entry(right(60), label=f"attack {i}") for i in range(4)]
    worse = [entry(right(52), label="attack 0", weights="new"), *cells[1:3]]
    raw = two_sided_sign_test(8, 0)
    missing = {cells[3].name: "not run"}
    old = baseline(*cells, entry(right(60), label="gone"))
    found = check(old, baseline(*worse, entry(right(60), label="new")), missing).comparisons
    assert found[0].adjusted == pytest.approx(4 * raw)
    assert (found[0].verdict, 4 * raw < 0.05) == ("regression", True)


def test_images_needed_count_the_cells_that_have_not_run() -> None:
    cells = [entry(right(60), label=f"attack {i}") for i in range(4)]
    missing = {cell.name: "not run" for cell in cells[1:]}
    (first, *_) = check(
        baseline(*cells), baseline(entry(right(57), label="attack 0", weights="new")), missing
    ).comparisons
    assert first.needed_n == needed_images(-0.03, 0.03, level=0.05 / 4)


def test_the_level_is_that_of_all_cells_together() -> None:
    # 6 of 6: p = 0.031, which two cells do not leave significant.
    single = [entry(right(60)), entry(right(54), weights="new")]
    assert only(*single).verdict == "regression"
    assert only(*single, level=0.01).verdict == "ok"
    second = entry(right(60), label="CW")
    found = check(baseline(single[0], second), baseline(single[1], second)).comparisons
    assert [one.verdict for one in found] == ["ok", "ok"]
    assert found[0].needed_n == needed_images(-0.06, 0.06, level=0.05 / 2)


def test_a_tolerance_decides_in_place_of_the_test() -> None:
    before, insignificant, significant = (
        entry(right(60)),
        entry(right(57), weights="new"),
        entry(right(40), weights="new"),
    )
    assert only(before, insignificant, tolerance=2.5).verdict == "regression"
    assert only(before, insignificant, tolerance=3.0).verdict == "ok"
    assert only(before, significant, tolerance=25.0).verdict == "ok"
    assert only(before, insignificant, tolerance=3.0).needed_n is None
    assert only(before, before, tolerance=0.0).verdict == "ok"
    assert only(insignificant, before, tolerance=2.5).verdict == "improvement"
    assert only(before, entry(right(57), arguments={"steps": 20}), tolerance=2.5).verdict == "stronger attack"


@pytest.mark.parametrize("n", [3, 7, 30, 70, 110, 300])
def test_a_drop_of_exactly_the_tolerance_is_within_it(n: int) -> None:
    assert not Rule(tolerance=100 / n).differs(-(2 - 1) / n, 1.0)
    assert Rule(tolerance=100 / n).differs(-2 / n, 1.0)


def test_a_drop_and_a_rise_that_cancel_are_not_taken_for_nothing_but_judged_by_their_sum() -> None:
    one = only(entry([T, F] * 50), entry([F, T] * 50, weights="new"))
    assert (one.verdict, len(one.lost), len(one.won)) == ("ok", 50, 50)


def test_exit_codes_put_regressions_before_what_cannot_be_compared() -> None:
    fine, worse = entry(right(60)), entry(right(30), weights="new")
    stronger = entry(right(30), label="CW", arguments={"steps": 99})
    cw = entry(right(60), label="CW")
    assert check(baseline(fine), baseline(fine)).exit_code == 0
    assert check(baseline(fine), baseline(fine, cw)).exit_code == 0
    assert check(baseline(fine, cw), baseline(fine, stronger)).exit_code == 0
    assert check(baseline(fine, cw), baseline(fine)).exit_code == 1
    assert check(baseline(fine, cw), baseline(fine), {cw.name: "not run"}).exit_code == 1
    assert check(baseline(fine), baseline(fine), {cw.name: "not run"}).exit_code == 1
    assert check(baseline(fine, cw), baseline(worse), {cw.name: "not run"}).exit_code == 3
