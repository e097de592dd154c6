"""Tools of others that install fast work as docs/ecosystem.md says; the script tries them all."""

import runpy
from pathlib import Path

import pytest

ECOSYSTEM = runpy.run_path(str(Path(__file__).parents[1] / "benchmarks" / "ecosystem.py"))


@pytest.mark.filterwarnings("ignore:Estimator does not appear fitted:UserWarning")
@pytest.mark.parametrize(
    "package", ["mapie", "cleanlab", "imbalanced-learn", "captum", "mlxtend", "timm"]
)
def test_a_tool_works(package, tmp_path):
    ECOSYSTEM["TOOLS"][package](tmp_path)


def test_a_tool_that_does_not_work_is_an_error_and_one_that_is_missing_is_named(
    monkeypatch, capsys
):
    def fails(_):
        raise ValueError("as it happens")

    monkeypatch.setitem(ECOSYSTEM["TOOLS"], "skorch", lambda _: None)
    monkeypatch.setitem(ECOSYSTEM["TOOLS"], "numpy", fails)
    monkeypatch.setitem(ECOSYSTEM["TOOLS"], "no-such-tool", fails)
    assert ECOSYSTEM["main"](["skorch", "numpy", "no-such-tool"]) == 1
    printed = capsys.readouterr()
    rows = [row.split(" | ")[2] for row in printed.out.splitlines()[-3:]]
    assert rows == ["works", "FAILED", "not installed"]
    assert "ValueError: as it happens" in printed.err


def test_the_page_has_a_row_a_tool():
    page = (Path(__file__).parents[1] / "docs" / "ecosystem.md").read_text(encoding="utf-8")
    rows = [line for line in page.splitlines() if line.startswith("| [")]
    assert len(rows) == len(ECOSYSTEM["TOOLS"])
