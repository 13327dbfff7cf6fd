"""Every setting of the platform, read from ``TANDEM_*`` environment variables, with a local default."""

from __future__ import annotations

import difflib
import os
import re
from datetime import date, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Self
from zoneinfo import ZoneInfo

from pydantic import Field, ValidationInfo, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from tandem import recipients
from tandem.errors import TandemError

PROJECT_ROOT = Path(__file__).resolve().parent.parent
_STILL_CHANGING = timedelta(hours=2)
"""What is shown of the recent past is kept so much longer than it may still change."""

_SHORTEST_ARCHIVE = timedelta(days=31)
"""A night that failed, and whatever came late, can still be computed so long after."""
_SHORTEST_JOURNAL = _SHORTEST_ARCHIVE
"""... and compared with what the stream made of it."""
_DAY = timedelta(days=1)
_SECONDS = re.compile(r"\d+(\.\d+)?")

_LONGEST_DATABASE = 63 - len("_rebuild")
"""In bytes. Postgres cuts a longer name, and the database of a rebuild would be called as that of the books."""
_OTHER_DATABASES = frozenset({"airflow", "postgres", "template0", "template1"})

_NOT_IN_PATHS = "=%[]|^\\"
"""To a reader of Delta tables a column of the path, a byte in hexadecimal, or no path at all."""

_MISSPELT = 0.92
"""So alike are a name and its misspelling, of 1: one letter in ten, or two."""

Port = Annotated[int, Field(ge=1, le=65_535)]


class Settings(BaseSettings):
    """Settings of one Tandem installation. Durations are seconds or ISO 8601 in the environment."""

    model_config = SettingsConfigDict(env_prefix="TANDEM_", frozen=True, extra="ignore", use_attribute_docstrings=True)

    state_dir: Path = PROJECT_ROOT / ".tandem"
    """Everything the local parts keep: databases, logs, archive, mail, secrets."""
    jars_dir: Path = PROJECT_ROOT / ".tandem-jars"
    """JVM parts, apart from the state so that a reset does not fetch them again."""

    business_timezone: str = "UTC"
    """Days, hours and the 02:00 schedule are in this zone. Fixed once data exists."""
    currency: str = Field(default="USD", min_length=1)
    """The business's currency. An order in another one goes to quarantine. Fixed once data exists."""

    host: str = "127.0.0.1"
    """Where the local servers listen, and are looked for."""
    postgres_port: Port = 15432
    """Of Postgres."""
    kafka_port: Port = 19092
    """Of the broker."""
    kafka_controller_port: Port = 19093
    """Of the broker's own quorum; nobody else uses it."""
    airflow_port: Port = 18080
    """Of Airflow's page and API."""
    smtp_port: Port = 11025
    """Of the mail server; the local mail catcher takes it."""
    mail_page_port: Port = 18025
    """Of the page that shows the mails which the local catcher got."""

    postgres_database: str = "tandem"
    """The database that holds everything but the archive and order facts."""
    kafka_bootstrap: str = ""
    """Brokers; empty means the local one. On others `tandem up` makes the topics that are missing, and changes none."""
    topic_prefix: str = ""
    """Put before every topic name, so that tests and tenants can share one broker."""
    consumer_group: str = "tandem-speed"
    """Consumer group of the speed layer's workers, as it stands."""

    archive_uri: str = ""
    """Delta table of the master dataset; empty means inside the state folder."""
    archive_group: str = "tandem-archive"
    """Consumer group of the archivers; the topic prefix is put before it."""
    archive_batch_max_events: int = Field(default=50_000, ge=1)
    """How many records the archiver commits at once, at most."""
    archive_batch_max_bytes: int = Field(default=64 * 1024 * 1024, ge=1)
    """How many bytes of values the archiver commits at once, about."""
    archive_batch_linger: timedelta = timedelta(seconds=5)
    """How long a record that Kafka has may be missing from the archive while an archiver keeps up."""
    archive_retention: timedelta = timedelta(0)
    """How long the archive keeps a business date, counted from its end; 0 keeps all for good."""
    archive_whole_from: str = ""
    """First business date to compute from an archive that lacks the log's beginning; empty: the one after it began."""
    archive_file_retention: timedelta = Field(default=timedelta(days=7), ge=timedelta(hours=1))
    """How long files stay that compaction or retention took out of the archive: longer than any reader reads."""
    order_facts_uri: str = ""
    """Delta table of the decoded, validated, deduplicated orders; empty means inside the state folder."""

    allowed_lateness: timedelta = timedelta(hours=1)
    """How far behind the greatest event time before it on its partition an event still counts in the speed layer."""
    dedupe_horizon: timedelta = timedelta(hours=24)
    """How long ids are remembered, in event time, behind the watermark."""
    watermark_delay: timedelta = timedelta(seconds=5)
    """An hour is final once the watermark is so far past its end."""
    idle_after: timedelta = timedelta(seconds=30)
    """A partition that was read to its end and brought nothing for so long holds no hour back."""
    order_repeat_lookback_days: int = Field(default=7, ge=0)
    """An order that was created within so many days before is a duplicate to the batch layer."""
    high_value_cents: int = 100_000
    """A customer whose orders come to more than this is announced on ``high-value-customers``, once."""
    moving_average_retention: timedelta = Field(
        default_factory=lambda given: given.get("allowed_lateness", timedelta()) + _STILL_CHANGING
    )
    """How long customers' minutes are kept, in event time; by default two hours longer than they may change."""
    session_retention: timedelta = timedelta(days=90)
    """How long customers' sessions are kept, in event time."""

    early_results_every: timedelta = timedelta(seconds=10)
    """How often the state topics show the present values of what has changed."""

    micro_batch_max_events: int = Field(default=20_000, ge=1)
    """How many events a worker counts at once, at most."""
    micro_batch_linger: timedelta = timedelta(milliseconds=100)
    """How long after the one before a worker begins a micro-batch, where it has few events."""
    session_timeout: timedelta = timedelta(seconds=6)
    """After so long without a sign of a worker, another takes its partitions."""

    journal_retention: timedelta = timedelta(days=400)
    """How long the stream's journal keeps a business date, from its end and from when it was read; 0 for good."""

    cut_timeout: timedelta = timedelta(minutes=5)
    """How long a run waits for the speed layer to pass the end of its date before it goes on without."""

    history_retention: timedelta = Field(default=timedelta(days=400), ge=timedelta(hours=1))
    """How long the rows of a superseded version are kept, at least an hour.

    Its daily figures, and why it came, are kept for good. Files that a job has not committed yet must not be older.
    """

    kafka_java_options: str = ""
    """Further options of the local broker's JVM, as ``-Xmx2g``; the last of its kind counts.

    A broker that is needed for minutes starts with nearly half the work with ``-XX:TieredStopAtLevel=1
    -XX:ReservedCodeCacheSize=240m``.
    """
    spark_master: str = "local[2]"
    """Where Spark jobs run that are not submitted by hand."""
    spark_driver_memory: str = "1g"
    """The driver's heap, which on one machine is all there is."""
    spark_driver_java_options: str = "-XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=240m -XX:+UseSerialGC"
    """A job of one day is mostly start and planning, where a thorough compiler costs more than it gains.

    Without that compiler a JVM keeps 48 MB for compiled code, which all jobs of a date fill; then it stops compiling,
    and may end the application.
    """

    mail_from: str = "tandem@localhost"
    """Whom mails come from."""
    mail_to: str = "business@localhost"
    """Who gets mail, separated by commas; ``boss@example.org:critical`` gets only what is at least so urgent."""
    smtp_host: str = "127.0.0.1"
    """The mail server."""
    smtp_user: str = ""
    """Logs in with the secret ``smtp``; empty sends without."""
    smtp_starttls: bool = False
    """Whether mail goes out encrypted."""
    public_base_url: str = ""
    """Where links in mails point; empty means the local pages."""

    log_format: str = Field(default="console", pattern="^(console|json)$")
    """``console`` for people, ``json`` for a log collector."""

    @field_validator("*", mode="before")
    @classmethod
    def _durations_may_be_seconds(cls, value: object, info: ValidationInfo) -> object:
        is_duration = cls.model_fields[str(info.field_name)].annotation is timedelta
        return float(value) if is_duration and isinstance(value, str) and _SECONDS.fullmatch(value) else value

    @field_validator("*")
    @classmethod
    def _no_duration_runs_backwards(cls, value: object) -> object:
        if isinstance(value, timedelta) and value < timedelta(0):
            raise ValueError("a duration is not below 0")
        return value

    @field_validator("state_dir", "jars_dir")
    @classmethod
    def _begins_here(cls, value: Path) -> Path:
        """Servers begin in folders of their own, and would look there."""
        return value.absolute()

    @field_validator("archive_uri", "order_facts_uri")
    @classmethod
    def _local_one_begins_here(cls, value: str) -> str:
        return str(Path(value).absolute()) if value and "://" not in value else value

    @field_validator("allowed_lateness")
    @classmethod
    def _whole_seconds(cls, value: timedelta) -> timedelta:
        if value.microseconds:
            raise ValueError("lateness is a whole number of seconds")
        return value

    @field_validator("business_timezone")
    @classmethod
    def _zone_exists(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (KeyError, OSError, ValueError):
            raise ValueError(f"'{value}' is no time zone such as Europe/Berlin") from None
        return value

    @field_validator("postgres_database")
    @classmethod
    def _database_is_the_books_own(cls, value: str) -> str:
        if value in _OTHER_DATABASES:
            raise ValueError(f"'{value}' is another database")
        if not 0 < len(value.encode()) <= _LONGEST_DATABASE:
            raise ValueError(f"a name has 1 to {_LONGEST_DATABASE} bytes")
        return value

    @field_validator("archive_whole_from")
    @classmethod
    def _date_or_empty(cls, value: str) -> str:
        if value:
            date.fromisoformat(value)
        return value

    @field_validator("mail_to")
    @classmethod
    def _addresses_can_be_read(cls, value: str) -> str:
        if not recipients.parse(value):
            raise ValueError("name at least one address")
        return value

    @model_validator(mode="after")
    def _every_reader_finds_the_tables(self) -> Self:
        for name, address in (("archive_uri", self.archive), ("order_facts_uri", self.order_facts)):
            named = f"TANDEM_{name if getattr(self, name) else 'state_dir'}".upper()
            if not address.startswith(("s3://", "s3a://")) and (
                found := next((each for each in _NOT_IN_PATHS if each in address), "")
            ):
                raise ValueError(f"{named} must be a path without '{found}', unlike {address}")
        return self

    @model_validator(mode="after")
    def _what_may_change_is_kept(self) -> Self:
        for name in ("moving_average_retention", "session_retention"):
            if getattr(self, name) < self.allowed_lateness + _STILL_CHANGING:
                raise ValueError(f"TANDEM_{name.upper()} must be two hours more than TANDEM_ALLOWED_LATENESS")
        if self.dedupe_horizon < self.allowed_lateness:
            raise ValueError(
                "TANDEM_DEDUPE_HORIZON must be at least TANDEM_ALLOWED_LATENESS, or late copies count twice"
            )
        return self

    @model_validator(mode="after")
    def _what_reads_the_journal_finds_it(self) -> Self:
        if not self.journal_retention:
            return self
        if self.journal_retention < _SHORTEST_JOURNAL:
            days = _SHORTEST_JOURNAL.days
            raise ValueError(f"TANDEM_JOURNAL_RETENTION must be 0, for good, or at least {days} days")
        for name, reach in (
            ("dedupe_horizon", self.dedupe_horizon),
            ("allowed_lateness", self.allowed_lateness),
            ("order_repeat_lookback_days", self.order_repeat_lookback_days * _DAY),
        ):
            if self.journal_retention < reach + _DAY:
                raise ValueError(f"TANDEM_JOURNAL_RETENTION must be a day more than TANDEM_{name.upper()}")
        return self

    @field_validator("archive_retention")
    @classmethod
    def _what_may_be_restated_is_kept(cls, value: timedelta) -> timedelta:
        if value and value < _SHORTEST_ARCHIVE:
            raise ValueError(f"it must be 0, for good, or at least {_SHORTEST_ARCHIVE.days} days")
        return value

    @property
    def zone(self) -> ZoneInfo:
        """The business time zone."""
        return ZoneInfo(self.business_timezone)

    @property
    def brokers(self) -> str:
        """Kafka bootstrap servers."""
        return self.kafka_bootstrap or f"{self.host}:{self.kafka_port}"

    @property
    def archive(self) -> str:
        """Address of the master dataset."""
        return self.archive_uri or str(self.state_dir / "archive")

    @property
    def order_facts(self) -> str:
        """Address of the ``order_facts`` table."""
        return self.order_facts_uri or str(self.state_dir / "order_facts")

    @property
    def staged_rows(self) -> str:
        """Address of the folder where Spark puts rows on their way into Postgres."""
        return f"{self.order_facts}.staged"

    @property
    def uses_s3(self) -> bool:
        """Whether one of the two lies on S3."""
        return any(address.startswith(("s3://", "s3a://")) for address in (self.archive, self.order_facts))

    def topic(self, name: str) -> str:
        """The name a topic has on the broker."""
        return self.topic_prefix + name

    def secret(self, name: str) -> str:
        """A generated secret, from ``TANDEM_SECRET_<NAME>`` or the state folder's ``secrets/<name>``.

        Raises TandemError when neither exists.
        """
        if value := os.environ.get(f"TANDEM_SECRET_{name.upper()}"):
            return value
        path = self.state_dir / "secrets" / name
        if not path.is_file():
            raise TandemError(f"no secret '{name}' in {path.parent}", "run 'tandem up' first")
        return path.read_text(encoding="ascii").strip()

    def conninfo(self, role: str, database: str | None = None) -> dict[str, str | int]:
        """Keyword arguments for ``psycopg.connect`` as one of the roles in ``tandem.database.ROLES``."""
        return {
            "host": self.host,
            "port": self.postgres_port,
            "dbname": database or self.postgres_database,
            "user": role,
            "password": self.secret(role),
            "application_name": role,
        }


@lru_cache(maxsize=1)
def settings() -> Settings:
    """The settings of this process, read once. Raises TandemError where a variable is a setting's name misspelt."""
    known = {f"TANDEM_{name.upper()}" for name in Settings.model_fields}
    for name in sorted({name.upper() for name in os.environ if name.upper().startswith("TANDEM_")} - known):
        if near := difflib.get_close_matches(name, known, n=1, cutoff=_MISSPELT):
            raise TandemError(f"{name} is no setting", f"did you mean {near[0]}?")
    return Settings()
