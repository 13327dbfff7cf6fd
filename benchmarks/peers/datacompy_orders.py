"""datacompy's comparison of what both layers booked, in an environment of its own.

python datacompy_orders.py SPEED_FOLDER BATCH_FOLDER OUT_FILE

Writes partition and offset of every order that is not alike, as Parquet.
"""

import sys

import polars as pl
from datacompy import PolarsCompare

speed, batch, out = sys.argv[1:]
place = ["partition", "offset"]
compared = PolarsCompare(
    pl.read_parquet(f"{speed}/*.parquet"), pl.read_parquet(f"{batch}/*.parquet"), join_columns=place
)
found = [compared.df1_unq_rows, compared.df2_unq_rows, compared.all_mismatch()]
pl.concat([rows.select(place) for rows in found]).write_parquet(out)
