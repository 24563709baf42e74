"""The clean images on which the running statistics of bn = "recalibrated" are averaged."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from harness.attacks import as_float
from harness.core.errors import HarnessError
from harness.core.randomness import Draws
from harness.core.registry import parameters_of
from harness.data import DATASETS, ChosenImages, Dataset
from harness.data.load import choose_images
from harness.models.views import Calibration
from harness.plan.datasets import loader_arguments
from harness.plan.options import Options
from harness.spec import ImagesSpec, ModelSpec, Suite

CALIBRATION_BATCH = 128
"""Images that pass at once; part of what the view means, for a variance within batches depends on their size."""


@dataclass(frozen=True)
class Calibrations:
    """Clean images for the models of a suite; what several models ask for is loaded once."""

    suite: Suite
    options: Options
    loaded: dict[str, ChosenImages] = field(default_factory=dict)

    def images_for(self, spec: ModelSpec) -> ChosenImages | None:
        """The images of a model; None for models that need none. `--limit` does not concern them.

        Raises:
            HarnessError: when they cannot be loaded, nothing says which, or images are given for another view.
        """
        if spec.bn != "recalibrated":
            if spec.calibration:
                raise HarnessError('calibration: clean images are for bn = "recalibrated"; remove them, or set that')
            return None
        images = spec.calibration or self._training_split()
        key = images.model_dump_json()
        if key not in self.loaded:
            arguments = loader_arguments(images, self.options)
            self.loaded[key] = choose_images(images.id, arguments, images.samples, images.indices)
        return self.loaded[key]

    def _training_split(self) -> ImagesSpec:
        """All of the training split of the suite's one data set."""
        (spec, *others), advice = self.suite.datasets, 'write calibration = { id = "...", split = "train" }'
        if others:
            raise HarnessError(f'bn = "recalibrated": of several data sets, none is meant by default.\n     {advice}')
        if "split" not in parameters_of(DATASETS.get(spec.id)):
            raise HarnessError(f'bn = "recalibrated": data set "{spec.id}" has no training split.\n     {advice}')
        return ImagesSpec(id=spec.id, **{**spec.arguments, "split": "train"})


def described(dataset: Dataset) -> Calibration:
    """What records say about the clean images."""
    return Calibration(dataset.name, len(dataset.labels), CALIBRATION_BATCH, dataset.fingerprint)


def calibration_batches(dataset: Dataset, device: torch.device) -> Iterator[Tensor]:
    """(128, C, H, W) float32 clean images in [0, 1], shuffled once and for all; fewer where there are not as many.

    The images that fill no batch are left out: every batch has the same say.
    """
    indices = torch.from_numpy(dataset.indices)
    order = Draws(0, indices, torch.zeros_like(indices)).uniform("calibration").argsort(stable=True)
    for rows in order[: len(order) // CALIBRATION_BATCH * CALIBRATION_BATCH or None].split(CALIBRATION_BATCH):
        yield as_float(torch.from_numpy(dataset.images[rows.numpy()]).to(device))
