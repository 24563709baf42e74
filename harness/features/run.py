"""`harness extract NAME`: from a card to a feature set in the store."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from safetensors.torch import save_file

from harness.core.cards import file_sha256, find_card, write_result
from harness.core.whole import written_whole
from harness.data import fingerprint
from harness.data.feature_card import feature_cards, features_file, features_folder, read_feature_card
from harness.environment import device_name
from harness.features.cards import check_sources, check_writable, is_finished, load_source
from harness.features.extraction import Extraction, start
from harness.features.shards import WAY_ON, Shard, Shards, Timed
from harness.models import load_model

BATCH_SIZE = 250
"""Images at a time; a kill costs at most one batch."""


def extract(
    name: str,
    *,
    device: str = "cpu",
    batch_size: int = BATCH_SIZE,
    limit: int | None = None,
    force: bool = False,
    quiet: bool = False,
) -> dict[str, Any]:
    """Extract a card's feature set, write it into the store and what was measured into the card, and return that.

    A finished set is left alone unless `force`, or its source or network are others now; an interrupted one goes on
    from its last batch. With `limit`, only the first images are made, for a try: neither set nor card is written, but a
    later run goes on from them.

    Raises:
        HarnessError: for an unknown card, missing data or weights, a network that does not fit, or a folder that
            cannot be written to.
    """
    path = find_card(name, feature_cards(), "feature set")
    card, console = read_feature_card(path), Console(stderr=True, quiet=quiet, highlight=False, soft_wrap=True)
    check_sources(path, card)
    source, classifier = load_source(card), load_model(card.model)
    described = {
        "question": card.question,
        "source": source.name,
        "source_fingerprint": source.fingerprint,
        "model_fingerprint": classifier.fingerprint,
        # Where an image's logits depend on its batch, another size makes other images.
        **({"batch_size": batch_size} if classifier.batch_dependent else {}),
    }
    if limit is None and not force and is_finished(path, card, described):
        console.print(f"{path.stem} is extracted already ({features_file(path)}); --force extracts it anew")
        return card.result
    check_writable(path, card_too=limit is None)
    shards = Shards(shards_folder(path, described))
    extraction = start(card, classifier, source, torch.device(device))
    batches = batches_of(len(source.labels) if limit is None else min(limit, len(source.labels)), batch_size)
    whole, seconds = extract_with_progress(extraction, batches, shards, path.stem, console)
    result = {**measured(whole), "seconds": round(seconds, 1), **described, **machine(device)}
    if limit is not None:
        return result
    file = features_file(path)
    write_features(file, whole, source.classes)
    result = {"sha256": file_sha256(file), "fingerprint": fingerprint_of(whole), **result}
    write_result(path, result, "extract")
    shutil.rmtree(shards.folder)
    return result


def shards_folder(path: Path, described: dict[str, Any]) -> Path:
    """Where finished batches are kept. A changed card, other images or another network have another folder."""
    digest = hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()
    return features_folder() / "partial" / f"{path.stem}-{digest[:12]}"


def batches_of(images: int, batch_size: int) -> list[range]:
    """The rows of every batch."""
    return [range(first, min(first + batch_size, images)) for first in range(0, images, batch_size)]


def extract_with_progress(
    extraction: Extraction, batches: list[range], shards: Shards, name: str, console: Console
) -> tuple[Shard, float]:
    """All batches, read or computed, and the seconds that computing them took in all runs.

    With a bar on terminals, and a line whenever another tenth of the images is there.
    """
    steps, images = extraction.card.descent.steps, batches[-1].stop
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("image steps"),
        TimeElapsedColumn(), TextColumn("eta"), TimeRemainingColumn(),
    )  # fmt: skip
    finished = {rows: timed for rows in batches if (timed := shards.read(rows))}
    missing = [rows for rows in batches if rows not in finished]
    with Progress(*columns, console=console, disable=not console.is_terminal or console.quiet) as progress:
        task = progress.add_task(name, total=steps * sum(map(len, missing)))
        for rows in missing:
            begin = time.perf_counter()
            shard = extraction.batch(rows, lambda count: progress.advance(task, count))
            finished[rows] = Timed(shard, time.perf_counter() - begin)
            shards.write(rows, finished[rows])
            if 10 * rows.stop // images > 10 * rows.start // images:
                reached = torch.cat([timed.shard.kept for timed in finished.values()]).double().mean()
                console.print(
                    f"{name}  {rows.stop}/{images} images  label reached by {reached:.1%}  "
                    f"{1000 * finished[rows].seconds / len(rows):.1f} s per 1000 images"
                )
    return Shard.join([finished[rows].shard for rows in batches]), sum(timed.seconds for timed in finished.values())


def measured(whole: Shard) -> dict[str, Any]:
    """What a card says about the images; everything but `label_lost_to_rounding` and distances is of them as kept."""
    return {
        "images": len(whole.labels),
        "label_reached": whole.kept.double().mean().item(),
        "label_lost_to_rounding": int((whole.crafted & ~whole.kept).sum()),
        "mean_objective_at_start": whole.begin.double().mean().item(),
        "mean_objective": whole.end.double().mean().item(),
        "mean_distance": whole.distances.mean().item(),
        "largest_distance": whole.distances.max().item(),
    }


def machine(device: str) -> dict[str, str]:
    """Where a set was made."""
    return {"device": device_name(device), "torch": torch.__version__}


def write_features(file: Path, whole: Shard, classes: tuple[str, ...]) -> None:
    """Write images, labels and starts, whole or not at all. The same set gives the same bytes."""
    file.parent.mkdir(parents=True, exist_ok=True)
    tensors = {"images": whole.images, "labels": whole.labels, "starts": whole.starts}
    with written_whole(file, WAY_ON) as temporary:
        # One entry only: safetensors writes several in any order.
        save_file(tensors, temporary, metadata={"harness": json.dumps({"classes": classes})})


def fingerprint_of(whole: Shard) -> str:
    """The fingerprint of the set as it will be loaded."""
    images, labels = whole.images.float().numpy(), whole.labels.numpy()
    return fingerprint(images, labels, np.arange(len(labels)))
