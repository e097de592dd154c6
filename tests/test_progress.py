"""Bars are drawn over themselves on a terminal, and are whole lines elsewhere."""

import io
import sys

import pytest

from sklearn_cnn.runtime import progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def shown_by(function, monkeypatch, file=io.StringIO):
    """Return what a function writes to a file, or a terminal, as stderr."""
    # not in a fixture: pytest captures anew when the test begins
    with monkeypatch.context() as patched:
        patched.setattr(sys, "stderr", file())
        function()
        return sys.stderr.getvalue()


def draw_bar():
    with progress.make_bar(total=1000, desc="Steps") as bar:
        for _ in range(1000):
            bar.update()


def draw_image_bar():
    with progress.image_bar(2, "Reading", True) as tell:
        tell(1)
        tell(1)


def test_a_terminal_has_one_line(monkeypatch):
    shown = shown_by(draw_bar, monkeypatch, Terminal)
    assert shown.count("\n") == 1
    assert "Steps: 100%" in shown.rpartition("\r")[2]


def test_a_file_has_whole_lines_and_few(monkeypatch):
    shown = shown_by(draw_bar, monkeypatch)
    begins, ends = shown.splitlines()
    assert begins.startswith("Steps:   0%")
    assert ends.startswith("Steps: 100%")
    assert "\r" not in shown


def test_a_file_has_a_line_now_and_then(monkeypatch):
    monkeypatch.setattr(progress, "_BETWEEN_LINES", 0)
    lines = shown_by(draw_bar, monkeypatch).splitlines()
    assert len(lines) > 2
    assert all(line.startswith("Steps: ") for line in lines)


@pytest.mark.parametrize(("seconds", "is_silent"), [(5, True), (0, False)])
def test_what_takes_a_moment_has_no_bar(monkeypatch, seconds, is_silent):
    monkeypatch.setattr(progress, "_SHORT", seconds)
    assert (shown_by(draw_image_bar, monkeypatch) == "") == is_silent


def test_a_bar_that_nobody_asked_for():
    with progress.image_bar(2, "Reading", False) as tell:
        assert tell is None
