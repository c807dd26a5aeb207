"""Reads what `valgrind --tool=callgrind` writes: instructions by function, and how often functions were called."""

import re
import subprocess
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from work import Failure

# The entry points of an allocator, each call of which is an allocation: mimalloc's and the C library's.
ALLOCATORS = re.compile(
    r"^(mi_(malloc|zalloc|calloc|realloc|rezalloc)(_aligned)?|malloc|calloc|realloc|memalign|posix_memalign|aligned_alloc)$"
)
# A thread with such a function does what the clock asks for, not what requests do: under valgrind a second holds few
# requests, so its part would be overstated.
BY_THE_CLOCK = ("signgate::control::watch", "signgate::control::reload", "signgate::control::sweeper")


@dataclass
class Profile:
    """Of a thread, or of a process."""

    instructions: int = 0
    allocations: int = 0
    by_function: Counter = field(default_factory=Counter)

    def __add__(self, other: "Profile") -> "Profile":
        return Profile(
            self.instructions + other.instructions,
            self.allocations + other.allocations,
            self.by_function + other.by_function,
        )


def control(process: int, command: str) -> None:
    """Tells callgrind in a running process to begin its counts anew (`--zero`), or to write them down (`--dump`)."""
    said = subprocess.run(["callgrind_control", command, str(process)], capture_output=True, text=True)
    if said.returncode != 0 or "OK." not in said.stdout:
        raise Failure(f"`callgrind_control {command}` failed: {(said.stdout + said.stderr).strip()}")


def dumped(out: Path) -> list[Path]:
    """What the first dump to `out` wrote, a file a thread."""
    return sorted(out.parent.glob(f"{out.name}.1-*"))


def read_dump(out: Path) -> Profile:
    """All threads with `--separate-threads=yes`, without those that go by the clock."""
    whole = Profile()
    for path in dumped(out):
        profile = read(path)
        if not any(name.startswith(clock) for name in profile.by_function for clock in BY_THE_CLOCK):
            whole = whole + profile
    return whole


def read(path: Path) -> Profile:
    """One file. Its format: https://valgrind.org/docs/manual/cl-format.html"""
    names: dict[str, str] = {}
    profile = Profile()
    here, callee, called = "", "", False
    with open(path, errors="replace") as lines:
        for line in lines:
            first = line[0]
            if first.isdigit() or first in "+-*":
                if called:  # the inclusive cost of the call before
                    called = False
                else:
                    cost = int(line.split()[1])
                    profile.by_function[here] += cost
                    profile.instructions += cost
            elif line.startswith("fn="):
                here = named(line[3:], names)
            elif line.startswith("cfn="):
                callee = named(line[4:], names)
            elif line.startswith("calls="):
                called = True
                if ALLOCATORS.match(callee) and not ALLOCATORS.match(here) and not here.startswith("mi_"):
                    profile.allocations += int(line[6:].split()[0])
    return profile


def named(text: str, names: dict[str, str]) -> str:
    """`(7) name` defines 7, `(7)` is that name; a cycle's part or a recursion level is left out."""
    found = re.match(r"\((\d+)\)(?: (.*))?", text.strip())
    if not found:
        return text.strip()
    if found[2] is not None:
        names[found[1]] = re.sub(r"'\d+$", "", found[2])
    return names.get(found[1], "?")
