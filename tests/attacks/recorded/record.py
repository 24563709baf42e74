"""Record what the official AutoAttack package finds on the small problem.

    python -m tests.attacks.recorded.record COMMIT

Needs the extra `autoattack`; COMMIT is the package's, and stands in the record.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch

from harness.core.threat import Norm
from tests.attacks.recorded.problem import EPSILONS, QUERIES, problem

FILE = Path(__file__).with_name("official_autoattack.json")

MEMBERS = ("apgd-ce", "apgd-dlr", "apgd-t", "fab-t", "square")

NORMS: dict[Norm, str] = {"linf": "Linf", "l2": "L2", "l1": "L1"}


def survivors(norm: Norm, attacks: list[str]) -> list[int]:
    """The samples that survive some attacks of the standard ensemble, run one after the other."""
    from autoattack import AutoAttack

    network, samples = problem()
    attack = AutoAttack(network, norm=NORMS[norm], eps=EPSILONS[norm], seed=0, verbose=False, device="cpu")
    attack.attacks_to_run = attacks
    attack.square.n_queries = QUERIES
    adversarial = attack.run_standard_evaluation(samples.images, samples.classes, bs=len(samples))
    with torch.no_grad():
        robust = network(adversarial).argmax(1) == samples.classes
    return [int(row) for row in robust.nonzero()]


def main(commit: str) -> None:
    """Write the record."""
    found = {
        norm: {
            "epsilon": EPSILONS[norm],
            **{member: survivors(norm, [member]) for member in MEMBERS},
            "standard": survivors(norm, ["apgd-ce", "apgd-t", "fab-t", "square"]),
        }
        for norm in NORMS
    }
    provenance = {
        "package": "https://github.com/fra31/auto-attack", "commit": commit, "seed": 0, "torch": torch.__version__,
        "what": "samples that survive, of the problem in problem.py",
    }  # fmt: skip
    FILE.write_text(json.dumps({"provenance": provenance, **found}) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
