"""Laboratories of suites that print the papers' tables, with outcomes that can be counted."""

from __future__ import annotations

from pathlib import Path

from harness.report import Report, render
from harness.spec import TableSpec

from .lab import Lab

IMAGES = 20
TARGETS = ("alexnet", "vgg16-bn", "resnet50", "densenet", "resnext", "wrn")
SOURCES = ("vgg16-bn", "vgg16-none", "resnet18-bn", "resnet18-none")
L2, LINF = ("l2", 0.25, "L2 0.25"), ("linf", 1 / 255, "L∞ 1/255")


def wrong(count: int) -> list[bool]:
    """Outcomes of 20 images of which some are wrong."""
    return [False] * count + [True] * (IMAGES - count)


def successes(source: str, target: str) -> int:
    """Of 20 images: sources without BN fool two more; the white-box target falls for all; AlexNet resists."""
    if source == target:
        return IMAGES
    return (6 if target == "alexnet" else 14) + (2 if source.endswith("none") else 0)


def transfer_lab(path: Path, targets: tuple[str, ...] = TARGETS, keep: str = "all") -> Lab:
    """Table 4 of benz2021: I- and MI-FGSM from two networks with BN and without. Every model gets two images wrong."""
    lab = Lab(path)
    data = lab.data("Cifar (JPEG)", samples=IMAGES, keep=keep, dataset="cifar10", note="re-encoded as JPEG")
    for network, label in (("vgg16", "VGG16"), ("resnet18", "ResNet18")):
        for norm in ("bn", "none"):
            lab.model(f"{network}-{norm}", label=label, norm=norm, paper={"note": "width 16"})
    for name in ("alexnet", "resnet50", "densenet", "resnext", "wrn"):
        lab.model(name, label=name.upper())
    lab.called("I", attack="i-fgsm")
    lab.called("MI", attack="mi-fgsm")
    for model in list(lab.models):
        lab.judge_clean(model.name, wrong(2), data=data)
    for attack in ("I", "MI"):
        for source in SOURCES:
            for target in targets:
                lab.attack(source, target, wrong(successes(source, target)), attack, data=data, mode="transfer")
    return lab


def whitebox_lab(path: Path) -> Lab:
    """CIFAR10, VGG11 of Tables 1, 2 and 10 of benz2021: PGD under two budgets, FGSM under another."""
    lab = Lab(path)
    data = lab.data("Cifar", samples=IMAGES, dataset="cifar10")
    lab.called("PGD-20", attack="pgd")
    lab.called("FGSM", attack="fgsm")
    for norm, clean, attacked in (("none", 4, 10), ("bn", 2, 15)):
        name = lab.model(f"vgg11-{norm}", label="VGG-11", norm=norm)
        lab.judge_clean(name, wrong(clean), data=data)
        lab.attack(name, name, wrong(attacked), "PGD-20", L2, data=data)
        lab.attack(name, name, wrong(attacked + 3), "PGD-20", LINF, data=data)
        lab.attack(name, name, wrong(5), "FGSM", ("linf", 4 / 255, "L∞ 4/255"), data=data)
    return lab


def report(lab: Lab, *tables: TableSpec) -> Report:
    """The report of a suite with these tables."""
    return render(lab.suite(*tables), lab.cells(), lab.store)


def awais_lab(path: Path) -> Lab:
    """A table whose groups have headings of their own."""
    lab = Lab(path)
    data = lab.data("Cifar", samples=IMAGES, dataset="cifar10")
    lab.called("BIM", attack="bim")
    lab.model("p", label="ResNet20")
    lab.judge_clean("p", wrong(1), data=data)
    lab.attack("p", "p", wrong(12), "BIM", ("linf", 0.02, "L∞ 0.02"), data=data)
    return lab
