"""Every warning sign behind a table is one sentence below it: what was seen, on which models, what to do."""

from __future__ import annotations

import json
from typing import Any

from harness.metrics.flags import FLAGS
from harness.report import Table, render
from harness.report.json_file import json_text
from harness.report.latex import latex
from harness.report.markdown import markdown
from harness.spec import TableSpec

from .lab import Lab

T, F = True, False


def table(lab: Lab, rows: list[str], columns: list[str], **keys: Any) -> Table:
    spec = TableSpec.model_validate({"rows": rows, "columns": columns, **keys})
    return render(lab.suite(spec), lab.cells(), lab.store).tables[0]


def about(made: Table) -> list[str]:
    """The notes about flags."""
    return [note for note in made.notes if note.partition(":")[0] in FLAGS]


def test_a_sound_table_has_no_flags(whitebox: Lab) -> None:
    made = table(whitebox, ["model"], ["attack", "threat"])
    assert made.flags == ()
    assert about(made) == []


def test_a_flag_of_a_model_shows_below_every_table_with_the_model(lab: Lab) -> None:
    for name in ("m1", "m2"):
        lab.model(name)
        lab.judge_clean(name, [T] * 4, flags={"probability_outputs": 3} if name == "m2" else None)
        lab.attack(name, name, [F] * 4)
    expected = (
        "probability_outputs: the model returns probabilities, not logits (m2: 3 of 3 images examined); "
        "attacks on its loss are weakened: return what goes into the softmax."
    )
    assert about(table(lab, ["model"], ["attack"])) == [expected]
    assert about(table(lab, ["model"], ["attack"], clean=False)) == [expected]
    assert about(table(lab, ["model"], ["attack"], where={"model": "m1"})) == []


def test_a_model_of_two_names_is_flagged_under_both(lab: Lab) -> None:
    for name in ("m", "same"):
        lab.model(name)
    clean, attacked = lab.judge_clean("m", [T] * 4, flags={"dynamic": 1}), lab.attack("m", "m", [F] * 4)
    lab.planned += [cell.model_copy(update={"surrogate": "same", "target": "same"}) for cell in (clean, attacked)]
    assert "(m, same: 1 of 3 images examined)" in about(table(lab, ["model"], ["attack"]))[0]


def test_a_flag_of_a_model_shows_in_transfer_tables_for_surrogates_and_targets(lab: Lab) -> None:
    for name, flag in (("a", "hidden_gradient"), ("b", "nondeterministic"), ("c", "dynamic")):
        lab.model(name)
        lab.judge_clean(name, [T] * 4, flags={flag: 2})
    lab.attack("a", "b", [F] * 4)
    assert [note.partition(":")[0] for note in about(table(lab, ["surrogate"], ["target"]))] == [
        "nondeterministic",
        "hidden_gradient",
    ]


def test_models_that_show_the_same_share_a_sentence(lab: Lab) -> None:
    for name, count in (("a", 3), ("b", 1), ("c", 3)):
        lab.model(name)
        lab.judge_clean(name, [T] * 4, flags={"saturated_loss": count})
        lab.attack(name, name, [F] * 4)
    (note,) = about(table(lab, ["model"], ["attack"]))
    assert "(a, c: 3 of 3 images examined; b: 1 of 3 images examined)" in note


def test_a_flag_of_a_cell_says_how_many_images_and_how_many_cells(lab: Lab) -> None:
    lab.model("m")
    lab.judge_clean("m", [T] * 4)
    lab.attack("m", "m", [F] * 4, flags={"zero_gradient": 1})
    made = table(lab, ["model"], ["attack"], clean=False)
    assert about(made) == [
        "zero_gradient: a gradient of the attack was exactly zero (m: 1 of 4 images in 1 cell); "
        "the attack stood still and may overstate robustness: use another loss, or a query attack."
    ]
    lab.attack("m", "m", [F] * 4, "CW", flags={"zero_gradient": 3})
    lab.attack("m", "m", [F] * 4, "MI")
    (note,) = about(table(lab, ["model"], ["attack"], clean=False))
    assert "(m: up to 3 of 4 images in 2 cells)" in note


def test_zero_gradients_are_the_surrogates_and_nan_logits_the_targets(lab: Lab) -> None:
    for name in "ab":
        lab.model(name)
        lab.judge_clean(name, [T] * 4)
    lab.attack("a", "b", [F] * 4, flags={"zero_gradient": 2, "nonfinite_logits": 1})
    infinite, zero = about(table(lab, ["surrogate"], ["target"]))
    assert "nonfinite_logits: logits are NaN or infinite (b: 1 of 4 images in 1 cell)" in infinite
    assert "(a: 2 of 4 images in 1 cell)" in zero


def test_what_square_alone_fooled_is_a_sentence_too(lab: Lab) -> None:
    lab.model("m")
    lab.judge_clean("m", [T] * 4)
    lab.attack("m", "m", [F] * 4, "AA", flags={"square_below_gradients": 2})
    (note,) = about(table(lab, ["model"], ["attack"]))
    assert note.startswith("square_below_gradients: Square, which uses no gradient, fooled the model after")
    assert "(m: 2 of 4 images in 1 cell)" in note


def test_cells_without_a_record_raise_no_flag(lab: Lab) -> None:
    lab.model("m")
    lab.judge_clean("m", [T] * 4, run=False)
    lab.attack("m", "m", None)
    assert table(lab, ["model"], ["attack"]).flags == ()


def test_markdown_latex_and_json_carry_the_flags(lab: Lab) -> None:
    lab.model("m")
    lab.judge_clean("m", [T] * 4, flags={"hidden_gradient": 2})
    lab.attack("m", "m", [F] * 4, flags={"zero_gradient": 4})
    made = table(lab, ["model"], ["attack"])
    assert "- hidden_gradient: no gradient reaches the image (m: 2 of 3 images examined); " in markdown(made)
    assert r"hidden\_gradient: no gradient reaches the image" in latex(made)
    assert json.loads(json_text(made))["flags"] == [
        {"flag": "hidden_gradient", "model": "m", "images": 2, "of": 3, "cells": 0},
        {"flag": "zero_gradient", "model": "m", "images": 4, "of": 4, "cells": 1},
    ]


def test_every_flag_reads_as_one_sentence() -> None:
    for flag in FLAGS.values():
        for words in (flag.meaning, flag.advice):
            assert not words.endswith((".", ";", ":"))
            assert words == " ".join(words.split())
        assert ": " in flag.advice, "what it does to the numbers, and what to do"
