"""What stays loaded between jobs: models, the images of a data set, and how many of them a model takes at once."""

from __future__ import annotations

from functools import lru_cache

import torch

from harness.attacks import as_float
from harness.core.geometry import Geometry
from harness.executors.batches import SMALLEST, find_batch_size
from harness.job import PROBE_IMAGES
from harness.judging import Arena
from harness.models.carried import carried
from harness.models.classifier import Classifier
from harness.plan import Job, Plan, open_model

MODELS_KEPT = 8
"""Models that stay loaded."""


class Loaded:
    """Models and images of a plan on a device; those used last are kept."""

    def __init__(self, plan: Plan, device: torch.device) -> None:
        """Nothing is loaded before it is asked for."""
        self._plan, self._device = plan, device
        self._batch_sizes: dict[tuple[str, str], int] = {}
        self.model = lru_cache(maxsize=MODELS_KEPT)(self._load)
        """The model under a suite name."""
        self._images = lru_cache(maxsize=1)(self._open)

    def target(self, job: Job, position: int) -> Classifier:
        """The model that a cell judges, as it sees the images of the surrogate."""
        model, size = self.model(job.cells[position].target), job.carried[position]
        return carried(model, *size) if size else model

    def arena(self, label: str, model: str) -> Arena:
        """A data set as a model is given it, in batches that suit the model."""
        arena = self._images(label, self._plan.models[model].geometry)
        if self._plan.suite.batch_size != "auto":
            return arena
        if (label, model) not in self._batch_sizes:
            images = as_float(arena.images[:PROBE_IMAGES])
            self._batch_sizes[label, model] = find_batch_size(self.model(model), images)
        return arena.with_batch_size(self._batch_sizes[label, model])

    def _load(self, name: str) -> Classifier:
        model = self._plan.models[name]
        return open_model(model.spec, model.calibration, self._device)

    def _open(self, label: str, geometry: Geometry | None) -> Arena:
        size = self._plan.suite.batch_size
        return Arena(self._plan.datasets[label].at(geometry), self._device, SMALLEST if size == "auto" else size)
