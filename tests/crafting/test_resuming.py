"""Jobs that go on where they were stopped."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
import torch

from harness.attacks.resolve import ResolvedAttack
from harness.crafting import CraftJob
from harness.surrogate import Surrogate

from .toys import (
    CLASSES,
    COUNT,
    L2,
    LINF,
    NOTHING,
    Proposing,
    arena,
    clean,
    model,
    run,
    transfer,
    whitebox,
)

MASKS = {
    "every other": np.arange(COUNT) % 2 == 0,
    "the first half": np.arange(COUNT) < COUNT // 2,
    "all but one": np.arange(COUNT) != 13,
    "all": np.ones(COUNT, dtype=bool),
}


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize(
    "job",
    [
        whitebox(),
        whitebox(restarts=2),
        whitebox("di-fgsm", largest=1.5),
        transfer("mi-fgsm"),
        transfer("mi-admix-fgsm", steps=3),
        whitebox("cw", L2, steps=5),
        whitebox("torchattacks:PGD"),
        transfer("torchattacks:Square", n_queries=30),
    ],
    ids=["pgd", "restarts", "di", "transfer", "admix", "cw", "torchattacks", "torchattacks transfer"],
)
def test_a_resumed_job_gives_the_outcomes_of_an_uninterrupted_one(job: CraftJob, mask: str) -> None:
    somewhere, finished = arena(wrong=3), MASKS[mask]
    whole = run(job, model(), somewhere)["cell"].set_index("index")
    batches = list(
        job.run(Surrogate(model()), {"cell": model()}, {"cell": clean(model(), somewhere)}, somewhere, finished)
    )
    expected = set(somewhere.dataset.indices[~finished].tolist())
    if not expected:
        assert batches == []
        return
    rest = pd.concat([batch["cell"] for batch in batches]).set_index("index")
    assert set(rest.index) == expected
    assert rest.index.is_unique
    exact = ["label", "wanted", "clean_prediction", "adversarial_prediction", "success", "passes", "zero_gradient"]
    pd.testing.assert_frame_equal(rest[exact], whole.loc[rest.index, exact])
    pd.testing.assert_frame_equal(rest[["linf", "l2"]], whole.loc[rest.index, ["linf", "l2"]], rtol=1e-5)


def given_batches(finished: npt.NDArray[np.bool_], batch_dependent: bool) -> list[list[int]]:
    """Which samples the attack is given together, by data set index."""
    proposal = Proposing(torch.zeros(1), batch_dependent=batch_dependent)
    job = CraftJob(ResolvedAttack("still", proposal, {}, {}), LINF, 0, CLASSES, whitebox=True)
    somewhere = arena(batch_size=5, wrong=3)
    list(job.run(Surrogate(model()), {"cell": model()}, {"cell": clean(model(), somewhere)}, somewhere, finished))
    return proposal.seen


def test_a_batch_dependent_attack_meets_the_same_batches_again_on_resume() -> None:
    whole = given_batches(NOTHING, batch_dependent=True)
    indices = arena().dataset.indices
    assert whole == [indices[3:][start : start + 5].tolist() for start in range(0, COUNT - 3, 5)]
    finished = NOTHING.copy()
    finished[3:8] = finished[9:11] = True
    assert given_batches(finished, batch_dependent=True) == whole[1:], "one missing sample brings its whole batch back"


def test_any_other_attack_is_given_only_what_is_missing() -> None:
    finished = MASKS["every other"] | (np.arange(COUNT) < 3)
    (given,) = given_batches(finished, batch_dependent=False)
    assert given == arena().dataset.indices[~finished].tolist()
