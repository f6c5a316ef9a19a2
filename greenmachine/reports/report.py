"""The report of one run: everything that its folder tells, on one page."""

from __future__ import annotations

from pathlib import Path

from greenmachine.energy import ENERGY
from greenmachine.errors import ExpressionError
from greenmachine.files import write_text
from greenmachine.language import Expression, parse
from greenmachine.reports.figures import convergence, cost, diversity, ranks, scatter
from greenmachine.reports.markup import Element, element, html
from greenmachine.reports.reading import read_record
from greenmachine.reports.record import Record
from greenmachine.reports.spending import spending_texts
from greenmachine.reports.tables import (
    duration,
    facts,
    hall_table,
    settings_table,
    tau_table,
    tau_text,
)
from greenmachine.reports.tree import draw_tree, word_table
from greenmachine.reports.usage import draw_usage

__all__ = ["write_report"]


def write_report(folder: Path, out: Path | None = None) -> Path:
    """Write the report of the run in ``folder`` as one HTML file that needs nothing else.

    Args:
        folder: of the run. An unfinished one is told up to its last whole generation; parts
            whose files an older version did not write are left out.
        out: the file; default ``report.html`` in the folder.

    Returns:
        The file.

    Raises:
        RunError: the folder holds no run, one without a whole generation, or damaged files.
    """
    record = read_record(folder)
    out = folder / "report.html" if out is None else out
    write_text(out, _page(record))
    return out


def _page(record: Record) -> str:
    tree, fault = _parsed(record.champion.expression)
    parts = [
        *_summary(record),
        *_formula(record, tree, fault),
        *_section("evolution", "Evolution", _charts(convergence(record), *diversity(record))),
        *_ranking(record),
        *_words(record, tree),
        *_section("cost", "Cost", *_spending(record), _charts(*cost(record))),
        *_section(
            "details",
            "Details",
            _fold("Hall of fame", hall_table(record)),
            _fold("Settings", settings_table(record.config)),
            _fold("Code, packages, hardware, samples", settings_table(record.manifest)),
        ),
    ]
    return html(f"{record.name}: report", *parts)


def _charts(*figures: Element, of: str = "thirds") -> Element:
    """Return figures beside each other where there is room."""
    return element("div", *figures, class_=f"charts {of}")


def _fold(title: str, content: Element) -> Element:
    """Return ``content`` under a title that opens it."""
    return element("details", element("summary", title), content)


def _section(name: str, title: str, *content: Element) -> list[Element]:
    return [element("section", element("h2", title), *content, id=name)]


def _parsed(text: str) -> tuple[Expression | None, str]:
    """Return the expression, or None and why: a run of another version may hold other words."""
    try:
        return parse(text), ""
    except ExpressionError as error:
        return None, str(error).splitlines()[0]


def _summary(record: Record) -> list[Element]:
    champion = record.champion
    head = [
        element("h1", record.name),
        element(
            "p",
            f"{record.place}; seed {record.config['seed']}; "
            f"folder {record.folder.resolve().name}; "
            f"begun {record.manifest.get('created', 'unknown')}",
            class_="subtitle",
        ),
    ]
    done, wanted = record.history["generation"].iloc[-1], record.config["evolution"]["generations"]
    if record.result is None:
        head.append(
            element(
                "p",
                element("b", "Unfinished"),
                f": generation {done:.0f} of {wanted}. The champion is the best so far; it was "
                "not judged on the test sample.",
                class_="unfinished",
            )
        )
    cards = {
        f"τ on {sample}" + (f", {dataset}" if len(record.datasets) > 1 else ""): tau_text(
            rows["champion"]
        )
        for sample, of_sample in record.tau.items()
        for dataset, rows in of_sample.items()
        if sample == ("test" if record.result else "validation")
    }
    cards |= {
        "good scores are": "high" if champion.direction > 0 else "low",
        "size": f"{champion.size} nodes",
        "found in generation": f"{champion.generation} of {done:.0f}",
        "individuals": f"{record.individuals:,}",
        "time": duration(record.seconds),
    }
    if record.energy is not None:
        cards["energy"] = f"{record.energy:.3g} kWh"
    tables = []
    for dataset in record.datasets:
        tables += [element("h3", f"Kendall's τ on {dataset}"), tau_table(record, dataset)]
    note = "± is the standard error. The rows below the champion are what any proxy has to beat."
    if record.result:
        tables.append(element("p", note, class_="note"))
    if stand_in := record.config.get("capture", {}).get("stand_in"):
        pairs = ", ".join(f"{source} for {name}" for name, source in stand_in.items())
        note = f"On train and validation the networks of one data set stand for another's: {pairs}."
        tables.append(element("p", note, class_="note"))
    return [element("header", *head), *_section("summary", "Summary", facts(cards), *tables)]


def _formula(record: Record, tree: Expression | None, fault: str) -> list[Element]:
    text = element("pre", element("code", record.champion.expression))
    if tree is None:
        why = element("p", f"This version cannot draw it: {fault}.", class_="note")
        return _section("formula", "Formula of the champion", text, why)
    note = (
        "The score is on the left, the signals that it reads are on the right; arguments are in "
        "order from the top. Point at a box for its meaning."
    )
    return _section(
        "formula",
        "Formula of the champion",
        text,
        draw_tree(tree),
        element("p", note, class_="note"),
        _fold("What the words mean", word_table(tree)),
    )


def _ranking(record: Record) -> list[Element]:
    if record.scores is None:
        return []
    content: list[Element] = []
    for dataset in record.datasets:
        if len(record.datasets) > 1:
            content.append(element("h3", dataset))
        content.append(_charts(*scatter(record, record.scores, dataset)))
        content.append(element("h3", "By rank on the test sample, beside the trivial scores"))
        content.append(_charts(*ranks(record, record.scores, dataset), of="quarters"))
    return _section("ranking", "Scores and accuracy", *content)


def _spending(record: Record) -> list[Element]:
    so_far = {"seconds": record.seconds}
    if record.energy is not None:
        so_far[ENERGY] = record.energy
    texts = spending_texts(record.result or so_far)
    return [element("p", text, class_="note") for text in texts]


def _words(record: Record, tree: Expression | None) -> list[Element]:
    if record.words is None:
        return []
    note = (
        "The darker, the more individuals of the generation hold the word; the share in the last "
        "generation stands at the right. The champion's words are bold."
    )
    return _section(
        "words", "Words in use", draw_usage(record.words, tree), element("p", note, class_="note")
    )
