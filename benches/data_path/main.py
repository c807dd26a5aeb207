"""Measures the gateway's data path: see `--help`, and README.md beside this file for what the figures mean."""

import argparse
import signal
import sys
from pathlib import Path

sys.dont_write_bytecode = True

import gate
import work


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benches/data_path/run", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", metavar="VERB")
    look = verbs.add_parser("instructions", help="the gateway's instructions, allocations and I/O calls per request")
    look.add_argument("cases", nargs="*", help=f"any of {', '.join(gate.CASES)} [default: all]")
    look.add_argument("--functions", type=int, default=0, metavar="N", help="show the N functions that take most")
    look.add_argument("--no-io", action="store_true", help="leave the I/O calls out: faster, and needs no strace")
    held = verbs.add_parser("gate", help="hold instructions per request against the stored figures")
    held.add_argument("--update", action="store_true", help="store what is measured now")
    return parser.parse_args()


def main() -> int:
    words = arguments()
    work.build()
    if words.verb == "instructions":
        return gate.look(words.cases or list(gate.CASES), words.functions, not words.no_io)
    if words.verb == "gate":
        return gate.hold(words.update)
    return 2


def interrupted(number: int, _frame: object) -> None:
    raise SystemExit(128 + number)


if __name__ == "__main__":
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupted)
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
    except work.Failure as failure:
        print(f"error: {failure}", file=sys.stderr)
        sys.exit(2)
    finally:
        work.end_all()
