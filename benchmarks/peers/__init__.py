"""The peers that the speed layer is measured against, each in an environment of its own (benchmarks.place.CACHE)."""
