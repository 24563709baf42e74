"""Several models that answer as one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.core.errors import HarnessError, did_you_mean
from harness.models import MODEL_SOURCES, load_model
from harness.models.classifier import Classifier, Provenance
from harness.models.ensemble import FUSIONS, Ensemble


@MODEL_SOURCES.register("ensemble")
def from_ensemble(name: str, *, arguments: Mapping[str, Any] | None = None) -> Classifier:
    """ensemble:ID+ID - several models as one; arguments = { fuse = "logits" }, or "probabilities" or "loss".

    Raises:
        HarnessError: for a member that cannot be loaded, fewer than two of them, one given twice, members for images
            of different sizes, and an unknown fusion.
    """
    where = f"ensemble:{name}"
    given = dict(arguments or {})
    fuse = given.pop("fuse", "logits")
    if given:
        raise HarnessError(f"{where}: there is no argument {', '.join(given)}; an ensemble takes fuse")
    if fuse not in FUSIONS:
        raise HarnessError(f'{where}: fuse "{fuse}" is unknown.\n     {did_you_mean(str(fuse), FUSIONS)}')
    ids = [part.strip() for part in name.split("+")]
    if len(ids) < 2 or len(set(ids)) < len(ids):
        raise HarnessError(f"{where}: an ensemble needs two or more different models; write ensemble:ID+ID")
    members = [load_model(id) for id in ids]
    sizes = {member.input_size for member in members if member.input_size}
    if len(sizes) > 1:
        texts = " and ".join(f"{height}x{width}" for height, width in sorted(sizes))
        raise HarnessError(f"{where}: its members take images of {texts} pixels; they must share one size")
    provenance = Provenance(
        where,
        random_weights=any(member.provenance.random_weights for member in members),
        details={
            "members": [{"id": member.provenance.id, **member.provenance.details} for member in members],
            "arguments": {"fuse": fuse, "members": [member.fingerprint for member in members]},
        },
    )
    geometries = {member.geometry for member in members if member.geometry}
    return Classifier(
        Ensemble(members, fuse), provenance,
        input_size=next(iter(sizes), None), geometry=geometries.pop() if len(geometries) == 1 else None,
    )  # fmt: skip
