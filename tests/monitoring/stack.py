"""The processes of the test: gateways, their generators, and Prometheus with the rules that are shipped. Each is ended by its
own handle; all listen on loopback, on ports that the system picks."""

import http.client
import json
import os
import re
import resource
import subprocess
import tempfile
import threading
import time
import urllib.parse
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
SHIPPED = ROOT / "deploy" / "prometheus"

# Far longer than each takes; reaching one of them is a failure.
READY_S = 30
ANSWER_S = 20
EXIT_S = 15

# A minute of the shipped files is a second here: scrapes, evaluations, windows and waits alike.
FASTER = 60

# The smallest connect answer that clients accept.
CONNECT = bytes.fromhex("1201633a060a0161120162521777733a2f2f3132372e302e302e313a32313030322f77735801")

# The same that leads to a host that is not the platform's.
STUB = CONNECT.replace(b"ws://127.0.0.1:21002/ws", b"ws://fallback.example/w")


def child_environment() -> dict[str, str]:
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


def wait_for(what: str, found, patience_s: float = ANSWER_S, detail=lambda: ""):
    """The first true value of `found()`; fails with `what` where there is none in time."""
    deadline = time.monotonic() + patience_s
    while True:
        value = found()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not come within {patience_s} s {detail()}")
        time.sleep(0.05)


class Generator:
    """A signature generator. `mood` is what it does: "good", "empty" (200 and nothing), "stub" (leads elsewhere), "slow" (good after 2.5 s)."""

    def __init__(self, delay_s: float) -> None:
        self.delay_s, self.mood = delay_s, "good"
        self.asked = 0
        self._lock = threading.Lock()
        generator = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                generator._answer(self)

            do_POST = do_GET

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: object) -> None:
                pass   # A gateway that gave up on an answer closes: no news.

        self._http = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()

    def _answer(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        with self._lock:
            self.asked += 1
        time.sleep(2.5 if self.mood == "slow" else self.delay_s)
        headers = {"X-Set-TT-Cookie": "ttwid=1"}
        if self.mood == "empty":
            status, answer = 200, b""
        elif "404" in request.path:
            status, answer = 404, b'{"code": 404}'
        elif "sign_url" in request.path:
            url = json.loads(body)["url"]
            signed = {"signedUrl": f"{url}&X-Bogus=DFSzswVLkKxANGP5CtmFF2lUrn1a&X-Gnarly={'M' * 332}&msToken=t", "tokens": {"X-Bogus": "DFSzswVLkKxANGP5CtmFF2lUrn1a"}}
            status, answer = 200, json.dumps({"code": 200, "response": signed}).encode()
        else:
            status, answer = 200, STUB if self.mood == "stub" else CONNECT
        request.send_response(status)
        for name, value in (headers | {"Content-Length": str(len(answer))}).items():
            request.send_header(name, value)
        request.end_headers()
        request.wfile.write(answer)

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()


class Gateway:
    """A gateway in a folder of its own."""

    def __init__(self, policies: dict[str, str], settings: str, fds_max: int | None = None) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="signgate-monitoring-")
        self.folder = Path(self._folder.name)
        self.policies = self.folder / "policies"
        for name, text in policies.items():
            (self.policies / name).parent.mkdir(parents=True, exist_ok=True)
            (self.policies / name).write_text(text)
        (self.folder / "signgate.toml").write_text(settings)
        self._fds_max = fds_max
        self._process = None

    def start(self, admin: str = "127.0.0.1:0") -> "Gateway":
        def limit() -> None:
            if self._fds_max:
                resource.setrlimit(resource.RLIMIT_NOFILE, (self._fds_max, self._fds_max))

        self._said, ready = [], threading.Event()
        self._process = subprocess.Popen(
            [gateway_binary(), "serve", "--listen", "127.0.0.1:0", "--admin", admin, "--policies", "policies",
             "--config", "signgate.toml", "--store", "none", "--workers", "2"],
            cwd=self.folder, env=child_environment(), text=True, errors="replace", preexec_fn=limit,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        )
        threading.Thread(target=listen, args=(self._process.stderr, self._said, ready), daemon=True).start()
        if not ready.wait(READY_S) or self._process.poll() is not None:
            raise AssertionError(f"the gateway did not become ready and said:\n{self.said()}")
        found = re.search(r"ready: listening on http://(\S+), admin on http://(\S+)", self.said())
        self.address, self.admin = found.group(1), found.group(2)
        return self

    def said(self) -> str:
        return "".join(self._said)

    def command(self, *words: str) -> str:
        """Runs the gateway's own program in its folder; what it prints."""
        done = subprocess.run([gateway_binary(), *words], cwd=self.folder, env=child_environment(), text=True,
                              capture_output=True, timeout=ANSWER_S)
        assert done.returncode == 0, f"{words}: {done.stderr}"
        return done.stdout

    def ask(self, target: str, source: str = "127.0.0.1", method: str = "GET", body: str | None = None, **headers: str):
        """One request on a connection of its own, from that loopback address: status and headers."""
        connection = http.client.HTTPConnection(self.address, timeout=ANSWER_S, source_address=(source, 0))
        try:
            headers = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, target, body, {"User-Agent": "monitoring/1.0"} | headers)
            response = connection.getresponse()
            response.read()
            return response
        finally:
            connection.close()

    def metrics(self) -> str:
        connection = http.client.HTTPConnection(self.admin, timeout=ANSWER_S)
        try:
            connection.request("GET", "/metrics")
            return connection.getresponse().read().decode()
        finally:
            connection.close()

    def kill(self) -> None:
        if self._process and self._process.poll() is None:
            self._process.kill()
        if self._process:
            self._process.wait(EXIT_S)

    def close(self) -> None:
        self.kill()
        self._folder.cleanup()


def listen(stderr, said: list[str], ready: threading.Event) -> None:
    with stderr:
        for line in stderr:
            said.append(line)
            if "ready: listening on" in line:
                ready.set()
    ready.set()   # It ended: waiting longer is of no use.


def faster(text: str) -> str:
    """The shipped text with every duration divided by `FASTER`: ranges, waits and intervals; nothing else is touched."""
    units = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}

    def short(found: re.Match) -> str:
        before, count, unit, after = found.groups()
        return f"{before}{int(count) * units[unit] // FASTER}ms{after}"

    text = re.sub(r"(\[)(\d+)([smhd])(\])", short, text)
    return re.sub(r"(\b(?:for|scrape_interval|evaluation_interval): )(\d+)([smhd])()", short, text)


class Prometheus:
    """The real one, with the shipped configuration and rules, in fast motion."""

    def __init__(self, gateways: list[Gateway]) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="signgate-prometheus-")
        self.folder = Path(self._folder.name)
        for name in ("recording.yml", "alerts.yml"):
            (self.folder / name).write_text(faster((SHIPPED / name).read_text()))
        self._configure(gateways)
        self._log = open(self.folder / "log", "w+")
        self._process = subprocess.Popen(
            ["prometheus", "--config.file=prometheus.yml", "--storage.tsdb.path=data", "--web.listen-address=127.0.0.1:0",
             "--web.enable-lifecycle", "--log.level=info"],
            cwd=self.folder, env=child_environment(), stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log,
        )
        listening = re.compile(r'msg="Listening on" address=(\S+)')
        self.address = wait_for("Prometheus", lambda: listening.search(self.log()), READY_S, self.log).group(1)
        wait_for("Prometheus", self._is_ready, READY_S, self.log)

    def _configure(self, gateways: list[Gateway]) -> None:
        text = faster((SHIPPED / "prometheus.yml").read_text())
        self._gateways = len(gateways)
        shipped = '["127.0.0.1:9091"]'
        assert shipped in text
        (self.folder / "prometheus.yml").write_text(text.replace(shipped, json.dumps([one.admin for one in gateways])))

    def watch(self, gateways: list[Gateway]) -> None:
        """Scrapes these from now on."""
        self._configure(gateways)
        self._call("POST", "/-/reload")

    def log(self) -> str:
        return (self.folder / "log").read_text()

    def _is_ready(self) -> bool:
        try:
            return self._call("GET", "/-/ready") is not None
        except (OSError, AssertionError):
            return False

    def _call(self, method: str, path: str) -> bytes:
        connection = http.client.HTTPConnection(self.address, timeout=ANSWER_S)
        try:
            connection.request(method, path)
            response = connection.getresponse()
            body = response.read()
            assert response.status == 200, f"{path}: {response.status} {body.decode(errors='replace')}"
            return body
        finally:
            connection.close()

    def api(self, path: str, **parameters: object) -> object:
        answer = json.loads(self._call("GET", f"/api/v1/{path}?{urllib.parse.urlencode(parameters)}"))
        assert answer["status"] == "success", answer
        return answer["data"]

    def query(self, expr: str, at: float | None = None) -> dict[tuple, float]:
        """An instant vector: its values by their labels."""
        found = self.api("query", query=expr, **({"time": f"{at:.3f}"} if at else {}))
        assert found["resultType"] == "vector", f"{expr}: {found}"
        return {tuple(sorted(one["metric"].items())): float(one["value"][1]) for one in found["result"]}

    def rules(self) -> list[dict]:
        return [rule for group in self.api("rules")["groups"] for rule in group["rules"]]

    def alerts(self) -> dict[str, str]:
        """The alerts that are pending or firing."""
        order = {"pending": 0, "firing": 1}
        found: dict[str, str] = {}
        for alert in self.api("alerts")["alerts"]:
            name = alert["labels"]["alertname"]
            found[name] = max(found.get(name, "pending"), alert["state"], key=order.__getitem__)
        return found

    def wait_for_scrapes(self, count: int, since: float) -> float:
        """Until every target was scraped `count` times after `since` and the rules were evaluated after that; the time then."""
        def scraped() -> bool:
            window_ms = int((time.time() - since) * 1_000)
            if window_ms < 1:
                return False
            found = self.query(f'count_over_time(up{{job="signgate"}}[{window_ms}ms])')
            return len(found) == self._gateways and min(found.values()) >= count
        wait_for(f"{count} scrapes", scraped, detail=self.log)
        now = time.time()
        wait_for("evaluated rules", lambda: all(evaluated(rule) > now for rule in self.rules()), detail=self.log)
        return time.time()

    def close(self) -> None:
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(EXIT_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(EXIT_S)
        self._log.close()
        self._folder.cleanup()


def evaluated(rule: dict) -> float:
    """When a rule was evaluated last, as seconds since 1970."""
    when = re.sub(r"(\.\d{6})\d*", r"\1", rule["lastEvaluation"]).replace("Z", "+00:00")
    return datetime.fromisoformat(when).timestamp() if not when.startswith("0001") else 0.0
