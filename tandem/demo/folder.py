"""The state folder of the demo or the drill: made anew at every start, and never one with somebody's own data."""

from __future__ import annotations

from tandem.errors import TandemError
from tandem.local import services
from tandem.settings import PROJECT_ROOT, Settings

DEMO = "demo"
DRILL = "drill"
_NO_DATA = {"lock", "logs", "run"}
_REMEDIES = {
    DEMO: f"run 'tandem down', then 'TANDEM_STATE_DIR={PROJECT_ROOT / '.tandem-demo'} make demo'; "
    "or delete your data by 'tandem down --delete-data'",
    DRILL: "name another one with --folder",
}


def reset(settings: Settings, owner: str = DEMO) -> None:
    """Stop and delete what an earlier one left, and mark the folder as the ``owner``'s.

    Raises TandemError where the folder holds data that its owner did not write, or cannot be written.
    """
    folder = settings.state_dir
    services.ensure_folder(settings)
    held = {path.name for path in folder.iterdir()} - _NO_DATA
    if held and owner not in held:
        raise TandemError(
            f"{folder} holds data of your own, and the {owner} begins with an empty folder", _REMEDIES[owner]
        )
    stop(settings)
    services.delete_data(settings)
    services.ensure_folder(settings)
    (folder / owner).touch()


def stop(settings: Settings) -> None:
    """Stop every local part of this folder."""
    for service in reversed(services.SERVICES.values()):
        service.stop(settings)


def delete(settings: Settings) -> None:
    """Delete the folder and all in it; every part must be stopped."""
    services.delete_data(settings)
