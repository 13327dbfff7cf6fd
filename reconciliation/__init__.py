"""Compare both layers, explain, correct, report."""
