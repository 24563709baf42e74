"""Printed tables that several suites fill, and what must not happen when they use one name for different things."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.cells import Cells
from harness.core.errors import HarnessError
from harness.report import Report, Table, render
from harness.report.joint import joint_name, render_joint
from harness.report.merging import merged, told_apart
from harness.spec import Suite, TableSpec

from .lab import Lab
from .printed import L2, LINF, transfer_lab, wrong

PLAIN, BATCH = "VGG11 (None)", "VGG11 (BN)"


class Part(Lab):
    """A suite of two networks, vgg11-none and vgg11-bn, on `data`, for Table 1 of benz2021.

    In the store its models and images are its own; in the suite they are called as in every other one.
    """

    def __init__(self, path: Path, name: str, dataset: str, clean: int, attacked: int, **more: Any) -> None:
        super().__init__(path)
        self.name = name
        data = self.data(f"{name}:data", samples=20, dataset=dataset, **more.get("data", {}))
        self.called("PGD", attack="pgd")
        for norm, worse in (("none", 0), ("bn", 3)):
            model = self.model(
                f"{name}:vgg11-{norm}", "VGG-11", norm, random=more.get("random", False), paper=more.get("paper", {})
            )
            self.judge_clean(model, wrong(clean), data=data, flags=more.get("flags"))
            for threat in (L2, LINF):
                outcomes = wrong(attacked + worse) if more.get("run", True) else None
                self.attack(model, model, outcomes, "PGD", threat, data=data)

    def cells(self) -> Cells:
        text = super().cells().model_dump_json().replace(f"{self.name}:", "")
        cells = Cells.model_validate_json(text)
        return cells.model_copy(update={"suite": self.name})

    def spec(self, part: dict[str, str] | None = None, **more: Any) -> Suite:
        table = TableSpec.model_validate({"reference": "benz2021/1", **({"part": part} if part else {})})
        return self.suite(table, name=self.name, **more)


@pytest.fixture
def cifar(tmp_path: Path) -> Part:
    return Part(tmp_path, "on_cifar", "cifar10", clean=2, attacked=8, paper={"note": "narrow"})


@pytest.fixture
def svhn(tmp_path: Path) -> Part:
    return Part(tmp_path, "on_svhn", "svhn", clean=1, attacked=4, data={"note": "small"}, random=True)


def report(*parts: Part, never: tuple[Suite, ...] = (), **more: Any) -> Report:
    suites = [*(part.spec(**more) for part in parts), *never]
    return render_joint(suites, {part.name: part.cells() for part in parts}, parts[0].store, "harness report ...")


def numbers(table: Table) -> dict[tuple[str, ...], list[float | None]]:
    """Percentages by row header."""
    return {
        row.header: [entry.estimate and round(100 * entry.estimate.value, 6) for entry in row.entries]
        for row in table.rows
    }


def note(table: Table, beginning: str) -> str:
    (found,) = [one for one in table.notes if one.startswith(beginning)]
    return found


def test_each_suite_fills_its_rows_although_both_call_their_models_and_data_alike(cifar: Part, svhn: Part) -> None:
    (table,) = report(cifar, svhn).tables
    shown = numbers(table)
    assert shown["CIFAR10", PLAIN] == [90, 60, 60, None, None]
    assert shown["CIFAR10", BATCH] == [90, 45, 45, None, None]
    assert shown["SVHN", PLAIN] == [95, 80, 80, None, None]
    assert shown["SVHN", BATCH] == [95, 65, 65, None, None]
    assert shown["ImageNet", "VGG16 (BN)"] == [None] * 5


def test_a_joint_table_has_the_numbers_of_the_suites_own_reports(cifar: Part, svhn: Part) -> None:
    (joint,) = report(cifar, svhn).tables
    for part, data in ((cifar, "CIFAR10"), (svhn, "SVHN")):
        alone = render(part.spec(), part.cells(), part.store).tables[0]
        ours = {header: row for header, row in numbers(alone).items() if header[0] == data}
        assert {header: numbers(joint)[header] for header in ours} == ours


def test_only_rows_that_a_suite_asks_for_are_printed(cifar: Part, svhn: Part) -> None:
    parts = {"on_cifar": {"dataset": "cifar10"}, "on_svhn": {"dataset": "svhn", "arch": "vgg11"}}
    suites = [part.spec(parts[part.name]) for part in (cifar, svhn)]
    made = render_joint(suites, {part.name: part.cells() for part in (cifar, svhn)}, cifar.store, "")
    headers = [row.header for row in made.tables[0].rows]
    assert headers[:2] == [("SVHN", PLAIN), ("SVHN", BATCH)]
    assert [data for data, _ in headers] == ["SVHN"] * 2 + ["CIFAR10"] * 6


def test_notes_say_which_suite_has_which_data_and_how_many_images_count(cifar: Part, svhn: Part) -> None:
    (table,) = report(cifar, svhn).tables
    assert note(table, "From the last runs of") == (
        "From the last runs of on_cifar (data (on_cifar), n = 20); on_svhn (data (on_svhn), n = 20)."
    )
    assert "no part of these suites" in note(table, "n/a: printed in the paper")
    assert note(table, "Rows of which no suite").startswith(
        "Rows of which no suite has a number: ImageNet VGG16 (None)"
    )


def test_footnotes_of_all_suites_stand_below_the_table(tmp_path: Path, cifar: Part, svhn: Part) -> None:
    flagged = Part(tmp_path, "flagged", "imagenet", clean=2, attacked=8, flags={"dynamic": 2})
    flagged.models = [model.model_copy(update={"paper": {"arch": "vgg16"}}) for model in flagged.models]
    (table,) = report(cifar, svhn, flagged).tables
    said = note(table, "Not as in the paper")
    assert "VGG-11: narrow (on_cifar)" in said
    assert "data (on_svhn): small" in said
    assert "vgg11-none (on_svhn), vgg11-bn (on_svhn)" in note(table, "Random weights")
    assert {(raised.flag, raised.model) for raised in table.flags} == {
        ("dynamic", "vgg11-none (flagged)"),
        ("dynamic", "vgg11-bn (flagged)"),
    }


def test_a_suite_that_was_never_run_leaves_its_rows_empty_and_is_named(cifar: Part, svhn: Part) -> None:
    made = report(cifar, never=(svhn.spec({"dataset": "svhn"}),))
    assert note(made.tables[0], "Never run") == "Never run with this store, n/a here: on_svhn."
    assert numbers(made.tables[0])["SVHN", PLAIN] == [None] * 5
    assert "never run" in made.opening
    assert made.suites == ("on_cifar", "on_svhn")


def test_cells_without_a_record_are_dashes_and_their_models_are_named(tmp_path: Path, cifar: Part) -> None:
    unfinished = Part(tmp_path, "unfinished", "svhn", clean=1, attacked=4, run=False)
    (table,) = report(cifar, unfinished).tables
    row = next(row for row in table.rows if row.header == ("SVHN", PLAIN))
    assert [entry.missing for entry in row.entries[:3]] == ["", "not run", "not run"]
    assert note(table, "Without a record") == (
        "Without a record: 4 of 6 cells of unfinished (vgg11-none (unfinished), vgg11-bn (unfinished))."
    )


def test_if_no_suite_was_run_it_is_an_error(cifar: Part, svhn: Part) -> None:
    with pytest.raises(HarnessError, match="none of the suites on_cifar, on_svhn was ever run"):
        render_joint([cifar.spec(), svhn.spec()], {}, cifar.store, "")


def test_a_suite_without_a_table_of_a_paper_cannot_be_joined(cifar: Part, svhn: Part) -> None:
    with pytest.raises(HarnessError, match="suite on_svhn has no table of a paper"):
        render_joint([cifar.spec(), svhn.suite(name="on_svhn")], {"on_cifar": cifar.cells()}, cifar.store, "")


def test_suites_with_different_records_of_one_number_are_refused(tmp_path: Path, cifar: Part) -> None:
    rival = Part(tmp_path, "rival", "cifar10", clean=2, attacked=8)
    with pytest.raises(HarnessError, match="row 13: on_cifar and rival have different records of one number"):
        report(cifar, rival)


def test_suites_that_share_their_records_agree(cifar: Part) -> None:
    twin = cifar.cells().model_copy(update={"suite": "twin"})
    suites = [cifar.spec(), cifar.spec().model_copy(update={"name": "twin"})]
    made = render_joint(suites, {"on_cifar": cifar.cells(), "twin": twin}, cifar.store, "")
    assert numbers(made.tables[0])["CIFAR10", BATCH] == [90, 45, 45, None, None]
    assert len(made.tables[0].runs) == 6


def test_each_suite_chooses_its_cells_with_its_own_filters(cifar: Part, svhn: Part) -> None:
    table = TableSpec(reference="benz2021/1", where={"threat": L2[2], "target": "vgg11-bn"})
    suites = [cifar.suite(table, name="on_cifar"), svhn.spec()]
    made = render_joint(suites, {part.name: part.cells() for part in (cifar, svhn)}, cifar.store, "")
    shown = numbers(made.tables[0])
    assert shown["CIFAR10", PLAIN] == [None] * 5
    assert shown["CIFAR10", BATCH] == [90, 45, None, None, None]
    assert shown["SVHN", BATCH] == [95, 65, 65, None, None]


def test_suites_that_count_differently_are_refused(cifar: Part, svhn: Part) -> None:
    other = svhn.suite(TableSpec(reference="benz2021/1", denominator="own-correct"), name="on_svhn")
    with pytest.raises(HarnessError, match="on_cifar counts denominator = 'all', on_svhn 'own-correct'"):
        render_joint([cifar.spec(), other], {p.name: p.cells() for p in (cifar, svhn)}, cifar.store, "")


def test_suites_that_attack_differently_say_so(tmp_path: Path, cifar: Part) -> None:
    longer = Part(tmp_path, "longer", "svhn", clean=1, attacked=4)
    for cell in [cell for cell in longer.planned if cell.mode == "whitebox"]:
        record = longer.store.read(cell.id)
        arguments = {**record.question.arguments, "steps": 40}
        question = record.question.model_copy(update={"arguments": arguments})
        longer.store.write(
            record.model_copy(update={"id": question.id, "question": question}), longer.store.outcomes(cell.id)
        )
        longer.planned[longer.planned.index(cell)] = cell.model_copy(update={"id": question.id})
    (table,) = report(cifar, longer).tables
    said = note(table, "The suites attack differently")
    assert "PGD l2 0.25, on_cifar: steps = 10; PGD l2 0.25, longer: steps = 40" in said
    assert "step_size" not in said


CLAIM = [{"paper": "B02"}]


def test_a_claim_is_judged_over_all_suites(cifar: Part, svhn: Part) -> None:
    (claim,) = report(cifar, svhn, claims=CLAIM).claims
    assert [c.pair.match["dataset"] for c in claim.comparisons] == ["data (on_svhn)"] * 2 + ["data (on_cifar)"] * 2
    assert [c.means and round(c.means.difference, 6) for c in claim.comparisons] == [0.15] * 4
    assert claim.absent == 32
    assert claim.whose == "these suites"


def test_a_claim_that_one_suite_makes_is_judged_over_those_that_fill_its_table(cifar: Part, svhn: Part) -> None:
    suites = [cifar.spec(claims=CLAIM), svhn.spec()]
    made = render_joint(suites, {part.name: part.cells() for part in (cifar, svhn)}, cifar.store, "")
    assert len(made.claims[0].comparisons) == 4


def test_suites_that_make_a_claim_differently_are_refused(cifar: Part, svhn: Part) -> None:
    suites = [cifar.spec(claims=CLAIM), svhn.spec(claims=[{**CLAIM[0], "denominator": "own-correct"}])]
    with pytest.raises(HarnessError, match='claim "B02": on_cifar and on_svhn make it differently'):
        render_joint(suites, {part.name: part.cells() for part in (cifar, svhn)}, cifar.store, "")


def noted(part: Part, note: str) -> Cells:
    """Its cells, with a note on its attack."""
    cells = part.cells()
    attacks = [entry.model_copy(update={"paper": {**entry.paper, "note": note}}) for entry in cells.attacks]
    return cells.model_copy(update={"attacks": attacks})


def test_claims_choose_by_the_suites_own_names_where_the_joint_report_has_others(cifar: Part, svhn: Part) -> None:
    one = cifar.spec(claims=[{"paper": "B02", "where": {"attack": "PGD", "dataset": "data", "threat": L2[2]}}])
    two = svhn.spec(claims=[{"paper": "B02", "where": {"attack": "PGD", "target": "vgg11-bn"}}])
    made = render_joint([one, two], {"on_cifar": cifar.cells(), "on_svhn": noted(svhn, "shorter")}, cifar.store, "")
    (claim,) = made.claims
    # Of SVHN the other side is left out.
    assert [(c.pair.match["attack"], c.pair.match["dataset"]) for c in claim.comparisons] == [
        ("PGD (on_cifar)", "data (on_cifar)")
    ]
    assert claim.alone == (
        "data (on_svhn), VGG-11†, PGD (on_svhn), L2 0.25",
        "data (on_svhn), VGG-11†, PGD (on_svhn), L∞ 1/255",
    )


def test_a_suite_that_makes_no_claim_has_the_cells_of_its_table(cifar: Part, svhn: Part) -> None:
    table = TableSpec(reference="benz2021/1", where={"threat": LINF[2]})
    suites = [cifar.spec(claims=CLAIM), svhn.suite(table, name="on_svhn")]
    made = render_joint(suites, {part.name: part.cells() for part in (cifar, svhn)}, cifar.store, "")
    matches = [(c.pair.match["dataset"], c.pair.match["threat"]) for c in made.claims[0].comparisons]
    assert matches == [("data (on_svhn)", LINF[2]), ("data (on_cifar)", L2[2]), ("data (on_cifar)", LINF[2])]


def test_readings_of_a_claim_under_other_names_stay_apart(cifar: Part, svhn: Part) -> None:
    reading = {"name": "B02 on L2", "paper": "B02", "where": {"threat": L2[2]}}
    suites = [cifar.spec(claims=[*CLAIM, reading]), svhn.spec(claims=CLAIM)]
    made = render_joint(suites, {part.name: part.cells() for part in (cifar, svhn)}, cifar.store, "")
    assert [(claim.spec.name, len(claim.comparisons)) for claim in made.claims] == [("B02", 4), ("B02 on L2", 1)]


def test_a_filter_that_chooses_nothing_names_the_suite(cifar: Part, svhn: Part) -> None:
    other = svhn.spec(claims=[{"paper": "B02", "where": {"attack": "FGSM"}}])
    with pytest.raises(HarnessError, match='suite on_svhn: claim "B02": where: no cell has attack = .FGSM.'):
        render_joint([cifar.spec(claims=CLAIM), other], {p.name: p.cells() for p in (cifar, svhn)}, cifar.store, "")


def test_the_comparison_with_the_paper_counts_the_numbers_of_all_suites(cifar: Part, svhn: Part) -> None:
    (beside,) = report(cifar, svhn).comparisons
    assert beside.against is not None
    assert (beside.against.compared, beside.against.printed) == (12, 90)
    assert any(one.startswith("From the last runs of") for one in beside.notes)


def test_the_page_tells_the_suites_apart(cifar: Part, svhn: Part) -> None:
    page = report(cifar, svhn).page()
    assert page.startswith("# Benz et al. 2021, Table 1\n")
    assert page.count("### `on_cifar`") == page.count("### `on_svhn`") == 2
    assert "vgg11-bn (on_svhn)" in page[page.index("## Models") :]
    assert "harness run suites/on_svhn.toml" in page


def test_tables_of_both_papers_suites_are_filled_from_the_suites_that_print_them(tmp_path: Path, cifar: Part) -> None:
    lab = transfer_lab(tmp_path)
    transfer = lab.suite(TableSpec(reference="benz2021/4"), name="transfer")
    cells = {"on_cifar": cifar.cells(), "transfer": lab.cells().model_copy(update={"suite": "transfer"})}
    made = render_joint([cifar.spec(), transfer], cells, cifar.store, "")
    assert [table.reference for table in made.tables] == ["benz2021/1", "benz2021/4"]
    assert numbers(made.tables[0])["CIFAR10", "VGG16 (BN)"] == [None] * 5
    assert made.suite == "benz2021-1-4"


def half_of_a_gain(path: Path, name: str, statistics: str, samples: int) -> tuple[Suite, Cells, Lab]:
    """A suite that attacks a network with one kind of statistics; a gain compares both kinds."""
    lab = Lab(path)
    data = lab.data("data", samples=samples, dataset="cifar10")
    lab.called("FGSM", attack="fgsm")
    model = lab.model(f"r20-{statistics}", "ResNet20", view={"bn": statistics}, paper={"arch": "resnet20"})
    lab.judge_clean(model, wrong(1), data=data)
    lab.attack(model, model, wrong(10 if statistics == "population" else 5), "FGSM", LINF, data=data)
    suite = lab.suite(TableSpec(reference="awais2020/4", part={"dataset": "cifar10"}), name=name)
    return suite, lab.cells().model_copy(update={"suite": name}), lab


def test_a_gain_whose_halves_are_of_two_suites_needs_the_same_images(tmp_path: Path) -> None:
    running, own, lab = half_of_a_gain(tmp_path, "running", "population", 20)
    batch, same, _ = half_of_a_gain(tmp_path, "batch", "batch", 20)
    made = render_joint([running, batch], {"running": own, "batch": same}, lab.store, "")
    assert made.tables[0].rows[0].entries[0].estimate is not None
    assert made.tables[0].rows[0].entries[0].estimate.value == pytest.approx(0.5)
    other = half_of_a_gain(tmp_path, "batch", "batch", 19)[1]
    with pytest.raises(
        HarnessError, match=r"row 1 would compare different images: data \(batch\) and data \(running\)"
    ):
        render_joint([running, batch], {"running": own, "batch": other}, lab.store, "")


def test_a_joint_report_is_called_by_its_tables() -> None:
    assert joint_name(["benz2021/1"]) == "benz2021-1"
    assert joint_name(["benz2021/4", "awais2020/1", "benz2021/12"]) == "benz2021-4-12_awais2020-1"


# --- names ------------------------------------------------------------------------------------------------------


def test_names_of_different_things_are_told_apart_and_all_cells_follow(cifar: Part, svhn: Part) -> None:
    first, second = told_apart([cifar.cells(), svhn.cells()])
    assert [model.name for model in second.models] == ["vgg11-none (on_svhn)", "vgg11-bn (on_svhn)"]
    assert [entry.label for entry in first.datasets] == ["data (on_cifar)"]
    assert {(cell.target, cell.surrogate) for cell in second.cells} == {(m.name, m.name) for m in second.models}
    assert {cell.dataset for cell in second.cells} == {"data (on_svhn)"}
    assert [cell.id for cell in second.cells] == [cell.id for cell in svhn.cells().cells]
    assert first.datasets[0].paper["dataset"] == "cifar10"


def test_what_is_the_same_keeps_its_name_and_is_there_once(cifar: Part, svhn: Part) -> None:
    apart = told_apart([cifar.cells(), svhn.cells()])
    both = merged(apart)
    assert [attack.label for attack in both.attacks] == ["PGD"]
    assert {cell.attack for cell in both.cells} == {"Clean", "PGD"}
    assert len(both.models) == 4
    same = merged(told_apart([cifar.cells(), cifar.cells().model_copy(update={"suite": "twin"})]))
    assert same.models == cifar.cells().models
    assert len(same.cells) == len(cifar.cells().cells)


def test_an_attack_that_papers_call_otherwise_keeps_what_they_call_it(cifar: Part, svhn: Part) -> None:
    other = svhn.cells()
    other = other.model_copy(update={"attacks": [other.attacks[0].model_copy(update={"paper": {}, "facts": {"x": 1}})]})
    _, second = told_apart([cifar.cells(), other])
    assert (second.attacks[0].label, second.attacks[0].paper) == ("PGD (on_svhn)", {"attack": "PGD"})
    assert {cell.attack for cell in second.cells} == {"Clean", "PGD (on_svhn)"}
