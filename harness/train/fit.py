"""Whether a card's network and its data fit, asked before hours are spent."""

from __future__ import annotations

import torch
from torch import Tensor

from harness.attacks import as_float
from harness.core.errors import HarnessError, in_one_line
from harness.data import Dataset, numbered
from harness.models.card import Card
from harness.models.classifier import Classifier, undisturbed
from harness.train.changes import set_training_mode


def check_fit(card: Card, classifier: Classifier, train_set: Dataset, test_set: Dataset) -> None:
    """Raise HarnessError unless both sets have the same classes and the network can take their images."""
    shape = card.architecture
    for data in (train_set, test_set):
        if data.images.shape[1] != shape.channels:
            raise HarnessError(
                f"architecture.channels = {shape.channels}, but the images of {data.name} have {data.images.shape[1]}"
            )
        if len(data.classes) > shape.classes:
            raise HarnessError(f"architecture.classes = {shape.classes}, but {data.name} has {len(data.classes)}")
    check_classes(train_set, test_set)
    with undisturbed(classifier):
        # BatchNorm cannot train on a single number per channel: it is the smallest batch that may fail.
        smallest = len(train_set.labels) % card.recipe.batch_size or card.recipe.batch_size
        set_training_mode(classifier, card.recipe.changes)
        check_pass(classifier, train_set, smallest)
        classifier.eval()
        check_pass(classifier, test_set, 1)


def check_classes(train_set: Dataset, test_set: Dataset) -> None:
    """Raise HarnessError when the n-th class of one set is another one in the other."""
    trained, tested = train_set.classes, test_set.classes
    if trained == tested or (numbered(trained) and numbered(tested)):
        return
    # Names cannot be held against numbers, which files without names have instead.
    if (numbered(trained) or numbered(tested)) and len(trained) == len(tested) and set(trained).isdisjoint(tested):
        return
    extra = sorted(set(trained) ^ set(tested))
    which = f"only one of them has {', '.join(extra[:5])}" if extra else "their order differs"
    raise HarnessError(
        f"the classes of {train_set.name} and {test_set.name} are not the same: {which}.\n"
        "     the network knows them by number; in folders, an empty one keeps the number of a class without images"
    )


@torch.no_grad()
def check_pass(classifier: Classifier, data: Dataset, count: int) -> None:
    """Show the network some images. Raises HarnessError when it cannot take them."""
    images: Tensor = as_float(torch.from_numpy(data.images[:count]).to(classifier.mean.device))
    try:
        classifier(images)
    except Exception as error:  # noqa: BLE001 - whatever torch's layers make of shapes that they cannot use
        size = "x".join(map(str, images.shape[2:]))
        raise HarnessError(
            f"the network cannot take a batch of {len(images)} images of {data.name}, {size}: {in_one_line(error)}"
        ) from None
