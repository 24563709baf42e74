"""What a model answers to some images: logits, the gradient behind them, and whether it would answer so again.

A model may stand in for another one where their answers agree: to attack through the one is to attack the other.
"""

from __future__ import annotations

import random
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from harness.models.classifier import undisturbed

LARGEST_GRADIENT_DEVIATION = 0.1
"""Of image gradients in float32, relative to their norm. Rounding moves some ReLUs across zero, which gives up to 0.006
on networks of torchvision and timm; a backward pass that was replaced gives 1 or so."""


RIVALS = 10
"""Of an image's logits, at most so many of the largest are of classes that its prediction may become."""

DEPTH = 4
"""How far below the top logit differences count, in leads over the last rival. Logits of networks that we know all lie
higher than that; those of classes that are masked (by -1e9) do not."""


def depth_of(logits: Tensor) -> Tensor:
    """How far below an image's top logit the logits (N, K) of a model matter; infinite where they are all the same."""
    rank = min(RIVALS, logits.shape[1] // 2 + 1)
    largest = logits.topk(rank, 1).values
    depth: Tensor = DEPTH * (largest[:, 0] - largest[:, -1]).median()
    return torch.where(depth > 0, depth, torch.inf)


def below_top(logits: Tensor, others: Tensor) -> Tensor:
    """Logits (N, K) relative to the top one of others, as far down as these matter; NaN where not all are finite."""
    relative = (logits - others.amax(1, keepdim=True)).maximum(-depth_of(others))
    return relative.where(logits.isfinite().all(1, keepdim=True), torch.nan)


class Answer(NamedTuple):
    """To images, asked without gradients and then, with the same random numbers, with them."""

    silent: Tensor
    """Logits (N, K) of the pass without gradients."""
    logits: Tensor
    """Logits (N, K) of the pass with gradients."""
    gradient: Tensor
    """Image gradient (N, C, H, W) of a fixed mixture of the logits; zero where none reaches the images."""
    drew: bool
    """Whether random numbers were drawn from a global generator."""

    def difference(self, other: Answer) -> float:
        """Of the logits below the top from those of another answer: the largest, infinite where some are not finite."""
        pairs = (self.silent, other.silent), (self.logits, other.logits)
        differences = [below_top(ours, theirs) - below_top(theirs, theirs) for ours, theirs in pairs]
        return max(part.abs().max().nan_to_num(torch.inf).item() for part in differences)

    @property
    def unrest(self) -> float:
        """The same between its own two passes."""
        return self._replace(logits=self.silent).difference(self)

    @property
    def scale(self) -> float:
        """How large logits are, or how far they lie below the top where that is less: no shift makes them larger."""
        return min(-below_top(self.logits, self.logits).min().item(), self.logits.abs().max().item())

    @property
    def lead(self) -> float:
        """Of the top logit over the second one, for a median image; infinite with a single class."""
        top = self.logits.topk(min(2, self.logits.shape[1]), 1).values
        return (top[:, 0] - top[:, 1]).median().item() if top.shape[1] > 1 else torch.inf

    def has_gradient_of(self, other: Answer) -> bool:
        """Whether the image gradients are the same but for rounding."""
        deviation = torch.linalg.vector_norm(self.gradient - other.gradient)
        return bool(deviation <= LARGEST_GRADIENT_DEVIATION * torch.linalg.vector_norm(other.gradient))


def answer_of(model: nn.Module, images: Tensor) -> Answer | None:
    """The answer to images (N, C, H, W), always with the same random numbers; None when a pass fails.

    The model and the generators are left as they were.
    """
    with undisturbed(model):
        try:
            torch.manual_seed(0)
            before = _generators()
            with torch.no_grad():
                silent = model(images)
            drew = _generators() != before
            torch.manual_seed(0)
            return Answer(silent, *with_gradient(model, images), drew)
        except torch.cuda.OutOfMemoryError:
            raise
        except Exception:  # noqa: BLE001 - the model is foreign code, or was traced from it, and may raise anything
            return None


@torch.no_grad()
def gives_logits(model: nn.Module, images: Tensor) -> bool:
    """Whether a pass on images (N, C, H, W) does not fail; the model and the generators are left as they were."""
    with undisturbed(model):
        try:
            model(images)
        except torch.cuda.OutOfMemoryError:
            raise
        except Exception:  # noqa: BLE001 - the model is foreign code, which may raise anything
            return False
    return True


@torch.enable_grad()
def with_gradient(model: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
    """Logits (N, K) and the image gradient (N, C, H, W) of a fixed mixture of them."""
    points = images.clone().requires_grad_()
    logits: Tensor = model(points)
    if not logits.requires_grad:
        return logits.detach(), torch.zeros_like(images)
    # Not the sum, which is constant where logits are probabilities.
    mixture = (logits * torch.arange(logits.shape[1], device=logits.device).cos()).sum()
    (gradient,) = torch.autograd.grad(mixture, points, allow_unused=True, materialize_grads=True)
    return logits.detach(), gradient


def _generators() -> Any:
    """The state of every global generator that a forward pass may draw from, to be compared."""
    states = [torch.get_rng_state(), *(torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else [])]
    _, keys, *position = np.random.get_state()  # noqa: NPY002 - foreign code may draw from it
    return [state.numpy().tobytes() for state in states], random.getstate(), np.asarray(keys).tobytes(), position
