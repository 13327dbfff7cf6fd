"""The demo's state folder: made anew at every start, and never one that holds somebody's own data."""

from __future__ import annotations

from tandem.errors import TandemError
from tandem.local import services
from tandem.settings import PROJECT_ROOT, Settings

_MARK = "demo"
_NO_DATA = {"lock", "logs", "run"}


def reset(settings: Settings) -> None:
    """Stop and delete an earlier demo, and mark the folder as the demo's.

    Raises TandemError where the folder holds data that no demo wrote, or cannot be written.
    """
    folder = settings.state_dir
    services.ensure_folder(settings)
    held = {path.name for path in folder.iterdir()} - _NO_DATA
    if held and _MARK not in held:
        raise TandemError(
            f"{folder} holds data of your own, and the demo begins with an empty folder",
            f"run 'tandem down', then 'TANDEM_STATE_DIR={PROJECT_ROOT / '.tandem-demo'} make demo'; "
            "or delete your data by 'tandem down --delete-data'",
        )
    stop(settings)
    services.delete_data(settings)
    services.ensure_folder(settings)
    (folder / _MARK).touch()


def stop(settings: Settings) -> None:
    """Stop every local part of this folder."""
    for service in reversed(services.SERVICES.values()):
        service.stop(settings)
