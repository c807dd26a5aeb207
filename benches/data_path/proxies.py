"""The proxies that are compared: how each is configured for the work, started, and found among the processes."""

import os
import re
import shutil
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import work
from work import Failure, UNREACHED

RECORD = "data/access.jsonl"  # where the gateway keeps it by itself, too
READY_S = 120  # under valgrind each takes a while to start


def free_port() -> int:
    """A port that was free a moment ago: nginx and HAProxy cannot be told to let the system pick."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@dataclass
class Proxy:
    """A proxy that runs."""

    name: str
    port: int
    process: subprocess.Popen



    def stop(self) -> int:
        return work.end(self.process, 60)


@dataclass(frozen=True)
class Kind:
    """A proxy and how it is set up, before it runs."""

    program: str  # signgate, nginx, haproxy, or passer, which only passes bytes on
    variant: str  # core or shipped; plain or full
    body: int = work.SMALL
    keys: int = 10_000
    refuse: bool = False
    shed: bool = False  # the generator has its hands full: everybody is turned away for want of capacity
    workers: int = 1
    case: str = ""  # what a row of it is called, where one comparison holds several of the same program

    @property
    def status(self) -> int:
        """What each answer of the work has."""
        return 503 if self.shed else 429 if self.refuse else 200

    @property
    def others(self) -> int:
        """How many answers may be others: what is admitted before a limit refuses, or waits before it is known that it waits in
        vain."""
        return self.keys * 3 if self.refuse else 128 if self.shed else 0

    @property
    def name(self) -> str:
        return self.case or f"{self.program} {self.variant}"

    def start(self, folder: Path, upstream: work.Upstream, wrapper: list | None = None, cores: str | None = None,
              environment: dict | None = None) -> Proxy:
        """Writes the configuration into `folder` and starts it there; `wrapper` is a command before it, `cores` where it may
        run, as taskset takes it."""
        folder.mkdir(parents=True, exist_ok=True)
        prepare = {"signgate": signgate, "nginx": nginx, "haproxy": haproxy, "passer": passer}[self.program]
        for _ in range(3):
            command, port, said = prepare(self, folder, upstream.ports[self.body])
            pinned = ["taskset", "-c", cores] if cores else []
            with open(folder / "said", "w") as out:
                process = work.start(
                    [*pinned, *(wrapper or []), *command],
                    stdout=out, stderr=out, cwd=folder, env=os.environ | (environment or {}),
                )
            proxy = await_ready(self, process, port, folder / "said", said)
            if proxy:
                return proxy
            work.end(process)
        raise Failure(f"{self.name} did not start:\n{(folder / 'said').read_text()[-2000:]}")


def await_ready(kind: Kind, process: subprocess.Popen, port: int | None, said: Path, pattern: str | None) -> Proxy | None:
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline and process.poll() is None:
        if pattern:
            found = re.search(pattern, said.read_text())
            if found:
                return Proxy(kind.name, int(found[1]), process)
        else:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                return Proxy(kind.name, port, process)
            except OSError:
                pass
        time.sleep(0.05)
    return None


def binary() -> Path:
    named = os.environ.get("SIGNGATE_BIN")
    path = Path(named) if named else work.ROOT / "target" / "release" / "signgate"
    if not path.is_file():
        raise Failure(f"there is no `{path}`; run `cargo build --release`")
    return path.resolve()


def signgate(kind: Kind, folder: Path, generator: int) -> tuple[list, int | None, str | None]:
    """`shipped` has everything on; `core` keeps no record."""
    policies = folder / "policies"
    if not policies.exists():
        work.write_policies(policies, kind.keys, kind.refuse)
    asking, at_a_time = "", 1024
    if kind.shed:
        generator, asking, at_a_time = work.silent_port(), "[generators]\nqueue-length = 8\n", 1
    record = "none" if kind.variant == "core" else str(folder / RECORD)
    (folder / "signgate.toml").write_text(
        '[listen]\naddress = "127.0.0.1:0"\nclient-address = "x-forwarded-for"\ntrusted-proxies = ["127.0.0.0/8"]\n'
        f'[admin]\naddress = "127.0.0.1:0"\nsocket = "none"\n[policies]\ndirectory = "{policies}"\n'
        f'[record]\npath = "{record}"\n{asking}'
        f'[[generator]]\nname = "upstream"\nalias = "agent-1"\nkind = "euler"\nurl = "http://127.0.0.1:{generator}"\n'
        f"in-flight-max = {at_a_time}\n"
    )
    command = [binary(), "serve", "--config", folder / "signgate.toml", "--store", "none", "--workers", kind.workers]
    return command, None, r"ready: listening on http://127\.0\.0\.1:(\d+)"


def nginx(kind: Kind, folder: Path, generator: int) -> tuple[list, int | None, str | None]:
    """`full`: a geo table of the prefixes and limit_req per key and per address, after the realip module."""
    port = free_port()
    tables, checks = "", ""
    if kind.variant == "full":
        geo = "\n".join(f"    {prefix} 1;" for prefix in work.blocked_prefixes())
        zone = "512m" if kind.keys > 100_000 else "16m"
        rate = "1r/m" if kind.refuse else "100000r/s"
        tables = f"""
  geo $blocked {{
    default 0;
{geo}
  }}
  limit_req_zone $http_x_api_key zone=keys:{zone} rate={rate};
  limit_req_zone $binary_remote_addr zone=addresses:{zone} rate=100000r/s;
  limit_req_status 429;
"""
        burst = "" if kind.refuse else " burst=1000000 nodelay"
        checks = f"""
      if ($blocked) {{ return 403; }}
      limit_req zone=keys{burst};
      limit_req zone=addresses burst=1000000 nodelay;
"""
    (folder / "nginx.conf").write_text(f"""
daemon off;
{"master_process off;" if kind.workers == 1 else f"worker_processes {kind.workers};"}
error_log stderr crit;
pid {folder}/nginx.pid;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  keepalive_requests 1000000000;
  proxy_buffers 16 8k; proxy_max_temp_file_size 0;
  set_real_ip_from 127.0.0.0/8; real_ip_header X-Forwarded-For;
  {tables}
  upstream generator {{ server 127.0.0.1:{generator}; keepalive 64; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{port} backlog=1024{" reuseport" if kind.workers > 1 else ""};
    location / {{
      {checks}
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_pass http://generator;
    }}
  }}
}}
""")
    return [program("nginx"), "-p", folder, "-c", folder / "nginx.conf"], port, None


def haproxy(kind: Kind, folder: Path, generator: int) -> tuple[list, int | None, str | None]:
    """`full`: an acl file of the prefixes and a stick table per key and one per address."""
    port = free_port()
    checks = ""
    if kind.variant == "full":
        (folder / "blocked").write_text("\n".join(work.blocked_prefixes()) + "\n")
        size = "2m" if kind.keys > 100_000 else "100k"
        limit = 1 if kind.refuse else UNREACHED // 2
        checks = f"""
  http-request set-src req.hdr_ip(x-forwarded-for,-1)
  http-request deny deny_status 403 if {{ src -f {folder}/blocked }}
  http-request track-sc0 req.hdr(x-api-key) table keys
  http-request track-sc1 src table addresses
  http-request deny deny_status 429 if {{ sc_http_req_rate(0) gt {limit} }}
  http-request deny deny_status 429 if {{ sc_http_req_rate(1) gt {UNREACHED // 2} }}
backend keys
  stick-table type string len 64 size {size} expire 1d store http_req_rate(1d)
backend addresses
  stick-table type ip size {size} expire 1d store http_req_rate(60s)
"""
    front, *tables = checks.split("backend", 1)
    tables = "backend" + tables[0] if tables else ""
    (folder / "haproxy.cfg").write_text(f"""
global
  nbthread {kind.workers}
  maxconn 4096
defaults
  mode http
  timeout connect 5s
  timeout client 300s
  timeout server 300s
  http-reuse always
frontend clients
  bind 127.0.0.1:{port} backlog 1024
{front}
  default_backend generator
backend generator
  server one 127.0.0.1:{generator}
{tables}
""")
    return [program("haproxy"), "-db", "-f", folder / "haproxy.cfg"], port, None


def passer(kind: Kind, folder: Path, generator: int) -> tuple[list, int | None, str | None]:
    """The least that any of them can cost."""
    return [work.BUILT / "passer", generator], None, r"listening on (\d+)"


def program(name: str) -> str:
    """Debian keeps both where only root's path leads."""
    found = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if not found:
        raise Failure(f"there is no {name}; `benches/data_path/run` installs it as root, or: apt-get install {name}")
    return found
