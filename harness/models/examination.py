"""The examination of a model: a few passes over a few clean images, for signs that attacks on it may mislead.

What the flags mean for the numbers stands in `harness.metrics.flags`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from harness.core.losses import Loss, cross_entropy, margin
from harness.core.tf32 import full_float32
from harness.models.classifier import Classifier, undisturbed
from harness.models.state import State

EXAMINED_IMAGES = 64
"""Images on which a model is examined, at most."""

REPEATS = 3
"""How often the first pass is repeated."""

ROUNDING = 1e-4
"""By how much logits of a repeated pass may differ, in units of a usual logit; on one device they rarely do at all."""

BATCH_ROUNDING = 1e-2
"""The same beside other images, where a model that computes in bfloat16 may round otherwise."""

SUMS_TO_ONE = 1e-4
"""By how much the sum of probabilities may miss 1."""

INSIDE = 1e-3
"""How far black and white pixels are moved inside, to see whether their gradients were cut off."""


def examine(model: Classifier, images: Tensor, batch_size: int) -> dict[str, int]:
    """The flags that a model raises, with the number of images that show each; the model is left as it was.

    Args:
        model: the model.
        images: (N, C, H, W) float32 in [0, 1], a few.
        batch_size: largest number of images on the device at once.
    """
    examination = Examination(model, images, batch_size)
    with undisturbed(model), full_float32():
        try:
            counts = {flag: int(shown.sum()) for flag, shown in examination.findings()}
        finally:
            examination.start.put_back()
    return {flag: count for flag, count in counts.items() if count}


@dataclass
class Examination:
    """Passes over the same images under known conditions, and what differs between them."""

    model: Classifier
    images: Tensor
    batch_size: int
    start: State = field(init=False)
    """Parameters and buffers before the first pass."""
    moves: bool = field(init=False, default=True)
    """Whether passes change them; asked after the first pass."""

    def __post_init__(self) -> None:
        """Remember the model's state."""
        self.start = State(self.model)

    def findings(self) -> Iterator[tuple[str, Tensor]]:
        """Flags with (N,) the images that show them."""
        logits = self._logits()
        nothing = torch.zeros(len(logits), dtype=torch.bool, device=logits.device)
        dynamic, random = nothing, nothing
        self.moves = self.start.changed
        if self.moves:
            # The state runs on, random numbers are the same.
            for _ in range(REPEATS):
                dynamic = dynamic | differ(logits, self._logits(rewind=False), ROUNDING)
        for seed in range(1, 1 + REPEATS):
            random = random | differ(logits, self._logits(seed), ROUNDING)
        yield "dynamic", dynamic
        yield "nondeterministic", random
        # Random numbers fall otherwise at another place of a batch, which says nothing about its other images.
        if not random.any():
            yield "batch_dependent", differ(*self._logits_in_pairs(), BATCH_ROUNDING)
        yield "probability_outputs", are_probabilities(logits)
        yield from self._gradient_findings(logits.isfinite().all(1))

    @torch.no_grad()
    def _logits(self, seed: int = 0, *, rewind: bool = True) -> Tensor:
        """(N, K) with the random numbers of a seed; with `rewind` every batch meets the state of the beginning."""
        batches = self.images.split(self.batch_size)
        return torch.cat([self._logits_of(batch, seed, rewind) for batch in batches])

    @torch.no_grad()
    def _logits_in_pairs(self) -> tuple[Tensor, Tensor]:
        """(N, K) of every image as the first of a pair with the next one, and as the second with the one before.

        Batches of one size run the same kernels, so that rounding is the same, be it coarse.
        """
        pairs = zip(self.images, self.images.roll(-1, 0), strict=True)
        first, second = torch.stack([self._logits_of(torch.stack(pair), 0, rewind=True) for pair in pairs], 1)
        return first, second.roll(1, 0)

    def _logits_of(self, batch: Tensor, seed: int, rewind: bool) -> Tensor:
        self._begin(seed, rewind)
        logits: Tensor = self.model(batch)
        return logits.float()

    def _begin(self, seed: int, rewind: bool) -> None:
        """Before a batch: its random numbers, and the state of the beginning."""
        # `examine` puts the generators back.
        torch.manual_seed(seed)
        if rewind and self.moves:
            self.start.put_back()

    def _gradients(self, images: Tensor, loss: Loss) -> Tensor:
        """(N, D) of the images, each batch in a pass of its own: compiled functions may refuse a second gradient."""
        parts = []
        for part in images.split(self.batch_size):
            self._begin(seed=0, rewind=True)
            parts.append(loss_gradient(self.model, part, loss))
        return torch.cat(parts).flatten(1)

    def _gradient_findings(self, finite: Tensor) -> Iterator[tuple[str, Tensor]]:
        """What the gradients show at images whose logits are finite."""
        of_margin, of_cross_entropy = (self._gradients(self.images, loss) for loss in (margin, cross_entropy))
        flat, saturated = (of_margin == 0).all(1), (of_cross_entropy == 0).all(1)
        yield "hidden_gradient", finite & flat & saturated
        yield "clipped_gradient", finite & ~flat & self._clipped(of_margin)
        yield "saturated_loss", finite & ~flat & saturated
        yield "nonfinite_gradient", finite & ~(of_margin.isfinite() & of_cross_entropy.isfinite()).all(1)

    def _clipped(self, gradients: Tensor) -> Tensor:
        """(N,) whether gradients (N, D) are zero at most of the black and white pixels that have one further inside."""
        edges = ((self.images == 0) | (self.images == 1)).flatten(1)
        cut = edges & (gradients == 0)
        if not cut.any():  # which spares sound networks a pass
            return cut.any(1)
        shown = self._gradients(self.images.clamp(INSIDE, 1 - INSIDE), margin) != 0
        return 2 * (cut & shown).sum(1) > (edges & shown).sum(1)


@torch.enable_grad()
def loss_gradient(model: Classifier, images: Tensor, loss: Loss) -> Tensor:
    """Image gradient (N, C, H, W) of a loss where the predicted class is the true one.

    Zero where no gradient reaches the images, be it that the model fails as soon as one is asked for.
    """
    images = images.detach().requires_grad_()
    try:
        logits = model(images)
        total = loss(logits, logits.argmax(1)).sum()
        return torch.autograd.grad(total, images, allow_unused=True, materialize_grads=True)[0]
    except torch.cuda.OutOfMemoryError:
        raise
    except Exception:  # noqa: BLE001 - the model may be the user's code, which may raise anything
        return torch.zeros_like(images)


def differ(logits: Tensor, others: Tensor, tolerance: float) -> Tensor:
    """(N,) whether logits (N, K) of the same images differ by more than `tolerance` times a usual logit.

    That is the largest one of the image or of a median image, whichever is larger: differences of large numbers may
    be small numbers without meaning.
    """
    size = logits.abs().amax(1)
    usual = size[size.isfinite()]
    scale = torch.maximum(size, usual.median()) if len(usual) else size
    far = (logits - others).abs().amax(1) > tolerance * scale
    return far | (logits.isfinite() != others.isfinite()).any(1)


def are_probabilities(logits: Tensor) -> Tensor:
    """(N,) the images with finite logits, if each of them has logits (N, K) in [0, 1] that sum to 1; else none."""
    finite = logits.isfinite().all(1)
    shares = (logits >= 0).all(1) & (logits <= 1 + SUMS_TO_ONE).all(1) & ((logits.sum(1) - 1).abs() <= SUMS_TO_ONE)
    return finite & shares[finite].all()
