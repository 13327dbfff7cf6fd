"""What both layers share: the event contract, checks, KPI declarations, windows, topics, settings."""

__version__ = "0.1.0"
