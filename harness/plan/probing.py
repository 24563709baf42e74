"""A model asked about a few real images: whether it takes them, what it returns, and how long that takes."""

from __future__ import annotations

import re
import time

import torch
from torch import Tensor

from harness.attacks import as_float
from harness.core.errors import HarnessError
from harness.data import Dataset, numbered
from harness.models.classifier import Classifier
from harness.spec import ModelSpec

TIMED_IMAGES = (4, 16, 64)
"""Images on which a model's forward pass is timed for the estimate, one batch after the other."""

TIMED_SECONDS = 0.2
"""After which no larger batch is timed."""


WANTED_CHANNELS = re.compile(r"to have (\d+) channels, but got")
"""In what torch says of a convolution over images of another number of channels."""


def first_images(dataset: Dataset, number: int = TIMED_IMAGES[0]) -> Tensor:
    """A few images, (N, C, H, W) float32 in [0, 1]."""
    return as_float(torch.from_numpy(dataset.images[:number].copy()))


def probe(classifier: Classifier, dataset: Dataset, spec: ModelSpec, at_once: int = 1) -> tuple[int, float]:
    """Number of classes and seconds per image of a forward pass on a few real images.

    `at_once` is how few images it will be asked about at once: some networks cannot take statistics of one image.

    Raises:
        HarnessError: when the model does not accept the images, or its classes are not those of the data.
    """
    logits = answer(classifier, first_images(dataset, min(at_once, TIMED_IMAGES[0])), dataset.name, spec)
    seconds = timed(classifier, dataset, spec)
    classes, expected = logits.shape[1], len(dataset.classes)
    if classes < expected or (classes > expected and not numbered(dataset.classes)):
        raise HarnessError(
            f'model "{spec.id}" has {classes} classes, {dataset.name} has {expected}; their labels do not match'
        )
    return classes, seconds


def timed(classifier: Classifier, dataset: Dataset, spec: ModelSpec) -> float:
    """Seconds per image of a forward pass in the largest batch that a moment allows: small ones are mostly overhead.

    What fails on more images is found out when it is asked about as many.
    """
    begin, seconds = time.perf_counter(), 0.0
    for number in TIMED_IMAGES:
        images, start = first_images(dataset, number), time.perf_counter()
        try:
            answer(classifier, images, dataset.name, spec)
        except HarnessError:
            if not seconds:
                raise
            break
        end = time.perf_counter()
        seconds = (end - start) / len(images)
        if end - begin > TIMED_SECONDS:
            break
    return seconds


@torch.no_grad()
def answer(classifier: Classifier, images: Tensor, source: str, spec: ModelSpec) -> Tensor:
    """Logits (N, K) of a few images (N, C, H, W) from `source`. Raises HarnessError when there are none."""
    shape = tuple(images.shape[1:])
    standardized = classifier.mean.shape[1]
    if standardized not in (1, shape[0]):
        # Broadcasting would repeat the channels of the images.
        raise HarnessError(
            f'model "{spec.id}" cannot take the images of {source}, {shape}: '
            f"it standardizes {standardized} channels, they have {shape[0]}{_with_channels(standardized)}"
        )
    try:
        logits = classifier(images)
    except Exception as error:  # noqa: BLE001 - a forward pass may be the user's code, which may raise anything
        reason = f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0].rstrip('.')}"
        raise HarnessError(
            f'model "{spec.id}" cannot take the images of {source}, {shape}: '
            f"{reason}{_remedy(classifier, shape, reason)}"
        ) from None
    if not isinstance(logits, Tensor) or logits.ndim != 2 or len(logits) != len(images):
        got = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        number = "one image" if len(images) == 1 else f"{len(images)} images"
        raise HarnessError(
            f'model "{spec.id}" must return logits (N, K) for images (N, C, H, W); for {number} it returned {got}.\n'
            "     wrap it in a module whose forward pass picks the logits out"
        )
    return logits


def _with_channels(number: int) -> str:
    """The key of data sets of files that gives images as many channels; empty for other numbers than theirs."""
    return (
        f".\n     data sets of image files have the key `channels`: write channels = {number}"
        if number in (1, 3)
        else ""
    )


def _remedy(classifier: Classifier, shape: tuple[int, ...], reason: str) -> str:
    """What may help where a forward pass failed; empty where nothing is known."""
    other = {parameter.dtype for parameter in classifier.parameters()} - {torch.float32}
    if other:
        return f".\n     its weights are {' and '.join(map(str, other))}; return it in float32, as network.float() does"
    if channels := WANTED_CHANNELS.search(reason):
        return _with_channels(int(channels[1]))
    wanted = classifier.input_size
    if wanted and wanted != shape[1:]:
        return (
            f".\n     it is made for {wanted[0]}x{wanted[1]} pixels: data sets with the key `size` scale images, "
            '`size = "model"` as each model asks for'
        )
    return ""
