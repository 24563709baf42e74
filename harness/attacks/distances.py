"""How far the nearest images lie that attacks find, as a measurement: no sample stops at its first success."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from harness.attacks import Model, Samples, Setting, fooled
from harness.attacks.slots import Stepper, fly
from harness.core.balls import ball_of


def smallest_distances(attack: Stepper[Any], model: Model, samples: Samples, setting: Setting) -> Tensor:
    """(M,) distances, float64, of what an attack proposes where it never stops early; infinite where none fools.

    Zero where the clean image fools the model.
    """
    setting = replace(setting, stop_when_fooled=False)
    smallest = torch.full(samples.classes.shape, torch.inf, dtype=torch.float64, device=samples.classes.device)
    for part in fly(attack, model, samples, setting):
        for points in (part.adversarial, samples.pixels(part.rows)):
            with torch.no_grad():
                success = fooled(model(points), samples.classes[part.rows], setting.threat, setting.slack)
            away = ball_of(setting.threat).distance(samples.pixels(part.rows), points)
            smallest[part.rows[success]] = away[success]
    return smallest
