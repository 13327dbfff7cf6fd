"""One Spark session for all tests: it takes longer to start than most of them to run."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pyspark.sql import SparkSession

from spark_jobs.session import open_session
from tandem.local.jars import ensure_jars, java_home
from tandem.settings import Settings


@pytest.fixture(scope="session")
def spark(platform_settings: Settings) -> Iterator[SparkSession]:
    ensure_jars()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JAVA_HOME", str(java_home()))
        session = open_session("tests", platform_settings)
        yield session
        session.stop()
