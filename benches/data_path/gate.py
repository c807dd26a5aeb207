"""The regression gate: the gateway's instructions per request, held against figures that are stored beside this file.

Instructions repeat to half a percent, also where the machine is busy with other things; times do not."""

import platform
import subprocess
import tomllib

import instructions
import work
from instructions import Counts
from proxies import Kind

STORED = work.HERE / "instructions.toml"
KEPT = work.BUILT / "callgrind"
SLACK = 0.03

# Fewer keys than in the comparison: instructions hang on what a request does, hardly on how many keys there are.
CASES = {
    "core": Kind("signgate", "core", keys=1_000),
    "shipped": Kind("signgate", "shipped", keys=1_000),
    "refused": Kind("signgate", "shipped", keys=100, refuse=True),
    "shed": Kind("signgate", "shipped", keys=1_000, shed=True),
}
COUNTS = Counts()


def look(cases: list[str], functions: int, io: bool) -> int:
    """Prints the figures of some cases."""
    print(f"{'per request':<12} {'instructions':>12} {'allocations':>12} {'I/O calls':>10}")
    found = {}
    for case in cases:
        if case not in CASES:
            raise work.Failure(f"there is no case `{case}`; there are {', '.join(CASES)}")
        cost = instructions.instructions(CASES[case], COUNTS, KEPT / case)
        each = COUNTS.counted
        found[case] = cost.instructions / each
        calls = f"{instructions.io_calls(CASES[case], COUNTS):10.2f}" if io else f"{'':>10}"
        print(f"{case:<12} {cost.instructions / each:12.0f} {cost.allocations / each:12.2f} {calls}", flush=True)
        for name, count in cost.by_function.most_common(functions):
            print(f"    {count / each:10.1f} {count / cost.instructions:6.1%}  {name}")
    if {"shed", "shipped"} <= found.keys():
        print(f"to turn a request away for want of capacity takes {found['shed'] / found['shipped']:.2f} of what serving it does")
    return 0


def counted(case: str) -> int:
    return round(instructions.instructions(CASES[case], COUNTS, KEPT / case).instructions / COUNTS.counted)


def compiler() -> str:
    said = subprocess.run(["rustc", "--version"], capture_output=True, text=True, cwd=work.ROOT).stdout
    return " ".join(said.split()[:2])


def store(found: dict[str, int]) -> None:
    lines = "".join(f"{case} = {count}\n" for case, count in found.items())
    STORED.write_text(
        "# User instructions per request; written by `benches/data_path/run gate --update`.\n"
        f'machine = "{platform.machine()}"\ncompiler = "{compiler()}"\n{lines}'
    )
    work.say(f"stored in {STORED.relative_to(work.ROOT)}: {', '.join(f'{case} {count}' for case, count in found.items())}")


def hold(update: bool) -> int:
    """0 where no case takes more than the stored figure and the slack, 1 where one does."""
    stored = {} if update else tomllib.loads(STORED.read_text())
    if not update and stored["machine"] != platform.machine():
        work.say(f"the stored figures are of {stored['machine']} and say nothing of this machine: nothing is held")
        return 0
    if not update and stored["compiler"] != compiler():
        work.say(f"the stored figures are of {stored['compiler']}, this is {compiler()}: a difference may be its doing")
    found = {}
    for case in CASES:
        work.say(f"instructions per request: {case}")
        found[case] = counted(case)
        if not update and case not in stored:
            work.say(f"  {case:<10} {found[case]:>8}, and nothing is stored: `benches/data_path/run gate --update`")
            stored[case] = found[case]
        if not update and found[case] > stored[case] * (1 + SLACK):
            # A busy machine may wake the gateway more often, for fewer requests at a time.
            found[case] = min(found[case], counted(case))
    if update:
        store(found)
        return 0
    worse = []
    for case, count in found.items():
        change = count / stored[case] - 1
        work.say(f"  {case:<10} {count:>8}, stored {stored[case]:>8}, {change:+.1%}")
        if change > SLACK:
            worse.append(case)
        elif change < -SLACK:
            work.say("  less than is stored: hold it with `benches/data_path/run gate --update`")
    for case in worse:
        files = f"{(KEPT / case).relative_to(work.ROOT)}/callgrind.out.1-*"
        work.say(
            f"error: a request of the case `{case}` takes more than {SLACK:.0%} more instructions than is stored\n"
            f"help: `benches/data_path/run instructions {case} --functions 40` shows where they go, and with what each\n"
            f"      function calls: `callgrind_annotate --inclusive=yes {files}`, a file a thread.\n"
            "      Where it is worth its price: `benches/data_path/run gate --update`, and say why in the commit"
        )
    return 1 if worse else 0
