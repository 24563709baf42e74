"""Jobs: work that one process does in one go, and the questions that it answers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.attacks import Setting, compares_scores
from harness.attacks.versions import version_of
from harness.cells import CLEAN, Cell
from harness.core.errors import HarnessError
from harness.core.precision import Precision, stages
from harness.crafting import CraftJob
from harness.data import ChosenImages, Dataset
from harness.models.carried import POLICY
from harness.plan.attacks import Crafting
from harness.plan.job import Job
from harness.plan.models import PlannedModel
from harness.plan.sections import Section, taking_part
from harness.spec import Suite
from harness.store import CARRIED, Question

PASS_FACTOR = 3.0
"""Cost of a forward-and-backward pass in forward passes."""


def in_running_order(jobs: Iterable[Job], models: Iterable[str]) -> list[Job]:
    """By data set: clean predictions first, then all attacks on one model before those on the next, which stays loaded.

    Args:
        jobs: in the order of the suite, data set by data set.
        models: their names, in the order of the suite.
    """
    jobs, places = list(jobs), {name: place for place, name in enumerate(models)}
    datasets = list(dict.fromkeys(job.dataset for job in jobs))
    return sorted(
        jobs, key=lambda job: (datasets.index(job.dataset), 0 if job.craft is None else 1 + places[job.surrogate])
    )


@dataclass(frozen=True)
class JobMaker:
    """Makes the jobs of a suite on one data set."""

    suite: Suite
    label: str
    """The data set's."""
    images: ChosenImages
    models: Mapping[str, PlannedModel]

    def data(self, name: str) -> Dataset:
        """The images as a model is given them."""
        return self.images.at(self.models[name].geometry)

    def jobs(self, sections: Sequence[Section]) -> Iterator[Job]:
        """Clean predictions of every model that takes part, then one job per crafting."""
        for name in taking_part(sections, self.models):
            yield self.clean(name, name)
        yield from self._carried_jobs(sections)
        for section in sections:
            for seed in self.suite.seeds:
                for crafting in section.craftings:
                    for surrogate in section.surrogates:
                        yield self.craft(section, crafting, surrogate, seed)

    def _carried_jobs(self, sections: Sequence[Section]) -> Iterator[Job]:
        """Clean predictions of targets on the images of surrogates, where these are not their own."""
        seen = set[str]()
        for section in sections:
            for surrogate in section.surrogates:
                for target in section.targets if section.mode == "transfer" else ():
                    if self.data(surrogate) is self.data(target):
                        continue
                    job = self.clean(surrogate, target)
                    if job.cells[0].id not in seen:
                        seen.add(job.cells[0].id)
                        yield job

    def clean(self, surrogate: str, target: str) -> Job:
        """The clean predictions of a model on images in the geometry of another, or its own."""
        model, question = self.models[target], self._clean_question(surrogate, target)
        cell = Cell(
            id=question.id, mode="clean", attack=CLEAN, threat="", norm="", epsilon=0.0, dataset=self.label,
            seed=self.suite.seeds[0], surrogate=surrogate, target=target,
        )  # fmt: skip
        seconds, fixed = len(self.images) * model.seconds_per_image, bool(self._batch(target))
        carried = (self._carried_to(surrogate, target),)
        return Job(self.label, surrogate, (cell,), (question,), (), carried, None, seconds, 0, fixed_batches=fixed)

    def _clean_question(self, surrogate: str, target: str) -> Question:
        fingerprint = self.models[target].entry.description.fingerprint
        arguments = {**self._batch(target), **self._carrying(surrogate, target)}
        dataset = self.data(surrogate).fingerprint
        return Question(mode="clean", target=fingerprint, surrogate=fingerprint, dataset=dataset, arguments=arguments)

    def craft(self, section: Section, crafting: Crafting, surrogate: str, seed: int) -> Job:
        """One crafting, and its judging on every target."""
        whitebox = section.mode == "whitebox"
        targets = [surrogate] if whitebox else section.targets
        questions = tuple(self._question(section, crafting, surrogate, target, seed) for target in targets)
        threat, may_stop = crafting.threat, whitebox and not self._batch(surrogate)
        precision, classes = self._precision(section, crafting, surrogate), self.models[surrogate].classes
        cost = crafting.attack.attack.cost(Setting(threat, stop_when_fooled=may_stop, classes=classes))
        passes = cost * len(stages(precision)) * len(self.images)
        cells = tuple(
            self._cell(crafting, question, surrogate, target)
            for question, target in zip(questions, targets, strict=True)
        )
        clean = tuple(self._clean_question(surrogate, target).id for target in targets)
        carried = tuple(self._carried_to(surrogate, target) for target in targets)
        judging = sum(self.models[target].seconds_per_image for target in targets) * len(self.images)
        seconds = passes * PASS_FACTOR * self.models[surrogate].seconds_per_image + judging
        craft = CraftJob(crafting.attack, threat, seed, classes, whitebox, precision, self.suite.compile)
        fixed = crafting.attack.attack.batch_dependent or bool(self._batch(surrogate, *targets))
        return Job(self.label, surrogate, cells, questions, clean, carried, craft, seconds, passes, fixed)

    def _cell(self, crafting: Crafting, question: Question, surrogate: str, target: str) -> Cell:
        threat = crafting.threat
        return Cell(
            id=question.id, mode=question.mode, attack=crafting.label, threat=threat.label, norm=threat.norm,
            epsilon=threat.epsilon, dataset=self.label, seed=question.seed, surrogate=surrogate, target=target,
        )  # fmt: skip

    def _question(self, section: Section, crafting: Crafting, surrogate: str, target: str, seed: int) -> Question:
        attack, threat = crafting.attack, crafting.threat
        # A batch shapes the results of some attacks; then its size is part of the question.
        batch = {"batch_size": self.suite.batch_size} if attack.attack.batch_dependent else {}
        if batch.get("batch_size") == "auto":
            raise HarnessError(
                f'batch_size: results of attack "{attack.name}" depend on its batch: write a number, not "auto"'
            )
        batch |= self._batch(surrogate, target) | self._carrying(surrogate, target)
        return Question(
            mode=section.mode,
            target=self.models[target].entry.description.fingerprint,
            surrogate=self.models[surrogate].entry.description.fingerprint,
            dataset=self.data(surrogate).fingerprint,
            attack=attack.name,
            arguments={**attack.arguments, **batch},
            attack_version=version_of(attack),
            norm=threat.norm,
            epsilon=threat.epsilon,
            goal=threat.goal,
            seed=seed,
            precision=self._precision(section, crafting, surrogate),
        )

    def _batch(self, *models: str) -> dict[str, Any]:
        """The batch size, where predictions of one of the models depend on the batch."""
        dependent = any(self.models[name].entry.description.batch_dependent for name in models)
        return {"batch_size": self.suite.batch_size} if dependent else {}

    def _carrying(self, surrogate: str, target: str) -> dict[str, Any]:
        """How the surrogate's images are carried to a target that takes another size, as part of the question."""
        size = self._carried_to(surrogate, target)
        return {CARRIED: f"{size[0]}x{size[1]}, {POLICY}"} if size else {}

    def _carried_to(self, surrogate: str, target: str) -> tuple[int, int] | None:
        """The target's size, where it is another one than the surrogate's."""
        made, (height, width) = (self.data(name).images.shape[2:] for name in (surrogate, target))
        return None if made == (height, width) else (height, width)

    def _precision(self, section: Section, crafting: Crafting, surrogate: str) -> Precision:
        """The suite's policy, but for attacks that bfloat16 does not suit, and those that do not screen.

        What a surrogate survives says nothing about targets; and where predictions depend on the batch, survivors
        cannot be attacked by themselves.
        """
        if compares_scores(crafting.attack.attack):
            return "float32"
        policy = self.suite.precision
        cannot = section.mode == "transfer" or bool(self._batch(surrogate))
        return "float32" if policy == "screen" and cannot else policy
