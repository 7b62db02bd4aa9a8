"""One module for each row of the table of targets; `bench.table` lists them all."""
