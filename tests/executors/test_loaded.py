"""What stays loaded between jobs, and for how long."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import harness.executors.loaded
from harness.executors.loaded import Loaded, weight
from harness.plan import make_plan

SuiteFile = Callable[..., Path]


@pytest.fixture
def loaded(suite_file: SuiteFile) -> Loaded:
    """Of a suite with the models "plain" and "batch"."""
    return Loaded(make_plan(suite_file()), torch.device("cpu"))


def test_a_model_is_loaded_once_while_there_is_room(loaded: Loaded) -> None:
    first = loaded.model("plain")
    loaded.model("batch")
    assert loaded.model("plain") is first


def test_without_room_the_model_that_was_used_longest_ago_is_given_up(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, batch = loaded.model("plain"), loaded.model("batch")
    monkeypatch.setattr(harness.executors.loaded, "KEPT_BYTES", weight(batch))
    assert loaded.model("plain") is plain, "nothing is given up before more is loaded"
    del loaded._models["batch"]
    assert loaded.model("batch") is not batch
    assert loaded.model("plain") is not plain


def test_a_model_that_is_too_large_to_be_kept_can_be_used(loaded: Loaded, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(harness.executors.loaded, "KEPT_BYTES", 0)
    assert loaded.model("plain").parameter_count > 0


def test_twins_are_kept_of_one_surrogate_and_its_images(loaded: Loaded) -> None:
    plain, batch = (job for job in make_plan("sound.toml").jobs if job.craft)
    first = loaded.surrogate(plain)
    assert loaded.surrogate(plain) is first
    assert loaded.surrogate(batch).model is loaded.model("batch")
    assert loaded.surrogate(plain) is not first
    assert loaded.surrogate(plain).model is first.model
    assert loaded.surrogate(replace(plain, dataset="other images")) is not loaded.surrogate(plain)
