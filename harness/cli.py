"""The command line: parse arguments, call one function each. Nothing heavy is imported before a command needs it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click

from harness import __version__
from harness.core.errors import HarnessError

F = TypeVar("F", bound=Callable[..., Any])

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
INTERRUPTED = 130


@click.group(context_settings=CONTEXT)
@click.version_option(__version__, prog_name="harness")
def cli() -> None:
    """Attack image classifiers and report, honestly and fast, how robust they are.

    A first run:  harness run quickstart
    """


def suite_options(command: F) -> F:
    """What every command on a suite takes."""
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables."),
        click.option("--download", is_flag=True, help="Allow data sets to be downloaded."),
        click.option("--available", is_flag=True, help="Leave out models whose weights are not on this machine."),
        click.option("--random-weights", is_flag=True, help="A trial without downloaded weights."),
        click.option("--store", metavar="DIR", help="Folder of records (default: HARNESS_STORE, else .harness)."),
        click.option(
            "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a key, e.g. attacks.0.steps=5."
        ),
        click.option("--seed", type=click.IntRange(-(2**63), 2**63 - 1), help="Replace the suite's seeds."),
        click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Use at most N images."),
        click.argument("suite"),
    ):
        command = option(command)
    return command


@cli.command()
@suite_options
@click.option("--device", default="auto", show_default=True, help="cpu, cuda, cuda:0, ... or auto.")
@click.option("--out", metavar="DIR", help="Where tables are written (default: reports/<suite>).")
@click.option("--dry-run", is_flag=True, help="Plan only; same as `harness plan`.")
def run(**options: Any) -> None:
    """Compute what is missing of SUITE, print its tables and write them to reports/<suite>/."""
    from harness import commands

    if options.pop("dry_run"):
        commands.plan(resolved=False, **{key: options[key] for key in options if key not in ("device", "out")})
        return
    sys.exit(commands.run(**options))


@cli.command()
@suite_options
@click.option("--resolved", is_flag=True, help="Print the suite's attacks with every default filled in.")
def plan(**options: Any) -> None:
    """Show what SUITE would run, what is stored, and what it costs. Runs nothing."""
    from harness import commands

    commands.plan(**options)


@cli.command()
@click.argument("suites", metavar="SUITE...", nargs=-1, required=True)
@click.option("--store", metavar="DIR", help="Folder of records (default: HARNESS_STORE, else .harness).")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a key of every SUITE.")
@click.option(
    "--out", metavar="DIR", help="Where tables are written (default: reports/<suite>, of several reports/<table>)."
)
@click.option("--format", "formats", default="md,latex,csv,json", show_default=True, help="Which files to write.")
@click.option("--figures", is_flag=True, help="Draw a chart of every table as well.")
@click.option("--claims", is_flag=True, help="Print the verdicts on claims alone.")
@click.option("--compare", is_flag=True, help="Print the papers' numbers beside ours, and the differences, alone.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
def report(**options: Any) -> None:
    """Render SUITE's tables and claims from the records of its last run; needs no model and no data.

    Of several SUITEs: the papers' tables that they refer to, each once and filled from all of them, and the papers'
    claims, as in:  harness report whitebox_cifar10 whitebox_svhn --compare
    """
    from harness import commands

    sys.exit(commands.report(**options))


@cli.command()
@click.argument("suite")
@click.option("--baseline", required=True, metavar="FILE", help="What the records are compared with.")
@click.option("--update", is_flag=True, help="Make the records the baseline, and say what changed.")
@click.option(
    "--tolerance", type=click.FloatRange(0, 100), metavar="POINTS", help="Fail on larger drops, instead of tests."
)
@click.option(
    "--level", type=click.FloatRange(0, 1, min_open=True, max_open=True), help="Of the tests (default: 0.05)."
)
@click.option(
    "--format",
    "formats",
    multiple=True,
    default=["terminal"],
    show_default=True,
    metavar="NAME[=FILE]",
    help="terminal, markdown, junit, github or json; may be given several times.",
)
@click.option("--store", metavar="DIR", help="Folder of records (default: HARNESS_STORE, else .harness).")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a key of the suite.")
def check(**options: Any) -> None:
    """Compare the records of SUITE's last run with a baseline; exit code 3 for a regression."""
    from harness import commands

    sys.exit(commands.check(**options))


@cli.command()
@click.argument("card")
@click.option("--device", default="auto", show_default=True, help="cpu, cuda, cuda:0, ... or auto.")
@click.option("--force", is_flag=True, help="Train anew even if the card has a result.")
@click.option("--verify", is_flag=True, help="Train nothing; measure the weights again and compare with the card.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def train(**options: Any) -> None:
    """Train the model of CARD (a file or a zoo name); an interrupted run goes on where it was."""
    from harness import commands

    sys.exit(commands.train(**options))


@cli.command()
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@click.option("--device", default="auto", show_default=True, help="cpu, cuda, cuda:0, ... or auto.")
@click.option("--batch-size", type=click.IntRange(min=1), default=250, show_default=True, help="Images at a time.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="A try: make the first N images, write no set.")
@click.option("--force", is_flag=True, help="Extract anew even if the set is there.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def extract(**options: Any) -> None:
    """Extract the feature sets NAME (or cards' files, or patterns such as 'cifar10-*'), one after the other.

    An interrupted run goes on where it was.
    """
    from harness import commands

    commands.extract(**options)


@cli.command("list")
@click.argument("kind", type=click.Choice(["models", "attacks", "datasets", "features", "suites", "sources", "papers"]))
@click.argument("pattern", required=False)
@click.option("--twins", is_flag=True, help="Models of torchvision and timm that exist with BatchNorm and without.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with everything that is known.")
def list_(**options: Any) -> None:
    """List what exists: models of the zoo, attacks, data sets, feature sets, suites, model sources, printed tables.

    PATTERN picks names, such as 'cifar10-*'; without * or ? it is a part of the name.
    """
    from harness import commands

    commands.list_(**options)


def main() -> None:
    """Entry point: errors that a user can fix print without a traceback and set the exit code."""
    try:
        cli(standalone_mode=False)
    except HarnessError as error:
        click.echo(f"harness: {error}", err=True)
        sys.exit(error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except (KeyboardInterrupt, click.Abort):
        click.echo("\nharness: interrupted. What is finished is stored; the same command goes on from there.", err=True)
        sys.exit(INTERRUPTED)
