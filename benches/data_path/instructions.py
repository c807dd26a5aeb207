"""User instructions, allocations and I/O calls of a proxy per request: figures that repeat on a noisy machine."""

import os
import re
import shutil
import signal
import tempfile
from dataclasses import dataclass
from pathlib import Path

import callgrind
import work
from proxies import Kind

# What counts as I/O: everything that moves bytes or waits for them. Not futex, clock or memory.
IO = re.compile(
    r"^(p?readv?(64|v2)?|p?writev?(64|v2)?|recv(from|msg|mmsg)?|send(to|msg|mmsg|file)?|splice"
    r"|epoll_p?wait2?|p?poll|p?select6?)$"
)

# glibc copies long blocks by `rep movsb` where the processor is good at it, and valgrind counts an instruction for each
# byte of that; without it a copy costs what its loop has, on every machine.
PLAIN_COPIES = {"GLIBC_TUNABLES": "glibc.cpu.hwcaps=-ERMS,-FSRM"}


@dataclass(frozen=True)
class Counts:
    """So many requests: the first are not counted, so that connections stand and tables are warm."""

    before: int
    counted: int


def instructions(kind: Kind, counts: Counts, keep: Path | None = None) -> callgrind.Profile:
    """Of `counts.counted` requests: a long run minus a short one. `keep` is a folder for the files of both."""
    folder = Path(tempfile.mkdtemp(prefix="signgate-bench-"))
    upstream = work.Upstream.start(None)
    try:
        runs = {}
        for name, count in (("short", counts.before), ("long", counts.before + counts.counted)):
            out = folder / f"callgrind.{name}"
            wrapper = [
                "valgrind", "-q", "--tool=callgrind", "--separate-threads=yes", "--fair-sched=yes",
                f"--callgrind-out-file={out}",
            ]
            proxy = kind.start(folder / name, upstream, wrapper, environment=PLAIN_COPIES)
            answers = work.load(proxy.port, count, kind.keys, None)
            proxy.stop()
            work.expect(answers, kind.status, kind.others)
            runs[name] = callgrind.read_run(out)
        if keep:
            shutil.rmtree(keep, ignore_errors=True)
            keep.mkdir(parents=True)
            for path in folder.glob("callgrind.*"):
                shutil.copy(path, keep)
        return runs["long"] - runs["short"]
    finally:
        work.end(upstream.process)
        shutil.rmtree(folder, ignore_errors=True)


def io_calls(kind: Kind, counts: Counts) -> float:
    """System calls that move bytes or wait for them, per request: strace of a long run minus a short one."""
    folder = Path(tempfile.mkdtemp(prefix="signgate-bench-"))
    upstream = work.Upstream.start(1)
    try:
        runs = {}
        for name, count in (("short", counts.before), ("long", counts.before + counts.counted)):
            out = folder / f"strace.{name}"
            proxy = kind.start(folder / name, upstream, ["strace", "-f", "-c", "-U", "name,calls", "-o", str(out)], "0")
            answers = work.load(proxy.port, count, kind.keys, 1)
            # The tracer passes the signal on to nobody: what it traces is ended, and it ends by itself.
            end_traced(proxy.process.pid)
            proxy.stop()
            work.expect(answers, kind.status, kind.others)
            runs[name] = sum(
                int(calls) for name, calls in re.findall(r"(?m)^\s*(\w+)\s+(\d+)$", out.read_text()) if IO.match(name)
            )
        return (runs["long"] - runs["short"]) / counts.counted
    finally:
        work.end(upstream.process)
        shutil.rmtree(folder, ignore_errors=True)


def end_traced(tracer: int) -> None:
    for pid in Path(f"/proc/{tracer}/task/{tracer}/children").read_text().split():
        os.kill(int(pid), signal.SIGTERM)
