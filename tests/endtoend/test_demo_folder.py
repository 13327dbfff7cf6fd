"""The demo begins with an empty folder, and never empties one that holds somebody's own data."""

from __future__ import annotations

from pathlib import Path

import pytest
from installations import new_settings

from tandem.demo import folder
from tandem.errors import TandemError


def test_a_folder_with_data_of_ones_own_is_left_alone(tmp_path: Path) -> None:
    mine = tmp_path / "postgres" / "PG_VERSION"
    mine.parent.mkdir()
    mine.write_text("18")
    with pytest.raises(TandemError, match=r"holds data of your own.*TANDEM_STATE_DIR=.*make demo"):
        folder.reset(new_settings(tmp_path))
    assert mine.read_text() == "18"


def test_the_drill_leaves_a_folder_of_the_demo_alone(tmp_path: Path) -> None:
    own = new_settings(tmp_path / "state")
    folder.reset(own)
    with pytest.raises(TandemError, match=r"holds data of your own, and the drill .*--folder"):
        folder.reset(own, folder.DRILL)
    assert (own.state_dir / "demo").exists()


def test_a_second_demo_begins_with_an_empty_folder(tmp_path: Path) -> None:
    own = new_settings(tmp_path / "state")
    folder.reset(own)
    (own.state_dir / "mail").mkdir()
    folder.reset(own)
    assert [path.name for path in own.state_dir.iterdir() if path.name != "lock"] == ["demo"]


@pytest.mark.parametrize("exists", [True, False], ids=["an empty folder", "no folder"])
def test_the_first_demo_takes_what_holds_nothing(tmp_path: Path, exists: bool) -> None:
    own = new_settings(tmp_path / "state")
    if exists:
        own.state_dir.mkdir()
    folder.reset(own)
    assert (own.state_dir / "demo").exists()
