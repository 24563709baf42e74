"""Random weights in place of others: to see that everything fits before anything is fetched or trained."""

from __future__ import annotations

from harness.spec import ModelSpec

LIBRARIES = ("torchvision", "timm")


def without_weights(spec: ModelSpec, sources: tuple[str, ...] = LIBRARIES) -> ModelSpec:
    """The model with random weights where one of `sources` has its network; other models are left as they are."""
    source, _, name = spec.id.partition(":")
    if source == "ensemble":
        members = (without_weights(spec.model_copy(update={"id": id.strip()}), sources).id for id in name.split("+"))
        return spec.model_copy(update={"id": f"ensemble:{'+'.join(members)}"})
    if source == "file" and spec.architecture and spec.architecture.partition(":")[0] in sources:
        return spec.model_copy(update={"id": f"{spec.architecture}@none", "architecture": None})
    if source in sources:
        network = name.partition("@")[0]
        if source == "timm":
            network = network.partition(".")[0]
        return spec.model_copy(update={"id": f"{source}:{network}@none"})
    return spec
