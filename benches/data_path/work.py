"""The work that every proxy is given: who asks, what is blocked, what the limits are, and the programs around it."""

import json
import os
import random
import re
import shutil
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
BUILT = ROOT / "target" / "data_path"

CONNECTIONS = 32
PREFIXES = 10_000
SMALL, LARGE = 2_048, 43_008  # bytes of an answer's body

# A limit that nothing here reaches.
UNREACHED = 4_000_000_000


class Failure(Exception):
    """What the user is told, without a trace."""


def build() -> None:
    """The small C programs."""
    BUILT.mkdir(parents=True, exist_ok=True)
    for program in ("load", "upstream", "keys", "passer"):
        source, binary = HERE / f"{program}.c", BUILT / program
        newest = max(source.stat().st_mtime, (HERE / "work.h").stat().st_mtime)
        if binary.exists() and binary.stat().st_mtime > newest:
            continue
        fresh = binary.with_suffix(f".{os.getpid()}")
        subprocess.run(["cc", "-O2", "-Wall", "-Wextra", "-o", fresh, source], check=True)
        fresh.replace(binary)


def on_core(core: int | None, command: list) -> list:
    """`command`, on one core only. Machines with a single core have no choice."""
    if core is None or core >= (os.cpu_count() or 1):
        return command
    return ["taskset", "-c", str(core), *command]


# The children that must not outlive this process.
children: list[subprocess.Popen] = []


def start(command: list, **how) -> subprocess.Popen:
    """Starts a child that ends when this process does, however that ends."""
    bound = ["setpriv", "--pdeathsig", "TERM"] if shutil.which("setpriv") else []
    child = subprocess.Popen([str(word) for word in (*bound, *command)], **how)
    children.append(child)
    return child


def end(child: subprocess.Popen, patience_s: float = 30) -> int:
    """Ends a child by its id: asks, waits, and then insists."""
    if child.poll() is None:
        child.terminate()
        try:
            child.wait(patience_s)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
    if child in children:
        children.remove(child)
    return child.returncode


def end_all() -> None:
    for child in list(children):
        end(child, 5)


@dataclass(frozen=True)
class Upstream:
    """The generator behind each proxy: one port for each length of an answer."""

    process: subprocess.Popen
    ports: dict[int, int]

    @classmethod
    def start(cls, core: int | None) -> "Upstream":
        sizes = (SMALL, LARGE)
        process = start(on_core(core, [BUILT / "upstream", *sizes]), stdout=subprocess.PIPE, text=True)
        ports = process.stdout.readline().split()
        if len(ports) != len(sizes):
            raise Failure("the upstream did not start")
        return cls(process, dict(zip(sizes, map(int, ports))))


# What listens and never answers, until this process ends.
silent: list[socket.socket] = []


def silent_port() -> int:
    """The port of a generator that takes connections and says nothing."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    silent.append(listener)
    return listener.getsockname()[1]


def load(port: int, count: int, keys: int, core: int | None, first: int = 0) -> dict:
    """Sends the requests `first`, `first` + 1, ... of `keys` callers who take turns, and says what came back."""
    return finish_load(start_load(port, count, keys, core, first))


def warm_load(port: int, count: int, keys: int, core: int | None, warm_up_s: float) -> subprocess.Popen:
    """A load that has warmed the proxy up for so long, and counts from when `finish_load` lets it go on."""
    child = start_load(port, count, keys, core, 0, round(warm_up_s * 1e3))
    if child.stdout.readline() != "warm\n":
        finish_load(child)
        raise Failure("the load ended before it was warm")
    return child


def start_load(*words) -> subprocess.Popen:
    port, count, keys, core, *more = words
    command = on_core(core, [BUILT / "load", port, count, CONNECTIONS, keys, *more])
    return start(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish_load(child: subprocess.Popen) -> dict:
    said, complaint = child.communicate("go on\n")
    children.remove(child)
    if child.returncode != 0:
        raise Failure(f"the load failed: {complaint.strip()}")
    return json.loads(said)


def expect(answers: dict, status: int, others: int = 0) -> None:
    """A measurement of the wrong answers is none. `others` may be admitted before a limit refuses."""
    right = answers["statuses"].get(str(status), 0)
    if right < answers["answers"] - others or right == 0:
        raise Failure(f"expected status {status}, got {answers['statuses']}")


def blocked_prefixes() -> list[str]:
    """The same 10,000 networks of mixed lengths at each run, none of them with an address of the work."""
    chosen: set[str] = set()
    dice = random.Random(7)
    while len(chosen) < PREFIXES:
        first = dice.choice([one for one in range(1, 223) if one not in (10, 127, 151)])
        length = dice.choice((16, 20, 22, 24, 24, 24, 32))
        bits = (first << 24 | dice.getrandbits(24)) >> (32 - length) << (32 - length)
        chosen.add(f"{bits >> 24}.{bits >> 16 & 255}.{bits >> 8 & 255}.{bits & 255}/{length}")
    return sorted(chosen)


def key_hashes(count: int) -> list[str]:
    said = subprocess.run([BUILT / "keys", str(count)], check=True, capture_output=True, text=True)
    return said.stdout.split()


TOML_BYTES = 900_000  # a policy file may have a mebibyte
ITEMS = 8_000  # ... and 10,000 tables of a kind


def write_policies(directory: Path, keys: int, refuse: bool = False) -> None:
    """The shipped policies with their limits out of reach, `keys` accounts with a key each, the blocked prefixes, and a quota
    per address for everybody beside the shipped ones. With `refuse`, accounts have one request a day."""
    directory.mkdir(parents=True)
    (directory / "feeds").mkdir()
    for shipped in sorted((ROOT / "policies").glob("*.toml")):
        (directory / shipped.name).write_text(out_of_reach(shipped.read_text(), refuse))
    feed = "\n".join(blocked_prefixes()) + "\n"
    for shipped in sorted((ROOT / "policies" / "feeds").iterdir()):
        (directory / "feeds" / shipped.name).write_text(feed)
    (directory / "60-work.toml").write_text(
        "format = 1\n[[quota]]\nname = \"each-address\"\nscope = \"proxy\"\n"
        f"limits = {{ minute = {UNREACHED} }}\n"
    )
    hashes = key_hashes(keys)
    for part in range(0, keys, ITEMS):
        tables = ["format = 1\n"]
        for n in range(part, min(part + ITEMS, keys)):
            tables.append(
                f'[[account]]\nid = "a{n}"\ntier = "business"\n'
                f'[[key]]\nid = "k{n}"\naccount = "a{n}"\nhash = "blake3:{hashes[n]}"\n'
            )
        text = "".join(tables)
        while text:
            cut = len(text) if len(text) <= TOML_BYTES else text.rindex("[[account]]", 0, TOML_BYTES)
            number = len(list(directory.glob("70-*.toml")))
            head = "" if text.startswith("format") else "format = 1\n"
            (directory / f"70-{number:04}.toml").write_text(head + text[:cut])
            text = text[cut:]


def out_of_reach(text: str, refuse: bool) -> str:
    """A shipped policy file whose rules all stand, and none of them refuses; or only the accounts' quotas do."""

    def limits(found: re.Match) -> str:
        return found[1] + re.sub(r"= *[\d_]+", f"= {UNREACHED}", found[2])

    kept = []
    for table in re.split(r"(?m)^(?=\[)", text):
        distinct = table.startswith("[[distinct]]")
        if refuse and table.startswith("[[quota]]") and 'name = "business"' in table:
            table = re.sub(r"(?m)^limits = .*$", "limits = { day = 1 }", table)
        elif not distinct:
            table = re.sub(r"(?m)^(limits = )(.*)$", limits, table)
        table = re.sub(r'(?m)^rate = .*$', 'rate = "1000000/s"', table)
        table = re.sub(r"(?m)^burst = .*$", "burst = 1000000", table)
        table = re.sub(r"(?m)^max = .*$", "max = 100000", table)
        kept.append(table)
    return "".join(kept)


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
