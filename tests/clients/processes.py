"""The processes of a test: the gateway, and one driver for each client library. All are ended by their own handle."""

import http.client
import json
import os
import queue
import re
import subprocess
import tempfile
import threading
import urllib.parse
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent

# Far longer than each takes; reaching one of them is a failure.
READY_S = 30
ANSWER_S = 60
EXIT_S = 15


def child_environment() -> dict[str, str]:
    """Without the caller's proxies, keys and sign servers: a client must go where the test says."""
    kept = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH")
    return {name: os.environ[name] for name in kept if name in os.environ}


def gateway_binary() -> Path:
    named = os.environ.get("SIGNGATE_BIN")
    candidates = [Path(named)] if named else [ROOT / "target" / kind / "signgate" for kind in ("debug", "release")]
    for candidate in candidates:
        if candidate.is_file():
            return candidate.resolve()
    tried = ", ".join(f"`{one}`" for one in candidates)
    raise SystemExit(f"error: no gateway binary at {tried}\nhelp: run `cargo build` first, or set SIGNGATE_BIN")


class Answer:
    """What a plain HTTP request got."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    @property
    def wait_s(self) -> int:
        return int(self.headers["Retry-After"])

    def json(self) -> dict:
        return json.loads(self.body)


def ask_plainly(base: str, target: str, headers: dict[str, str] | None = None) -> Answer:
    """A GET by no library at all, to compare a client's view with."""
    connection = http.client.HTTPConnection(urllib.parse.urlsplit(base).netloc, timeout=ANSWER_S)
    try:
        connection.request("GET", target, headers={"User-Agent": "plain-request/1.0"} | (headers or {}))
        return Answer(connection.getresponse())
    finally:
        connection.close()


class Gateway:
    """The gateway in a folder of its own, with the policy given, in front of one generator."""

    def __init__(self, policy: str, generator_url: str) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="signgate-clients-")
        self.folder = Path(self._folder.name)
        policies = self.folder / "policies"
        policies.mkdir()
        (policies / "test.toml").write_text(policy)
        self._said: list[str] = []
        self._ready = threading.Event()
        self._process = subprocess.Popen(
            [gateway_binary(), "serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0",
             "--policies", policies, "--generator", f"euler={generator_url}", "--store", "none", "--workers", "1"],
            cwd=self.folder, env=child_environment(), text=True, errors="replace",
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )
        self._reader = threading.Thread(target=self._listen, daemon=True)
        self._reader.start()
        if not self._ready.wait(READY_S) or self._process.poll() is not None:
            self.kill()
            raise AssertionError(f"the gateway did not become ready and said:\n{self.said()}")
        found = re.search(r"listening on\s+(?:http://)?(127\.0\.0\.1:[1-9]\d*)", self.said())
        if not found:
            self.kill()
            raise AssertionError(f"the gateway did not say where it listens:\n{self.said()}")
        self.url = f"http://{found.group(1)}"

    def _listen(self) -> None:
        for line in self._process.stdout:
            self._said.append(line)
            if re.search(r"\bready\b", line):
                self._ready.set()
        self._ready.set()  # It ended: waiting longer is of no use.

    def said(self) -> str:
        """Its standard output and error so far."""
        return "".join(self._said)

    def everything_written(self) -> str:
        """Ends it in order, then gives all that it printed and left in its folder, but for the policy."""
        self._process.terminate()
        self._process.wait(EXIT_S)
        self._reader.join(EXIT_S)
        files = [path for path in self.folder.rglob("*") if path.is_file() and path.parent.name != "policies"]
        return self.said() + "".join(path.read_bytes().decode(errors="replace") for path in files)

    def kill(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait(EXIT_S)
        self._reader.join(EXIT_S)
        self._process.stdout.close()
        self._folder.cleanup()


class Driver:
    """One client library in a process of its own; `ask` runs one case in it."""

    def __init__(self, command: list) -> None:
        # A file, not a pipe: nobody reads it while the process runs.
        self._stderr = tempfile.TemporaryFile("w+", errors="replace")
        self._process = subprocess.Popen(
            command, cwd=HERE, env=child_environment(), text=True, bufsize=1,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._stderr,
        )
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._reader = threading.Thread(target=self._listen, daemon=True)
        self._reader.start()
        self.library = self._next()["library"]

    def _listen(self) -> None:
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put(None)

    def _next(self) -> dict:
        try:
            line = self._lines.get(timeout=ANSWER_S)
        except queue.Empty:
            line = None
        if line is None:
            self._stderr.seek(0)
            raise AssertionError(f"the client gave no result and said:\n{self._stderr.read()}")
        return json.loads(line)

    def ask(self, **case: object) -> dict:
        self._process.stdin.write(json.dumps(case) + "\n")
        return self._next()

    def close(self) -> None:
        self._process.stdin.close()
        try:
            self._process.wait(EXIT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(EXIT_S)
        self._reader.join(EXIT_S)
        self._process.stdout.close()
        self._stderr.close()
