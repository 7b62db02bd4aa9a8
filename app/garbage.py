"""The garbage collector, as long work wants it: a million rows are no garbage, so it need not look at each again."""

import gc

THRESHOLDS = 50_000, 20, 50


def settle() -> None:
    """Leave what is loaded by now out of every later collection, and collect less often.

    By default every 700 new tuples are looked at, which takes a quarter of the time of an import or a publication.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
