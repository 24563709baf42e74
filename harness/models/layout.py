"""In which memory layout a network runs fastest, and runs at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from harness.models.state import State

if TYPE_CHECKING:
    from harness.models.classifier import Classifier

SAFE_INPUTS = 8
"""Inputs from which a strided 1x1 convolution may be laid out channels-last on CPUs."""


def layout_of(network: nn.Module, device: torch.device | str) -> torch.memory_format:
    """Channels-last, in which convolutions run faster; contiguous for networks that CPUs run faster or only there.

    On CPUs, group and instance norms take several times longer in channels-last memory, and more than convolutions
    gain; a group norm over all channels at once does not.
    """
    if torch.device(device).type == "cpu" and any(_prefers_contiguous(module) for module in network.modules()):
        return torch.contiguous_format
    return torch.channels_last


def logits_of(model: Classifier, images: Tensor) -> Tensor:
    """Logits (N, K) of images (N, C, H, W), laid out as the model likes them: about a tenth faster on CPUs.

    A network that takes its activations for contiguous ones (`x.view(len(x), -1)`) fails on others. Its first images
    show that; what the failed pass changed is put back, and from then on images of this shape are contiguous.
    """
    kind = (images.device.type, *images.shape[1:])
    layout = model._layouts.get(kind) or layout_of(model, images.device)
    arranged = images.contiguous(memory_format=layout)
    if kind in model._layouts or arranged.is_contiguous():
        logits: Tensor = model(arranged)
        return logits
    buffers, generators = State(model, parameters=False), (torch.get_rng_state(), torch.cuda.get_rng_state_all())
    try:
        logits = model(arranged)
    except (torch.OutOfMemoryError, MemoryError):
        raise
    except Exception:  # noqa: BLE001 - a forward pass may be the user's code, which may raise anything
        buffers.put_back()
        torch.set_rng_state(generators[0])
        torch.cuda.set_rng_state_all(generators[1])
        layout = torch.contiguous_format
        logits = model(images.contiguous())
    model._layouts[kind] = layout
    return logits


def lay_out(network: nn.Module, layout: torch.memory_format) -> None:
    """Lay out the weights of a network anew, in place; those that are no convolutions over images stay as they are."""
    # Not `network.to(memory_format=...)`, which fails on weights of five dimensions (dynamic convolutions, lambdas).
    network._apply(lambda tensor: tensor.to(memory_format=layout) if tensor.dim() == 4 else tensor)


def _prefers_contiguous(module: nn.Module) -> bool:
    if isinstance(module, nn.GroupNorm):
        return module.num_groups > 1
    if isinstance(module, nn.Conv2d):
        return _corrupts_memory(module)
    return isinstance(module, nn.InstanceNorm2d)


def _corrupts_memory(layer: nn.Conv2d) -> bool:
    """Whether a convolution's backward pass writes beyond its memory on CPUs when it is laid out channels-last.

    Those of `Conv2d(C, 2 * C, 1, stride=2)` do with 2 to 6 inputs, on images of 8x8: torch 2.15 ends with
    "corrupted double-linked list" or a segmentation fault within 60 of them. With 1, 7 and 8 inputs none did.
    """
    strided = max(layer.stride) > 1 and tuple(layer.kernel_size) == (1, 1)
    return strided and layer.in_channels < SAFE_INPUTS
