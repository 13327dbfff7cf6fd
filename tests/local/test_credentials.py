"""Generated secrets: made once, for their owner only."""

from __future__ import annotations

import os

import pytest

from tandem.errors import TandemError
from tandem.local.credentials import ensure_secret, write_private
from tandem.settings import Settings


def test_a_private_file_is_its_owner_s_whatever_the_umask(tmp_path):
    before = os.umask(0)
    try:
        write_private(tmp_path / "secret", "x")
    finally:
        os.umask(before)
    assert (tmp_path / "secret").stat().st_mode & 0o777 == 0o600


def test_a_secret_is_made_once_and_kept(tmp_path):
    own = Settings(state_dir=tmp_path)
    first = ensure_secret(own, "role")
    assert ensure_secret(own, "role") == first == own.secret("role")
    assert len(first) >= 32
    assert (tmp_path / "secrets").stat().st_mode & 0o777 == 0o700


def test_two_secrets_differ(tmp_path):
    own = Settings(state_dir=tmp_path)
    assert ensure_secret(own, "one") != ensure_secret(own, "other")


def test_a_missing_secret_says_what_to_do(tmp_path):
    with pytest.raises(TandemError, match=r"no secret 'role' in .*: run 'tandem up' first"):
        Settings(state_dir=tmp_path).secret("role")
