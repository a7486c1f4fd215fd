"""Runs damaged specs, messages, H5 files and ZIPs, 100,000 by default, and looks for tracebacks, crashes and hangs.

    python scripts/fuzz.py --cases 25000          of each kind
    python scripts/fuzz.py --kind zip --first 4711 --cases 1    one case again

It also reports crashes and cases of more than ten seconds by number. Exits with 1 if there was a fault.
"""

import argparse
import collections
import faulthandler
import json
import multiprocessing
import signal
import sys
import traceback
import warnings
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "support"), str(ROOT)]

#: Seconds; a case takes some milliseconds.
HANG = 10
#: Cases of one process, so that a crash costs little.
BATCH = 500


def main() -> int:
    """Run the cases of the command line; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--kind", action="append", choices=["spec", "message", "h5", "zip"])
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--cases", type=int, default=25_000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    import fuzz_cases  # noqa: F401 - imported once, before the processes are forked

    totals, bad = {}, 0
    for kind in options.kind or ["spec", "message", "h5", "zip"]:
        counts: collections.Counter[str] = collections.Counter()
        for start in range(options.first, options.first + options.cases, BATCH):
            found, faults = batch(kind, start, min(BATCH, options.first + options.cases - start))
            counts.update(found)
            for fault in faults:
                print(fault, file=sys.stderr)
            bad += len(faults)
        totals[kind] = dict(counts)
    print(json.dumps(totals) if options.json else f"{totals}; faults: {bad}")
    return 1 if bad else 0


def batch(kind: str, start: int, count: int) -> tuple[dict[str, int], list[str]]:
    """Run cases in a separate process."""
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    at = context.Value("i", start)
    process = context.Process(target=cases, args=(kind, start, count, sender, at))
    process.start()
    sender.close()
    try:
        counts, faults = receiver.recv()
    except EOFError:
        counts, faults = {}, [f"{kind} {at.value}: the process ended or hung"]
    process.join()
    return counts, faults


def cases(kind: str, start: int, count: int, sender, at) -> None:  # type: ignore[no-untyped-def]
    """Run cases of one kind and send their results; `at` tells which case is running."""
    from fuzz_cases import run

    faulthandler.enable()
    warnings.simplefilter("ignore")
    counts: collections.Counter[str] = collections.Counter()
    faults = []
    for number in range(start, start + count):
        at.value = number
        signal.alarm(HANG)
        try:
            counts[run(kind, number)] += 1
        except Exception:
            counts["fault"] += 1
            faults.append(f"{kind} {number}: {traceback.format_exc()}")
        signal.alarm(0)
    sender.send((dict(counts), faults))


if __name__ == "__main__":
    sys.exit(main())
