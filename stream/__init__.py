"""The speed layer: source, decode, validate, dedupe, fold, sink; and the archiver."""
