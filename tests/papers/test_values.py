import statistics
from collections import Counter

import pytest

from harness.core.errors import HarnessError
from harness.papers import PrintedValue, printed_values, same
from harness.papers.values import every_value

TRANSFER = ("3", "4", "11", "12")


def test_there_are_800_printed_numbers_in_16_tables() -> None:
    counts = Counter(value.reference for value in every_value())
    assert sum(counts.values()) == 800
    assert counts == {
        "benz2021/1": 90, "benz2021/2": 70, "benz2021/3": 112, "benz2021/4": 56, "benz2021/7": 20, "benz2021/8": 20,
        "benz2021/10": 12, "benz2021/11": 112, "benz2021/12": 56, "awais2020/1": 60, "awais2020/2": 48,
        "awais2020/3": 24, "awais2020/4": 20, "awais2020/5": 60, "awais2020/6": 18, "walter2022/2": 22,
    }  # fmt: skip


def test_every_number_is_a_share_in_percent_but_for_relative_gains() -> None:
    assert all(0 <= value.number <= 100 for value in every_value() if value.metric != "accuracy_gain_percent")


def test_no_two_numbers_of_a_table_are_of_the_same_thing() -> None:
    seen = Counter(
        (v.paper, v.table, v.dataset, v.arch, v.norm, v.stats, v.training, v.target, v.attack, v.metric)
        for v in every_value()
    )
    assert set(seen.values()) == {1}


@pytest.mark.parametrize("table", TRANSFER)
def test_means_of_transfer_tables_are_over_all_six_targets(table: str) -> None:
    means = printed_values(paper="benz2021", table=table, target="avg")
    assert means
    for mean in means:
        row = [v.number for v in printed_values(paper="benz2021", table=table) if v.row == mean.row and v != mean]
        assert len(row) == 6
        assert statistics.fmean(row) == pytest.approx(mean.number, abs=0.05 + 1e-9)


def test_table_11_repeats_the_resnet50_rows_of_table_3() -> None:
    third = printed_values(paper="benz2021", table="3", arch="resnet50")
    repeated = printed_values(paper="benz2021", table="11", training="standard")
    assert len(third) == len(repeated) == 56

    def numbers(values: list[PrintedValue]) -> dict[tuple[str, str, str], str]:
        return {(v.attack, v.norm, v.target): v.value for v in values}

    assert numbers(third) == numbers(repeated)


def test_table_2_repeats_table_1_but_for_one_place() -> None:
    def numbers(table: str, attack: str) -> dict[tuple[str, str, str], float]:
        found = printed_values(paper="benz2021", table=table, attack=attack)
        return {(v.dataset, v.arch, v.norm): v.number for v in found if v.norm in ("none", "bn")}

    assert {key: numbers("1", "clean")[key] for key in numbers("2", "clean")} == numbers("2", "clean")
    first, second = numbers("1", "pgd_l2"), numbers("2", "pgd_l2")
    assert len(second) == 14
    different = {key: (first[key], second[key]) for key in second if first[key] != second[key]}
    assert different == {("cifar10", "vgg16", "none"): (34.01, 34.02)}


def test_numbers_are_found_by_any_of_their_keys() -> None:
    (found,) = printed_values(
        paper="benz2021", table="4", arch="VGG-16", norm="none", target="AlexNet", attack="MI-FGSM"
    )
    assert (found.value, found.number, found.row, found.reference) == ("44.1", 44.1, 6, "benz2021/4")


def test_an_unknown_key_or_value_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(HarnessError, match=r'no key "architecture"'):
        printed_values(architecture="vgg16")
    with pytest.raises(HarnessError, match=r"did you mean: .*resnet50"):
        printed_values(paper="benz2021", arch="resnet55")


@pytest.mark.parametrize(("one", "other"), [("MobileNet-V2", "mobilenet_v2"), ("I-FGSM", "ifgsm"), ("VGG 16", "vgg16")])
def test_capitals_hyphens_and_blanks_do_not_matter(one: str, other: str) -> None:
    assert same(one, other)
    assert not same(one, other + "x")
