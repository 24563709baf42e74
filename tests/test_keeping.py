"""Kept adversarial images: another target is judged on them, and nothing is crafted twice."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from pandas.testing import assert_frame_equal
from safetensors.numpy import load_file, save

import harness
from harness.core.errors import HarnessError
from harness.core.threat import ThreatModel
from harness.crafting import CraftJob
from harness.data import Dataset
from harness.judging import Arena, Batch
from harness.keeping import Keeper
from harness.runner import Results
from harness.store.images import Arrays, KeptImages

SuiteFile = Callable[..., Path]

BATCHES = ('name = "sound"', 'name = "sound"\nbatch_size = 8\nkeep_images = true')
TO_ITSELF = ("[whitebox]", '[transfer]\nsurrogates = "plain"\ntargets = "plain"')
TO_ALL = ("[whitebox]", '[transfer]\nsurrogates = "plain"')


@pytest.fixture
def crafted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Rows that were crafted, in the order in which it was done."""
    rows: list[int] = []
    craft = CraftJob._craft

    def noting(*arguments: object) -> object:
        for batch in craft(*arguments):  # type: ignore[arg-type]
            rows.extend(batch.rows.tolist())
            yield batch

    monkeypatch.setattr(CraftJob, "_craft", noting)
    return rows


def attacked(results: Results, target: str) -> str:
    (id,) = [cell.id for cell in results.plan.cells.cells if (cell.mode, cell.target) == ("transfer", target)]
    return id


def test_a_target_that_is_added_later_costs_no_crafting_and_says_the_same(
    suite_file: SuiteFile, crafted: list[int]
) -> None:
    harness.run(suite_file(BATCHES, TO_ITSELF))
    assert sorted(crafted) == list(range(20))
    crafted.clear()
    results = harness.run(suite_file(BATCHES, TO_ALL))
    assert crafted == []
    assert results.outcome.computed == 2  # clean predictions of the new target, and its cell
    anew = harness.run(suite_file(TO_ALL), store="another")
    assert sorted(crafted) == list(range(20))
    id = attacked(results, "batch")
    assert_frame_equal(results.outcomes(id), anew.outcomes(attacked(anew, "batch")))
    assert attacked(anew, "batch") == id


def test_images_are_kept_only_on_request(suite_file: SuiteFile, workplace: Path, crafted: list[int]) -> None:
    harness.run(suite_file(TO_ITSELF))
    assert not (workplace / ".harness" / "images").exists()
    harness.run(suite_file(TO_ALL))
    assert len(crafted) == 40


def test_what_was_kept_of_an_unfinished_crafting_is_used_and_the_rest_crafted(
    suite_file: SuiteFile, workplace: Path, crafted: list[int]
) -> None:
    first = harness.run(suite_file(BATCHES, TO_ITSELF))
    kept = sorted((workplace / ".harness" / "images").rglob("*.safetensors"))
    assert len(kept) == 3
    kept[0].unlink()
    kept[1].write_bytes(b"damaged")
    crafted.clear()
    results = harness.run(suite_file(BATCHES, TO_ALL))
    assert len(crafted) == 16
    assert len(list((workplace / ".harness" / "images").rglob("*.safetensors"))) == 3
    anew = harness.run(suite_file(TO_ALL), store="another")
    id = attacked(results, "batch")
    assert_frame_equal(results.outcomes(id), anew.outcomes(id))
    assert first.plan.jobs[-1].crafting == results.plan.jobs[-1].crafting


def too_far(kept: Arrays) -> Arrays:
    return {**kept, "adversarial": 1 - kept["adversarial"]}


def of_no_image(kept: Arrays) -> Arrays:
    return {**kept, "index": kept["index"] + 100_000}


def twice(kept: Arrays) -> Arrays:
    return {**kept, "index": np.repeat(kept["index"][:1], len(kept["index"]))}


def not_numbers(kept: Arrays) -> Arrays:
    return {**kept, "adversarial": np.full_like(kept["adversarial"], np.nan)}


def without_a_field(kept: Arrays) -> Arrays:
    return {name: array for name, array in kept.items() if name != "passes"}


def of_another_shape(kept: Arrays) -> Arrays:
    return {**kept, "adversarial": kept["adversarial"][..., :4]}


@pytest.fixture
def arena() -> Arena:
    """Four dark images at odd positions of a data set."""
    images, indices = np.zeros((4, 1, 6, 6), dtype=np.uint8), np.array([1, 3, 5, 7])
    dataset = Dataset("dark", images, np.zeros(4, dtype=np.int64), indices, ("a",), "")
    return Arena(dataset, torch.device("cpu"), batch_size=2)


@pytest.fixture
def keeper(tmp_path: Path, arena: Arena) -> Keeper:
    """With two images in one file, one step of 0.1 away."""
    keeper, rows = Keeper(KeptImages(tmp_path), keeps=True), torch.arange(2)
    keeper.keep(Batch(rows, torch.full((2, 1, 6, 6), 0.1), rows, rows.bool(), rows), arena)
    return keeper


def loaded_rows(keeper: Keeper, arena: Arena) -> list[list[int]]:
    batches = keeper.load(arena, torch.ones(4, dtype=torch.bool), ThreatModel("linf", 0.1))
    return [batch.rows.tolist() for batch in batches]


def test_kept_images_are_used(keeper: Keeper, arena: Arena) -> None:
    assert loaded_rows(keeper, arena) == [[0, 1]]


@pytest.mark.parametrize("damage", [too_far, of_no_image, twice, not_numbers, without_a_field, of_another_shape])
def test_images_that_no_crafting_can_have_kept_are_deleted(
    keeper: Keeper, arena: Arena, damage: Callable[[Arrays], Arrays]
) -> None:
    (file,) = keeper.images.path.iterdir()
    keeper.images.append(damage(load_file(file)))
    file.unlink()
    assert loaded_rows(keeper, arena) == []
    assert not list(keeper.images.path.iterdir())


def test_a_pixel_that_changed_on_the_disk_deletes_its_batch_though_it_keeps_to_the_threat_model(
    keeper: Keeper, arena: Arena
) -> None:
    (file,) = keeper.images.path.iterdir()
    kept = load_file(file)
    kept["adversarial"][0, 0, 0, 0] = 0.05
    file.write_bytes(save(kept))
    assert loaded_rows(keeper, arena) == []
    assert not file.exists()


def test_images_that_only_cannot_be_read_are_not_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbid(file: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(file))

    file = tmp_path / "000000-0123456789abcdef.safetensors"
    file.touch()
    monkeypatch.setattr(Path, "read_bytes", forbid)
    with pytest.raises(HarnessError, match=r"\.safetensors cannot be read (.|\n)*delete it to craft"):
        list(KeptImages(tmp_path).batches())
    assert file.exists()


def test_kept_images_are_those_that_were_judged(suite_file: SuiteFile) -> None:
    results = harness.run(suite_file(BATCHES, TO_ITSELF))
    outcomes = results.outcomes(attacked(results, "plain")).set_index("index")
    (data,) = results.plan.datasets.values()
    clean = data.at(None)
    seen = []
    for batch in results.store.images(results.plan.jobs[-1].crafting).batches():
        for index, adversarial in zip(batch["index"], batch["adversarial"], strict=True):
            (row,) = np.flatnonzero(clean.indices == index)
            distance = np.abs(adversarial - clean.images[row].astype(np.float32)).max()
            assert distance == pytest.approx(outcomes.loc[index, "linf"], abs=1e-7)
            seen.append(int(index))
    assert sorted(seen) == sorted(clean.indices.tolist())


def test_whitebox_images_are_kept_once_though_a_run_is_repeated(
    suite_file: SuiteFile, workplace: Path, crafted: list[int]
) -> None:
    harness.run(suite_file(BATCHES))
    files = sorted((workplace / ".harness" / "images").rglob("*.safetensors"))
    assert files
    harness.run(suite_file(BATCHES))
    assert sorted((workplace / ".harness" / "images").rglob("*.safetensors")) == files


def test_a_target_that_depends_on_its_batch_is_asked_about_whole_batches_only(
    suite_file: SuiteFile, crafted: list[int]
) -> None:
    batch_size = ('name = "sound"', 'name = "sound"\nbatch_size = {}\nkeep_images = true')
    of_three, of_eight = ((batch_size[0], batch_size[1].format(size)) for size in (3, 8))
    dependent = ('id = "zoo:digits-vgg6-bn"', 'id = "zoo:digits-vgg6-bn"\nbn = "batch"')
    harness.run(suite_file(of_three, TO_ITSELF))
    results = harness.run(suite_file(of_eight, TO_ALL, dependent))
    anew = harness.run(suite_file(of_eight, TO_ALL, dependent), store="another")
    id = attacked(results, "batch")
    assert_frame_equal(results.outcomes(id), anew.outcomes(id))
    assert len(crafted) == 20 + 20 + 20
