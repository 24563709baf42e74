"""What the commands do: one function each, called by `harness.cli`.

What loads torch is imported inside the functions that need it, so that reports and listings start fast.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table

from harness.cells import read_cells
from harness.commands.console import counted, duration, print_json, print_rows, stderr, stdout
from harness.commands.gate import check
from harness.commands.listing import list_
from harness.core.errors import HarnessError
from harness.report import FORMATS, Report, render, write
from harness.report import Table as PivotTable
from harness.report.claim_files import claim_content
from harness.report.claim_texts import terminal_claims
from harness.report.terminal import terminal
from harness.spec import load_suite
from harness.store import Store

if TYPE_CHECKING:
    from harness.train.result import Comparison

__all__ = ["check", "extract", "list_", "plan", "report", "run", "train"]

REASONS_SHOWN = 3
"""Failures that are printed in full."""

SHORT_NAMES = {"md": "markdown", "tex": "latex"}
"""Formats by what their files end with."""


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
    as_json: bool,
) -> int:
    """Run a suite, print and write its tables; returns the exit code."""
    from harness.plan import Options, make_plan
    from harness.runner import choose_device, execute

    chosen, messages = choose_device(device), stderr()
    plan = make_plan(suite, Options(tuple(overrides), limit, seed, download, random_weights))
    results = execute(plan, Store(store), chosen, messages)
    made, outcome = results.report(), results.outcome
    show(made, as_json)
    directory = Path(out) if out else Path("reports") / plan.suite.name
    write_files(made, directory)
    messages.print(
        f"{counted(outcome.computed)} computed in {outcome.seconds:.1f} s, "
        f"{outcome.stored} found in {results.store.path}; tables written to {directory}/"
    )
    for reason in list(dict.fromkeys(outcome.failures.values()))[:REASONS_SHOWN]:
        messages.print(f"failed: {reason}", style="red")
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
    as_json: bool,
) -> None:
    """Print what a suite would run."""
    from harness.plan import Options, make_plan
    from harness.runner import plan_summary

    made = make_plan(suite, Options(tuple(overrides), limit, seed, download, random_weights))
    summary = plan_summary(made, Store(store))
    if as_json:
        print_json(summary)
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    numbers = ("targets", "stored", "passes")
    for heading in ("mode", "attack", "threat", "surrogate", *numbers, *(["arguments"] if resolved else [])):
        table.add_column(heading, justify="right" if heading in numbers else "left")
    for job in summary["jobs"]:
        row = [job[key] for key in ("mode", "attack", "threat", "surrogate")]
        counts = [str(len(job["targets"])), f"{job['stored']}/{len(job['targets'])}", f"{job['passes']:,}"]
        arguments = ", ".join(f"{key}={value}" for key, value in job["arguments"].items())
        table.add_row(*row, *counts, *([arguments] if resolved else []))
    stdout().print(table)
    stdout().print(
        f"\n{summary['cells']} cells: {summary['stored']} stored, {summary['missing']} missing; "
        f"at most {summary['passes']:,} forward-and-backward passes, about {duration(summary['seconds_at_most'])} "
        "on this CPU if no sample stops early"
    )


def report(
    suite: str,
    *,
    overrides: Sequence[str],
    store: str | None,
    out: str | None,
    formats: str,
    figures: bool,
    claims: bool,
    compare: bool,
    as_json: bool,
) -> int:
    """Render a suite's tables and claims from its last run; returns 1 when cells are missing."""
    spec, records = load_suite(suite, overrides), Store(store)
    chosen = [SHORT_NAMES.get(name.strip(), name.strip()) for name in formats.split(",") if name.strip()]
    for name in chosen:
        FORMATS.get(name)
    cells = read_cells(records, spec.name)
    made = render(spec, cells, records)
    if compare:
        show_comparisons_with_papers(made, as_json)
    else:
        show(made, as_json, only_claims=claims)
    files = write_files(made, Path(out) if out else Path("reports") / spec.name, chosen, figures=figures)
    stderr().print(f"written: {', '.join(str(file) for file in files)}")
    missing = cells.missing(records)
    if missing:
        stderr().print(
            f"{counted(len(missing))} of {len(cells.cells)} without a record; run the suite to compute what is missing."
        )
    return int(bool(missing))


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
        print_json({"holds": holds, "accuracies": [comparison._asdict() for comparison in comparisons]})
        return int(not holds)
    print_rows([
        {
            "accuracy": comparison.name, "card": f"{comparison.recorded:.2%}", "now": f"{comparison.now:.2%}",
            "verdict": "holds" if comparison.holds else "differs",
        }
        for comparison in comparisons
    ])  # fmt: skip
    return int(not holds)


def extract(name: str, *, device: str, batch_size: int, limit: int | None, force: bool, as_json: bool) -> None:
    """Extract a feature set and print what was measured."""
    from harness.features.run import extract as extract_set
    from harness.runner import choose_device

    result = extract_set(
        name, device=str(choose_device(device)), batch_size=batch_size, limit=limit, force=force, quiet=as_json
    )
    if as_json:
        print_json(result)
        return
    images, seconds = result["images"], result["seconds"]
    stdout().print(
        f"{images} images in {duration(seconds)} ({1000 * seconds / images:.1f} s per 1000); the network assigns the "
        f"label to {result['label_reached']:.2%} of them; {result['label_lost_to_rounding']} lost it by rounding"
    )


def show(made: Report, as_json: bool, only_claims: bool = False) -> None:
    """Print a report's tables and claims, or its claims alone."""
    if as_json:
        tables = [json.loads(FORMATS.get("json").text(table)) for table in made.tables]
        claims = [claim_content(claim) for claim in made.claims]
        print_json({"suite": made.suite, **({} if only_claims else {"tables": tables}), "claims": claims})
        return
    show_tables(() if only_claims else made.tables)
    if made.claims:
        stdout().print(terminal_claims(made.claims))
        stdout().print()
    elif only_claims:
        stderr().print(f"suite {made.suite} makes no claims; they are written [[claims]]")


def show_comparisons_with_papers(made: Report, as_json: bool) -> None:
    """Print a report's tables of papers with the papers' numbers beside ours."""
    if as_json:
        tables = [json.loads(FORMATS.get("json").text(table)) for table in made.comparisons]
        print_json({"suite": made.suite, "comparisons": tables})
    elif not made.comparisons:
        stderr().print(f'suite {made.suite} has no table of a paper; it is written reference = "benz2021/4"')
    else:
        show_tables(made.comparisons)


def show_tables(tables: Sequence[PivotTable]) -> None:
    """Print tables for the terminal."""
    console = stdout()
    for table in tables:
        console.print(terminal(table, console.width))
        console.print()


def write_files(
    made: Report, directory: Path, formats: Sequence[str] | None = None, *, figures: bool = False
) -> list[Path]:
    """Write a report. Raises HarnessError when its directory cannot be written to."""
    try:
        return write(made, directory, formats, figures=figures)
    except OSError as error:
        raise HarnessError(
            f"tables cannot be written to {directory}: {error.strerror}.\n     name another directory with --out"
        ) from None
