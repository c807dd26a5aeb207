"""CPU time of a proxy's processes per request, in interleaved rounds.

A time means nothing from one run to the next, and little from one minute to the next, on a machine that others use too.
So all proxies of a comparison run at once, each idle while it is not its turn, and take turns of a second; each is divided
by the first one's turn of the same round, and the median of those ratios is told, with the range that holds half of them."""

import os
import re
import resource
import shutil
import statistics
import tempfile
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import work
from proxies import RECORD, Kind, Proxy


@dataclass(frozen=True)
class Comparison:
    """Proxies at the same work; the first is what the others are divided by."""

    title: str
    kinds: tuple[Kind, ...]
    # Requests to each before the first round, so that every key and address was seen.
    warm_up: int = 12_000


@dataclass(frozen=True)
class Cost:
    """What one proxy took."""

    name: str
    ratio: float
    low: float
    high: float
    microseconds: float

    @classmethod
    def of(cls, name: str, mine: list[float], first: list[float]) -> "Cost":
        ratios = [one / other for one, other in zip(mine, first)]
        low, high = quartiles(ratios)
        return cls(name, statistics.median(ratios), low, high, statistics.median(mine) * 1e6)


def quartiles(values: list[float]) -> tuple[float, float]:
    if len(values) < 2:
        return values[0], values[0]
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, high


def compare(comparison: Comparison, rounds: int, requests: int) -> list[Cost]:
    """Measures a comparison: `rounds` turns of `requests` requests each."""
    cores = os.cpu_count() or 1
    folder = Path(tempfile.mkdtemp(prefix="signgate-bench-"))
    beside = cores - 1 if cores > 1 else None
    upstream = work.Upstream.start(beside)
    running: list[tuple[Kind, Proxy, Path]] = []
    try:
        for place, kind in enumerate(comparison.kinds):
            work.say(f"  {kind.name}: starting")
            home = folder / str(place)
            workers_on = "0" if kind.workers == 1 else f"0-{min(kind.workers, cores) - 1}"
            proxy = kind.start(home, upstream, cores=workers_on)
            running.append((kind, proxy, home))
            answers = work.load(proxy.port, comparison.warm_up, kind.keys, beside)
            # The door shuts once a few have waited in vain.
            work.expect(answers, kind.status, kind.keys * 2 if kind.refuse else kind.others)
            forget_record(home)
        spent: list[list[float]] = [[] for _ in running]
        for number in range(rounds):
            # Forth and back, so that a drift within a round favours nobody.
            order = list(enumerate(running))
            for place, (kind, proxy, home) in order if number % 2 == 0 else reversed(order):
                before = cpu_seconds(proxy.process.pid)
                first = comparison.warm_up + number * requests
                answers = work.load(proxy.port, requests, kind.keys, beside, first)
                after = cpu_seconds(proxy.process.pid)
                # nginx and HAProxy admit a few again as time passes.
                work.expect(answers, kind.status, requests // 50 if kind.refuse else kind.others)
                spent[place].append((after - before) / requests)
                forget_record(home)
            now = [f"{statistics.median(one) / statistics.median(spent[0]):.2f}" for one in spent]
            work.say(f"  round {number + 1} of {rounds}: {' '.join(now)}")
        for kind, _, home in running:
            if dropped := records_dropped(home):
                work.say(f"warning: {kind.name} lost {dropped} records, so its figure leaves out what they cost")
        return [Cost.of(kind.name, mine, spent[0]) for (kind, _, _), mine in zip(running, spent)]
    finally:
        for _, proxy, _ in running:
            proxy.stop()
        work.end(upstream.process)
        shutil.rmtree(folder, ignore_errors=True)


def forget_record(home: Path) -> None:
    """The access record is appended to, and nobody reads it here: a million lines would only fill the disk."""
    record = home / RECORD
    if record.exists():
        os.truncate(record, 0)


def records_dropped(home: Path) -> int:
    """How many lines the gateway could not write, as it says itself."""
    operator = re.search(r"operator +(http://127\.0\.0\.1:\d+)", (home / "said").read_text())
    if not operator:
        return 0
    with urllib.request.urlopen(f"{operator[1]}/metrics", timeout=10) as answer:
        lost = re.findall(r"(?m)^signgate_records_dropped_total\S* (\d+)", answer.read().decode())
    return sum(map(int, lost))


def processes(pid: int) -> list[int]:
    """A process and all that it started."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found += processes(int(child))
    return found


def cpu_seconds(pid: int) -> float:
    """User and system time of a process, its threads and its children that run."""
    return sum(one_process(each) for each in processes(pid))


def one_process(pid: int) -> float:
    nanoseconds = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            nanoseconds += int((task / "schedstat").read_text().split()[0])
        except FileNotFoundError:
            if task.exists():  # a kernel without it: ticks of a hundredth of a second
                fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
                return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return nanoseconds / 1e9


def memory_each(kind: Kind, keys: int) -> float:
    """Bytes of memory that one more key with its address costs: what the process grows by over `keys` of them."""
    folder = Path(tempfile.mkdtemp(prefix="signgate-bench-"))
    upstream = work.Upstream.start(None)
    try:
        # What is freed after start-up must be gone before, or what comes then would seem to take nothing.
        proxy = kind.start(folder, upstream, environment={"MIMALLOC_PURGE_DELAY": "0"})
        first = keys // 20
        work.expect(work.load(proxy.port, first, keys, None), 200)
        forget_record(folder)
        before = resident(proxy.process.pid)
        rest = keys - first
        work.expect(work.load(proxy.port, rest, keys, None, first), 200)
        grown = resident(proxy.process.pid) - before
        proxy.stop()
        return grown / rest
    finally:
        work.end(upstream.process)
        shutil.rmtree(folder, ignore_errors=True)


def resident(pid: int) -> int:
    """Bytes in memory of a process and its children, shared ones too."""
    pages = sum(int(Path(f"/proc/{one}/statm").read_text().split()[1]) for one in processes(pid))
    return pages * resource.getpagesize()
