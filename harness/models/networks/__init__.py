"""Networks for small images. A network is a registered callable that takes classes, channels, norm and width."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from harness.core.registry import Registry

NETWORKS: Registry[Callable[..., nn.Module]] = Registry("network", package=__name__)
