"""A suite with random weights in place of downloaded ones: to see that everything fits before anything is fetched."""

from __future__ import annotations

from harness.spec import ModelSpec

LIBRARIES = ("torchvision", "timm")


def without_weights(spec: ModelSpec) -> ModelSpec:
    """The model with random weights where a library has its network; models of other sources are left as they are."""
    source, _, name = spec.id.partition(":")
    if source == "ensemble":
        members = (without_weights(spec.model_copy(update={"id": id.strip()})).id for id in name.split("+"))
        return spec.model_copy(update={"id": f"ensemble:{'+'.join(members)}"})
    if source == "file" and spec.architecture and spec.architecture.partition(":")[0] in LIBRARIES:
        return spec.model_copy(update={"id": f"{spec.architecture}@none", "architecture": None})
    if source == "torchvision":
        return spec.model_copy(update={"id": f"{source}:{name.partition('@')[0]}@none"})
    if source == "timm":
        return spec.model_copy(update={"id": f"{source}:{name.partition('@')[0].partition('.')[0]}@none"})
    return spec
