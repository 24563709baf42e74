"""The model contract: images (N, C, H, W) in [0, 1] to logits (N, K), everything else inside."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Self

import torch
from torch import Tensor, nn

from harness.core.geometry import Geometry
from harness.models.census import NormCensus, take_census
from harness.models.contents import contents
from harness.models.state import State
from harness.models.views import depends_on_batch

_ADDRESS = re.compile(r" at 0x[0-9a-f]+")
"""In a listing, of a function that a layer shows; another one in every process."""

FOLDED = "folded_layers"
"""Detail of the provenance: how many BatchNorm layers the view bn = "folded" folded away."""

FINGERPRINTED_DETAILS = ("source_sha256", "arguments", "view", "factory", "attributes_sha256")
"""Details of the provenance that change what a network computes without showing in its layers or state."""


@dataclass(frozen=True)
class Provenance:
    """Where a model came from."""

    id: str
    """The id it was asked for by, such as "torchvision:vgg19@IMAGENET1K_V1"."""
    random_weights: bool = False
    """True when the weights were never trained; every report marks such models."""
    details: dict[str, Any] = field(default_factory=dict)
    """What the source knows: weights file and its sha256, package versions, recipe."""


class Classifier(nn.Module):
    """A network with its standardization inside, in eval mode, that asks for no parameter gradients.

    Images are (N, C, H, W) float32 in [0, 1]; logits are (N, K) float32. The network is taken over, not copied: a
    source whose network may be in use elsewhere hands in a copy of it.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        network: nn.Module,
        provenance: Provenance,
        *,
        mean: tuple[float, ...] = (0.0,),
        std: tuple[float, ...] = (1.0,),
        input_size: tuple[int, int] | None = None,
        geometry: Geometry | None = None,
    ) -> None:
        """`mean` and `std` are per channel, or one number for all.

        `input_size` is (H, W) where it matters, `geometry` how image files are made into such images, where known; one
        for images of another size than `input_size` is none.
        """
        super().__init__()
        self.network = network
        self.provenance = provenance
        self._input_size = input_size
        self.geometry = geometry
        """How image files become its input by its own evaluation rule; None where it has none."""
        if geometry and input_size not in (None, (geometry.height, geometry.width)):
            self.geometry = None
        self.recomputed: frozenset[str] = frozenset()
        """Buffers that follow from the rest and from what the provenance says; no part of the fingerprint."""
        self._layouts: dict[tuple[object, ...], torch.memory_format] = {}
        """In which it is known to answer, by device and shape of its images (`harness.models.layout`)."""
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1))
        self.eval()
        self.requires_grad_(False)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, K) float32 of images (N, C, H, W) in [0, 1]."""
        logits: Tensor = self.network((images - self.mean) / self.std)
        # What is no tensor is for whoever asked to complain about.
        return logits.float() if isinstance(logits, Tensor) else logits

    def _apply(self, fn: Callable[..., Any], recurse: bool = True) -> Self:
        """What torch moves and converts a module with; here also tensors that layers keep as plain attributes."""
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        for part in self.network.modules():
            for key, value in vars(part).items():
                if isinstance(value, Tensor):
                    vars(part)[key] = fn(value.detach())
        return self

    @property
    def input_size(self) -> tuple[int, int] | None:
        """(H, W) of its images, where that matters."""
        return (self.geometry.height, self.geometry.width) if self.geometry else self._input_size

    @property
    def census(self) -> NormCensus:
        """Which normalization layers the network has, those that a view folded away included."""
        census = take_census(self.network)
        return census._replace(bn=census.bn + int(self.provenance.details.get(FOLDED, 0)))

    @property
    def batch_dependent(self) -> bool:
        """Whether its layers make an image's logits depend on the other images of the batch."""
        return depends_on_batch(self.network)

    @property
    def parameter_count(self) -> int:
        """Number of parameters."""
        return sum(parameter.numel() for parameter in self.network.parameters())

    @property
    def fingerprint(self) -> str:
        """sha256 over architecture, standardization, every parameter and buffer, the view, and what a source adds."""
        digest = hashlib.sha256(_ADDRESS.sub("", repr(self.network)).encode())
        for key in FINGERPRINTED_DETAILS:
            if detail := self.provenance.details.get(key):
                digest.update(json.dumps({key: detail}, sort_keys=True, default=str).encode())
        for name, value in sorted(self.state_dict().items()):
            if name not in self.recomputed:
                for part in contents(name, value):
                    digest.update(part)
        return digest.hexdigest()


@contextmanager
def undisturbed(module: nn.Module) -> Iterator[None]:
    """Put back everything that running a model can change about it, and the global random state.

    Restored on leaving: train or eval mode of every submodule, `requires_grad` and `grad` of every parameter, the
    values of every buffer (BatchNorm's running statistics among them), and the generators of CPU and GPUs.
    """
    modes = [(part, part.training) for part in module.modules()]
    flags = [(parameter, parameter.requires_grad, parameter.grad) for parameter in module.parameters()]
    buffers = State(module, parameters=False)
    # Every GPU, because seeding torch seeds them all; named, because torch warns where there are many.
    with torch.random.fork_rng(range(torch.cuda.device_count()), device_type="cuda"):
        try:
            yield
        finally:
            for part, training in modes:
                part.training = training
            for parameter, requires_grad, grad in flags:
                parameter.requires_grad_(requires_grad)
                parameter.grad = grad
            buffers.put_back()
