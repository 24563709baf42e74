"""The curve of a training as a picture: loss, and accuracies while training and on the test set."""

from __future__ import annotations

from pathlib import Path

from harness.train.checkpoint import Epoch

INK, GREY, BLUE = "#2b3138", "#9aa5b1", "#1f5f8b"


def write_curve(card_path: Path, history: list[Epoch]) -> Path:
    """Draw a training's epochs as `curves/NAME.svg` in the folder of its card."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    epochs = [epoch.epoch for epoch in history]
    figure = Figure(figsize=(7, 3.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot(epochs, [epoch.loss for epoch in history], color=INK)
    left.set_title("training loss", loc="left", fontsize=10, color=INK)
    right.plot(epochs, [100 * epoch.train_accuracy for epoch in history], color=GREY, label="training images")
    right.plot(epochs, [100 * epoch.test_accuracy for epoch in history], color=BLUE, label="test images")
    right.set_title("accuracy (%)", loc="left", fontsize=10, color=INK)
    right.legend(frameon=False, fontsize=8)
    for axes in (left, right):
        axes.set_xlabel("epoch", fontsize=9)
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=8)
    figure.suptitle(card_path.stem, x=0.01, ha="left", fontsize=11, color=INK)
    path = card_path.parent / "curves" / f"{card_path.stem}.svg"
    path.parent.mkdir(exist_ok=True)
    with mpl.rc_context({"svg.hashsalt": "harness"}):
        figure.savefig(path, format="svg", metadata={"Date": None})
    return path
