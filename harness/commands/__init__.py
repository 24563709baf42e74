"""What the commands do: one function each, called by `harness.cli`.

What loads torch is imported inside the functions that need it, so that reports and listings start fast.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table

from harness.commands.console import counted, duration, print_json, print_rows, stderr, stdout
from harness.commands.failures import failures_in_words
from harness.commands.gate import check
from harness.commands.listing import list_
from harness.commands.reporting import report, show, write_files
from harness.store import Store

if TYPE_CHECKING:
    from harness.train.result import Comparison

__all__ = ["check", "extract", "list_", "plan", "report", "run", "train"]

REASONS_SHOWN = 3
"""Reasons of failures that are printed."""


def run(
    suite: str,
    *,
    limit: int | None,
    seed: int | None,
    overrides: Sequence[str],
    store: str | None,
    out: str | None,
    device: str,
    download: bool,
    random_weights: bool,
    available: bool,
    as_json: bool,
) -> int:
    """Run a suite, print and write its tables; returns the exit code."""
    from harness.plan import Options, make_plan
    from harness.runner import choose_device, execute

    chosen, messages = choose_device(device), stderr()
    plan = make_plan(suite, Options(tuple(overrides), limit, seed, download, random_weights, available))
    results = execute(plan, Store(store), chosen, messages)
    made, outcome = results.report(), results.outcome
    show(made, as_json)
    directory = Path(out) if out else Path("reports") / plan.suite.name
    write_files(made, directory)
    messages.print(
        f"{counted(outcome.computed)} computed in {outcome.seconds:.1f} s, "
        f"{outcome.stored} found in {results.store.path}; tables written to {directory}/"
    )
    if outcome.left_out:
        names = ", ".join(model.name for model in plan.cells.models if model.left_out)
        messages.print(f"{counted(outcome.left_out)} left out, whose models have no weights here: {names}")
    for failure in list(failures_in_words(outcome, plan.cells, results.store))[:REASONS_SHOWN]:
        messages.print(failure, style="red")
    if outcome.failures:
        messages.print(f"{counted(len(outcome.failures))} failed; the same command tries again.")
    return outcome.exit_code


def plan(
    suite: str,
    *,
    resolved: bool,
    limit: int | None,
    seed: int | None,
    overrides: Sequence[str],
    store: str | None,
    download: bool,
    random_weights: bool,
    available: bool,
    as_json: bool,
) -> None:
    """Print what a suite would run."""
    from harness.plan import Options, make_plan
    from harness.runner import plan_summary

    made = make_plan(suite, Options(tuple(overrides), limit, seed, download, random_weights, available))
    summary = plan_summary(made, Store(store))
    if as_json:
        print_json(summary)
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    numbers, several = ("targets", "stored", "passes"), len(made.cells.datasets) > 1
    names = ("mode", "attack", "threat", *(["dataset"] if several else []))
    for heading in (*names, "model", *numbers, *(["arguments"] if resolved else [])):
        table.add_column(heading, justify="right" if heading in numbers else "left")
    for job in summary["jobs"]:
        row = [*(job[key] for key in names), _asked(job)]
        counts = [str(len(job["targets"])), f"{job['stored']}/{len(job['targets'])}", f"{job['passes']:,}"]
        arguments = ", ".join(f"{key}={value}" for key, value in job["arguments"].items())
        table.add_row(*row, *counts, *([arguments] if resolved else []))
    stdout().print(table)
    work, most = "clean predictions only", ""
    if any(job["passes"] for job in summary["jobs"]):
        work, most = f"at most {summary['passes']:,} forward-and-backward passes", "at most "
    left_out = f", {summary['left_out']} left out" if summary["left_out"] else ""
    stdout().print(
        f"\n{summary['cells']} cells: {summary['stored']} stored, {summary['missing']} missing{left_out}; "
        f"{work}, {most}about {duration(summary['seconds_at_most'])} on this CPU"
    )
    if summary["random_weights"]:
        stdout().print(f"random weights: {', '.join(summary['random_weights'])}")
    if summary["without_weights"]:
        stdout().print(f"left out, without weights here: {', '.join(summary['without_weights'])}")


def _asked(job: Mapping[str, Any]) -> str:
    """The model that crafts, or predicts; and on whose images, where these are made for a model of another geometry."""
    model: str = job["surrogate"]
    if job["mode"] == "clean" and job["targets"] != [model]:
        return f"{job['targets'][0]} on images of {model}"
    return model


def train(card: str, *, device: str, force: bool, verify: bool, as_json: bool) -> int:
    """Train a card's model and print its result, or measure it again; returns 1 when the card does not hold."""
    from harness.runner import choose_device
    from harness.train.run import train_card, verify_card

    chosen = str(choose_device(device))
    if verify:
        return show_comparisons(verify_card(card, device=chosen), as_json)
    result = train_card(card, device=chosen, quiet=as_json, force=force)
    if not result:
        return 0
    if as_json:
        print_json(result)
        return 0
    measured = f"on {result['test_data']} (n = {result['test_images']})"
    stdout().print(f"clean accuracy {result['clean_accuracy']:.2%} {measured}")
    for threat, accuracy in zip(result.get("robust_threats", []), result.get("robust_accuracies", []), strict=True):
        stdout().print(f"{result['robust_attack']}, {threat}: {accuracy:.2%} (n = {result['robust_images']})")
    return 0


def show_comparisons(comparisons: Sequence[Comparison], as_json: bool) -> int:
    """Print accuracies of a card beside those measured now; returns 1 when one differs."""
    holds = all(comparison.holds for comparison in comparisons)
    if as_json:
        rows = [{**comparison._asdict(), "verdict": comparison.verdict} for comparison in comparisons]
        print_json({"holds": holds, "accuracies": rows})
        return int(not holds)
    print_rows([
        {
            "accuracy": comparison.name, "card": percent(comparison.recorded), "now": percent(comparison.now),
            "verdict": comparison.verdict,
        }
        for comparison in comparisons
    ])  # fmt: skip
    return int(not holds)


def percent(accuracy: float | None) -> str:
    """An accuracy as it is printed; a dash for none."""
    return "-" if accuracy is None else f"{accuracy:.2%}"


def extract(
    names: Sequence[str], *, device: str, batch_size: int, limit: int | None, force: bool, as_json: bool
) -> None:
    """Extract feature sets and print what was measured on each; as JSON, results by name."""
    from harness.features.cards import chosen_sets
    from harness.features.run import extract as extract_set
    from harness.runner import choose_device

    chosen, results = str(choose_device(device)), {}
    for name in chosen_sets(names):
        result = extract_set(name, device=chosen, batch_size=batch_size, limit=limit, force=force, quiet=as_json)
        results[name] = result
        if not as_json:
            images, seconds = result["images"], result["seconds"]
            stdout().print(
                f"{name}: {images} images in {duration(seconds)} ({1000 * seconds / images:.1f} s per 1000); the "
                f"network assigns the label to {result['label_reached']:.2%} of them; "
                f"{result['label_lost_to_rounding']} lost it by rounding"
            )
    if as_json:
        print_json(results)
