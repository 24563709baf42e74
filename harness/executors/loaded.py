"""What stays loaded between jobs: models, the images of a data set, and how many of them a model takes at once."""

from __future__ import annotations

from collections import OrderedDict
from functools import lru_cache

import torch

from harness.attacks import as_float
from harness.core.geometry import Geometry
from harness.executors.batches import SMALLEST, find_batch_size
from harness.judging import Arena
from harness.models.carried import carried
from harness.models.classifier import Classifier
from harness.plan import Job, Plan, open_model
from harness.surrogate import PROBE_IMAGES, Surrogate

KEPT_BYTES = 2**32
"""Of the weights of models that stay loaded."""


class Loaded:
    """Models and images of a plan on a device; those used last are kept."""

    def __init__(self, plan: Plan, device: torch.device) -> None:
        """Nothing is loaded before it is asked for."""
        self._plan, self._device = plan, device
        self._models = OrderedDict[str, Classifier]()
        self._batch_sizes: dict[tuple[str, str], int] = {}
        self._images = lru_cache(maxsize=1)(self._open)
        self._surrogate = lru_cache(maxsize=1)(self._crafting)

    def model(self, name: str) -> Classifier:
        """The model under a suite name."""
        if name not in self._models:
            model = self._plan.models[name]
            self._models[name] = open_model(model.spec, model.calibration, self._device)
            while len(self._models) > 1 and sum(map(weight, self._models.values())) > KEPT_BYTES:
                self._models.popitem(last=False)
        self._models.move_to_end(name)
        return self._models[name]

    def surrogate(self, job: Job) -> Surrogate:
        """The model that crafts. Twins are kept of one model and its images only: such jobs follow each other."""
        return self._surrogate(job.dataset, job.surrogate)

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

    def _crafting(self, dataset: str, name: str) -> Surrogate:
        return Surrogate(self.model(name))

    def _open(self, label: str, geometry: Geometry | None) -> Arena:
        size = self._plan.suite.batch_size
        return Arena(self._plan.datasets[label].at(geometry), self._device, SMALLEST if size == "auto" else size)


def weight(model: Classifier) -> int:
    """Bytes of its parameters and buffers."""
    return sum(tensor.numel() * tensor.element_size() for tensor in (*model.parameters(), *model.buffers()))
