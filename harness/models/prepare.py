"""The fast twin of a model, for crafting only. Judging always asks the original.

Its graph is rewritten (`harness.models.rewrite`), memory is laid out as the network likes it
(`harness.models.layout`), and passes run in bfloat16 on request. The twin is compared with the original on real images
first; one that deviates is not used.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Sequence
from itertools import product
from typing import NamedTuple

import torch
from torch import Tensor, nn

from harness.core.errors import in_one_line
from harness.core.precision import PassPrecision
from harness.core.tf32 import full_float32
from harness.models.answers import Answer, answer_of, gives_logits, with_gradient
from harness.models.classifier import Classifier, undisturbed
from harness.models.compiled import compile_passes
from harness.models.ensemble import Ensemble
from harness.models.layout import lay_out, layout_of
from harness.models.rewrite import rewrite

LARGEST_DEVIATION = {"float32": 1e-3, "tf32": 1e-2, "bfloat16": 5e-2}
"""Of a twin's logits, relative to the largest logit that matters; rounding gives about 1e-6 in float32, 5e-3 in
bfloat16, and on GPUs, where torch rounds float32 to TF32 unless told otherwise, an eighth of that."""

EXACT: PassPrecision = "float32"
"""In which a twin is held against the original; the last resort of all others."""

SAFETY = 4
"""How much more than on a few clean images a twin may deviate on adversarial ones."""

LARGEST_SLACK = 1.0
"""Of a twin in bfloat16, in leads of the top logit over the second one (a median image's): attacks must go that far
across a boundary to be sure of it. Trained networks have 0.03 to 0.3, untrained ones up to 0.8."""


class Prepared(NamedTuple):
    """A model to craft with."""

    model: nn.Module
    """Images (N, C, H, W) in [0, 1] to logits (N, K)."""
    slack: float
    """Largest difference between its logits and the original's on real images, with a safety factor."""
    folded: int
    """Number of BatchNorm layers folded away."""
    precision: PassPrecision
    """Of its passes."""
    steady: bool = False
    """Whether the original answers the same when it is asked again."""


class Twin(nn.Module):
    """A model in the memory layout in which it runs fastest, or contiguous, with its passes in a given precision."""

    def __init__(self, model: nn.Module, precision: PassPrecision, contiguous: bool) -> None:
        """The weights of `model` are laid out anew, in place."""
        super().__init__()
        device = next((tensor.device for tensor in (*model.parameters(), *model.buffers())), torch.device("cpu"))
        self.layout = torch.contiguous_format if contiguous else layout_of(model, device)
        lay_out(model, self.layout)
        self.model = model
        self.precision = precision

    def forward(self, images: Tensor) -> Tensor:
        """Logits of the images, in float32."""
        images = images.contiguous(memory_format=self.layout)
        if self.precision == "float32":
            logits: Tensor = self.model(images)
        else:
            with torch.autocast(images.device.type, dtype=torch.bfloat16):
                logits = self.model(images)
        return logits.float()


def prepare(
    classifier: Classifier, images: Tensor, precision: PassPrecision = "float32", compile_for: int | None = None
) -> Prepared:
    """A fast twin of `classifier` that agrees with it on `images` (N, C, H, W).

    With `compile_for`, batches of that many images are compiled, unless that fails or its answers deviate.

    The classifier is left as it is. A network that cannot be traced or whose twin answers otherwise is copied as it
    is; one that deviates in bfloat16 is used in float32; one that cannot be copied is used itself.
    """
    with undisturbed(classifier):
        try:
            twin = copy.deepcopy(classifier)
        except Exception:  # noqa: BLE001 - copying runs foreign code, which may raise anything
            return Prepared(classifier, 0.0, 0, "float32")
        with full_float32():
            expected = answer_of(classifier, images)
            steady = expected is not None and is_steady(expected)
            layouts = layouts_for(twin, images)
            folded = rewrite_faithfully(twin, images, expected, layouts) if expected and steady else 0
        # The fastest first.
        for passes, contiguous in product(dict.fromkeys((precision, EXACT)), layouts):
            fast = fast_twin(twin, passes, contiguous)
            answer = answer_of(fast, images)
            deviation = answer.difference(expected) if answer and expected else torch.inf
            if expected and deviation <= largest_deviation(expected, passes):
                prepared = Prepared(fast, SAFETY * deviation, folded, passes, steady)
                return compiled(prepared, images, expected, compile_for) if compile_for else prepared
    return Prepared(fast, 0.0, folded, EXACT, steady)


def layouts_for(twin: Classifier, images: Tensor) -> tuple[bool, ...]:
    """Whether a twin is to be contiguous, in the order of speed: networks that flatten with `view` run in no other way.

    Asked before the network is traced: traced ones print what they fail with.
    """
    return (False, True) if gives_logits(fast_twin(twin, EXACT, contiguous=False), images) else (True,)


def rewrite_faithfully(twin: Classifier, images: Tensor, expected: Answer, layouts: Sequence[bool]) -> int:
    """Rewrite a copy in place where it still answers as expected. Returns how many BatchNorm layers were folded away.

    A trace follows one pass. It loses what a network says about its backward pass (gradients of its own, `no_grad`,
    hooks), so gradients are compared too. It keeps random numbers and branches as they were: only of a steady network
    is it the whole truth.
    """
    faster = copy.deepcopy(twin)
    folded = rewrite(faster)
    answers = (answer_of(fast_twin(faster, EXACT, contiguous), images) for contiguous in layouts)
    if not any(is_faithful(answer, expected) for answer in answers):
        return 0
    twin.network = faster.network
    return folded


def is_steady(expected: Answer) -> bool:
    """Whether a model would answer the same again: it drew no random numbers, and did when it was asked twice."""
    return not expected.drew and expected.unrest <= largest_deviation(expected, EXACT)


def is_faithful(answer: Answer | None, expected: Answer) -> bool:
    """Whether an answer is the expected one but for rounding, its gradient included."""
    if answer is None or not answer.difference(expected) <= largest_deviation(expected, EXACT):
        return False
    return answer.has_gradient_of(expected)


def largest_deviation(expected: Answer, passes: PassPrecision) -> float:
    """How far a twin's logits may be from those of the original."""
    rounding = "tf32" if passes == EXACT and expected.logits.is_cuda else passes
    largest = LARGEST_DEVIATION[rounding] * expected.scale
    return largest if passes == EXACT else min(largest, LARGEST_SLACK * expected.lead / SAFETY)


def compiled(prepared: Prepared, images: Tensor, expected: Answer, size: int) -> Prepared:
    """The twin with compiled passes for batches of `size` images, where these answer as expected."""
    rows = torch.arange(size, device=images.device) % len(images)
    fast = compile_passes(prepared.model, size)
    try:
        logits, gradient = with_gradient(fast, images[rows])
    except Exception as error:  # noqa: BLE001 - compilers fail in many ways; what is not compiled is only slower
        warnings.warn(f"passes are not compiled: {in_one_line(error)}", stacklevel=2)
        return prepared
    answer = Answer(logits, logits, gradient, drew=False)
    wanted = Answer(expected.logits[rows], expected.logits[rows], expected.gradient[rows], expected.drew)
    deviation = answer.difference(wanted)
    same_gradient = prepared.precision != EXACT or answer.has_gradient_of(wanted)
    if deviation <= largest_deviation(expected, prepared.precision) and same_gradient:
        return prepared._replace(model=fast, slack=max(prepared.slack, SAFETY * deviation))
    return prepared


def fast_twin(classifier: Classifier, precision: PassPrecision, contiguous: bool) -> nn.Module:
    """The twin of a rewritten copy; of an ensemble, the ensemble of its members' twins."""
    network = classifier.network
    if isinstance(network, Ensemble):
        return Ensemble([Twin(member, precision, contiguous) for member in network.members], network.fuse)
    return Twin(classifier, precision, contiguous)
