"""From a suite's words to a configured attack."""

from __future__ import annotations

from itertools import chain, permutations
from typing import Any

import pytest

from harness.attacks import ATTACKS, Setting
from harness.attacks.fgsm import PARTS
from harness.attacks.resolve import find_factory, preset_arguments, resolve, sweep
from harness.attacks.spelling import misspelling
from harness.core.errors import HarnessError
from harness.core.threat import ThreatModel

LINF = ThreatModel("linf", 8 / 255)


def test_an_entry_without_keys_is_one_set_of_no_arguments() -> None:
    assert sweep("pgd", None, {}) == [{}]


def test_values_are_read_in_the_type_of_their_parameter() -> None:
    assert sweep("pgd", None, {"steps": 3, "step_size": "2/255"}) == [{"steps": 3, "step_size": 2 / 255}]


def test_lists_run_through_every_combination_of_their_elements() -> None:
    assert sweep("bim", None, {"steps": [1, 2], "loss": ["margin", "logit"]}) == [
        {"steps": 1, "loss": "margin"},
        {"steps": 1, "loss": "logit"},
        {"steps": 2, "loss": "margin"},
        {"steps": 2, "loss": "logit"},
    ]


def test_keys_override_those_of_the_preset() -> None:
    assert sweep("mi-fgsm", "torchattacks", {"decay": 0.5}) == [{"steps": 10, "step_size": 2 / 255, "decay": 0.5}]


@pytest.mark.parametrize(
    ("name", "preset", "given", "message"),
    [
        ("pdg", None, {}, r'attack "pdg" is not registered.\n +did you mean: pgd'),
        ("pgd", None, {"step": 3}, r'step: attack "pgd" has no such key.\n +did you mean: steps'),
        (
            "pgd",
            None,
            {"eps": "8/255"},
            r"eps: attack .* has no such key.\n +budget and goal belong to \[\[threats\]\]",
        ),
        ("cw", None, {"targeted": True}, r"targeted: .*\n +budget and goal belong to \[\[threats\]\], such as norm"),
        ("bim", None, {"decay": 1.0}, r'decay: attack "bim" has no such key'),
        ("mi-fgsm", "papers", {}, r'attack "mi-fgsm" has no preset "papers".\n +did you mean: paper'),
        ("pgd", "paper", {}, r'attack "pgd" has no preset "paper"'),
        ("pgd", None, {"steps": 0}, "steps: .*greater than or equal to 1"),
        ("pgd", None, {"steps": [3, 2.5]}, "steps: .*integer"),
        ("pgd", None, {"step_size": "2/0"}, "step_size: .*divides by zero"),
        ("pgd", None, {"step_size": -0.1}, "step_size: .*greater than 0"),
        ("pgd", None, {"loss": "cross entropy"}, "loss: .*'cross-entropy', 'margin', 'logit' or 'dlr'"),
        ("ti-fgsm", None, {"kernel_size": 14}, "kernel_size: must be odd"),
        ("di-fgsm", None, {"probability": 1.5}, "probability: .*less than or equal to 1"),
        ("torchattack:PGD", None, {}, 'there is no adapter "torchattack".\n +did you mean: torchattacks'),
        ("torchattacks:PDG", None, {}, 'torchattacks has no attack "PDG" .*\n +did you mean: PGD'),
        ("torchattacks:PGD", None, {"step": 3}, r"has no such key.\n +did you mean: steps"),
    ],
)
def test_mistakes_are_named_with_what_was_probably_meant(
    name: str, preset: str | None, given: dict[str, Any], message: str
) -> None:
    with pytest.raises(HarnessError, match=message):
        sweep(name, preset, given)


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("di-mi-fgsm", "write it as mi-di-fgsm"),
        ("si-ni-fgsm", "write it as ni-si-fgsm"),
        ("mi-vt-fgsm", "write it as vt-mi-fgsm"),
        ("fgsm-mi", "did you mean: "),
        ("mi-mi-fgsm", "write it as mi-fgsm"),
        ("vt-fgsm", "vt is made for momentum: add mi or ni"),
        ("di-admix-fgsm", "admix is made for momentum: add mi or ni"),
        ("mi-ni-fgsm", "mi and ni are two kinds of momentum"),
        ("mi-si-admix-fgsm", "admix makes scaled copies itself: leave out si"),
        ("vt-mi-admix-fgsm", "vt and admix do not go together"),
    ],
)
def test_a_combination_that_is_not_there_is_told_which_rule_of_its_name_it_breaks(name: str, advice: str) -> None:
    with pytest.raises(HarnessError, match=rf'attack "{name}" is not registered.\n +{advice}'):
        find_factory(name)


def test_every_choice_of_parts_in_every_order_is_registered_or_explained() -> None:
    for letters in chain.from_iterable(permutations(PARTS, size) for size in (1, 2, 3)):
        name = "-".join([*letters, "fgsm"])
        assert (name in ATTACKS) == (misspelling(name) is None), name


def test_every_argument_is_recorded_as_passed_and_as_resolved() -> None:
    (arguments,) = sweep("mi-fgsm", "torchattacks", {"steps": 5})
    resolved = resolve("mi-fgsm", arguments, LINF, {"preset": "torchattacks", "steps": 5})
    assert resolved.passed == {"preset": "torchattacks", "steps": 5}
    assert resolved.arguments == {"steps": 5, "step_size": 2 / 255, "loss": "cross-entropy", "decay": 1.0}


@pytest.mark.parametrize(
    ("name", "given", "expected"),
    [
        ("fgsm", {}, 8 / 255),
        ("bim", {}, 0.8 / 255),
        ("bim", {"steps": 4}, 2 / 255),
        ("pgd", {}, 1 / 255),
        ("pgd", {"restarts": 2, "steps": 10}, 2 / 255),
        ("pgd", {"step_size": "eps/4"}, 2 / 255),
        ("pgd", {"step_size": 0.01}, 0.01),
    ],
)
def test_step_sizes_are_resolved_to_numbers(name: str, given: dict[str, Any], expected: float) -> None:
    (arguments,) = sweep(name, None, given)
    assert resolve(name, arguments, LINF, given).arguments["step_size"] == pytest.approx(expected)


def test_a_family_members_parameters_are_the_loops_and_its_parts_own() -> None:
    with pytest.raises(HarnessError, match="has no such key"):
        sweep("mi-fgsm", None, {"copies": 3})
    (arguments,) = sweep("ni-di-ti-si-fgsm", None, {"copies": 3, "decay": 0.5, "kernel": "linear", "fill": 0.5})
    assert resolve("ni-di-ti-si-fgsm", arguments, LINF, {}).attack.cost(Setting(LINF)) == 10 * 3


def test_an_attack_of_another_norm_is_refused() -> None:
    with pytest.raises(HarnessError, match="does not work in the norm linf, only in l2"):
        resolve("torchattacks:CW", {}, LINF, {})


def test_presets_are_given_in_checked_values() -> None:
    assert preset_arguments("bim", None) == {}
    assert preset_arguments("mi-fgsm", "torchattacks")["step_size"] == 2 / 255
