"""The batch layer: one file per spark-submit target, pure transforms beside them."""
