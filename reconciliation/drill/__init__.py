"""``tandem drill`` (capability B4): known faults into real orders, and whether reconciliation finds each of them.

What must be found comes from the labels of the planted faults and from the records in the log. Nothing here imports the
code that compares and explains: what it found is read from the tables that it wrote.
"""
