#!/usr/bin/env python3
"""Traffic of a sign gateway in worlds drawn at random, one for each seed; one scenario for each stretch.

    worlds.py SCENARIO --seed N --out TRAFFIC.jsonl [--networks NETWORKS.csv] [--info INFO.json]
    worlds.py --list

Written by somebody who knew README.md and the tables of scenarios, and nothing of the detection or of `signgate simulate`: it is no
example of the house's style, and it is left as it was, so that what is measured with it stays comparable. Rates, sizes,
popularity, networks, programs, releases, retries and lengths of sessions are drawn from wide ranges. A stretch begins with 6 to 24
hours of ordinary life and ends with 45 minutes that hold the scenario; each record has a label, as `signgate score` reads it. `run`,
beside this file, replays and scores them.
"""
import argparse, bisect, hashlib, ipaddress, json, math, random, sys
from urllib.parse import quote

EPOCH = 1_790_000_000_000            # some September of 2026
MIN = 60.0
HOUR = 3600.0
CAP = 395_000
BROWSER = ["Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/%d.0.0.0 Safari/537.36" % v
           for v in (126, 131, 137, 140, 143, 145)]


def logu(r, a, b):
    return math.exp(r.uniform(math.log(a), math.log(b)))


def dirich(r, n, alpha):
    x = [r.gammavariate(alpha, 1) + 1e-9 for _ in range(n)]
    s = sum(x)
    return [v / s for v in x]


def pois(r, m):
    if m <= 0:
        return 0
    if m > 50:
        return max(0, int(r.gauss(m, math.sqrt(m)) + 0.5))
    l, k, p = math.exp(-m), 0, 1.0
    while True:
        p *= r.random()
        if p <= l:
            return k
        k += 1


class Pick:
    """weighted choice by bisection"""
    def __init__(self, items, weights):
        self.items = list(items)
        self.cum = []
        s = 0.0
        for w in weights:
            s += w
            self.cum.append(s)
        self.total = s

    def __call__(self, r):
        i = bisect.bisect_right(self.cum, r.random() * self.total)
        return self.items[min(i, len(self.items) - 1)]

    def sample(self, r, k):
        """k different ones, by weight"""
        got, seen, tries = [], set(), 0
        while len(got) < k and tries < 40 * k + 100:
            tries += 1
            x = self(r)
            if id(x) not in seen:
                seen.add(id(x))
                got.append(x)
        return got


class Net:
    def __init__(self, name, kind, asn, nation):
        self.name, self.kind, self.asn, self.nation = name, kind, asn, nation
        self.v4, self.v6, self.v6share = [], None, 0.0
        self.pool, self.listed = None, True

    def fresh(self, r):
        """an address somebody gets here"""
        if self.pool:
            if self.v6 and r.random() < self.v6share:
                return self.six(r)
            return r.choice(self.pool)
        if self.v6 and r.random() < self.v6share:
            return self.six(r)
        base, ln = r.choice(self.v4)
        return base + r.randrange(1, (1 << (32 - ln)) - 1)

    def six(self, r):
        # a /56 of the home, its first or some /64 of it
        home = r.randrange(1 << 24)
        return (self.v6, home, 0 if r.random() < 0.8 else r.randrange(16))

    def block24(self, r):
        base, ln = r.choice(self.v4)
        return (base + r.randrange(1 << (32 - ln))) & ~255


def text(addr, r):
    if isinstance(addr, tuple):
        base, home, sub = addr
        return str(ipaddress.IPv6Address((base << 96) | (home << 72) | (sub << 64) | r.getrandbits(64)))
    return "%d.%d.%d.%d" % (addr >> 24, addr >> 16 & 255, addr >> 8 & 255, addr & 255)


class Lib:
    __slots__ = ("name", "ua", "style", "client", "dev", "app")

    def __init__(self, name, ua, style, client, dev=False, app=None):
        self.name, self.ua, self.style, self.client, self.dev, self.app = name, ua, style, client, dev, app


class Room:
    __slots__ = ("uid", "nation", "w", "streams", "last", "ix")


class Agent:
    __slots__ = ("net", "addr", "lib", "key", "roam", "byname", "device", "fav", "who", "browser")


# ------------------------------------------------------------------ the world

class World:
    def __init__(self, seed):
        r = self.r = random.Random("gen6 world %d" % seed)
        self.seed = seed
        self.warm = logu(r, 6, 24) * HOUR
        self.end = self.warm + 45 * MIN
        self.budget = int(logu(r, 110_000, 330_000))
        self.newids = r.random() < 0.7              # a new room_id for each stream, as TikTok does
        self.resolved = r.random() < 0.4            # records of the gateway itself carry the resolved room
        self.byname_share = r.uniform(0.05, 0.5)
        self.lookup = r.uniform(0.1, 0.6)           # how often a room id is looked up first
        self.reconnect = logu(r, 25, 180) * MIN     # mean time between a tool's reconnects
        self.evening = r.uniform(17, 22)            # hour of the day at which the stretch's last part begins
        self.depth = r.uniform(0.08, 0.5)           # how quiet the night is
        self.used = []
        self.n_asn = 0
        self.keys = {}
        self.make_networks()
        self.make_libs()
        self.make_rooms()

    # -- addresses
    def block(self, ln):
        r = self.r
        while True:
            base = r.randrange(1 << ln) << (32 - ln)
            a = base >> 24
            if a in (0, 10, 127) or a >= 224 or a == 100 or a == 169 or a == 172 or a == 192 or a == 198 or a == 203:
                continue
            end = base + (1 << (32 - ln))
            if any(b < end and base < e for b, e in self.used):
                continue
            self.used.append((base, end))
            return base, ln

    def net(self, name, kind, nation=None):
        self.n_asn += 1
        n = Net(name, kind, self.r.randrange(1000, 65000) if self.r.random() < .6 else self.r.randrange(131072, 400000), nation)
        return n

    def make_networks(self):
        r = self.r
        k = r.randrange(6, 15)
        w = [1 / (i + 1) ** r.uniform(0.6, 1.4) for i in range(k)]
        self.nations = list(range(k))
        self.nation_w = w
        self.nation_pick = Pick(self.nations, w)
        self.isps, self.mobiles, self.mobile_share, self.nets = {}, {}, {}, []
        for c in self.nations:
            self.isps[c], self.mobiles[c] = [], []
            for i in range(r.randrange(2, 7)):
                n = self.net("isp%d.%d" % (c, i), "isp", c)
                n.v4 = [self.block(r.randrange(12, 18)) for _ in range(r.randrange(1, 4))]
                if r.random() < 0.5:
                    n.v6, n.v6share = 0x2a000000 + r.randrange(1 << 20), r.uniform(0.1, 0.7)
                self.isps[c].append(n)
                self.nets.append(n)
                if r.random() < 0.15:               # a small ISP that puts everybody behind a few addresses
                    self.egress(n, int(logu(r, 16, 400)))
            for i in range(r.randrange(1, 4)):
                n = self.net("mobile%d.%d" % (c, i), "mobile", c)
                n.v4 = [self.block(r.randrange(15, 21)) for _ in range(r.randrange(1, 3))]
                if r.random() < 0.4:
                    n.v6, n.v6share = 0x2a000000 + r.randrange(1 << 20), r.uniform(0.1, 0.8)
                self.egress(n, int(logu(r, 6, 500)))
                self.mobiles[c].append(n)
                self.nets.append(n)
            self.mobile_share[c] = r.uniform(0.05, 0.5)
        self.isp_pick = {c: Pick(self.isps[c], dirich(r, len(self.isps[c]), 1.2)) for c in self.nations}
        self.mob_pick = {c: Pick(self.mobiles[c], dirich(r, len(self.mobiles[c]), 1.2)) for c in self.nations}
        self.hostings, self.paas, self.vpns = [], [], []
        for i in range(r.randrange(8, 22)):
            n = self.net("hosting%d" % i, "hosting")
            n.v4 = [self.block(r.randrange(16, 22)) for _ in range(r.randrange(1, 4))]
            if r.random() < 0.3:
                n.v6, n.v6share = 0x2a000000 + r.randrange(1 << 20), r.uniform(0.05, 0.3)
            self.hostings.append(n)
        for i in range(r.randrange(2, 5)):
            n = self.net("paas%d" % i, "paas")
            n.v4 = [self.block(r.randrange(21, 25))]
            self.egress(n, int(logu(r, 3, 60)))
            self.paas.append(n)
        for i in range(r.randrange(2, 6)):
            n = self.net("vpn%d" % i, "hosting")
            n.v4 = [self.block(r.randrange(20, 24)) for _ in range(r.randrange(1, 4))]
            self.egress(n, int(logu(r, 5, 120)))
            self.vpns.append(n)
        self.vpn_share = r.uniform(0.005, 0.06)
        self.nets += self.hostings + self.paas + self.vpns
        for n in self.nets:                         # tables have holes
            n.listed = r.random() > 0.06
        self.bullet = self.net("bulletproof", "hosting")
        self.bullet.v4 = [self.block(21), self.block(22)]
        self.bullet.listed = False
        self.nets.append(self.bullet)

    def egress(self, n, count):
        r = self.r
        blocks = []
        while len(n.pool or []) < count:
            if not blocks or r.random() < 0.03:
                blocks.append(n.block24(r))
            n.pool = n.pool or []
            n.pool.append(r.choice(blocks) + r.randrange(1, 255))

    def csv(self, path):
        with open(path, "w") as f:
            f.write("prefix,asn,kind\n")
            for n in self.nets:
                if not n.listed:
                    continue
                for base, ln in n.v4:
                    f.write("%s/%d,%d,%s\n" % (text(base, self.r), ln, n.asn, n.kind))
                if n.v6:
                    f.write("%s/32,%d,%s\n" % (ipaddress.IPv6Address(n.v6 << 96), n.asn, n.kind))

    # -- programs
    def make_libs(self):
        r = self.r
        fam = {}

        def family(name, uas, style, client, pop):
            # versions: the newest is not always the most used
            ws = [logu(r, 0.02, 1) for _ in uas]
            fam[name] = (Pick([Lib(name, u, style, client) for u in uas], ws), pop)
        family("py7", ["TikTokLive.py/7.0.1", "TikTokLive.py/7.0.0", "TikTokLive.py/7.0.1.post1"], "fetch", "ttlive-python", logu(r, .1, .5))
        family("py6", ["TikTokLive.py/6.6.5", "TikTokLive.py/6.6.1", "TikTokLive.py/6.4.4", "TikTokLive.py/6.5.2", "TikTokLive.py/6.3.0"], "fetch/", "ttlive-python", logu(r, .05, .4))
        family("py5", ["TikTokLive.py/5.0.7", "TikTokLive.py/4.5.1"], "fetch/", "ttlive-python", logu(r, .005, .08))
        osx = ["linux", "win32", "darwin"]
        family("node25", ["tiktok-live-connector/2.5.0 " + o for o in osx], "rooms", "ttlive-node", logu(r, .1, .5))
        family("node24", ["tiktok-live-connector/2.4.%d %s" % (v, o) for v in (4, 2) for o in osx], "rooms", "ttlive-node", logu(r, .02, .2))
        family("node20", ["tiktok-live-connector/2.0.%d %s" % (v, o) for v in (3, 8) for o in osx], "fetch", "ttlive-node", logu(r, .03, .3))
        family("node1", ["axios/0.27.2", "axios/1.7.9", "axios/1.12.0", None], "gen0", "ttlive-node", logu(r, .03, .3))
        family("java", ["Java-http-client/17.0.12", "Java-http-client/21.0.4", "Java-http-client/21.0.8", "Java-http-client/11.0.22"], "fetch", "ttlive-java", logu(r, .02, .2))
        family("net", [None, "TikTokLiveSharp/1.2.1", "TikTokLiveSharp/1.3.0"], "fetch", "ttlive-net", logu(r, .02, .15))
        family("go", ["Go-http-client/1.1", "Go-http-client/2.0"], "go", "gotiktok_live", logu(r, .01, .1))
        family("rust", [None, "reqwest/0.12", "tiktoklive-rs/0.0.19"], "gen0", "ttlive-rust", logu(r, .005, .06))
        family("scripts", ["python-requests/2.32.3", "python-httpx/0.28.1", "curl/8.9.1", "node", "okhttp/4.12.0", "undici", "Deno/2.1.4",
                           "aiohttp/3.11.2", "Dart/3.6 (dart:io)", "UnityPlayer/2022.3.40f1", "GuzzleHttp/7", "Bun/1.2.3"], "sign", "ttlive-other", logu(r, .01, .12))
        family("browser", BROWSER, "sign", "ttlive-other", logu(r, .005, .08))
        self.fam = fam
        names = list(fam)
        self.lib_pick = {}
        for c in self.nations:
            conc = [fam[n][1] * r.gammavariate(1.3, 1) for n in names]
            self.lib_pick[c] = Pick(names, conc)
        # apps with a key in each copy
        self.apps = []
        for i in range(r.randrange(3, 10)):
            nm = r.choice(["StreamPet", "GiftHero", "LiveDeck", "TokOverlay", "ChatterBox", "BattleCam", "PixelWheel", "TalkTTS", "LiveArena", "QuizLive"]) + str(i)
            v = "%d.%d.%d" % (r.randrange(1, 6), r.randrange(12), r.randrange(20))
            ua = r.choice(["%s/%s Electron/31.3.0", "%s/%s (Windows NT 10.0)", "%s/%s", "%s-desktop/%s"]) % (nm, v)
            lib = Lib(nm, ua, r.choice(["fetch", "rooms", "sign"]), "ttlive-other", r.random() < 0.2)
            lib.app = self.key("app%d" % i, "community" if r.random() < 0.7 else "business")
            nat = None if r.random() < 0.4 else self.nation_pick(r)
            self.apps.append((lib, logu(r, 0.05, 1), nat))
        self.app_share = r.uniform(0.05, 0.35)
        self.free_share = r.uniform(0.1, 0.5)
        self.paid_share = r.uniform(0.01, 0.06)
        self.nkeys = 0

    def key(self, name, tier):
        h = hashlib.blake2s(("%d %s" % (self.seed, name)).encode(), digest_size=4).hexdigest()
        return ("k_" + h, "acc-" + name, tier)

    def lib(self, r, nation):
        if r.random() < self.app_share:
            for _ in range(4):
                lib, w, nat = r.choice(self.apps)
                if (nat is None or nat == nation) and r.random() < w:
                    return lib
        return self.fam[self.lib_pick[nation](r)][0](r)

    # -- rooms
    def make_rooms(self):
        r = self.r
        self.zipf = r.uniform(0.7, 1.25)
        n = self.nrooms = int(logu(r, 700, 5000))
        self.rooms = []
        order = list(range(n))
        for i in order:
            x = Room()
            x.ix = i
            x.uid = "".join(r.choice("abcdefghijklmnopqrstuvwxyz0123456789_.") for _ in range(r.randrange(6, 16))).strip("._") + str(i)
            x.nation = self.nation_pick(r)
            x.w = 1 / (i + 3) ** self.zipf
            x.streams, x.last = [], self.roomid(r)
            self.rooms.append(x)
        for x in self.rooms:
            if r.random() < 0.25 + (0.5 if x.ix < 100 else 0):
                t = -r.uniform(0, 4 * HOUR)
                while t < self.end:
                    t += r.expovariate(1 / (7 * HOUR))
                    for _ in range(8):
                        if r.random() < self.day(t, x.nation):
                            break
                        t += r.uniform(0.3, 1.5) * HOUR
                    d = logu(r, 0.4, 5) * HOUR
                    self.stream(x, t, t + d)
                    t += d
            else:
                t = r.uniform(-1 * HOUR, self.end)
                for _ in range(6):
                    if r.random() < self.day(t, x.nation):
                        break
                    t = r.uniform(-1 * HOUR, self.end)
                self.stream(x, t, t + logu(r, 0.4, 5) * HOUR)
        self.step = 5 * MIN

    def roomid(self, r):
        return str(7_300_000_000_000_000_000 + r.randrange(10 ** 17))

    def stream(self, x, a, b):
        rid = self.roomid(self.r) if self.newids else x.last
        x.streams.append((a, b, rid))
        x.streams.sort()

    def day(self, t, nation=0, shift=0.0):
        h = (self.evening + shift + (t - self.warm) / HOUR + (nation % 5) * 0.8 - 1.6) % 24
        return self.depth + (1 - self.depth) * max(0.0, 0.5 + 0.5 * math.cos((h - 20.5) / 24 * 2 * math.pi)) ** 1.3

    def rid(self, x, t):
        last = x.last
        for a, b, i in x.streams:
            if a - 300 <= t:
                last = i
            else:
                break
        return last

    def index_live(self):
        nb = int(self.end / self.step) + 2
        acc = {c: [[] for _ in range(nb)] for c in self.nations}
        allb = [[] for _ in range(nb)]
        for x in self.rooms:
            for a, b, _ in x.streams:
                for k in range(max(0, int(a / self.step)), min(nb - 1, int(b / self.step)) + 1):
                    acc[x.nation][k].append(x)
                    allb[k].append(x)
        self.live = {c: [Pick(l, [x.w for x in l]) if l else None for l in acc[c]] for c in self.nations}
        self.live_all = [Pick(l, [x.w for x in l]) if l else None for l in allb]

    def live_room(self, r, t, nation=None):
        k = min(max(0, int(t / self.step)), len(self.live_all) - 1)
        p = self.live[nation][k] if nation is not None and r.random() < 0.92 else self.live_all[k]
        p = p or self.live_all[k]
        return p(r) if p else r.choice(self.rooms)


# ------------------------------------------------------------------ the traffic

class Stretch:
    def __init__(self, world, scenario, shift=0.0):
        self.w = world
        self.r = random.Random("gen6 %d %s" % (world.seed, scenario))
        self.rows = []
        self.n_agent = 0
        self.shift = shift
        self.outage = None          # (from, until)
        self.info = {}
        self.killed = []            # (room, from) streams cut

    # -- who
    def home(self, nation, mobile=None):
        r, w = self.r, self.w
        if mobile is None:
            if r.random() < w.vpn_share:
                return r.choice(w.vpns)
            mobile = r.random() < w.mobile_share[nation]
        return (w.mob_pick if mobile else w.isp_pick)[nation](r)

    def agent(self, nation=None, net=None, lib=None, key="draw", addr=None, who="fan"):
        r, w = self.r, self.w
        a = Agent()
        if nation is None:
            nation = w.nation_pick(r)
        a.net = net or self.home(nation)
        a.addr = addr if addr is not None else a.net.fresh(r)
        a.lib = lib or w.lib(r, nation)
        if a.lib.app and key == "draw":
            a.key = a.lib.app
        elif key == "draw":
            x = r.random()
            self.n_agent += 1
            if x < w.free_share:
                a.key = w.key("u%d" % self.n_agent, "community")
            elif x < w.free_share + w.paid_share:
                a.key = w.key("u%d" % self.n_agent, "business")
            else:
                a.key = None
        else:
            a.key = key
        a.roam = 0.0
        if a.net.kind == "mobile":
            a.roam = r.choice([0.02, 0.1, 0.4])
        elif a.net in w.vpns:
            a.roam = 0.1
        a.byname = r.random() < w.byname_share
        a.device = "%019d" % r.randrange(10 ** 19) if a.lib.dev else None
        a.browser = r.choice(BROWSER)
        a.fav, a.who = None, who
        return a

    def move(self, a):
        if a.roam and self.r.random() < a.roam:
            a.addr = a.net.fresh(self.r)

    # -- requests
    def emit(self, t, a, room, op="connect", label="benign", who=None):
        if 0 <= t < self.w.end:
            self.rows.append((t, a, room, op, label, who or a.who, a.addr))

    def join(self, t, a, room, label="benign", who=None, stay=None, look=None, again=True):
        """one visit: look the room up perhaps, connect, reconnect now and then"""
        r, w = self.r, self.w
        self.move(a)
        if r.random() < (w.lookup if look is None else look):
            self.emit(t - r.uniform(0.3, 2), a, room, "room-id", label, who)
        if a.lib.style == "go":
            self.emit(t - 0.2, a, room, "limits", label, who)
        self.emit(t, a, room, "connect", label, who)
        if not again:
            return
        stay = r.expovariate(1 / (22 * MIN)) if stay is None else stay
        u = t
        while True:
            u += r.expovariate(1 / w.reconnect)
            if u > t + stay:
                return
            self.move(a)
            self.emit(u, a, room, "connect", label, who)
            if r.random() < 0.1:                    # flaps twice
                self.emit(u + r.uniform(2, 20), a, room, "connect", label, who)

    # -- ordinary life
    def ordinary(self):
        r, w = self.r, self.w
        w.index_live()
        parts = dict(zip(["creator", "fan", "drifter", "recorder", "paas-bot", "vps-bot", "analytics", "loop"],
                         [r_ for r_ in w.r_parts]))
        for who, share in parts.items():
            n = int(share * w.budget)
            start = len(self.rows)
            getattr(self, "do_" + who.replace("-", "_"))(n)
            self.info[who] = len(self.rows) - start

    def when(self, nation):
        """some time of the stretch, by the hours of the day"""
        r, w = self.r, self.w
        while True:
            t = r.uniform(0, w.end)
            if r.random() < w.day(t, nation, self.shift):
                return t

    def room_budget(self, n):
        return len(self.rows) + n

    def do_creator(self, n):
        r, w = self.r, self.w
        end = self.room_budget(n)
        order = [(x, s) for x in w.rooms for s in x.streams]
        r.shuffle(order)
        crew = {}
        for x, (a, b, _) in order * 3:
            if len(self.rows) >= end:
                break
            if x.ix not in crew:
                net = self.home(x.nation)
                addr = net.fresh(r)
                crew[x.ix] = [self.agent(x.nation, net, addr=addr, who="creator") for _ in range(r.choice([1, 1, 1, 2, 2, 3]))]
            for g in crew[x.ix]:
                t = a + r.gauss(0, 90)
                if r.random() < 0.3:                # tries it out before
                    for _ in range(r.randrange(1, 5)):
                        self.emit(a - r.uniform(30, 1500), g, x)
                self.join(t, g, x, stay=b - t)

    def do_fan(self, n):
        r, w = self.r, self.w
        end = self.room_budget(n)
        by_nation = {c: [x for x in w.rooms if x.nation == c] or w.rooms for c in w.nations}
        pk = {c: Pick(l, [x.w for x in l]) for c, l in by_nation.items()}
        loyal = w.r_loyal
        self.fans = []
        while len(self.rows) < end:
            c = w.nation_pick(r)
            a = self.agent(c, who="fan")
            a.fav = [pk[c](r) for _ in range(r.randrange(1, 9))]
            self.fans.append((c, a))
            for x in dict.fromkeys(a.fav):
                for s, e, _ in x.streams:
                    if s > 0 and r.random() < loyal:
                        t = s + (r.expovariate(1 / (4 * MIN)) if r.random() < .6 else r.uniform(0, e - s))
                        self.join(t, a, x)
            for _ in range(pois(r, w.r_sessions)):
                t = self.when(c)
                if a.net.kind == "isp" and r.random() < 0.05:
                    a.addr = a.net.fresh(r)
                for _ in range(r.choice([1, 1, 2, 3, 4])):
                    self.join(t, a, w.live_room(r, t, c))
                    t += r.expovariate(1 / (9 * MIN))

    def do_drifter(self, n):
        """comes once, never seen again"""
        r, w = self.r, self.w
        end = self.room_budget(n)
        while len(self.rows) < end:
            c = w.nation_pick(r)
            a = self.agent(c, who="drifter")
            t = self.when(c)
            self.join(t, a, w.live_room(r, t, c))
            if r.random() < 0.3:
                t += r.expovariate(1 / (3 * MIN))
                self.join(t, a, w.live_room(r, t, c))

    def do_recorder(self, n):
        r, w = self.r, self.w
        end = self.room_budget(n)
        while len(self.rows) < end:
            c = w.nation_pick(r)
            a = self.agent(c, net=r.choice(w.hostings) if r.random() < 0.4 else None, who="recorder")
            every = logu(r, 1, 12) * MIN
            for _ in range(r.randrange(3, 60)):
                x = w.live_room(r, r.uniform(0, w.end), c if r.random() < .7 else None)
                for s, e, _ in x.streams:
                    self.join(s + r.uniform(0, every), a, x, stay=(e - s) * .8)

    def do_paas_bot(self, n):
        r, w = self.r, self.w
        end = self.room_budget(n)
        plat = [(p, w.fam[r.choice(["py7", "py6", "node25", "node20"])][0](r)) for p in w.paas]
        self.paas_bots = []
        i = 0
        while len(self.rows) < end and i < 20000:
            i += 1
            p, lib = r.choice(plat)
            x = r.choice(w.rooms) if r.random() < .6 else w.live_room(r, r.uniform(0, w.end))
            a = self.agent(x.nation, net=p, lib=lib if r.random() < .7 else None, who="paas-bot")
            a.roam = r.choice([0, 0, 0.3, 1.0])
            self.paas_bots.append((a, x))
            for s, e, _ in x.streams:
                self.join(s + r.uniform(0, 120), a, x, stay=e - s)

    def do_vps_bot(self, n):
        r, w = self.r, self.w
        end = self.room_budget(n)
        while len(self.rows) < end:
            a = self.agent(net=r.choice(w.hostings), who="vps-bot")
            for _ in range(r.randrange(1, 40)):
                x = w.live_room(r, r.uniform(0, w.end))
                for s, e, _ in x.streams:
                    self.join(s + r.uniform(0, 180), a, x, stay=e - s)

    def do_analytics(self, n):
        r, w = self.r, self.w
        end = self.room_budget(n)
        firms = r.randrange(1, 5)
        per = n / firms
        for f in range(firms):
            net = r.choice(w.hostings)
            key = w.key("analytics%d" % f, "enterprise")
            lib = w.fam[r.choice(["go", "java", "scripts", "node25", "py7"])][0](r)
            base = net.block24(r)
            side = r.random() < .5
            ags = [self.agent(net=net, lib=lib, key=key, addr=(base + 10 + j) if side else net.fresh(r), who="analytics")
                   for j in range(r.randrange(2, 40))]
            got = 0
            visits = 0
            while got < per:
                t = r.uniform(0, w.end)
                self.emit(t, r.choice(ags), w.live_room(r, t) if r.random() < .6 else r.choice(w.rooms))
                got += 1

    def do_loop(self, n):
        r, w = self.r, self.w
        end = self.room_budget(n)
        while len(self.rows) < end:
            c = w.nation_pick(r)
            a = self.agent(c, who="loop")
            t = self.when(c)
            x = w.live_room(r, t, c)
            every = logu(r, 3, 25)
            for _ in range(r.randrange(20, 250)):
                self.emit(t, a, x)
                t += every * r.uniform(.9, 1.2)

    # -- what scenarios need
    @property
    def t0(self):
        return self.w.warm

    def live_at(self, t):
        return [x for x in self.w.rooms if any(a <= t - 600 and t + 45 * MIN * .6 <= b for a, b, _ in x.streams)]

    def target(self, size, nation=None, force=True):
        """a room that is live through the last 45 minutes. size: tiny mid big; by its place among the live ones"""
        r, w = self.r, self.w
        live = sorted(self.live_at(self.t0), key=lambda x: -x.w)
        if nation is not None:
            live = [x for x in live if x.nation == nation] or live
        k = len(live)
        if size == "big":
            return live[r.randrange(0, max(1, min(4, k)))]
        if size == "mid":
            return live[r.randrange(k // 20, max(k // 20 + 1, k // 4))]
        return live[r.randrange(k * 2 // 3, k)]

    def opens(self, at, size="big", nation=None):
        """a room that goes live now"""
        r, w = self.r, self.w
        pool = [x for x in w.rooms if not any(a - 600 <= at + 2700 and at - 1800 <= b for a, b, _ in x.streams) and (nation is None or x.nation == nation)]
        pool = pool or [x for x in w.rooms if not any(a <= at + 2700 and at <= b for a, b, _ in x.streams)]
        k = len(pool)
        x = pool[r.randrange(0, max(1, k // 50))] if size == "big" else pool[r.randrange(k // 50, max(k // 50 + 1, k // 5))] if size == "mid" else pool[r.randrange(k // 2, k)]
        rid = w.roomid(r) if w.newids else x.last
        x.streams.append((at, at + 3 * HOUR, rid))
        x.streams.sort()
        return x

    def people(self, n, nation, known, who, loyal=None):
        """n honest people of this nation, a share of whom was about before"""
        r = self.r
        pool = [a for c, a in self.fans if c == nation]
        r.shuffle(pool)
        if loyal is not None:
            pool.sort(key=lambda a: loyal not in a.fav)
        k = min(int(n * known), len(pool))
        out = [self.alias(a, who) for a in pool[:k]]
        while len(out) < n:
            out.append(self.agent(nation, who=who))
        r.shuffle(out)
        return out

    def alias(self, a, who):
        b = Agent()
        for f in Agent.__slots__:
            setattr(b, f, getattr(a, f))
        b.who = who
        return b

    # -- writing
    def write(self, out, fmt):
        r, w = self.r, self.w
        rows = self.rows
        rows.sort(key=lambda x: x[0])
        if len(rows) > CAP:                          # never reached as a rule: thin the warm-up
            head = [x for x in rows if x[0] < w.warm and x[4] == "benign"]
            drop = set(map(id, r.sample(head, len(rows) - CAP)))
            rows = [x for x in rows if id(x) not in drop]
        dumps = json.dumps
        cache = {}
        counts = {}
        with open(out, "w") as fo:
            for i, (t, a, x, op, label, who, addr) in enumerate(rows):
                lib = a.lib
                rid = w.rid(x, t)
                room = ans = None
                method = "GET"
                st = lib.style
                if op == "room-id":
                    target = "/webcast/room_id?uniqueId=" + x.uid if st != "rooms" else "/webcast/anchors/%s/room_id" % x.uid
                    ans = rid
                elif op == "limits":
                    target = "/webcast/rate_limits"
                elif st in ("fetch", "fetch/"):
                    if a.byname and st == "fetch":
                        target = "/webcast/fetch?client=%s&unique_id=%s&client_enter=true&platform=web" % (lib.client, x.uid)
                        ans = rid
                    else:
                        target = "/webcast/fetch%s?client=%s&room_id=%s&user_agent=%s&client_enter=true&platform=web" % (st[5:], lib.client, rid, quote(a.browser))
                elif st == "rooms":
                    if a.byname and lib.client == "ttlive-other":
                        target = "/webcast/anchors/%s/connect?client=%s&platform=web" % (x.uid, lib.client)
                        ans = rid
                    else:
                        target = "/webcast/rooms/%s/connect?client=%s&cursor=&client_enter=true&platform=web" % (rid, lib.client)
                elif st == "gen0":
                    u = "https://webcast.tiktok.com/webcast/im/fetch/?aid=1988&app_language=en-US&cursor=&room_id=%s&version_code=180800" % rid
                    target = "/webcast/sign_url?url=%s&client=%s&uuc=1" % (quote(u, safe=""), lib.client)
                elif st == "go":
                    target = "/webcast/fetch/?client=%s&room_id=%s&uuc=1" % (lib.client, rid)
                else:
                    method, target, room = "POST", "/webcast/sign_url?client=" + lib.client, rid
                if a.device and op == "connect":
                    target += ("&" if "?" in target else "?") + "device_id=" + a.device
                lb = fmt["label"](i, label, who, op, x, a, rid)
                rec = {"time": EPOCH + int(t * 1000), "client": text(addr, r),
                       "key": {"id": a.key[0], "account": a.key[1], "tier": a.key[2]} if a.key else None,
                       "method": method, "target": target, "user_agent": lib.ua}
                if method == "POST":
                    rec["url"] = "https://webcast.tiktok.com/webcast/im/fetch/"
                if w.resolved and op == "connect":
                    room = rid if not ans else "@" + x.uid
                if room:
                    rec["room"] = room
                bad = self.outage and self.outage[0] <= t < self.outage[1]
                if bad:
                    rec["outcome"] = fmt["bad"]
                elif ans:
                    rec["answer_room"] = ans
                rec["label"] = lb
                fo.write(dumps(rec, separators=(",", ":")))
                fo.write("\n")
                counts[who] = counts.get(who, 0) + 1
        return len(rows), counts


def world(seed):
    w = World(seed)
    r = w.r
    raw = {"creator": r.uniform(.12, .4), "fan": r.uniform(.25, .6), "drifter": r.uniform(.05, .5), "recorder": r.uniform(.03, .2),
           "paas-bot": r.uniform(.03, .25), "vps-bot": r.uniform(.03, .15), "analytics": logu(r, .02, .3), "loop": logu(r, .001, .03)}
    s = sum(raw.values())
    w.r_parts = [v / s for v in raw.values()]
    w.r_loyal = r.uniform(.15, .8)
    w.r_sessions = logu(r, .4, 5)
    w.r_size = logu(r, .35, 2.5)         # how big events are in this world
    return w


# ------------------------------------------------------------------ scenarios

SC = {}


def scenario(f):
    SC[f.__name__.replace("_", "-")] = f
    return f


def size(s, a, b):
    return max(1, int(logu(s.r, a, b) * s.w.r_size))


def fade(r, over):
    """arrivals of a crowd: rises within moments, thins out"""
    return min(r.gammavariate(1.6, over / 3.2), over * 4)


# ---- honest

@scenario
def h_evening(s):
    pass


@scenario
def h_celebrity(s):
    """somebody whom everybody knows goes live; the stream is announced an hour before, some test their tool"""
    r, w = s.r, s.w
    at = s.t0 + r.uniform(4, 10) * MIN
    c = w.nation_pick(r)
    x = s.opens(at, "mid", c)
    n = size(s, 700, 3500)
    over = r.uniform(4, 18) * MIN
    tests = r.random() < .5
    for a in s.people(n, c if r.random() < .8 else w.nation_pick(r), r.uniform(.1, .6), "celebrity-audience"):
        t = at + fade(r, over)
        if tests and r.random() < .04:
            s.emit(at - r.uniform(60, 1800), a, x)
        s.join(t, a, x)
        if r.random() < .25:                    # the room is full, the tool says nothing: again
            for _ in range(r.randrange(1, 4)):
                t += r.uniform(4, 40)
                s.emit(t, a, x)
    s.info["rooms"] = [x.uid]


@scenario
def h_influencer_app(s):
    """an influencer shows their new desktop app; its free key is in every copy; people try it on the influencer, then on themselves"""
    r, w = s.r, s.w
    at = s.t0 + r.uniform(4, 8) * MIN
    c = w.nation_pick(r)
    x = s.opens(at - 20 * MIN, "mid", c)
    ua = r.choice(["WowLive/1.0.0 (Macintosh)", "WowLive/1.0.0 Electron/33.0.1", "wowlive 1.0.0"])
    libs = [Lib("wow", ua.replace("1.0.0", v), "fetch", "ttlive-other", app=w.key("wow", "community")) for v in ("1.0.0", "1.0.1")]
    fix = at + r.uniform(15, 40) * MIN          # a first bug is mended the same evening
    for a in s.people(size(s, 400, 2200), c, r.uniform(.2, .7), "new-app"):
        t = at + (fade(r, 12 * MIN) if r.random() < .5 else r.uniform(0, 38 * MIN))
        a.lib = libs[t > fix]
        a.key = a.lib.app
        if r.random() < .75:
            s.join(t, a, x)
        own = r.choice(w.rooms) if r.random() < .5 else w.live_room(r, t, c)
        t += r.expovariate(1 / (3 * MIN))
        s.join(t, a, own)


@scenario
def h_outage_storm(s):
    """the platform is gone for some minutes: tools retry with their own manners, then all are back at once, phones elsewhere"""
    r, w = s.r, s.w
    a0 = s.t0 + r.uniform(5, 12) * MIN
    a1 = a0 + r.uniform(2, 9) * MIN
    s.outage = (a0, a1)
    recent = {}
    for t, a, x, op, lab, who, addr in s.rows:
        if op == "connect" and a0 - 45 * MIN < t < a0:
            recent[(id(a), x.ix)] = (a, x)
    redial = r.random()
    for a, x in recent.values():
        if r.random() < .15:
            continue
        manner = r.choice(["fixed", "backoff", "later", "later"])
        t = a0 + r.uniform(0, 40)
        if redial > .6 and a.net.kind != "paas" and r.random() < .3:
            a.addr = a.net.fresh(r)
        step = r.choice([3, 5, 10, 15, 30])
        while manner != "later" and t < a1:
            s.emit(t, a, x)
            t += step * r.uniform(.95, 1.1)
            if manner == "backoff":
                step = min(step * 2, 120)
        s.emit(t if manner == "fixed" else a1 + r.expovariate(1 / 40), a, x)
        if r.random() < .2:
            s.emit(a1 + r.uniform(30, 300), a, x)


@scenario
def h_cgnat_match(s):
    """one carrier has the rights: its customers watch one match in three rooms, all behind its translator"""
    r, w = s.r, s.w
    c = w.nation_pick(r)
    net = r.choice(w.mobiles[c])
    if len(net.pool) > 60:
        net.pool = r.sample(net.pool, r.randrange(4, 60))
    at = s.t0 + r.uniform(3, 8) * MIN
    xs = [s.opens(at - r.uniform(0, 10) * MIN, "mid", c) for _ in range(3)]
    share = r.uniform(.5, .95)
    for a in s.people(size(s, 300, 1800), c, r.uniform(.2, .7), "match"):
        if r.random() < share:
            a.net, a.roam = net, r.choice([0, .1, .5])
            a.addr = net.fresh(r)
        x = r.choice(xs + xs[:2])
        t = at + (fade(r, 10 * MIN) if r.random() < .7 else 22 * MIN + fade(r, 3 * MIN))   # second half
        s.join(t, a, x)
        if r.random() < .2:
            s.join(t + r.uniform(1, 15) * MIN, a, r.choice(xs))


@scenario
def h_school_lan(s):
    """a workshop: a class behind one or two addresses runs the same example against the same room, with mistakes"""
    r, w = s.r, s.w
    c = w.nation_pick(r)
    net = r.choice(w.isps[c])
    for k in range(r.randrange(1, 4)):
        addrs = [net.fresh(r) for _ in range(r.choice([1, 1, 2, 4]))]
        lib = w.fam[r.choice(["py7", "node25", "py6"])][0](r)
        x = s.target(r.choice(["mid", "tiny", "big"]), c)
        at = s.t0 + r.uniform(2, 20) * MIN
        for _ in range(size(s, 20, 140)):
            l = lib if r.random() < .85 else w.fam[lib.name][0](r)
            a = s.agent(c, net, l, None if r.random() < .8 else "draw", r.choice(addrs), "workshop")
            t = at + fade(r, 12 * MIN)
            for _ in range(r.choice([1, 1, 2, 3, 6, 10])):
                s.emit(t, a, x)
                t += r.uniform(8, 120)
            if r.random() < .3:
                s.join(t, a, w.live_room(r, t, c))


@scenario
def h_tournament(s):
    """brackets: many rooms at the same minute, and after each round the losers' people go over to the winners'"""
    r, w = s.r, s.w
    k = r.choice([8, 16, 16, 32])
    at = s.t0 + r.uniform(1, 5) * MIN
    c = w.nation_pick(r)
    xs = [s.opens(at - r.uniform(0, 3) * MIN, r.choice(["mid", "tiny"]), c if r.random() < .6 else None) for _ in range(k)]
    crowd = {x.ix: [] for x in xs}
    for a in s.people(size(s, 500, 2200), c, r.uniform(.2, .6), "tournament"):
        x = xs[min(k - 1, int(r.expovariate(1 / (k / 3))))]
        crowd[x.ix].append(a)
        s.join(at + fade(r, 5 * MIN), a, x, again=False)
    rnd = r.uniform(7, 11) * MIN
    t = at + rnd
    while len(xs) > 1 and t < w.end:
        r.shuffle(xs)
        nxt = []
        for p, q in zip(xs[::2], xs[1::2]):
            for a in crowd[q.ix]:
                if r.random() < .55:
                    s.join(t + fade(r, 2 * MIN), a, p, again=False)
                    crowd[p.ix].append(a)
            nxt.append(p)
        xs = nxt
        t += rnd


@scenario
def h_rollout(s):
    """an overlay tool updates itself within the hour: whoever has it restarts with a new agent string"""
    r, w = s.r, s.w
    lib, _, nat = r.choice(w.apps)
    new = Lib(lib.name, lib.ua.replace("/", "/9."), lib.style, lib.client, lib.dev, lib.app)
    fam = None
    if r.random() < .5:                             # or a library's release does
        fam = r.choice(["py7", "node25"])
        news = Lib(fam, "TikTokLive.py/7.1.0" if fam == "py7" else "tiktok-live-connector/2.6.0 linux", "fetch" if fam == "py7" else "rooms",
                   "ttlive-python" if fam == "py7" else "ttlive-node")
    over = r.uniform(20, 60) * MIN
    takes = r.uniform(.4, .95)
    upd = {}
    rows = []
    seen = {}
    for row in sorted(s.rows, key=lambda x: x[0]):
        t, a, x, op, lab, who, addr = row
        mine = a.lib is lib or (fam and a.lib.name == fam)
        if not mine:
            rows.append(row)
            continue
        if id(a) not in upd:
            upd[id(a)] = s.t0 + r.uniform(0, over) if r.random() < takes else 1e12
        if t >= s.t0 - HOUR and op == "connect":
            seen[(id(a), x.ix)] = (a, x)
        if t >= upd[id(a)]:
            b = s.alias(a, who)
            b.lib = new if a.lib is lib else news
            row = (t, b, x, op, lab, who, addr)
        rows.append(row)
    s.rows = rows
    for a, x in seen.values():
        if upd[id(a)] < w.end:
            b = s.alias(a, "updated")
            b.lib = new if a.lib is lib else news
            s.emit(upd[id(a)] + r.uniform(0, 60), b, x)
    if len(seen) < 400:                             # where few had it: a wave of its users
        for a in s.people(size(s, 200, 900), w.nation_pick(r), .7, "updated"):
            a.lib, a.key = lib, lib.app
            t = s.t0 - r.uniform(0, 60) * MIN
            x = w.live_room(r, t)
            s.emit(t, a, x)
            b = s.alias(a, "updated")
            b.lib = new
            s.emit(s.t0 + r.uniform(0, over), b, x)


@scenario
def h_sweep(s):
    """an analytics firm goes through every live room, again and again, with a pool of rented addresses; a second copies it"""
    r, w = s.r, s.w
    for f in range(r.randrange(1, 4)):
        net = r.choice(w.hostings)
        key = w.key("sweep%d" % f, r.choice(["enterprise", "business", "community"]))
        n = int(logu(r, 6, 90))
        base = net.block24(r)
        side = r.random() < .6
        lib = w.fam[r.choice(["go", "java", "scripts", "py7", "node25"])][0](r)
        ags = [s.agent(net=net, lib=lib, key=key, addr=base + 3 + j if side else net.fresh(r), who="sweep") for j in range(n)]
        every = r.uniform(4, 15) * MIN
        t = s.t0 + r.uniform(0, 5) * MIN
        stick = r.random() < .5
        while t < w.end:
            live = s.live_at(t)
            r.shuffle(live)
            live = live[:900]
            for i, x in enumerate(live):
                a = ags[x.ix % n] if stick else ags[i % n]
                for _ in range(r.choice([1, 1, 1, 3])):
                    s.emit(t + every * .8 * i / len(live) + r.random(), a, x)
            t += every


@scenario
def h_paas_mods(s):
    """a moderator-bot platform: hundreds of customers on its few addresses; a deploy restarts all; one big customer runs many in one room"""
    r, w = s.r, s.w
    p = r.choice(w.paas)
    lib = Lib("modhub", r.choice(["ModHub/4.2", "TikTokLive.py/6.6.5", "tiktok-live-connector/2.0.3 linux"]), "fetch", "ttlive-other")
    bots = []
    for _ in range(size(s, 150, 700)):
        x = r.choice(s.live_at(s.t0))
        a = s.agent(net=p, lib=lib, key=w.key("mh%d" % len(bots), "community") if r.random() < .7 else None, who="paas-mods")
        a.roam = r.choice([0, 1.0])
        bots.append((a, x))
        for _ in range(r.randrange(1, 6)):
            s.emit(s.t0 - r.uniform(0, min(8 * HOUR, w.warm)), a, x)
    for k in range(r.randrange(1, 4)):
        at = s.t0 + r.uniform(3, 35) * MIN
        for a, x in bots:
            s.move(a)
            s.emit(at + r.uniform(0, 90), a, x)
    x = s.target("big")                             # an esports organiser rents 30 to 120 helpers for one night
    at = s.t0 + r.uniform(8, 15) * MIN
    for i in range(int(logu(r, 20, 90))):
        a = s.agent(net=p, lib=lib, key=w.key("esports%d" % (i % 3), "community"), who="paas-mods")
        a.roam = .3
        s.join(at + r.uniform(0, 8) * MIN, a, x)


@scenario
def h_morning(s):
    """the night was empty; within the last part the whole country gets up"""
    r, w = s.r, s.w
    c = w.nation_pick(r)
    live = [w.live_room(r, s.t0 + r.uniform(0, 40) * MIN, c) for _ in range(60)]
    shows = [s.opens(s.t0 + r.uniform(0, 10) * MIN, "mid", c) for _ in range(4)]     # breakfast shows
    for a in s.people(size(s, 500, 2500), c, r.uniform(.4, .9), "morning"):
        t = s.t0 + 45 * MIN * math.sqrt(r.random())
        s.join(t, a, r.choice(shows) if r.random() < .5 else r.choice(live))


@scenario
def h_broken_loops(s):
    """a release that cannot parse the answer asks again at once: dozens of them, some in one room"""
    r, w = s.r, s.w
    c = w.nation_pick(r)
    lib = w.fam[r.choice(["node1", "py6", "net", "java"])][0](r)
    x = s.target("mid", c)
    for i in range(size(s, 15, 60)):
        a = s.agent(c, lib=lib if r.random() < .7 else None, who="broken-loop")
        a.roam = 0 if r.random() < .6 else .05
        y = x if r.random() < .4 else w.live_room(r, s.t0 + 10 * MIN, c)
        t = s.t0 + r.uniform(0, 25) * MIN
        every = logu(r, 1.5, 9)
        stop = t + logu(r, 2, 30) * MIN
        while t < stop:
            s.move(a)
            s.emit(t, a, y)
            t += every * r.uniform(.9, 1.3)


@scenario
def h_rare_library(s):
    """friends of an unusual library meet in the room of its author: hackers of all countries, half on VPS or VPN"""
    r, w = s.r, s.w
    x = s.opens(s.t0 + 2 * MIN, "tiny")
    lib = Lib("rare", r.choice(["tiktok-live-hs/0.3", "cl-tiktok 0.1.2", "elixir-req/0.5", "TikTokLiveDelphi/2.0"]), r.choice(["gen0", "fetch"]), "ttlive-other")
    pre = r.random() < .7
    for i in range(size(s, 50, 260)):
        c = w.nation_pick(r)
        a = s.agent(c, net=r.choice(w.hostings) if r.random() < .25 else None, lib=lib, who="rare-library")
        if pre and r.random() < .6:
            for _ in range(r.randrange(1, 5)):
                t = r.uniform(0, s.t0)
                s.emit(t, a, w.live_room(r, t))
        t = s.t0 + 3 * MIN + fade(r, 10 * MIN)
        for _ in range(r.choice([1, 1, 2, 4, 8])):  # live coding: change, run, change, run
            s.emit(t, a, x)
            t += r.uniform(15, 200)


@scenario
def h_raid(s):
    """the host ends the stream and sends everybody on; twice in a row"""
    r, w = s.r, s.w
    c = w.nation_pick(r)
    x = s.target("big", c)
    chain = [x, s.target("mid", c), s.target("tiny", c), s.target("mid", c)][:r.randrange(2, 5)]
    crowd = s.people(size(s, 250, 1300), c, r.uniform(.3, .8), "raid")
    for a in crowd:
        s.join(s.t0 - r.uniform(-5, 70) * MIN, a, x, again=False)
    t = s.t0 + r.uniform(8, 13) * MIN
    stay = r.uniform(.5, .8)
    for y in chain[1:]:
        crowd = [a for a in crowd if r.random() < stay]
        for a in crowd:
            s.join(t + fade(r, 2.5 * MIN), a, y, again=False)
        t += r.uniform(7, 11) * MIN


@scenario
def h_giveaway(s):
    """a draw among the viewers: households come with each device and key they have, and again"""
    r, w = s.r, s.w
    c = w.nation_pick(r)
    x = s.target(r.choice(["big", "mid"]), c)
    at = s.t0 + r.uniform(4, 9) * MIN
    for a in s.people(size(s, 200, 900), c, r.uniform(.3, .7), "giveaway"):
        house = [a] + [s.agent(c, a.net, addr=a.addr, who="giveaway") for _ in range(r.choice([0, 1, 1, 2, 3, 5]))]
        t = at + fade(r, 12 * MIN)
        for b in house:
            b.roam = a.roam
            u = t + r.uniform(0, 120)
            for _ in range(r.choice([1, 1, 2, 3])):
                s.emit(u, b, x)
                u += r.uniform(30, 400)


@scenario
def h_vpn_ban(s):
    """a country cuts the platform off: within half an hour its people come through a handful of VPN exits, into the rooms they always watch"""
    r, w = s.r, s.w
    c = w.nations[r.randrange(0, 3)]
    mine = [a for k, a in s.fans if k == c]
    r.shuffle(mine)
    at = s.t0 + r.uniform(1, 5) * MIN
    vp = [r.choice(w.vpns) for _ in range(2)]
    for a in mine[:size(s, 400, 1500)]:
        b = s.alias(a, "vpn-exile")
        b.net = r.choice(vp)
        b.addr = b.net.fresh(r)
        b.roam = .2
        t = at + r.uniform(0, 30) * MIN
        for _ in range(r.choice([1, 2, 2, 3])):
            s.join(t, b, r.choice(a.fav) if r.random() < .6 else w.live_room(r, t, c))
            t += r.expovariate(1 / (6 * MIN))


@scenario
def h_tutorial(s):
    """a video course: everybody copies its example, which names one room; newest library, no key, all countries, nobody ever seen"""
    r, w = s.r, s.w
    x = s.target(r.choice(["big", "mid", "tiny"]))
    lib = r.choice([w.fam["py7"][0].items[0], w.fam["node25"][0].items[0], w.fam["node25"][0].items[1]])
    for i in range(size(s, 120, 700)):
        c = w.nation_pick(r)
        a = s.agent(c, lib=lib, key=None, who="tutorial")
        t = s.t0 + 5 * MIN + (fade(r, 15 * MIN) if r.random() < .6 else r.uniform(0, 35 * MIN))
        for _ in range(r.choice([1, 2, 3, 5])):
            s.emit(t, a, x)
            t += r.uniform(10, 240)
        if r.random() < .4:
            s.join(t, a, r.choice(w.rooms))


@scenario
def h_agency(s):
    """an agency: its own cluster on neighbouring rented addresses, one paid key, a hundred creators; a restart, and its gala where all its bots sit in one room"""
    r, w = s.r, s.w
    net = r.choice(w.hostings)
    base = net.block24(r)
    key = w.key("agency", "business")
    n = int(logu(r, 8, 60))
    lib = w.fam[r.choice(["py7", "py6", "node25", "java"])][0](r)
    ags = [s.agent(net=net, lib=lib, key=key, addr=base + 20 + j, who="agency") for j in range(n)]
    xs = [r.choice(w.rooms) for _ in range(size(s, 60, 250))]
    for i, x in enumerate(xs):
        for a0, b0, _ in x.streams:
            s.join(a0 + r.uniform(0, 60), ags[i % n], x, stay=b0 - a0)
    at = s.t0 + r.uniform(5, 20) * MIN
    for i, x in enumerate(xs):
        s.emit(at + i * r.uniform(.05, .3), ags[i % n], x)
    gala = s.opens(s.t0 + 8 * MIN, "mid")
    for i, a in enumerate(ags):
        s.emit(s.t0 + 9 * MIN + i * r.uniform(.2, 6), a, gala)
    for a in s.people(size(s, 100, 500), gala.nation, .6, "gala-audience"):
        s.join(s.t0 + 8 * MIN + fade(r, 12 * MIN), a, gala)


# ---- attacks

def seat(s, bots, x, t0, over, shape="even", again=0.0, who="bot", label="attack"):
    """puts the bots into a room"""
    r = s.r
    n = len(bots)
    for i, a in enumerate(bots):
        u = (i + r.random()) / n
        if shape == "even":
            t = t0 + over * u
        elif shape == "ramp":
            t = t0 + over * math.sqrt(u)
        elif shape == "crowd":
            t = t0 + fade(r, over)
        else:
            t = t0 + over * u
        s.move(a)
        s.emit(t, a, x, "connect", label, who)
        while r.random() < again:
            t += r.expovariate(1 / (5 * MIN))
            s.emit(t, a, x, "connect", label, who)


def panel_libs(s):
    """what a seller's program says it is: mostly one library, sometimes two or three"""
    r, w = s.r, s.w
    k = r.choice([1, 1, 1, 2, 3])
    fams = r.sample(["py7", "py6", "node25", "node20", "node1", "java", "go", "scripts", "browser", "rust"], k)
    return [w.fam[f][0](r) for f in fams]


def homes(s, n, local=None, libs=None, key=None, per=1, mix=False):
    """bots on residential proxies: of one nation, or of all the world as such pools are (few countries hold most)"""
    r, w = s.r, s.w
    nw = Pick(w.nations, dirich(r, len(w.nations), .5))
    out = []
    while len(out) < n:
        c = local if local is not None else nw(r)
        net = (w.mob_pick if r.random() < w.mobile_share[c] * .6 else w.isp_pick)[c](r)
        addr = net.fresh(r)
        for _ in range(1 if per == 1 else r.randrange(1, 2 * per)):
            a = s.agent(c, net, None if mix else r.choice(libs), "draw" if mix else (key() if callable(key) else key), addr, "bot")
            a.roam = 0
            out.append(a)
    return out[:n]


def start(s, a=4, b=10):
    return s.t0 + s.r.uniform(a, b) * MIN


@scenario
def a_datacentre(s):
    """a panel on a datacentre: some /24s, one to six viewers an address, one or a few programs"""
    r, w = s.r, s.w
    net = r.choice(w.hostings)
    blocks = [net.block24(r) for _ in range(r.randrange(1, 12))]
    libs = panel_libs(s)
    n = size(s, 200, 1500)
    per = r.randrange(1, 7)
    addrs = [r.choice(blocks) + r.randrange(1, 255) for _ in range(max(1, n // per))]
    key = None if r.random() < .6 else w.key("panel", r.choice(["community", "business"]))
    bots = [s.agent(net=net, lib=r.choice(libs), key=key, addr=r.choice(addrs), who="bot") for _ in range(n)]
    seat(s, bots, s.target(r.choice(["tiny", "mid", "mid", "big"])), start(s), r.uniform(3, 25) * MIN)


@scenario
def a_residential(s):
    """sticky residential sessions, all the world"""
    r = s.r
    bots = homes(s, size(s, 200, 1200), libs=panel_libs(s), per=r.choice([1, 1, 2, 4]))
    seat(s, bots, s.target(r.choice(["tiny", "mid", "big"])), start(s), r.uniform(5, 25) * MIN, again=.1)


@scenario
def a_cgnat(s):
    """mobile proxies: SIM banks behind the carriers' translators in the room's own country"""
    r, w = s.r, s.w
    c = w.nation_pick(r)
    nets = w.mobiles[c] if r.random() < .6 else [r.choice(w.mobiles[c])]
    libs = panel_libs(s)
    bots = []
    for _ in range(size(s, 150, 900)):
        a = s.agent(c, r.choice(nets), r.choice(libs), None, who="bot")
        a.roam = 1.0
        bots.append(a)
    seat(s, bots, s.target(r.choice(["tiny", "mid", "big"]), c), start(s), r.uniform(5, 25) * MIN)


@scenario
def a_paas(s):
    """free workers on the platforms where honest bots live, with the same library"""
    r, w = s.r, s.w
    p = [r.choice(w.paas) for _ in range(r.choice([1, 1, 2]))]
    like = r.choice(s.paas_bots)[0] if s.paas_bots else None
    libs = [like.lib] if like and r.random() < .7 else panel_libs(s)
    bots = []
    for i in range(size(s, 120, 700)):
        a = s.agent(net=r.choice(p), lib=r.choice(libs), key=w.key("pf%d" % (i // r.randrange(1, 8)), "community") if r.random() < .5 else None, who="bot")
        a.roam = r.choice([0, 1.0])
        bots.append(a)
    seat(s, bots, s.target(r.choice(["tiny", "mid", "big"])), start(s), r.uniform(4, 20) * MIN, again=.1)


@scenario
def a_slow_ramp(s):
    """starts with one a minute and grows to whatever the customer paid for, over everything that is left"""
    r = s.r
    bots = homes(s, size(s, 120, 500), libs=panel_libs(s), per=r.choice([1, 2]))
    x = s.target(r.choice(["mid", "big"]))
    n = len(bots)
    for i, a in enumerate(bots):
        s.emit(s.t0 + 2 * MIN + 42 * MIN * ((i + r.random()) / n) ** .5, a, x, "connect", "attack")


@scenario
def a_mix_copied(s):
    """the room's own country, its people's programs and keys, homes of their own, arrivals like a crowd's; only nobody was ever seen"""
    r, w = s.r, s.w
    c = w.nation_pick(r)
    bots = homes(s, size(s, 150, 900), local=c, mix=True)
    seat(s, bots, s.target(r.choice(["mid", "big"]), c), start(s), r.uniform(6, 20) * MIN, "crowd")


@scenario
def a_many_rooms(s):
    """a shop with many small orders: ten to ninety viewers in each of some dozen rooms, one pool"""
    r, w = s.r, s.w
    k = r.randrange(12, 45)
    pool = homes(s, size(s, 250, 900), libs=panel_libs(s) + panel_libs(s), per=r.choice([1, 2, 3]))
    for _ in range(k):
        x = s.target(r.choice(["tiny", "mid", "mid"]))
        n = min(len(pool), int(logu(r, 10, 90)))
        seat(s, r.sample(pool, n), x, s.t0 + r.uniform(1, 35) * MIN, r.uniform(2, 12) * MIN)


@scenario
def a_free_keys(s):
    """registered by hundreds, each key used from a few homes"""
    r, w = s.r, s.w
    nk = size(s, 40, 250)
    keys = [w.key("farm%d" % i, "community") for i in range(nk)]
    bots = homes(s, nk * r.randrange(2, 6), libs=panel_libs(s), key=lambda: r.choice(keys), per=r.choice([1, 2]))
    seat(s, bots, s.target(r.choice(["tiny", "mid", "big"])), start(s), r.uniform(5, 20) * MIN)


@scenario
def a_stolen_keys(s):
    """paid keys out of public repositories; their owners go on using them; the thief says the owner's program"""
    r, w = s.r, s.w
    own = [a for c, a in s.fans if a.key and a.key[2] == "business" and not a.lib.app]
    r.shuffle(own)
    own = own[:r.randrange(3, 25)] or [s.agent(key=w.key("stolen", "business"))]
    bots = []
    for b in homes(s, size(s, 150, 800), libs=panel_libs(s)):
        o = r.choice(own)
        b.key = o.key
        b.lib = o.lib if r.random() < .8 else b.lib
        bots.append(b)
    seat(s, bots, s.target(r.choice(["tiny", "mid", "big"])), start(s), r.uniform(5, 20) * MIN)


@scenario
def a_app_key(s):
    """copies a popular app down to its key and agent string, from homes"""
    r, w = s.r, s.w
    lib = max(w.apps, key=lambda a: a[1])[0]
    bots = homes(s, size(s, 150, 900), local=w.nation_pick(r) if r.random() < .5 else None, libs=[lib], key=lib.app, per=r.choice([1, 2]))
    seat(s, bots, s.target(r.choice(["tiny", "mid", "big"])), start(s), r.uniform(5, 20) * MIN, "crowd")


@scenario
def a_churn(s):
    """viewers who come and go like people: stay some minutes, drop, come back under another address of the pool, look into other rooms"""
    r, w = s.r, s.w
    x = s.target(r.choice(["mid", "big"]))
    bots = homes(s, size(s, 120, 500), libs=panel_libs(s), per=2)
    t0 = start(s)
    for a in bots:
        t = t0 + fade(r, 12 * MIN)
        for _ in range(r.randrange(1, 5)):
            s.emit(t, a, x, "connect", "attack")
            t += r.expovariate(1 / (6 * MIN))
            if r.random() < .25:
                s.emit(t, a, w.live_room(r, t), "connect", "benign", "preparing")
                t += r.uniform(1, 4) * MIN
            if r.random() < .3:
                a.addr = r.choice(bots).addr


@scenario
def a_aged(s):
    """aged through the hours before, a few each in many quiet rooms; then the order"""
    r, w = s.r, s.w
    bots = homes(s, size(s, 150, 700), libs=panel_libs(s)) if r.random() < .5 else homes(s, size(s, 150, 700), mix=True)
    for a in bots:
        for _ in range(r.randrange(1, 4)):
            t = r.uniform(0, max(HOUR, s.t0 - r.choice([0, 6.2 * HOUR])))
            s.emit(t, a, w.live_room(r, t) if r.random() < .4 else r.choice(w.rooms), "connect", "benign", "preparing")
    seat(s, bots, s.target(r.choice(["tiny", "mid", "big"])), start(s), r.uniform(6, 20) * MIN)


@scenario
def a_small_and_big(s):
    """one order for somebody with five viewers and one for the biggest stream of the evening, at the same time from one pool"""
    r = s.r
    libs = panel_libs(s)
    big, tiny = s.target("big"), s.target("tiny")
    # the big room has its people
    for a in s.people(int(logu(r, 800, 2200)), big.nation, .6, "big-audience"):
        s.join(s.t0 - r.uniform(0, 60) * MIN + (r.uniform(0, 40) * MIN), a, big)
    t = start(s)
    seat(s, homes(s, size(s, 60, 250), libs=libs), tiny, t, r.uniform(5, 15) * MIN)
    seat(s, homes(s, size(s, 200, 700), libs=libs), big, t, r.uniform(8, 25) * MIN)


@scenario
def a_pulses(s):
    """on for two minutes, off for five: whenever the platform counts"""
    r = s.r
    x = s.target(r.choice(["mid", "big", "tiny"]))
    pool = homes(s, size(s, 150, 600), libs=panel_libs(s), per=r.choice([1, 2]))
    t = start(s)
    while t < s.w.end:
        seat(s, r.sample(pool, max(5, len(pool) // r.randrange(3, 7))), x, t, r.uniform(.5, 2.5) * MIN)
        t += r.uniform(5, 9) * MIN


@scenario
def a_multi_request(s):
    """each bot asks for three to eight signatures: connect, connect again, sign a URL"""
    r = s.r
    x = s.target(r.choice(["mid", "big", "tiny"]))
    bots = homes(s, size(s, 60, 250), libs=panel_libs(s), per=r.choice([1, 2]))
    t0 = start(s)
    for a in bots:
        t = t0 + r.uniform(0, 20) * MIN
        for _ in range(r.randrange(3, 9)):
            s.emit(t, a, x, "connect", "attack")
            t += r.expovariate(1 / 70)


@scenario
def a_in_flash(s):
    """ordered to begin with the host's announced event: a real crowd comes in the same minutes"""
    r, w = s.r, s.w
    c = w.nation_pick(r)
    at = start(s)
    x = s.opens(at, "mid", c)
    n = size(s, 500, 1800)
    for a in s.people(n, c, r.uniform(.2, .6), "flash-audience"):
        s.join(at + fade(r, 10 * MIN), a, x)
    k = int(n * r.uniform(.15, .7))
    bots = homes(s, k, local=c, mix=True) if r.random() < .4 else homes(s, k, libs=panel_libs(s))
    seat(s, bots, x, at + r.uniform(0, 2) * MIN, 10 * MIN, "crowd")


@scenario
def a_rotating(s):
    """a rotating pool: every request another home"""
    r, w = s.r, s.w
    libs = panel_libs(s)
    bots = homes(s, size(s, 300, 1500), libs=libs)
    key = None if r.random() < .6 else w.key("rotor", "community")
    for b in bots:
        b.key = key
    seat(s, bots, s.target(r.choice(["mid", "big", "tiny"])), start(s), r.uniform(6, 30) * MIN, r.choice(["even", "crowd", "ramp"]))


@scenario
def a_random_agents(s):
    """each bot says another agent string, out of a generator of such strings; homes or rented machines"""
    r, w = s.r, s.w
    n = size(s, 150, 800)

    def ua():
        return r.choice([
            lambda: "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/%d.0.%d.%d Safari/537.36" % (r.randrange(90, 147), r.randrange(4000, 7600), r.randrange(200)),
            lambda: "Mozilla/5.0 (iPhone; CPU iPhone OS %d_%d like Mac OS X) AppleWebKit/605.1.15" % (r.randrange(14, 20), r.randrange(7)),
            lambda: "com.zhiliaoapp.musically/%d (Linux; U; Android %d; en_US; SM-G%d; Build/%d)" % (r.randrange(2022000000, 2026000000), r.randrange(9, 16), r.randrange(900, 999), r.randrange(10 ** 6))])()
    net = r.choice(w.hostings)
    blocks = [net.block24(r) for _ in range(6)]
    rented = r.random() < .4
    bots = []
    for b in homes(s, n, libs=[w.fam["py7"][0](r)], per=r.choice([1, 2, 3])):
        b.lib = Lib("rnd", ua(), "sign" if r.random() < .5 else "fetch", r.choice(["ttlive-other", "ttlive-python", "ttlive-node"]))
        if rented:
            b.net, b.addr = net, r.choice(blocks) + r.randrange(1, 255)
        bots.append(b)
    seat(s, bots, s.target(r.choice(["mid", "big", "tiny"])), start(s), r.uniform(6, 22) * MIN)


@scenario
def a_phone_farm(s):
    """a shelf of telephones on one carrier, three to eight viewers each, flight mode now and then for another address"""
    r, w = s.r, s.w
    c = w.nation_pick(r)
    net = r.choice(w.mobiles[c])
    lib = r.choice([Lib("farm", "okhttp/4.12.0", "sign", "ttlive-other"), w.fam["java"][0](r), Lib("farm", "com.zhiliaoapp.musically/2023905030 (Linux; U; Android 13; vi_VN; SM-A057F)", "gen0", "ttlive-other")])
    orders = [s.target(r.choice(["tiny", "mid"]), c if r.random() < .5 else None) for _ in range(r.choice([1, 1, 3, 5]))]
    phones = size(s, 30, 140)
    for x in orders:
        t0 = start(s, 3, 15)
        for p in range(phones):
            addr = net.fresh(r)
            t = t0 + r.uniform(0, 15) * MIN
            for v in range(r.randrange(3, 9)):
                a = s.agent(c, net, lib, None, addr, "bot")
                a.lib = lib if not lib.dev else lib
                a.device = "%019d" % r.randrange(10 ** 19) if r.random() < .5 else None
                s.emit(t + r.uniform(0, 60), a, x, "connect", "attack")
            if r.random() < .3:
                addr = net.fresh(r)


@scenario
def a_top_of_hour(s):
    """the panel's scheduler: ten customers at the top of the hour, the same pool handed from one to the next"""
    r, w = s.r, s.w
    pool = homes(s, size(s, 200, 700), libs=panel_libs(s), per=r.choice([1, 2]))
    xs = [s.target(r.choice(["tiny", "mid", "big"])) for _ in range(r.randrange(5, 14))]
    t = start(s, 2, 6)
    for x in xs:
        seat(s, r.sample(pool, int(len(pool) * r.uniform(.3, .8))), x, t + r.uniform(0, 20), r.uniform(1.5, 4) * MIN)
        t += r.uniform(2, 4) * MIN
        if t > w.end:
            break


@scenario
def a_start_boost(s):
    """"launch boost": forty to two hundred join within the first three minutes of each customer's stream, when its true followers come"""
    r, w = s.r, s.w
    c = w.nation_pick(r)
    libs = panel_libs(s)
    mix = r.random() < .4
    for _ in range(r.randrange(4, 13)):
        at = s.t0 + r.uniform(2, 35) * MIN
        x = s.opens(at, r.choice(["mid", "tiny"]), c if r.random() < .5 else None)
        for a in s.people(int(logu(r, 10, 120)), x.nation, .6, "followers"):
            s.join(at + fade(r, 5 * MIN), a, x)
        bots = homes(s, int(logu(r, 40, 200)), local=x.nation if mix else None, libs=libs, mix=mix, per=r.choice([1, 2]))
        seat(s, bots, x, at + 10, 3 * MIN)


@scenario
def a_vpn_exits(s):
    """consumer VPN accounts: the exits that people use too, many viewers behind each"""
    r, w = s.r, s.w
    vp = [r.choice(w.vpns) for _ in range(r.choice([1, 2, 3]))]
    libs = panel_libs(s)
    bots = []
    for _ in range(size(s, 120, 700)):
        a = s.agent(net=r.choice(vp), lib=r.choice(libs), key=None if r.random() < .7 else "draw", who="bot")
        a.roam = r.choice([0, 1.0])
        bots.append(a)
    seat(s, bots, s.target(r.choice(["tiny", "mid", "big"])), start(s), r.uniform(5, 20) * MIN)


@scenario
def a_bulletproof(s):
    """a hoster that no table knows"""
    r, w = s.r, s.w
    libs = panel_libs(s)
    bots = [s.agent(net=w.bullet, lib=r.choice(libs), key=None, who="bot") for _ in range(size(s, 200, 1000))]
    seat(s, bots, s.target(r.choice(["tiny", "mid", "big"])), start(s), r.uniform(5, 25) * MIN)


@scenario
def a_top_up(s):
    """keeps a promised number: looks every few minutes and adds as many as were lost, with other homes, other programs each time"""
    r, w = s.r, s.w
    x = s.target(r.choice(["mid", "tiny"]))
    t = start(s, 2, 5)
    while t < w.end:
        seat(s, homes(s, int(logu(r, 8, 45)), libs=panel_libs(s), local=x.nation if r.random() < .5 else None), x, t, r.uniform(.5, 2) * MIN)
        t += r.uniform(2, 5) * MIN


@scenario
def a_aged_copy_drip(s):
    """the expensive offer: aged homes of the room's country with its programs, some a minute, over all the time"""
    r, w = s.r, s.w
    c = w.nation_pick(r)
    x = s.target("mid", c)
    bots = homes(s, size(s, 80, 300), local=c, mix=True)
    for a in bots:
        for _ in range(r.randrange(1, 4)):
            t = r.uniform(0, s.t0)
            s.emit(t, a, w.live_room(r, t, c), "connect", "benign", "preparing")
    seat(s, bots, x, s.t0 + 3 * MIN, 40 * MIN)


# ------------------------------------------------------------------

def main():
    p = argparse.ArgumentParser()
    p.add_argument("scenario", nargs="?")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--out")
    p.add_argument("--networks")
    p.add_argument("--info")
    p.add_argument("--list", action="store_true")
    o = p.parse_args()
    if o.list:
        for k, f in SC.items():
            print("%-18s %s" % (k, (f.__doc__ or "ordinary life, nothing else").strip()))
        return
    name = o.scenario
    w = world(o.seed)
    if name not in SC:
        sys.exit("no such scenario: %s" % name)
    s = Stretch(w, name, shift=12.0 if name == "h-morning" else 0.0)
    if name == "h-morning":
        w.evening = (w.evening + 11) % 24
        s.shift = 0.0
    s.ordinary()
    SC[name](s)
    if o.networks:
        w.csv(o.networks)
    pop = 2

    nums = {}

    def label(i, lab, who, op, x, a, rid):
        return {"population": pop, "scenario": name, "persona": who, "attack": lab == "attack", "room": rid,
                "viewer": "v%d" % nums.setdefault(id(a), len(nums))}
    n, counts = s.write(o.out, {"bad": "generator-failed", "label": label})
    info = {"seed": o.seed, "scenario": name, "warm_h": round(w.warm / HOUR, 1), "records": n, "last45": sum(1 for x in s.rows if x[0] >= w.warm),
            "rooms": w.nrooms, "newids": w.newids, "resolved": w.resolved, "personas": counts}
    if o.info:
        json.dump(info, open(o.info, "w"))
    sys.stderr.write(json.dumps(info) + "\n")


if __name__ == "__main__":
    main()
