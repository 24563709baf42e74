"""LaTeX tables: sound as text on every machine, and compiled where there is a LaTeX."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from harness.report import Report, Table, render
from harness.report.latex import LINES, TEXT_WIDTH, header_spans, latex
from harness.report.latex_columns import column_of, escape
from harness.report.lines import Line, Place, lines
from harness.report.table import Entry, Row
from harness.report.words import Written
from harness.spec import TableSpec

from .lab import Lab
from .printed import awais_lab, report
from .test_formats import whitebox_table

COMMITTED = sorted((Path(__file__).parents[2] / "reports").rglob("*.tex"))
PACKAGES = ("booktabs", "multirow", "siunitx", "adjustbox")


@cache
def latex_is_installed() -> bool:
    """Whether there is a LaTeX with all packages that tables may need."""
    if not (shutil.which("pdflatex") and shutil.which("kpsewhich")):
        return False
    found = subprocess.run(
        ["kpsewhich", *(f"{name}.sty" for name in PACKAGES)], capture_output=True, text=True, check=False
    )
    return len(found.stdout.split()) == len(PACKAGES)


def packages_of(text: str) -> str:
    """What a table says it needs."""
    first = re.match(r"% needs \\usepackage\{([a-z,]+)\}", text)
    assert first
    return first[1]


def compile_latex(text: str, folder: Path) -> str:
    """Compile a document of one table that loads what the table asks for and nothing else; returns the log."""
    source = rf"\documentclass{{article}}\usepackage{{{packages_of(text)}}}\begin{{document}}"
    (folder / "page.tex").write_text(f"{source}\n{text}\\end{{document}}\n", encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "page.tex"]
    done = subprocess.run(command, cwd=folder, capture_output=True, check=False)
    log = done.stdout.decode(errors="replace")
    assert done.returncode == 0, log
    return log


def body(text: str) -> str:
    return text[text.index(r"\begin{tabular}") : text.index(r"\end{tabular}")]


def argument(text: str, start: int) -> str:
    """What stands in the braces that open at a position."""
    depth = 0
    for i in range(start, len(text)):
        depth += {"{": 1, "}": -1}.get(text[i], 0)
        if depth == 0:
            return text[start + 1 : i]
    raise AssertionError("a brace is not closed")


def without_braces(text: str) -> str:
    """What stands outside of all braces."""
    depth, outside = 0, []
    for character in text:
        depth += {"{": 1, "}": -1}.get(character, 0)
        outside.append(character if depth == 0 and character != "}" else "")
    return "".join(outside)


def kinds_of_columns(text: str) -> str:
    """The columns that a tabular declares, without their options: "llSS"."""
    declared = argument(text, text.index(r"\begin{tabular}") + len(r"\begin{tabular}"))
    return re.sub(r"@|\[[^]]*\]", "", without_braces(declared))


def cells_of(line: str) -> list[str]:
    """The cells of a line; the ampersands of escaped text are none."""
    return [cell.strip() for cell in re.split(r"(?<!\\)&", line.strip().removesuffix(r"\\"))]


def rows_of(text: str) -> Iterator[list[str]]:
    """The cells of the lines below the header."""
    for line in text[text.index(r"\midrule") : text.index(r"\bottomrule")].splitlines():
        if line.endswith(r"\\"):
            yield cells_of(line)


def check_latex(text: str) -> None:
    """Balanced braces and environments, as many cells as columns, in columns of numbers all else in braces."""
    plain = re.sub(r"\\[\\&%_#${}]", "", text)
    depth = 0
    for character in plain:
        depth += {"{": 1, "}": -1}.get(character, 0)
        assert depth >= 0
    assert depth == 0
    opened: list[str] = []
    for kind, name in re.findall(r"\\(begin|end)\{(\w+)\}", text):
        if kind == "begin":
            opened.append(name)
        else:
            assert opened.pop() == name
    assert not opened
    kinds = kinds_of_columns(text)
    for line in body(text).splitlines():
        if line.endswith(r"\\"):
            check_line(line, kinds)
    assert plain.count("$") % 2 == 0
    assert not re.findall(r"(?<!\\)[_#]", re.sub(r"\$[^$]*\$|\\label\{[^}]*\}", "", text))


def check_line(line: str, kinds: str) -> None:
    position = 0
    for cell in cells_of(line):
        spanned = re.match(r"\\multicolumn\{(\d+)\}", cell)
        if kinds[position : position + 1] == "S" and not spanned:
            assert re.fullmatch(r"((\\bfseries )?[+-]?\d+(\.\d+)?)?", without_braces(cell)), line
        position += int(spanned[1]) if spanned else 1
    assert position == len(kinds), line


# --- soundness --------------------------------------------------------------------------------------------------


def test_tables_of_papers_are_sound(made: Report) -> None:
    for table in (*made.tables, *made.comparisons):
        check_latex(latex(table))


def test_tables_of_suites_are_sound(whitebox: Lab, transfer: Lab) -> None:
    check_latex(latex(whitebox_table(whitebox)))
    spec = TableSpec(rows=["attack", "surrogate"], columns=["target", "mean"], value="attack_success_rate")
    check_latex(latex(render(transfer.suite(spec), transfer.cells(), transfer.store).tables[0]))


@pytest.mark.parametrize("file", COMMITTED, ids=lambda file: f"{file.parent.name}/{file.name}")
def test_shipped_tables_are_sound(file: Path) -> None:
    check_latex(file.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    "broken",
    [
        r"\begin{tabular}{lS[table-format=2.1]}1 & 2 & 3 \\\end{tabular}",
        r"\begin{tabular}{lS[table-format=2.1]}1 & n/a \\\end{tabular}",
        r"\begin{tabular}{lS[table-format=2.1]}1 & {n/a \\\end{tabular}",
        r"\begin{tabular}{lS[table-format=2.1]}1 & 2 \\\end{table}",
        r"\begin{tabular}{lS[table-format=2.1]}a_b & 2 \\\end{tabular}",
    ],
)
def test_what_is_not_sound_is_noticed(broken: str) -> None:
    with pytest.raises((AssertionError, ValueError)):
        check_latex(broken.replace("}1", "}\n1").replace(r"\\\end", "\\\\\n\\end"))


# --- compiled ---------------------------------------------------------------------------------------------------

compiles = pytest.mark.skipif(not latex_is_installed(), reason="no LaTeX with booktabs, multirow, siunitx, adjustbox")


@compiles
def test_tables_of_papers_compile_with_what_they_ask_for(made: Report, tmp_path: Path) -> None:
    for table in (*made.tables, *made.comparisons):
        log = compile_latex(latex(table), tmp_path)
        assert "Overfull" not in log
        assert "Float too large" not in log


@compiles
def test_tables_of_suites_compile_with_what_they_ask_for(whitebox: Lab, tmp_path: Path) -> None:
    assert "Overfull" not in compile_latex(latex(whitebox_table(whitebox)), tmp_path)


@compiles
def test_odd_entries_compile(tmp_path: Path) -> None:
    assert "Missing character" not in compile_latex(latex(odd_table()), tmp_path)


def odd_table() -> Table:
    entries = [Entry("robust_accuracy", None, missing=reason) for reason in ("not planned", "failed", "undefined")]
    rows = tuple(Row((f"r_{i}", "ε ≤ 5% †", 'a & "b" | L∞'), (entry,)) for i, entry in enumerate(entries))
    return Table("odd", "50% of L2 & l-inf", "mean_l2", "all", ("A", "", "~"), ("Column",), (("a/b_c",),), rows)


@compiles
@pytest.mark.parametrize("file", COMMITTED, ids=lambda file: f"{file.parent.name}/{file.name}")
def test_shipped_tables_compile(file: Path, tmp_path: Path) -> None:
    assert "Overfull" not in compile_latex(file.read_text(encoding="utf-8"), tmp_path)


def test_a_table_asks_for_the_packages_that_it_uses(made: Report, whitebox: Lab) -> None:
    uses = {"booktabs": r"\toprule", "multirow": r"\multirow", "siunitx": "S[", "adjustbox": r"\begin{adjustbox}"}
    for table in (*made.comparisons, whitebox_table(whitebox)):
        text = latex(table)
        assert packages_of(text).split(",") == [name for name, used in uses.items() if used in text]


# --- numbers ----------------------------------------------------------------------------------------------------


def line_of(*parts: Written, join: str = "") -> Line:
    return Line("ours", ("r",), (Place(Entry("robust_accuracy", None, join=join), parts),), Row(("r",), ()))


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        (Written("81.2"), "81.2"),
        (Written("-3.4"), "-3.4"),
        (Written("+0.5"), "+0.5"),
        (Written("100*"), "100{*}"),
        (Written("07.7"), "{0}7.7"),
        (Written("0.0"), "0.0"),
        (Written("n/a"), "{n/a}"),
        (Written("–"), "{--}"),
        (Written(""), ""),
        (Written("81.2", "2.4"), r"81.2{\,\scriptsize $\pm$2.4}"),
        (Written("50.0", "24.5", "70.7", "*"), r"50.0{*\,\scriptsize $\pm$24.5 ($s$ 70.7)}"),
    ],
)
def test_only_numbers_stand_outside_of_braces(value: Written, cell: str) -> None:
    printed = [line_of(value)]
    assert column_of(printed, 0).cells(printed[0].places[0]) == cell


def test_a_column_has_room_for_the_longest_of_each_part() -> None:
    parts = [Written("9.25"), Written("100.0", "2.5"), Written("-3.1"), Written("n/a"), Written("07.7", "11.0")]
    column = column_of([line_of(part) for part in parts], 0)
    assert column.specification == r"S[table-format=+3.2{\,\scriptsize $\pm$11.0}]"


def test_a_column_of_words_is_centred() -> None:
    assert column_of([line_of(Written("n/a")), line_of(Written(""))], 0).specification == "c"


def test_joined_numbers_have_a_column_each_and_stand_together_where_there_is_one() -> None:
    printed = [line_of(Written("91.89"), Written("34.02"), join="/"), line_of(Written("n/a")), line_of(Written(""))]
    column = column_of(printed, 0)
    assert column.specification == r"S[table-format=2.2]@{\,/\,}S[table-format=2.2]"
    assert [column.cells(line.places[0]) for line in printed] == [
        "91.89 & 34.02",
        r"\multicolumn{2}{c}{n/a}",
        r"\multicolumn{2}{c}{}",
    ]
    assert column.header("None") == r"\multicolumn{2}{c}{None}"


# --- layout -----------------------------------------------------------------------------------------------------


def test_the_lines_read_back_as_the_table(whitebox: Lab) -> None:
    _, row = rows_of(latex(whitebox_table(whitebox)))
    plain = [re.sub(r"\{\\,\\scriptsize \$\\pm\$(.*)\}", r" ±\1", cell) for cell in row]
    assert plain == ["Batch", "Y", "100.0 ±49.0", "25.0 ±44.9", "50.0 ±35.0", "0.0 ±49.0", "{--}"]


def test_names_are_to_the_left_and_numbers_at_the_decimal_point(whitebox: Lab) -> None:
    assert kinds_of_columns(latex(whitebox_table(whitebox))) == "llSSSSS"


def test_outer_headers_span_their_columns_with_a_rule_below(whitebox: Lab) -> None:
    text = latex(whitebox_table(whitebox))
    assert r"& {Clean} & \multicolumn{2}{c}{PGD} & \multicolumn{2}{c}{CW} \\" in text
    assert r"\cmidrule(lr){4-5} \cmidrule(lr){6-7}" in text
    assert r"Model & bn &  & {$\ell_\infty$ 8/255} & {$\ell_2$ 0.5} &" in text


def test_captions_and_labels_are_escaped(whitebox: Lab) -> None:
    assert r"\caption{A \& B}" in latex(whitebox_table(whitebox))
    assert r"\label{tab:tab}" in latex(whitebox_table(whitebox))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("50% of_a #1 $ {x} & ~", r"50\% of\_a \#1 \$ \{x\} \& \textasciitilde{}"),
        ("L∞ 8/255, L2 0.5", r"$\ell_\infty$ 8/255, $\ell_2$ 0.5"),
        ("PGD l2, CW l-inf", r"PGD $\ell_2$, CW $\ell_\infty$"),
        ("VGGL2, L21, all2 and l21", "VGGL2, L21, all2 and l21"),
        ("M† ±1 –", r"M$^\dagger$ $\pm$1 --"),
        ("a\\b^2", r"a\textbackslash{}b\textasciicircum{}2"),
        ("two\nlines", "two lines"),
        ('print "VGG 16"', "print ``VGG 16''"),
    ],
)
def test_special_characters_are_printed_as_they_are(text: str, expected: str) -> None:
    assert escape(text) == expected


def test_a_line_that_begins_with_a_bracket_or_a_star_is_no_argument_of_the_line_above(lab: Lab) -> None:
    for name, label in (("a", "[12] baseline"), ("b", "*ours*"), ("c", "c")):
        lab.model(name, label=label)
        lab.judge_clean(name, [True] * 4)
    spec = TableSpec(name="tab", rows=["model"], columns=["dataset"], value="clean_accuracy")
    text = latex(render(lab.suite(spec), lab.cells(), lab.store).tables[0])
    assert [line.split("&")[0].strip() for line in text.splitlines() if "&" in line][1:] == [
        "{}[12] baseline", "{}*ours*", "c",
    ]  # fmt: skip


def test_repeated_row_headers_are_printed_once_per_group(transfer: Lab) -> None:
    spec = TableSpec(rows=["attack", "surrogate"], columns=["target", "mean"], value="attack_success_rate")
    rows = rows_of(latex(render(transfer.suite(spec), transfer.cells(), transfer.store).tables[0]))
    assert [row[:2] for row in rows] == [["MI", "A"], ["", "B"]]


def plain_table(headers: list[tuple[str, ...]], column: str = "Robust") -> Table:
    rows = tuple(Row(header, (Entry("robust_accuracy", None, missing="not run"),)) for header in headers)
    names = tuple("ABC"[: len(headers[0])])
    return Table("t", "T", "robust_accuracy", "all", names, ("Column",), ((column,),), rows)


def test_there_is_room_between_groups_by_the_first_header_that_varies() -> None:
    inner = latex(plain_table([("x", "p", "1"), ("x", "p", "2"), ("x", "q", "1"), ("x", "q", "2")]))
    assert inner.count(r"\addlinespace") == 1
    outer = latex(plain_table([("x", "1"), ("x", "2"), ("y", "1")]))
    assert outer.count(r"\addlinespace") == 1
    assert r"\addlinespace" not in latex(plain_table([("x",), ("y",), ("z",)]))


def test_only_large_tables_are_scaled_down() -> None:
    assert "adjustbox" not in latex(plain_table([("x",)] * LINES))
    assert r"\begin{adjustbox}{max width=\linewidth" in latex(plain_table([("x",)] * (LINES + 1)))
    assert r"\setlength{\tabcolsep}" in latex(plain_table([("x",)], column="x" * (TEXT_WIDTH // 4)))


# --- tables of papers -------------------------------------------------------------------------------------------


def test_a_header_spans_the_lines_that_repeat_it(table4: Lab) -> None:
    made = report(table4, TableSpec(reference="benz2021/4"))
    spans = header_spans(list(lines(made.tables[0])))
    assert [line[0] for line in spans[:5]] == [("I", 4), ("I", 0), ("I", 0), ("I", 0), ("MI", 4)]
    assert [line[1] for line in spans[:4]] == [("VGG16", 1), ("VGG 16", 1), ("ResNet18", 2), ("ResNet18", 0)]
    beside = header_spans(list(lines(made.comparisons[0])))
    assert [line[1][1] for line in beside[:12]] == [3, 0, 0, 3, 0, 0, 6, 0, 0, 0, 0, 0]
    assert [line[-1] for line in beside[:3]] == [("ours", 1), ("paper", 1), ("diff", 1)]


def test_there_are_the_papers_rules_up_to_the_headers_that_go_on(table4: Lab) -> None:
    text = body(latex(report(table4, TableSpec(reference="benz2021/4")).tables[0]))
    rules = re.findall(r"\\(?:cmidrule\{2-10\}|midrule)", text)
    assert rules == [r"\midrule", r"\cmidrule{2-10}", r"\midrule", r"\cmidrule{2-10}"]


def test_rules_reach_over_all_columns_of_joined_numbers(table1: Lab) -> None:
    text = latex(report(table1, TableSpec(reference="benz2021/2", where={"norm": "l2"})).comparisons[0])
    assert kinds_of_columns(text) == "lll" + "SS" * 5
    assert r"80.0{\,\scriptsize $\pm$21.6} & 50.0{\,\scriptsize $\pm$20.1} & 90.0" in text
    assert r"\multicolumn{2}{c}{n/a}" in text


def test_there_are_two_lines_of_header_and_headings_across_the_table(tmp_path: Path, table1: Lab) -> None:
    text = latex(report(table1, TableSpec(reference="benz2021/1")).tables[0])
    columns = r"{PGD $\ell_2$} & {PGD $\ell_\infty$} & {CW $\ell_2$} & {CW $\ell_\infty$} \\"
    assert r"Dataset & Network & {Acc} & " + columns in text
    assert " &  &  & {0.25} & {1/255} & {0.25} & {1/255}" in text
    groups = latex(report(awais_lab(tmp_path / "b"), TableSpec(reference="awais2020/1")).tables[0])
    assert r"\multicolumn{7}{c}{MNIST (eps = 0.2, c = 10)} \\" in groups
