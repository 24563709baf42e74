"""Networks for small images, of 28 and 32 pixels above all.

A network is a registered callable that takes classes, channels, norm and width (channels of the first stage, by default
those of the paper), and where it can activation and shortcut. Its listing (`repr`) and tensors are the fingerprint of a
trained model: whatever changes what it computes must show there.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from harness.core.registry import Registry

NETWORKS: Registry[Callable[..., nn.Module]] = Registry("network", package=__name__)
