"""What transfer attacks do to a gradient before a step is made along it: TI, MI and NI.

Parts hold configuration only. What a sample has to remember between steps lives in the loop, one row per sample.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, Protocol

import torch
import torch.nn.functional as F
from pydantic import AfterValidator, Field
from torch import Tensor

from harness.core.balls import TINY


class GradientTransform(Protocol):
    """Changes the gradient before a step is made along it."""

    def start(self, images: Tensor) -> Tensor:
        """What samples remember before their first step, (N, ...)."""

    def look_ahead(self, points: Tensor, memory: Tensor, reach: float) -> Tensor:
        """Where the gradient is to be taken; `reach` is how far a step moves a pixel (`Ball.per_pixel`)."""

    def __call__(self, gradients: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
        """The new direction and what to remember of it."""


def check_odd(number: int) -> int:
    """Refuse a kernel without a centre."""
    if number % 2 == 0:
        raise ValueError("must be odd")
    return number


def smoothing_kernel(shape: str, size: int, spread: float) -> Tensor:
    """A (size, size) kernel that sums to 1.

    gaussian: `spread` standard deviations from the centre to the edge, so that 15 and 3 give 2.33 pixels;
    linear: falls linearly to zero just outside; uniform: constant. `spread` concerns the first only.
    """
    place = torch.linspace(-1, 1, size) if size > 1 else torch.zeros(1)
    if shape == "gaussian":
        profile = torch.exp(-((spread * place) ** 2) / 2)
    elif shape == "linear":
        half = (size - 1) / 2
        profile = 1 - place.abs() * half / (half + 1)
    else:
        profile = torch.ones(size)
    kernel = torch.outer(profile, profile)
    return kernel / kernel.sum()


def smooth(gradients: Tensor, kernel: Tensor) -> Tensor:
    """Convolve every channel with the kernel, zeros outside. (N, C, H, W) -> (N, C, H, W)."""
    channels = gradients.shape[1]
    weights = kernel.to(gradients).expand(channels, 1, *kernel.shape)
    return F.conv2d(gradients, weights, padding="same", groups=channels)


@dataclass(frozen=True)
class Smooth:
    """TI: gradients averaged over translations of the image, which is a convolution of the gradient."""

    kernel_size: Annotated[int, Field(ge=1), AfterValidator(check_odd)] = 15
    """Side of the kernel in pixels; odd. 15 suits 299-pixel images, 7 suits 32."""
    kernel: Literal["gaussian", "linear", "uniform"] = "gaussian"
    """Shape of the kernel."""
    spread: Annotated[float, Field(gt=0)] = 3.0
    """Standard deviations from the centre of a gaussian kernel to its edge."""

    def start(self, images: Tensor) -> Tensor:
        """Nothing to remember."""
        return images.new_empty(len(images), 0)

    def look_ahead(self, points: Tensor, memory: Tensor, reach: float) -> Tensor:
        """Gradients are taken where the samples are."""
        return points

    def __call__(self, gradients: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
        """See `GradientTransform`."""
        return smooth(gradients, smoothing_kernel(self.kernel, self.kernel_size, self.spread)), memory


def accumulate(velocity: Tensor, gradients: Tensor, decay: float) -> Tensor:
    """Momentum of MI-FGSM (Dong et al. 2018, equation 6). All tensors (N, C, H, W).

    Divides by the mean absolute gradient instead of the sum: a constant factor, which the step's direction does not
    see, and with which the velocity is measured in pixels moved. A zero gradient adds nothing, where a bare division
    would make the velocity NaN for good.
    """
    scale = gradients.abs().mean(dim=(1, 2, 3), keepdim=True)
    return decay * velocity + gradients / torch.where(scale > 0, scale, 1.0).clamp_min(TINY**3)


@dataclass(frozen=True)
class Momentum:
    """MI: steps follow the decaying sum of normalized gradients."""

    decay: Annotated[float, Field(ge=0)] = 1.0
    """How much of the old velocity stays."""

    def start(self, images: Tensor) -> Tensor:
        """A velocity of zero."""
        return torch.zeros_like(images)

    def look_ahead(self, points: Tensor, memory: Tensor, reach: float) -> Tensor:
        """Gradients are taken where the samples are."""
        return points

    def __call__(self, gradients: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
        """See `GradientTransform`."""
        velocity = accumulate(memory, gradients, self.decay)
        return velocity, velocity


@dataclass(frozen=True)
class NesterovMomentum(Momentum):
    """NI: as MI, with the gradient taken where the velocity is about to lead."""

    def look_ahead(self, points: Tensor, memory: Tensor, reach: float) -> Tensor:
        """One step along the decayed velocity (Lin et al. 2020, equation 6), whose entries are about 1 in size."""
        return points + reach * self.decay * memory
