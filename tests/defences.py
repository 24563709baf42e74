"""A zoo of broken defences around a sound network, with the flags that each must raise and no others.

They can be named in suites as `python:tests.defences:<class>`.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

import harness

SOUND = "zoo:digits-resnet8-bn"


def bright(images: Tensor) -> Tensor:
    """(N, 1, 1, 1) whether the middle is."""
    return images[:, :, 4:5, 4:5] > 0.7


class Defence(nn.Module):
    """Logits of a sound network for images (N, 1, 8, 8)."""

    def __init__(self) -> None:
        super().__init__()
        self.network = harness.load_model(SOUND)

    def forward(self, images: Tensor) -> Tensor:
        return self.network(images)  # type: ignore[no-any-return]


class Detached(Defence):
    """Kills the gradient."""

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images.detach())


class ThroughNumpy(Defence):
    """Leaves torch on the way, which raises an error as soon as a gradient is asked for."""

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(torch.from_numpy(images.numpy().copy()))


class Rounded(Defence):
    """Eight grey levels: the gradient is zero almost everywhere."""

    def forward(self, images: Tensor) -> Tensor:
        return super().forward((7 * images).round() / 7)


class PartlyRounded(Defence):
    """Rounds bright images only."""

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(torch.where(bright(images), (7 * images).round() / 7, images))


class Clamped(Defence):
    """Lets nothing through that is not in [0, 1], and no gradient at its ends."""

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images.clamp(0, 1))


class Rectified(Defence):
    """The same at black pixels alone."""

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images.relu())


class Softmax(Defence):
    """Probabilities in place of logits."""

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images).softmax(1)


class OverConfident(Defence):
    """A low temperature: cross-entropy and its gradient underflow."""

    def forward(self, images: Tensor) -> Tensor:
        return 1e4 * super().forward(images)


class Noisy(Defence):
    """Random noise on every image."""

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images + 0.02 * torch.randn_like(images))


class SeldomNoisy(Defence):
    """Random noise on one image of four, from a generator that nobody else can seed."""

    def __init__(self) -> None:
        super().__init__()
        self.seed = 0

    def forward(self, images: Tensor) -> Tensor:
        self.seed += 1
        generator = torch.Generator().manual_seed(self.seed)
        chosen = torch.rand(len(images), 1, 1, 1, generator=generator) < 0.25
        return super().forward(images + 0.1 * chosen * torch.randn(images.shape, generator=generator))


class Drifting(Defence):
    """Every pass moves a buffer, which moves the logits."""

    drift: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("drift", torch.ones(()))

    def forward(self, images: Tensor) -> Tensor:
        self.drift.add_(0.01)
        return super().forward(images) * self.drift.clone()


class Replacing(Drifting):
    """The same with a new buffer in place of the old one."""

    def forward(self, images: Tensor) -> Tensor:
        self.drift = self.drift + 0.01
        return Defence.forward(self, images) * self.drift


class Adapting(Defence):
    """Every pass changes a parameter by what it sees."""

    def __init__(self) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(()))

    def forward(self, images: Tensor) -> Tensor:
        with torch.no_grad():
            self.shift.data = 0.9 * self.shift + 0.1 * images.mean()
        return super().forward(images - 0.1 * self.shift.detach())


class Counting(Defence):
    """A buffer counts passes: a change of state that changes no logit."""

    passes: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("passes", torch.zeros((), dtype=torch.long))

    def forward(self, images: Tensor) -> Tensor:
        self.passes += 1
        return super().forward(images)


class NoisyCounting(Counting):
    """Random noise, and a count of passes that changes nothing."""

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images + 0.02 * torch.randn_like(images))


class NoisyDrifting(Drifting):
    """Random noise, and a drift besides."""

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images + 0.02 * torch.randn_like(images))


class Coarse(Defence):
    """Computes in bfloat16: rounding, but nothing else."""

    def forward(self, images: Tensor) -> Tensor:
        with torch.autocast(images.device.type, dtype=torch.bfloat16):
            return super().forward(images)


class SometimesNotANumber(Defence):
    """NaN for bright images."""

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images).masked_fill(bright(images).flatten(1), torch.nan)


class RootAtZero(Defence):
    """An infinite slope where a pixel is black."""

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images.sqrt().square())


class BatchStatistics(Defence):
    """BatchNorm in train mode, whatever mode it is put in."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(1))
        self.register_buffer("var", torch.ones(1))

    def forward(self, images: Tensor) -> Tensor:
        normalized = functional.batch_norm(images, self.mean, self.var, training=True)  # type: ignore[arg-type]
        return super().forward(0.3 + 0.4 * normalized)


class Decoy(Defence):
    """Lures gradients to a corner that decides nothing: no pass looks wrong, and only attacks without them succeed."""

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images.detach()) + 1e-3 * images[:, :, 0, 0] * torch.arange(10)


MODEL_FLAGS: dict[type[Defence], set[str]] = {
    Defence: set(),
    Detached: {"hidden_gradient"},
    ThroughNumpy: {"hidden_gradient"},
    Rounded: {"hidden_gradient"},
    PartlyRounded: {"hidden_gradient"},
    Clamped: {"clipped_gradient"},
    Rectified: {"clipped_gradient"},
    Softmax: {"probability_outputs"},
    OverConfident: {"saturated_loss"},
    Noisy: {"nondeterministic"},
    SeldomNoisy: {"nondeterministic"},
    Drifting: {"dynamic"},
    Replacing: {"dynamic"},
    Adapting: {"dynamic"},
    Counting: set(),
    NoisyCounting: {"nondeterministic"},
    NoisyDrifting: {"nondeterministic", "dynamic"},
    Coarse: set(),
    SometimesNotANumber: set(),
    RootAtZero: {"nonfinite_gradient"},
    BatchStatistics: {"batch_dependent"},
    Decoy: set(),
}
"""What the examination of each must find on clean images, and all that it may find."""
