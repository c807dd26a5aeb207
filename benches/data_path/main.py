"""Measures the gateway's data path: see `--help`, and README.md beside this file for what the figures mean."""

import argparse
import signal
import sys
from dataclasses import replace

sys.dont_write_bytecode = True

import gate
import measure
import report
import train
import work


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="benches/data_path/run",
        description="Measures what a request costs in the gateway, in nginx and in HAProxy, side by side.",
    )
    parser.add_argument("--quick", action="store_true", help="few rounds: shows that it works, and proves nothing")
    parser.add_argument("--rounds", type=int, metavar="N", help="so many interleaved rounds [default: 35]")
    parser.add_argument("--only", metavar="PARTS", help=f"any of {','.join(measure.PARTS)} [default: all]")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB")
    look = verbs.add_parser("instructions", help="the gateway's instructions, allocations and I/O calls per request")
    look.add_argument("cases", nargs="*", help=f"any of {', '.join(gate.CASES)} [default: all]")
    look.add_argument("--functions", type=int, default=0, metavar="N", help="show the N functions that take most")
    look.add_argument("--no-io", action="store_true", help="leave the I/O calls out: faster, and needs no strace")
    held = verbs.add_parser("gate", help="hold instructions per request against the stored figures")
    held.add_argument("--update", action="store_true", help="store what is measured now")
    verbs.add_parser("train", help="only drive the gateway in SIGNGATE_BIN through all that is measured: for deploy/build")
    return parser.parse_args()


def main() -> int:
    words = arguments()
    work.build()
    if words.verb == "instructions":
        return gate.look(words.cases or list(gate.CASES), words.functions, not words.no_io)
    if words.verb == "gate":
        return gate.hold(words.update)
    if words.verb == "train":
        return train.train()
    return everything(words)


def everything(words: argparse.Namespace) -> int:
    parts = words.only.split(",") if words.only else list(measure.PARTS)
    for part in parts:
        if part not in measure.PARTS:
            raise work.Failure(f"there is no part `{part}`; there are {', '.join(measure.PARTS)}")
    effort = measure.Effort.quick() if words.quick else measure.Effort()
    if words.rounds is not None:
        if words.rounds < 1:
            raise work.Failure("at least one round")
        effort = replace(effort, rounds=words.rounds)
    found = measure.measure(effort, parts)
    # Some of the parts are not the table that the README shows.
    whole = not words.quick and not words.only
    folder = report.where(whole)
    report.write(found, folder)
    if whole:
        report.into_readme(found, work.ROOT / "README.md")
    print(report.table(found))
    work.say(f"written to {folder}")
    return 0


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
