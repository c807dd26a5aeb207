"""What is measured, in which order: the comparisons in rounds, then what can be counted exactly, then memory."""

import datetime
import os
import re
import subprocess
from dataclasses import dataclass, replace

import instructions
import work
from proxies import Kind, program
from rounds import Comparison, compare, memory_each

PARTS = ("small", "large", "refusals", "beside-served", "many-keys", "two-workers", "counts", "memory")

NGINX, NGINX_FULL = Kind("nginx", "plain"), Kind("nginx", "full")
HAPROXY, HAPROXY_FULL = Kind("haproxy", "plain"), Kind("haproxy", "full")
CORE, SHIPPED = Kind("signgate", "core"), Kind("signgate", "shipped")
# Not a proxy for anybody: what is left of each of them when its own work costs nothing.
FLOOR = Kind("passer", "plain")
SIX = (NGINX, NGINX_FULL, HAPROXY, HAPROXY_FULL, CORE, SHIPPED)
CHECKING = (NGINX_FULL, HAPROXY_FULL, SHIPPED)

# A refusal needs a spent limit: few keys, so that nginx, whose limits fill up again all the time, admits few of them.
REFUSED_KEYS = 100

# What a refusal is worth beside what it refuses. A generator's good answer is of some 43 KB.
BESIDE_SERVED = (
    replace(SHIPPED, body=work.LARGE, case="served, 43 KB"),
    replace(SHIPPED, case="served, 2 KiB"),
    replace(SHIPPED, keys=REFUSED_KEYS, refuse=True, case="over its quota"),
    replace(SHIPPED, keys=REFUSED_KEYS, shed=True, case="no capacity, 100 keys"),
    replace(SHIPPED, shed=True, case="no capacity, 10,000 keys"),
)


@dataclass(frozen=True)
class Effort:
    """How much of everything."""

    rounds: int = 35
    requests: int = 20_000
    many_keys: int = 1_000_000
    memory_keys: int = 200_000

    @classmethod
    def quick(cls) -> "Effort":
        return cls(rounds=3, requests=4_000, many_keys=50_000, memory_keys=20_000)


def comparisons(effort: Effort) -> dict[str, Comparison]:
    def each(kinds: tuple[Kind, ...], **changes) -> tuple[Kind, ...]:
        return tuple(replace(kind, **changes) for kind in kinds)

    many = effort.many_keys
    return {
        "small": Comparison("answers of 2 KiB", (*SIX, FLOOR)),
        "large": Comparison("answers of 43 KB", each((*SIX, FLOOR), body=work.LARGE)),
        "refusals": Comparison("refusals", each(CHECKING, keys=REFUSED_KEYS, refuse=True), warm_up=2_000),
        "beside-served": Comparison("refusals beside a served request", BESIDE_SERVED, warm_up=20_000),
        "many-keys": Comparison(f"{many:,} keys and addresses", each(CHECKING, keys=many), warm_up=many),
        "two-workers": Comparison("two workers", each(SIX, workers=2)),
    }


def measure(effort: Effort, parts: list[str]) -> dict:
    """Everything that is asked for, as plain data."""
    found: dict = {"about": about(effort), "comparisons": {}, "memory": {}}
    for name, comparison in comparisons(effort).items():
        rows: dict[str, dict] = {kind.name: {} for kind in comparison.kinds}
        if name in parts:
            work.say(f"{comparison.title}: {effort.rounds} rounds of {effort.requests} requests")
            for cost in compare(comparison, effort.rounds, effort.requests):
                rows[cost.name] |= {
                    "ratio": cost.ratio, "low": cost.low, "high": cost.high, "microseconds": cost.microseconds,
                }
        if "counts" in parts and name in ("small", "large", "refusals"):
            for kind in comparison.kinds:
                work.say(f"{comparison.title}: counting what {kind.name} does")
                rows[kind.name] |= count(kind)
        if any(rows.values()):
            found["comparisons"][name] = {"title": comparison.title, "first": comparison.kinds[0].name, "rows": rows}
    if "memory" in parts:
        for kind in (NGINX_FULL, HAPROXY_FULL, CORE):
            work.say(f"memory of {kind.name} with {effort.memory_keys:,} keys and addresses")
            found["memory"][kind.name] = memory_each(replace(kind, keys=effort.memory_keys), effort.memory_keys)
    return found


def count(kind: Kind) -> dict:
    counts = instructions.Counts()
    few = kind if kind.refuse else replace(kind, keys=1_000)
    cost = instructions.instructions(few, counts)
    return {
        "instructions": cost.instructions / counts.counted,
        "allocations": cost.allocations / counts.counted,
        "io_calls": instructions.io_calls(few, counts),
    }


def about(effort: Effort) -> dict:
    """The machine in general words, the date, and what was compared."""
    cpuinfo = open("/proc/cpuinfo").read()
    model = re.search(r"(?m)^model name\s*:\s*(.*)$", cpuinfo)
    return {
        "machine": f"{model[1].strip() if model else os.uname().machine}, {os.cpu_count()} cores, Linux {kernel()}",
        "date": datetime.date.today().isoformat(),
        "versions": {
            "signgate": signgate_version(),
            "nginx": version([program("nginx"), "-v"], r"nginx/([\d.]+)"),
            "HAProxy": version([program("haproxy"), "-v"], r"version ([\d.]+)"),
        },
        "rounds": effort.rounds,
        "requests": effort.requests,
        "memory_keys": effort.memory_keys,
    }


def kernel() -> str:
    return ".".join(os.uname().release.split("-")[0].split(".")[:2])


def version(command: list[str], pattern: str) -> str:
    said = subprocess.run(command, capture_output=True, text=True)
    found = re.search(pattern, said.stdout + said.stderr)
    return found[1] if found else "unknown"


def signgate_version() -> str:
    said = subprocess.run(["git", "-C", work.ROOT, "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
    manifest = (work.ROOT / "Cargo.toml").read_text()
    number = re.search(r'(?m)^version = "(.*)"', manifest)[1]
    return f"{number} ({said.stdout.strip()})" if said.returncode == 0 else number
