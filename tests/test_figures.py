"""The figures of the documents are those of the measured results."""

from __future__ import annotations

from pathlib import Path

import pytest

from experiments import figures

STALE = {
    "table": "<!-- table:zoo -->\nold\n<!-- /table:zoo -->",
    "figure": "has <!-- figure:generalisation/scored/gm_any/mean -->.1<!-- /figure -->, more",
}


def test_figures_of_the_documents_are_up_to_date(capsys: pytest.CaptureFixture[str]) -> None:
    assert figures.main(["--check"]) == 0, capsys.readouterr().out


@pytest.mark.parametrize("stale", STALE.values(), ids=STALE)
def test_stale_figures_are_found_and_written_anew(
    stale: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{stale}\nafter\n", encoding="utf-8")
    monkeypatch.setattr(figures, "ROOT", tmp_path)
    monkeypatch.setattr(figures, "documents", lambda: [page])
    assert figures.main(["--check"]) == 1
    assert stale in page.read_text(encoding="utf-8")
    assert figures.main([]) == 0 == figures.main(["--check"])
    text = page.read_text(encoding="utf-8")
    assert stale not in text and text.startswith("before\n") and text.endswith("\nafter\n")


@pytest.mark.parametrize(
    "text",
    [
        "<!-- table:none -->x<!-- /table:none -->",
        "<!-- figure:generalisation/scored/none -->x<!-- /figure -->",
        "<!-- figure:run/gm_tss/test/none -->x<!-- /figure -->",
        "<!-- figure:family_mean/none -->x<!-- /figure -->",
    ],
)
def test_a_figure_without_a_result_is_refused(text: str) -> None:
    with pytest.raises(LookupError, match="none"):
        figures.renewed(text)


@pytest.mark.parametrize(
    ("address", "values"),
    [
        ("generalisation/scored/gm_any", 6),
        ("generalisation/scored/gm_any/sss", 3),
        ("generalisation/scored/(convolutions)", 3),
        ("generalisation/scored/gm_any/sss/cifar100", 1),
        ("generalisation/scored/gm_any/mean", 1),
        ("generalisation/scored:tau_best/gm_any/tss", 3),
        ("run/gm_tss/test", 3),  # with ± and the standard error
        ("nodes/gm_any", 1),
        ("meco_noise/nats-sss", 3),
        ("individuals/ablation:tss/from_scratch", 1),
    ],
)
def test_an_address_gives_as_many_values_as_it_names(address: str, values: int) -> None:
    assert len(figures.figure(address).split()) == values


@pytest.mark.parametrize("path", figures.documents(), ids=lambda path: path.stem)
def test_no_line_begins_with_the_mark_of_a_figure(path: Path) -> None:
    """Markdown would end the paragraph there: a comment that begins a line is a block."""
    lines = path.read_text(encoding="utf-8").splitlines()
    assert not [line for line in lines if line.lstrip().startswith("<!-- figure:")]
