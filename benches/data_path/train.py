"""Drives a gateway through the cases that are measured, and measures nothing: what a profile-guided build learns from."""

import tempfile
from pathlib import Path

import work
from proxies import Kind

REQUESTS = 20_000

# Served requests are what a gateway is there for; they weigh most.
CASES = (
    Kind("signgate", "shipped"),
    Kind("signgate", "core"),
    Kind("signgate", "shipped", body=work.LARGE),
    Kind("signgate", "shipped", keys=100, refuse=True),
    Kind("signgate", "shipped", keys=1_000, shed=True),
)


def train() -> int:
    """All cases, one after the other. A gateway writes its profile when it ends, so each has to end by itself."""
    with tempfile.TemporaryDirectory(prefix="signgate-train-") as folder:
        upstream = work.Upstream.start(None)
        for number, kind in enumerate(CASES):
            work.say(f"  training: {number + 1} of {len(CASES)}")
            proxy = kind.start(Path(folder) / str(number), upstream)
            work.expect(work.load(proxy.port, REQUESTS, kind.keys, None), kind.status, kind.others)
            if proxy.stop() != 0:
                raise work.Failure(f"{kind.name} did not end by itself")
        work.end(upstream.process)
    return 0
