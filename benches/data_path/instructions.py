"""User instructions, allocations and I/O calls of a proxy per request: figures that repeat on a noisy machine."""

import re
import shutil
import signal
import subprocess
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
    """How much: first a while that is not counted, so that connections stand, tables are warm and the door is where it
    stays; then so many requests."""

    warm_up_s: float = 3.0
    counted: int = 2_500


def instructions(kind: Kind, counts: Counts, keep: Path | None = None) -> callgrind.Profile:
    """Of `counts.counted` requests. `keep` is a folder for what callgrind wrote."""
    folder = Path(tempfile.mkdtemp(prefix="signgate-bench-"))
    upstream = work.Upstream.start(None)
    out = folder / "callgrind.out"
    wrapper = [
        "valgrind", "-q", "--tool=callgrind", "--separate-threads=yes", "--fair-sched=yes",
        f"--callgrind-out-file={out}",
    ]
    try:
        proxy = kind.start(folder / "proxy", upstream, wrapper, environment=PLAIN_COPIES)
        load = work.warm_load(proxy.port, counts.counted, kind.keys, None, counts.warm_up_s)
        callgrind.control(proxy.process.pid, "--zero")
        answers = work.finish_load(load)
        callgrind.control(proxy.process.pid, "--dump")
        proxy.stop()
        work.expect(answers, kind.status, kind.others)
        if keep:
            shutil.rmtree(keep, ignore_errors=True)
            keep.mkdir(parents=True)
            for path in callgrind.dumped(out):
                shutil.copy(path, keep)
        return callgrind.read_dump(out)
    finally:
        work.end(upstream.process)
        shutil.rmtree(folder, ignore_errors=True)


def io_calls(kind: Kind, counts: Counts) -> float:
    """System calls that move bytes or wait for them, per request: what strace counts between its coming and its going."""
    folder = Path(tempfile.mkdtemp(prefix="signgate-bench-"))
    upstream = work.Upstream.start(1)
    out = folder / "strace"
    try:
        proxy = kind.start(folder / "proxy", upstream, cores="0")
        load = work.warm_load(proxy.port, counts.counted, kind.keys, 1, counts.warm_up_s)
        tracer = work.start(
            ["strace", "-f", "-c", "-U", "name,calls", "-o", out, "-p", proxy.process.pid], stderr=subprocess.PIPE, text=True
        )
        if "attached" not in (said := tracer.stderr.readline()):
            raise work.Failure(f"strace cannot follow {kind.name}: {said}")
        answers = work.finish_load(load)
        tracer.send_signal(signal.SIGINT)
        tracer.communicate()
        proxy.stop()
        work.expect(answers, kind.status, kind.others)
        counted = re.findall(r"(?m)^\s*(\w+)\s+(\d+)$", out.read_text())
        return sum(int(calls) for name, calls in counted if IO.match(name)) / counts.counted
    finally:
        work.end(upstream.process)
        shutil.rmtree(folder, ignore_errors=True)
