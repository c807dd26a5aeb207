#!/usr/bin/env python3
"""Labelled traffic of other worlds than `signgate simulate` knows: no device ids, clients that reconnect, few rooms, one program
that most have. Nothing in detection was fitted to it; what it found is told in results/table.md.

    other_habits.py --world mono --event update --networks POLICIES/networks.csv > traffic.jsonl
    signgate replay --policies POLICIES --input traffic.jsonl --decisions d.jsonl
    signgate score --traffic traffic.jsonl --decisions d.jsonl

The event begins when 45 % of the time is over. The same arguments make the same traffic.
"""
import argparse
import bisect
import json
import math
import random
import sys
import zlib

MINUTE = 60_000
START = 1_800_000_000_000

# law: how the sizes of rooms are spread; tools: how many, and how much rarer each next one is (Zipf); loyal: the share with one
# room; gap: minutes between a client's connections; keys: the shares without one and with a free one; hosting, mobile, v6:
# where they are; streams: most rooms open while we look.
WORLDS = {
    "loyal": dict(rooms=400, law=("lognormal", 1.5), tools=(12, 1.3), networks=5, loyal=0.85, gap=6, keys=(0.9, 0.07),
                  hosting=0.05, mobile=0.2, behind=40, v6=0.1, streams=False),
    "few-rooms": dict(rooms=12, law=("lognormal", 0.8), tools=(20, 1.0), networks=60, loyal=0.6, gap=5, keys=(0.8, 0.15),
                      hosting=0.15, mobile=0.1, behind=30, v6=0.2, streams=False),
    "mono": dict(rooms=250, law=("zipf", 1.1), tools=(40, 2.6), networks=40, loyal=0.5, gap=8, keys=(0.95, 0.03),
                 hosting=0.5, mobile=0.05, behind=30, v6=0.05, streams=False),
    "browsers": dict(rooms=300, law=("lognormal", 2.0), tools=(300, 0.6), networks=120, loyal=0.7, gap=10, keys=(1.0, 0.0),
                     hosting=0.02, mobile=0.5, behind=80, v6=0.35, streams=False),
    "events": dict(rooms=200, law=("lognormal", 1.2), tools=(9, 0.8), networks=30, loyal=0.3, gap=25, keys=(0.75, 0.2),
                   hosting=0.25, mobile=0.15, behind=30, v6=0.15, streams=True),
    "tiny": dict(rooms=6000, law=("lognormal", 0.7), tools=(30, 1.2), networks=80, loyal=0.9, gap=4, keys=(0.6, 0.3),
                 hosting=0.6, mobile=0.05, behind=20, v6=0.1, streams=False),
}
# How many, in how many minutes; what each is, is said in `World.bot`.
ATTACKS = {
    "naive": (2000, 5), "naive-top": (2000, 5), "drip": (1200, 600), "residential": (1500, 10), "residential-top": (1500, 10),
    "hammer": (1200, 6), "churn": (1500, 8), "churn-agents": (1200, 8), "homes": (960, 10), "random-agents": (1200, 8),
    "free-keys": (1500, 8), "own-keys": (1500, 8), "stolen": (1200, 8), "v6": (1500, 6), "mobile": (1200, 8), "mimic": (1000, 10),
}
HONEST = ["none", "flash", "storm", "outage", "update"]
LIBRARIES = ["ttlive-python", "ttlive-node", "ttlive-java", "ttlive-net", "gotiktok_live", "ttlive-rust", "ttlive-other"]
TARGETS = [
    "/webcast/fetch?client={0}&room_id={1}",
    "/webcast/rooms/{1}/connect?client={0}",
    "/webcast/sign_url?url=https%3A%2F%2Fwebcast.tiktok.com%2Fwebcast%2Fim%2Ffetch%2F%3Froom_id%3D{1}&client={0}",
]
CROWDED_SUBNETS = [3, 4, 9, 17, 30, 64, 65, 99, 130, 200]


def agent(number):
    browser = f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{100 + number}.0.0.0"
    return [f"TikTokLive.py/6.{number}.0", f"tiktok-live-connector/2.{number}.1 linux", f"okhttp/4.{number}", browser,
            f"Go-http-client/2.{number}", f"reqwest/0.{number}", f"axios/1.{number}.0"][number % 7]


class World:
    def __init__(self, asked):
        self.asked, self.is_ = asked, WORLDS[asked.world]
        self.daily = random.Random(f"{asked.seed}/{asked.world}")
        self.special = random.Random(f"{asked.seed}/{asked.world}/{asked.event}/{asked.size}")
        self.end = int(asked.minutes * MINUTE)
        self.event_at = int(self.end * 0.45)
        self.requests = []
        self.build_networks()
        self.build_rooms()
        count, steep = self.is_["tools"]
        self.tools = [(agent(n), LIBRARIES[n % 7]) for n in range(count)]
        self.tool_weights = [1 / (n + 1) ** steep for n in range(count)]

    def build_networks(self):
        self.blocks, used = {}, set()
        self.isps = [3000 + n for n in range(self.is_["networks"])]
        self.mobiles = [9000 + n for n in range(max(2, self.is_["networks"] // 6))]
        self.hosters = [14000 + n for n in range(12)]
        wanted = [("isp", asn, self.daily.randint(1, 4)) for asn in self.isps]
        wanted += [("mobile", asn, 1) for asn in self.mobiles] + [("hosting", asn, 2) for asn in self.hosters]
        for kind, asn, count in wanted:
            while len(self.blocks.setdefault((kind, asn), [])) < count:
                block = (self.daily.randrange(1, 224), self.daily.randrange(256))
                if block not in used and block[0] not in (10, 127, 172, 192):
                    used.add(block)
                    self.blocks[kind, asn].append(block)
        self.v6 = {asn: 0x2A00 + n for n, asn in enumerate(self.isps + self.hosters)}

    def write_networks(self, out):
        print("prefix,asn,kind", file=out)
        for (kind, asn), blocks in self.blocks.items():
            for one, two in blocks:
                print(f"{one}.{two}.0.0/16,{asn},{kind}", file=out)
        for asn, prefix in self.v6.items():
            print(f"{prefix:x}:{asn:x}::/32,{asn},{'isp' if asn < 9000 else 'hosting'}", file=out)

    def build_rooms(self):
        law, by = self.is_["law"]
        count = self.is_["rooms"]
        weights = [math.exp(self.daily.gauss(0, by)) if law == "lognormal" else 1 / (n + 1) ** by for n in range(count)]
        self.sums = [sum(weights[: n + 1]) for n in range(count)] if count < 1000 else list(self.running(weights))
        self.ids = [7_500_000_000_000_000_000 + self.daily.randrange(10**15) for _ in range(count)]
        opens = self.is_["streams"]
        self.opened = [int(self.daily.random() * self.end) if opens and self.daily.random() < 0.6 else 0 for _ in range(count)]
        by_size = sorted(range(count), key=lambda n: -weights[n])
        self.target = by_size[min(count - 1, max(2, count // 10))]

    @staticmethod
    def running(weights):
        total = 0
        for weight in weights:
            total += weight
            yield total

    def room(self, rng):
        return bisect.bisect_left(self.sums, rng.random() * self.sums[-1])

    def v4(self, kind, asn, rng, subnet=None):
        one, two = rng.choice(self.blocks[kind, asn])
        return f"{one}.{two}.{rng.randrange(256) if subnet is None else subnet}.{rng.randrange(1, 255)}"

    def v6_of(self, asn, rng):
        return f"{self.v6[asn]:x}:{asn:x}:{rng.randrange(65536):x}:{rng.randrange(65536):x}::{rng.randrange(1, 65536):x}"

    def home(self, rng):
        return self.v4("isp", rng.choice(self.isps), rng)

    def address(self, rng, kind=None):
        draw = rng.random()
        hosting, mobile = self.is_["hosting"], self.is_["mobile"]
        kind = kind or ("hosting" if draw < hosting else "mobile" if draw < hosting + mobile else "isp")
        of = {"hosting": self.hosters, "mobile": self.mobiles, "isp": self.isps}[kind]
        asn = rng.choices(of, [1 / (n + 1) for n in range(len(of))])[0]
        if kind == "mobile":
            number, (one, two) = rng.randrange(self.is_["behind"]), self.blocks[kind, asn][0]
            return f"{one}.{two}.{7 + number // 16}.{100 + number % 16}"
        if rng.random() < self.is_["v6"] * (0.3 if kind == "hosting" else 1):
            return self.v6_of(asn, rng)
        is_crowded = kind == "hosting" and rng.random() < 0.5
        return self.v4(kind, asn, rng, rng.choice(CROWDED_SUBNETS) if is_crowded else None)

    def tool(self, rng):
        return rng.choices(self.tools, self.tool_weights)[0]

    def client(self, rng, room=None, kind=None, persona="client"):
        rooms = [self.room(rng) if room is None else room]
        if rng.random() > self.is_["loyal"]:
            rooms += [self.room(rng) for _ in range(min(40, int(rng.paretovariate(1.2))))]
        draw, (none, free) = rng.random(), self.is_["keys"]
        key = None if draw < none else ("community" if draw < none + free else "business", rng.randrange(10**9))
        return dict(ip=self.address(rng, kind), tool=self.tool(rng), key=key, rooms=rooms, session=None, persona=persona)

    def ask(self, at, client, room, is_good=True):
        if 0 <= at < self.end:
            self.requests.append((int(at), len(self.requests), client, room, is_good))

    def everyday(self):
        rng, rate, gap = self.daily, self.asked.rate, self.is_["gap"] * MINUTE
        count = int(rate * self.end / 3000) if self.is_["streams"] else int(rate * gap / 1000 * 0.9)
        for _ in range(count):
            client = self.client(rng)
            if self.is_["streams"]:
                self.follow(client, gap)
            else:
                self.stay(client, gap)
        for _ in range(int(rate * 2)):
            client = self.client(rng, kind="hosting", persona="poller")
            interval = rng.choice([45_000, 60_000, 90_000, 300_000])
            for turn, at in enumerate(range(rng.randrange(interval), self.end, interval)):
                self.ask(at, client, client["rooms"][turn % len(client["rooms"])])
        at = 0.0
        while at < self.end:
            at += rng.expovariate(rate * 0.15 / 1000)
            client = self.client(rng)
            self.ask(at, client, client["rooms"][0])

    def follow(self, client, gap):
        """Joins each of its streams, most within seconds after they open, and reconnects."""
        rng = self.daily
        for room in client["rooms"][:6]:
            opened = self.opened[room]
            is_eager = opened and rng.random() < 0.6
            at = opened + (rng.expovariate(1 / 25_000) if is_eager else rng.random() * (self.end - opened))
            while at < self.end:
                self.ask(at, client, room)
                at += rng.expovariate(1 / gap)

    def stay(self, client, gap):
        """Half are there from the beginning; they reconnect in bursts, and leave."""
        rng = self.daily
        at = rng.expovariate(1 / gap) if rng.random() < 0.5 else rng.random() * self.end
        leaves = at + (self.end if rng.random() < 0.3 else rng.expovariate(1 / (3 * gap)))
        turn = 0
        while at < min(self.end, leaves):
            rooms = client["rooms"]
            self.ask(at, client, rooms[turn % len(rooms)] if rng.random() < 0.8 else rooms[0])
            turn += 1
            at += rng.expovariate(1 / gap) * (0.15 if rng.random() < 0.3 else 1.36)

    def happens(self):
        rng, event, at = self.special, self.asked.event, self.event_at
        if event in ATTACKS:
            count, minutes = ATTACKS[event]
            count, length = max(1, int(count * self.asked.size)), min(minutes * MINUTE, self.end - at - 1000)
            make = self.bots(event, rng)
            for number, when in enumerate(sorted(at + rng.random() * length for _ in range(count))):
                bot = dict(dict(tool=self.tools[0], key=None, session=None), **make(number))
                self.ask(when, dict(bot, persona="bot"), self.target)
        elif event == "flash":
            for _ in range(int(1500 * self.asked.size)):
                self.ask(at + rng.random() * 5 * MINUTE, self.client(rng, self.target, persona="flash"), self.target)
        elif event == "storm":
            seen = {id(client): (client, room) for when, _, client, room, _ in sorted(self.requests, key=lambda r: r[:2])
                    if when < at}
            for client, room in seen.values():
                if rng.random() < 0.7:
                    self.ask(at + rng.expovariate(1 / 15_000), dict(client, persona="storm"), room)
        elif event == "outage":
            for place, (when, number, client, room, _) in enumerate(list(self.requests)):
                if at <= when < at + 3 * MINUTE:
                    self.requests[place] = (when, number, client, room, False)
                    if rng.random() < 0.6:
                        for again in range(when + 7000, at + 3 * MINUTE, 7000):
                            self.ask(again, client, room, False)
                        self.ask(at + 3 * MINUTE + rng.random() * 7000, client, room)

    def bots(self, event, rng):
        """What each bot is: its address, and what it has beside the most usual program."""
        few = lambda count, make: [make() for _ in range(max(3, int(count * self.asked.size)))]
        session = lambda: f"{rng.getrandbits(128):032x}"
        home, second = lambda: self.home(rng), self.tools[min(1, len(self.tools) - 1)]
        rented = lambda: self.address(rng, "hosting")
        homes, machines = few(80, home), few(15, rented)
        if event == "drip":
            machines = few(250, rented)
        return {
            "naive": lambda n: dict(ip=self.v4("hosting", rng.choice(self.hosters[:2]), rng),
                                    tool=("python-requests/2.31.0", "ttlive-other")),
            "naive-top": lambda n: dict(ip=self.v4("hosting", rng.choice(self.hosters), rng)),
            "drip": lambda n: dict(ip=rng.choice(machines), tool=rng.choice(self.tools[:4])),
            "residential": lambda n: dict(ip=home(), tool=second),
            "residential-top": lambda n: dict(ip=home()),
            "hammer": lambda n: dict(ip=homes[rng.randrange(len(homes)) * 5 // 8]),
            "churn": lambda n: dict(ip=rng.choice(machines), session=session()),
            "churn-agents": lambda n: dict(ip=rng.choice(homes), tool=self.tool(rng)),
            "homes": lambda n: dict(ip=rng.choice(homes), tool=self.tool(rng), session=session()),
            "random-agents": lambda n: dict(ip=home(), tool=(f"bot-{rng.getrandbits(40):x}", "ttlive-other")),
            "free-keys": lambda n: dict(ip=home(), key=("community", 5 * 10**9 + rng.randrange(300))),
            "own-keys": lambda n: dict(ip=rented(), key=("community", 6 * 10**9 + n)),
            "stolen": lambda n: dict(ip=home(), tool=second, key=("business", 7 * 10**9)),
            "v6": lambda n: dict(ip=self.v6_of(self.hosters[2], rng)),
            "mobile": lambda n: dict(ip=self.address(rng, "mobile"), tool=self.tools[2], session=session()),
            "mimic": lambda n: dict(self.client(rng, self.target), key=None),
        }[event]

    def write(self, out):
        for number, (at, _, client, room, is_good) in enumerate(sorted(self.requests, key=lambda r: r[:2])):
            name, library = client["tool"]
            # Everybody's program is replaced within eight minutes, by each when it is their turn.
            turn = zlib.crc32(client["ip"].encode()) % 10_000 / 10_000 * 8 * MINUTE
            if self.asked.event == "update" and client["tool"] == self.tools[0] and at >= self.event_at + turn:
                name += "-next"
            key = client["key"] and {"id": f"k_{client['key'][1]:012x}", "account": f"a-{client['key'][1]:x}", "tier": client["key"][0]}
            place = LIBRARIES.index(library) % 3
            record = {"time": START + at, "seq": number, "duration_ms": 120, "client": client["ip"], "key": key, "method": "GET",
                      "target": TARGETS[place].format(library, self.ids[room]), "user_agent": name,
                      "outcome": "good" if is_good else "generator-failed"}
            if client["session"]:
                record["session"] = client["session"]
            viewer = f"{client['ip']} {client['session'] or client['key'] or name}"
            record["label"] = {"population": 2, "scenario": self.asked.event, "persona": client["persona"],
                               "attack": client["persona"] == "bot", "room": str(self.ids[room]), "viewer": viewer}
            out.write(json.dumps(record, separators=(",", ":")) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--world", choices=WORLDS, default="loyal")
    parser.add_argument("--event", choices=HONEST + list(ATTACKS), default="none")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rate", type=float, default=30, help="ordinary requests a second, about")
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--size", type=float, default=1, help="of the event, relative to the usual one")
    parser.add_argument("--networks", help="write the table of networks there")
    world = World(parser.parse_args())
    if world.asked.networks:
        with open(world.asked.networks, "w", encoding="ascii") as out:
            world.write_networks(out)
    world.everyday()
    world.happens()
    world.write(sys.stdout)


if __name__ == "__main__":
    main()
