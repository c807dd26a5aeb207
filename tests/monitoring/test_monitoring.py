"""What is shipped for Prometheus and Grafana, on the real Prometheus in front of a real gateway.

One story, in fast motion (`stack.FASTER`): a calm with traffic that is known to the request, in which nothing may fire and
every panel shows what was sent; then faults, in each of which its alert fires. The queries are read from the dashboards and
from Prometheus' own list of rules: none is written down here. What needs days, or a fault that cannot be brought about from
outside, is in deploy/prometheus/alerts.test.yml.
"""

import http.client
import json
import math
import os
import re
import socket
import subprocess
import threading
import time
import unittest
from concurrent.futures import ThreadPoolExecutor

from stack import CONNECT, ROOT, SHIPPED, Gateway, Generator, Prometheus, wait_for

POLICY = """
format = 1
[tier.anonymous]
class = "none"
[tier.community]
class = "free"
[[account]]
id = "overlay-suite"
tier = "community"
[[quota]]
name = "anonymous"
scope = "proxy"
tiers = ["anonymous"]
limits = { hour = 5 }
[[quota]]
name = "community"
scope = "account"
tiers = ["community"]
limits = { day = 100_000 }
[[quota]]
name = "strict"
scope = "account"
tiers = ["community"]
limits = { day = 3 }
mode = "shadow"
[[blocklist]]
name = "proxies"
file = "feeds/proxies.netset"
[[target]]
hosts = ["webcast.tiktok.com"]
paths = ["/webcast/*"]
"""
FEED = "127.0.0.66\n192.0.2.0/24\n198.51.100.0/24\n"

NEAR_S, FAR_S = 0.03, 0.15
ROOM = 7_300_000_000_000_001_000

# The calm, request by request.
KEYED, SIGNED, STRANGERS, EACH, OVER, BLOCKED, UNKNOWN, LIMITS, BLAMED, INVALID = 120, 6, 10, 3, 8, 3, 2, 4, 5, 2
ADMITTED = KEYED + SIGNED + STRANGERS * EACH + 5 + LIMITS + BLAMED
THROTTLED, DENIED = OVER - 5, BLOCKED + UNKNOWN
DECIDED = ADMITTED + THROTTLED + DENIED
ASKED = ADMITTED - LIMITS
GOOD = ADMITTED - BLAMED
PAID_FOR = KEYED + SIGNED + BLAMED
ANONYMOUS = DECIDED - PAID_FOR - LIMITS



def hedges(story: "Story") -> int:
    """How often a second generator was asked because the first one was not as quick as usual: up to the machine."""
    return sum(story.asked.values()) - ASKED


def less_hedges(count):
    """What a generator did, but for what it was asked beside another that was quicker in the end."""
    return lambda story: (count(story) - hedges(story), count(story) + 2)   # A probe may have come a moment later.


# What the panels show of it. A key is a panel; of several queries, the place of the query stands after it. A series goes by
# the values of its labels, in the order of their names; one that is not named here has nothing to show. Numbers of COUNTS are rates there: so many in all.
COUNTS = {
    "overview: Requests a second": {"": DECIDED},
    "overview: Requests by verdict": {"allow": ADMITTED, "throttle": THROTTLED, "deny": DENIED},
    "overview: Refusals by rule": {"anonymous": THROTTLED, "proxies": BLOCKED, "key-unknown": UNKNOWN},
    "overview: How requests end":
        {"good": GOOD, "refused": THROTTLED + DENIED, "request-blamed": BLAMED, "invalid": INVALID},
    "overview: Good answers by generator":
        {name: less_hedges(lambda story, name=name: story.good[name]) for name in ("near", "far")},
    "overview: Requests by operation":
        {"connect": DECIDED - SIGNED - LIMITS, "sign-url": SIGNED, "limits": LIMITS},
    "overview: Requests by tier": {"community": PAID_FOR + LIMITS, "anonymous": ANONYMOUS},
    "overview: Answers by status":
        {"200": GOOD, "401": UNKNOWN, "403": BLOCKED, "404": BLAMED + INVALID, "429": THROTTLED},
    "policy-and-quotas: Refusals by rule":
        {"anonymous throttle": THROTTLED, "proxies deny": BLOCKED, "key-unknown deny": UNKNOWN},
    "policy-and-quotas: Would be refused by rules in shadow": {"strict": PAID_FOR - 3},
    "policy-and-quotas: What would be decided otherwise": {"throttle": PAID_FOR - 3},
    "policy-and-quotas: Keys that are not good": {"key-unknown": UNKNOWN},
    "policy-and-quotas: Charges taken back": {},
    "policy-and-quotas: Loads of the policy": {},
    "generators: Judged answers": {
        "near good": less_hedges(lambda story: story.good["near"]), "far good": less_hedges(lambda story: story.good["far"]),
        "near overtaken": lambda story: (0, hedges(story) + 2), "far overtaken": lambda story: (0, hedges(story) + 2),
        "near blames the request": lambda story: story.asked["near"] - story.good["near"],
        "far blames the request": lambda story: story.asked["far"] - story.good["far"],
    },
    "generators: Asked": {name: less_hedges(lambda story, name=name: story.asked[name]) for name in ("near", "far")},
    "generators: No good answer in the end": {},
    "generators: Asked, by cause":
        # Who blames one request after the other is not taken at its word each time.
        {"first": ASKED, "retry": (0, BLAMED), "hedge": lambda story: (max(0, hedges(story) - 2), hedges(story) + 2), "probe": (0, 2)},
    # One that had nothing to do for half a minute is probed, on a machine on which all of this takes so long.
    "generators: Probes": {"near good": (0, 2), "far good": (0, 2)},
    "generators: Retries and hedges left out": {"": 0},
    "generators: Refused for want of capacity": {},
    "gateway-internals: Connections accepted and turned away/0": {"": DECIDED + INVALID},
    "gateway-internals: Connections accepted and turned away/1": {},
    "gateway-internals: Connections accepted and turned away/2": {"": 0},
    "gateway-internals: Access record/0": {"": DECIDED + INVALID},
    "gateway-internals: Access record/1": {},
    "gateway-internals: Deadlines hit": {},
    "gateway-internals: Rejected": {},
    "abuse: Evidence by heuristic": {},
    "abuse: Shadow beside enforce": {},
    "abuse: Convictions by width": {},
    "abuse: Refused by bans and detection": {},
}
VALUES = {
    # Detection is off: what it would see is tried where the clock can be moved, in `admin::bans::tests`.
    "abuse: Mode": {"off": 1},
    "abuse: Rooms alarmed": {"": 0},
    "abuse: Bans that stand": {"enforced": 0, "shadow": 0, "promoted": 0, "operator": 0},
    "abuse: Cold": {"": 1},
    "overview: Judged success, last hour": {"signgate": 1.0},
    "overview: Refused": {"": (THROTTLED + DENIED) / DECIDED},
    "overview: Gateways up": {"": 1},
    "overview: Failures against the budget/0": {"signgate": 0},
    "overview: Time in the gateway alone/0": {"": (0, NEAR_S)},
    "overview: Time at the generators/0": {"": (0.025, 0.25)},
    # Few go to the far one, as it is slower.
    "overview: Time at the generators/1": {"": (0.025, 0.25)},
    "policy-and-quotas: The files are in force": {"": 1},
    "policy-and-quotas: Rolled back": {"": 0},
    "policy-and-quotas: Policy sets since the start": {"": 1},
    # Waits are of an hour, less what has passed of it: above half an hour, up to an hour.
    "policy-and-quotas: Waits told": {"anonymous": (1_800, 3_600)},
    # One address has used its five; the account is over the three that would be enforced.
    "policy-and-quotas: At their limit": {"anonymous": 1, "community": 0, "strict": 1},
    # Ten addresses have used three of five, the account next to nothing of what is enforced.
    "policy-and-quotas: How full quotas are": {"low": 1, "half": STRANGERS, "high": 0, "full": 2},
    "policy-and-quotas: Most used by one subject": {"anonymous": 1, "community": PAID_FOR / 100_000, "strict": 1},
    "policy-and-quotas: Refused, by tier": {"community": 0, "anonymous": (THROTTLED + DENIED) / ANONYMOUS},
    "policy-and-quotas: Entries of feeds": {"proxies": 3},
    "policy-and-quotas: Age of feeds": {"proxies": (0, 120)},
    "policy-and-quotas: Rules":
        {"quota enforce anonymous": 1, "quota enforce community": 1, "quota shadow strict": 1, "blocklist enforce proxies": 1},
    "generators: Failing": {"near signgate": 0, "far signgate": 0},
    "generators: Requests in flight": {"near": 0, "far": 0},
    "generators: Time, half of all": {"near": (0.025, 0.1), "far": (0.1, 0.25)},
    "generators: Time, the slowest in twenty": {"near": (0.025, 0.25), "far": (0.1, 0.5)},
    "generators: Asked for one request": {"": (1, 1.2)},
    "generators: Out of service": {"near": 0, "far": 0},
    "generators: Working, by operation": {"connect": 2, "sign-url": 2, "room-id": 2, "chat": 2},
    "generators: Paid for beyond one signature a request": {"": (0, 0.2)},
    "generators: Waiting for a generator": {"": 0},
    "generators: Time waited, of each request": {"": (0, NEAR_S)},
    "generators: Good answers later than a second": {"signgate": 0},
    "gateway-internals: Threads that serve clients": {"": 2},
    "gateway-internals: Requests in flight": {"": 0},
    "gateway-internals: Connections open": {None: 0},
    # Ten strangers, the one over its quota; the account's two records are no stranger's.
    "gateway-internals: What is counted/0": {"": STRANGERS + 1 + 2},
    "gateway-internals: What is counted/1": {"": STRANGERS + 1},
}

# Alerts that say something of the machine that the test runs on, and may be pending on a busy one; never firing.
OF_THE_MACHINE = {"SigngateSlow", "SigngateWorkersLate", "SigngateGeneratorSlow"}

# These want what cannot be brought about from outside, or days; deploy/prometheus/alerts.test.yml has them.
NOT_BROUGHT_ABOUT = {"SigngateGatewayFailed", "SigngateAcceptErrors", "SigngateCountsNearCap", "SigngateSlow",
                     "SigngateWorkersLate", "SigngateAnswerSizeDrifts", "SigngateRoomUnderAttack", "SigngateHeuristicConvictsTooMuch", "SigngateRequestsBlamed"}
# What is known only after a generator has given twenty answers, a second apart: nothing to see in the calm, which is shorter.
SIZES = "generators: Size of good answers"
KNOWN_LATER = {SIZES, "SigngateAnswerSizeDrifts",
               # The second gateway has a canary.
               "generators: Canary's share", "generators: Canaries rolled back", "SigngateCanaryRolledBack"}
# Of these it is enough that they are on their way: they wait for longer than a test can.
ON_THEIR_WAY = {"SigngateGeneratorEjected", "SigngateSuccessSeeps", "SigngateRolledBack", "SigngateFeedStale"}


def panels() -> dict[str, str]:
    """Every query of every panel, by dashboard and title."""
    queries = {}
    for file in sorted((ROOT / "deploy" / "grafana" / "dashboards").glob("*.json")):
        for panel in json.loads(file.read_text())["panels"]:
            exprs = [target["expr"] for target in panel["targets"]]
            for place, expr in enumerate(exprs):
                queries[f"{file.stem}: {panel['title']}" + (f"/{place}" if len(exprs) > 1 else "")] = expr
    return queries


def as_grafana_asks(expr: str, window_ms: int) -> str:
    """With Grafana's variables filled in: over the whole time, everything chosen."""
    for name in ("$__rate_interval", "$__range"):
        expr = expr.replace(name, f"{window_ms}ms")
    return re.sub(r"\$(instance|rule|generator|mode)\b", ".*", expr)


def always(expr: str) -> str:
    """An alert's expression with comparisons that give 0 where they do not hold, in place of nothing."""
    return re.sub(r" (>|<|==|!=|>=|<=) ", r" \1 bool ", expr)


class Story:
    """What happened, for the tests to look at."""

    def __init__(self) -> None:
        self.near, self.far = Generator(NEAR_S), Generator(FAR_S)
        settings = "".join(
            f'[[generator]]\nname = "{name}"\nalias = "{name}"\nkind = "euler"\nurl = "{generator.url}"\nin-flight-max = 6\n'
            for name, generator in (("near", self.near), ("far", self.far))
        )
        self.gateway = Gateway({"10-test.toml": POLICY, "feeds/proxies.netset": FEED}, settings)
        self.key = self.gateway.command("keys", "new", "--account", "overlay-suite").strip()
        self.next = Generator(NEAR_S)
        canary = (
            '[[generator]]\nname = "stand-in"\nkind = "stand-in"\n'
            f'[[generator]]\nname = "next"\nkind = "euler"\nurl = "{self.next.url}"\ncanary-of = "stand-in"\ncanary-share = 0.5\n'
        )
        self.sick = Gateway({"10-test.toml": POLICY, "feeds/proxies.netset": FEED}, f'[record]\npath = "/dev/full"\n{canary}', fds_max=80)
        self.gateway.start()
        self.prometheus = Prometheus([self.gateway])
        self.stop = threading.Event()
        self.threads: list[threading.Thread] = []

    def close(self) -> None:
        self.stop.set()
        for one in (self.gateway, self.sick, self.prometheus, self.near, self.far, self.next):
            one.close()
        for thread in self.threads:
            thread.join(10)

    def keyed(self, room: int, **more: str):
        return self.gateway.ask(f"/webcast/fetch?room_id={room}", X_Api_Key=self.key, **more)

    def calm(self) -> None:
        # The window begins before the last scrape in which there was nothing yet.
        since = time.time()
        self.prometheus.wait_for_scrapes(3, since)
        asked = lambda: {"near": self.near.asked, "far": self.far.asked}
        with ThreadPoolExecutor(5) as pool:
            answers = list(pool.map(self.keyed, range(ROOM, ROOM + KEYED)))
        url = {"url": f"https://webcast.tiktok.com/webcast/im/fetch/?room_id={ROOM}", "userAgent": "Mozilla/5.0", "method": "GET"}
        for _ in range(SIGNED):
            answers.append(self.gateway.ask("/tiktok/sign_url", method="POST", body=json.dumps(url), X_Api_Key=self.key,
                                            Content_Type="application/json"))
        for stranger in range(STRANGERS):
            for _ in range(EACH):
                answers.append(self.gateway.ask(f"/webcast/fetch?room_id={ROOM}", source=f"127.0.1.{stranger + 1}"))
        over = [self.gateway.ask(f"/webcast/fetch?room_id={ROOM}", source="127.0.2.1") for _ in range(OVER)]
        answers += over[:5]
        answers += [self.gateway.ask("/webcast/rate_limits", X_Api_Key=self.key) for _ in range(LIMITS)]
        before = asked()
        blamed = [self.keyed(7_300_000_000_000_000_404) for _ in range(BLAMED)]
        after = asked()
        refused = [
            *((429, one) for one in over[5:]),
            *((403, self.gateway.ask("/webcast/fetch?room_id=1", source="127.0.0.66")) for _ in range(BLOCKED)),
            *((401, self.gateway.ask("/webcast/fetch?room_id=1", X_Api_Key="nobody's")) for _ in range(UNKNOWN)),
            *((404, self.gateway.ask("/nope")) for _ in range(INVALID)),
            *((404, one) for one in blamed),
        ]
        # What is measured has to have happened.
        assert [one.status for one in answers] == [200] * GOOD, [one.status for one in answers]
        assert all(status == one.status for status, one in refused), [(status, one.status) for status, one in refused]
        self.asked = asked()
        self.good = {name: self.asked[name] - (after[name] - before[name]) for name in self.asked}
        assert ASKED <= sum(self.asked.values()) <= ASKED * 1.2 and min(self.asked.values()) > 5, self.asked

        # What is recorded over five minutes, here five seconds, is looked at at once.
        just_after = self.prometheus.wait_for_scrapes(2, time.time())
        self.window_ms = int((just_after - since) * 1_000)
        recorded = self.shown(just_after, "signgate:")
        # Quotas are looked at every five seconds; once around after the last request.
        wait_for("the swept quotas", lambda: self.prometheus.query('signgate_quota_subjects{use="half", rule="anonymous"} == 10'))
        until = self.prometheus.wait_for_scrapes(2, time.time())
        self.window_ms = int((until - since) * 1_000)
        self.calm_panels = self.shown(until) | recorded
        rules = self.prometheus.rules()
        self.sick_rules = {rule["name"]: rule for rule in rules if rule["health"] != "ok" or rule.get("lastError")}
        self.alert_names = {rule["name"] for rule in rules if rule["type"] == "alerting"}
        self.calm_rules = {
            (rule["type"], rule["name"]):
                self.prometheus.query(always(rule["query"]) if rule["type"] == "alerting" else rule["name"], just_after)
            for rule in rules
        }
        # Pending or firing, at any time so far.
        self.calm_alerts = {
            (dict(labels)["alertname"], dict(labels)["alertstate"])
            for labels in self.prometheus.query(f"count_over_time(ALERTS[{self.window_ms}ms])", until)
        }
        self.page = self.gateway.metrics()

    def shown(self, at: float, asks_for: str = "") -> dict[str, dict]:
        return {name: self.prometheus.query(as_grafana_asks(expr, self.window_ms), at)
                for name, expr in panels().items() if asks_for in expr}

    def beside(self, each) -> None:
        """Does `each(n)` again and again until the end."""
        def go() -> None:
            n = 0
            while not self.stop.is_set():
                try:
                    each(n)
                except (OSError, http.client.HTTPException):
                    pass   # Under attack, some fail.
                n += 1
        self.threads.append(threading.Thread(target=go, daemon=True))
        self.threads[-1].start()

    def wait_for_alerts(self, *names: str, patience_s: float = 90) -> None:
        def wanting() -> set[str]:
            now = self.prometheus.alerts()
            self.fired |= {name for name, state in now.items() if state == "firing"}
            # Some are over soon after their fault is.
            return {name for name in names if name not in self.fired and not (name in ON_THEIR_WAY and name in now)}
        try:
            wait_for(f"alerts {names}", lambda: not wanting(), patience_s)
        except AssertionError:
            # The story goes on: one alert that does not come should not hide what else is wrong.
            self.missing |= wanting()
        self.waited_for |= set(names)

    def faults(self) -> None:
        self.fired: set[str] = set()
        self.waited_for: set[str] = set()
        self.missing: set[str] = set()
        held: list[socket.socket] = []

        # A second gateway whose disk is full, with few file descriptors, a feed of last week, and rolled back.
        feed = self.sick.policies / "feeds" / "proxies.netset"
        os.utime(feed, (time.time() - 4 * 86_400,) * 2)
        self.sick.start()
        self.prometheus.watch([self.gateway, self.sick])
        # A bad reload of the first one.
        good = (self.gateway.policies / "10-test.toml").read_text()
        (self.gateway.policies / "10-test.toml").write_text(good.replace('scope = "proxy"', 'scope = "proxies"'))
        # A client far over its quota; one that tries keys; one that connects and is silent; one that floods.
        pause = lambda seconds: self.stop.wait(seconds)
        over: list[int] = []
        self.beside(lambda _: (over.append(self.gateway.ask("/webcast/fetch?room_id=1", source="127.0.2.1").status), pause(0.02)))
        self.beside(lambda n: (self.gateway.ask("/webcast/fetch?room_id=1", source="127.0.3.1", X_Api_Key=f"guess-{n}"), pause(0.1)))
        self.beside(lambda n: (held.append(connection(self.gateway.address, f"127.0.4.{n % 250 + 1}")), pause(0.2)))
        flood = [connection(self.gateway.address, "127.0.5.1") for _ in range(270)]
        # Generators that answer with nothing, and with a stub that leads elsewhere.
        self.near.mood, self.far.mood = "empty", "stub"
        for _ in range(6):
            self.beside(lambda n: (self.keyed(ROOM + n), pause(0.2)))
        # Several callers, each for other rooms: what fails for one alone could be that one's fault.
        for caller in range(1, 5):
            self.beside(lambda n, caller=caller: (
                self.gateway.ask(f"/webcast/fetch?room_id={ROOM + 1_000_000 * caller + n}", source=f"127.0.8.{caller}"), pause(0.2)))
        self.prometheus.wait_for_scrapes(4, time.time())
        # Before the rollback: then the feed on the disk is not the one in force, and its age is not told.
        self.wait_for_alerts("SigngateFeedStale")
        for _ in range(3):
            self.sick.ask("/webcast/fetch?room_id=1")
        # The canary answers with nothing: it is found out, and its clients are mended by the other.
        self.next.mood = "empty"
        self.canary_answers = [self.sick.ask("/webcast/fetch?room_id=1", source=f"127.0.7.{n + 1}").status for n in range(200)]
        (self.sick.policies / "10-test.toml").write_text(POLICY + "\n# another\n")
        wait_for("the second policy", lambda: "signgate_policy_generation 2" in self.sick.metrics())
        self.sick.command("rollback")
        for _ in range(36):
            # A silent one would be cut too soon.
            held.append(connection(self.sick.address, "127.0.6.1"))
            held[-1].sendall(b"GET /webcast/rate_limits HTTP/1.1\r\nHost: gateway.example\r\n\r\n")
        self.wait_for_alerts("SigngateCanaryRolledBack", "SigngateGeneratorFailing", "SigngateAnswersOfNewShape", "SigngateNoGoodGenerator",
                             "SigngateGeneratorEjected", "SigngateSuccessBurnsFast", "SigngateReloadFailed", "SigngateConnectionsRefused", "SigngateRecordsDropped", "SigngateFileDescriptors")
        self.canary = self.shown(time.time(), "canary")
        # What was asked just before they broke was answered well: until that lies before the window.
        failures = as_grafana_asks(panels()["overview: Failures against the budget/0"], 5_000)
        wait_for("nothing but failures", lambda: abs(by_label(self.prometheus.query(failures)).get("signgate", 0) - 200) < 0.01)
        self.broken = {
            name: self.prometheus.query(as_grafana_asks(expr, 5_000)) for name, expr in panels().items()
            if name in ("generators: Failing", "overview: Failures against the budget/0", "policy-and-quotas: The files are in force",
                        "generators: Asked for one request")
        }
        # Then slow ones, and more work than they may have.
        self.near.mood = self.far.mood = "slow"
        for _ in range(20):
            self.beside(lambda n: (self.keyed(ROOM + n), pause(0.2)))
        self.wait_for_alerts("SigngateGeneratorSlow", "SigngateLatencyBurnsFast", "SigngateLatencyBurns", "SigngateNoCapacity",
                             "SigngateSuccessBurns", "SigngateSuccessLeaks", "SigngateSuccessSeeps", "SigngateManyRefused", "SigngateUnknownKeys", "SigngateDeadlinesHit",
                             "SigngateRolledBack")
        self.fault_panels = self.shown(time.time())
        assert over.count(429) > 100, len(over)
        self.stop.set()
        for one in held + flood:
            one.close()
        # The second one starts again and again, then stays away.
        for _ in range(4):
            self.sick.kill()
            since = time.time()
            self.sick.start(self.sick.admin)
            # Its start is told in whole seconds.
            self.prometheus.wait_for_scrapes(4, since + 1)
        self.wait_for_alerts("SigngateRestarting")
        self.sick.kill()
        self.wait_for_alerts("SigngateDown")
        # Sizes are known once there are twenty, a second apart.
        self.near.mood = self.far.mood = "good"
        def sizes() -> dict[tuple, float]:
            self.keyed(ROOM)
            return self.prometheus.query(as_grafana_asks(panels()[SIZES], self.window_ms))
        self.fault_panels[SIZES] = wait_for("sizes of answers", sizes, 40)


def connection(address: str, source: str) -> socket.socket:
    host, port = address.rsplit(":", 1)
    return socket.create_connection((host, int(port)), timeout=10, source_address=(source, 0))


def by_label(found: dict[tuple, float]) -> dict[str, float]:
    return {" ".join(text for name, text in labels if name != "__name__"): value for labels, value in found.items()}


class Monitoring(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.story = Story()
        cls.addClassCleanup(cls.story.close)
        cls.story.calm()
        cls.story.faults()

    def test_promtool_has_no_complaint_about_the_metrics_page(self) -> None:
        done = subprocess.run(["promtool", "check", "metrics"], input=self.story.page, text=True, capture_output=True)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))

    def test_the_whole_test_is_about_what_is_shipped(self) -> None:
        known = set(panels())
        self.assertEqual((set(COUNTS) | set(VALUES)) - known, set(), "expectations of panels that there are not")
        shipped = set(re.findall(r"- alert: (\w+)", (SHIPPED / "alerts.yml").read_text()))
        self.assertEqual(self.story.alert_names, shipped)
        self.assertEqual(self.story.waited_for | NOT_BROUGHT_ABOUT, shipped, "an alert that nothing here sets off")

    def test_every_query_of_every_panel_returns_data_in_the_calm_and_in_trouble(self) -> None:
        for when, shown in (("calm", self.story.calm_panels), ("trouble", self.story.fault_panels)):
            for name, found in shown.items():
                if when == "calm" and name in KNOWN_LATER:
                    continue
                with self.subTest(panel=name, when=when):
                    finite = [value for value in found.values() if math.isfinite(value)]
                    self.assertTrue(finite, f"{panels()[name]} gave {found}")

    def test_panels_show_how_many_requests_were_sent(self) -> None:
        window_s = self.story.window_ms / 1_000
        for name, expected in COUNTS.items():
            expr, found = panels()[name], by_label(self.story.calm_panels[name])
            # A rate goes on to the end of its window from the last scrape, a quarter of a second at most.
            total = 1 if "increase(" in expr else window_s
            for label in expected.keys() | found.keys():
                count = expected.get(label, 0)
                count = count(self.story) if callable(count) else count
                least, most = count if isinstance(count, tuple) else (count, count)
                if least == 0 and label not in found:
                    continue
                with self.subTest(panel=name, label=label, sent=count):
                    shown = found[label] * total
                    self.assertGreaterEqual(shown, least - 0.1, found)
                    self.assertLessEqual(shown, most * (1 + 0.6 / window_s) + 0.1, found)

    def test_panels_show_the_values_that_the_traffic_implies(self) -> None:
        for name, expected in VALUES.items():
            found = by_label(self.story.calm_panels[name])
            if None in expected:
                found = {None: sum(found.values())}
            for label in expected.keys() | found.keys():
                with self.subTest(panel=name, label=label):
                    self.assertIn(label, found)
                    shown, value = found[label], expected.get(label, math.nan)
                    if isinstance(value, tuple):
                        self.assertTrue(value[0] <= shown <= value[1], found)
                    elif math.isnan(value):
                        self.assertTrue(math.isnan(shown), found)
                    else:
                        self.assertAlmostEqual(shown, value, delta=abs(value) * 0.01 + 1e-9, msg=found)

    def test_panels_show_a_broken_generator_and_a_bad_reload(self) -> None:
        broken = {name: by_label(found) for name, found in self.story.broken.items()}
        # Those of the second gateway were asked next to nothing, its canary nothing any more.
        for other in ("stand-in signgate", "next signgate"):
            broken["generators: Failing"].pop(other, None)
        self.assertEqual(broken["generators: Failing"], {"near signgate": 1, "far signgate": 1})
        # All of the last five minutes failed: 200 times what one in 200 allows.
        self.assertAlmostEqual(broken["overview: Failures against the budget/0"]["signgate"], 200, delta=0.01)
        # By both of them in turn, as long as the budget of retries lasts.
        # A quotient of two rates: the last bit may be missing.
        self.assertTrue(0.999 <= broken["generators: Asked for one request"][""] <= 2.1, broken)
        self.assertEqual(broken["policy-and-quotas: The files are in force"], {"": 0})

    def test_panels_show_a_canary_that_was_rolled_back(self) -> None:
        self.assertEqual(list(self.story.canary["generators: Canary's share"].values()), [0])
        rolled_back = by_label(self.story.canary["generators: Canaries rolled back"])
        self.assertEqual({label.rsplit(" ", 1)[-1]: round(count) for label, count in rolled_back.items() if count > 0.5}, {"success": 1})
        self.assertEqual(set(self.story.canary_answers), {200})

    def test_a_panel_shows_how_large_answers_are(self) -> None:
        found = by_label(self.story.fault_panels["generators: Size of good answers"])
        self.assertLessEqual(set(found), {"near connect", "far connect"}, found)
        self.assertEqual(set(found.values()), {len(CONNECT)}, found)

    def test_every_rule_is_evaluated_and_has_data_in_the_calm(self) -> None:
        self.assertEqual(self.story.sick_rules, {})
        for (kind, name), found in self.story.calm_rules.items():
            if name in KNOWN_LATER:
                continue
            with self.subTest(kind=kind, rule=name):
                self.assertTrue([value for value in found.values() if math.isfinite(value)], found)

    def test_no_alert_is_up_in_the_calm(self) -> None:
        up = {(name, state) for name, state in self.story.calm_alerts if state == "firing" or name not in OF_THE_MACHINE}
        self.assertEqual(up, set())

    def test_each_alert_fires_in_its_fault_and_no_other(self) -> None:
        self.assertEqual(self.story.missing, set())
        self.assertEqual(self.story.fired - self.story.waited_for - OF_THE_MACHINE, set())


if __name__ == "__main__":
    # Connections that are still open at the end are what some of them are for.
    unittest.main(warnings="ignore")
