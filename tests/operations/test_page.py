"""A page is written whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from prisjakt_relay.errors import SetupError
from prisjakt_relay.operations import page


def test_a_page_is_written_whole(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text("old")

    page.write("né", path)

    assert path.read_text("utf-8") == "né"
    assert list(tmp_path.iterdir()) == [path]


def test_a_page_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text("old")

    with pytest.raises(UnicodeEncodeError):
        page.write("\ud800", path)

    assert path.read_text("utf-8") == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_is_not_there_or_is_the_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="there is no folder"):
        page.write("", tmp_path / "missing" / "report.html")
    with pytest.raises(SetupError, match="that is a folder"):
        page.write("", tmp_path)


def test_a_place_where_nothing_can_be_written_is_told_by_its_own_name() -> None:
    with pytest.raises(SetupError, match=r"^--out /proc/report.html: .*; name another place$"):
        page.write("", Path("/proc/report.html"))


def test_a_pipe_is_written_to_and_never_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)

    page.write("whole", pipe)

    assert os.read(reader, 100) == b"whole"
    assert pipe.is_fifo()
    os.close(reader)
