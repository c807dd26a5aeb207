"""The real client libraries against the gateway, on loopback: see README.md.

Each case starts a generator and a gateway with a policy of its own, so no case sees the counts of another. Nothing
here waits for time to pass.
"""

import json
import os
import re
import sys
import time
import unittest
import urllib.parse

from blake3 import blake3

import wire
from fake_generator import COOKIE, FakeGenerator, Refusal
from processes import HERE, Driver, Gateway, ask_plainly, gateway_binary

ROOM = "7300000000000000001"
PLAIN_CONNECT = f"/webcast/fetch?client=ttlive-other&room_id={ROOM}&user_agent=Mozilla%2F5.0&platform=web"
SIGNABLE = f"https://webcast.tiktok.com/webcast/gift/list/?aid=1988&room_id={ROOM}"
NOT_SIGNABLE = "https://www.tiktok.com/passport/web/logout/?aid=1988"

FIRST_KEY = "sk_first_key_of_the_overlay_tool"
SECOND_KEY = "sk_second_key_of_the_overlay_tool"
UNKNOWN_KEY = "sk_a_key_that_nobody_was_given"

# Everything the cases share; each adds the rule that it is about.
POLICY = f"""
format = 1

[tier.anonymous]
class = "none"

[tier.community]
class = "free"

[[account]]
id = "overlay-tool"
tier = "community"

[[key]]
id = "k_first"
hash = "blake3:{blake3(FIRST_KEY.encode()).hexdigest()}"
account = "overlay-tool"

[[key]]
id = "k_second"
hash = "blake3:{blake3(SECOND_KEY.encode()).hexdigest()}"
account = "overlay-tool"

[[target]]
hosts = ["webcast.tiktok.com"]
paths = ["/webcast/*"]
"""

QUOTA_OF_AN_ADDRESS = """
[[quota]]
name = "anonymous"
scope = "proxy"
tiers = ["anonymous"]
limits = { minute = 1 }
"""

QUOTA_OF_AN_ACCOUNT = """
[[quota]]
name = "community"
scope = "account"
tiers = ["community"]
limits = { minute = 1 }
"""

ROOMY_QUOTA = QUOTA_OF_AN_ADDRESS.replace("minute = 1", "minute = 7, day = 90")

BLOCK_REASON = "known view-bot proxies of this test"
BLOCKLIST = f"""
[[blocklist]]
name = "test-proxies"
prefixes = ["127.0.0.0/8"]
reason = "{BLOCK_REASON}"
"""

# With SIGNGATE_TEST_DIRECT=1 the generator stands in the gateway's place and answers what `as_if` says: this tries the
# harness and the libraries without a gateway, and tells whose fault a failure is.
DIRECT = os.environ.get("SIGNGATE_TEST_DIRECT") == "1"


def as_if(status: int, message: str, client: str = "", wait_s: int = 41) -> Refusal:
    """A refusal as the gateway should give it to `client`."""
    headers = {"X-Request-ID": "req-0001"}
    body = {"code": status, "message": message, "error": message}
    if status == 429:
        is_python = client.startswith("TikTokLive")
        body["limit_label"] = "rate_limit_proxy_minute"
        headers |= {"Retry-After": wait_s, "RateLimit-Reset": wait_s, "X-RateLimit-Limit": 1,
                    "X-RateLimit-Remaining": 0, "X-RateLimit-Reset": int(time.time()) + wait_s,
                    "RateLimit-Remaining": wait_s if is_python else 0}
    return Refusal(status, body, headers)


def told(error: dict) -> tuple[int, dict]:
    """Status and JSON body of a refusal as the error's text shows them to the user."""
    found = re.search(r"status(?: code)? (\d{3})\b.*?payload:\n(.*)", error["text"], re.DOTALL | re.IGNORECASE)
    assert found, f"the text shows no status and body: {error['text']}"
    return int(found.group(1)), json.loads(found.group(2))


class ClientCases:
    """The cases that every library must pass; a subclass names one."""

    command: list
    library: str
    rate_limit_error = "SignatureRateLimitError"

    @classmethod
    def setUpClass(cls) -> None:
        cls.driver = Driver(cls.command)
        cls.addClassCleanup(cls.driver.close)
        assert cls.driver.library == cls.library, f"installed is {cls.driver.library}: run ./install"

    def ask_driver(self, **case: object) -> dict:
        return self.driver.ask(**case)

    def setUp(self) -> None:
        self.generator = FakeGenerator()
        self.addCleanup(self.generator.close)

    def start(self, *rules: str, direct: list[Refusal | None] | None = None) -> None:
        """Starts the gateway with the shared policy and `rules`; in direct mode, scripts the answers instead."""
        self.gateway = None
        if DIRECT:
            if direct is None:
                self.skipTest("needs the gateway")
            self.generator.refusals = list(direct)
            self.url = self.generator.url
        else:
            self.gateway = Gateway(POLICY + "".join(rules), self.generator.url)
            self.addCleanup(self.gateway.kill)
            self.url = self.gateway.url

    def ask(self, step: str, key: str | None = None, **case: object) -> dict:
        return self.ask_driver(**{"do": step, "gateway": self.url, "key": key, "room": ROOM} | case)

    def refused(self, step: str = "connect", key: str | None = None, **case: object) -> dict:
        """Asks, and gives the error that must come of it."""
        result = self.ask(step, key, **case)
        self.assertIsNotNone(result["error"], f"was not refused: {result}")
        self.assertFalse(result["connected"])
        return result["error"]

    # connect

    def assert_lives(self, result: dict) -> None:
        self.assertIsNone(result["error"])
        self.assertTrue(result["connected"])
        self.assertEqual(result["history"], wire.HISTORY_COUNT, "the answer did not come through whole")
        self.assertEqual(result["comment"], wire.LIVE_COMMENT)
        self.assertIn(COOKIE, self.generator.pushed_to[0]["cookie"])

    def test_connects_and_receives_an_event(self) -> None:
        self.start(direct=[])
        self.assert_lives(self.ask("connect"))
        [request] = self.generator.seen("connect")
        self.assertEqual(request.rooms(), [ROOM])
        names = [name for name, _ in request.query]
        self.assertEqual(len(names), len(set(names)), f"a parameter stands twice: {request.target}")
        self.assertTrue(dict(request.query)["user_agent"].startswith("Mozilla/5.0 ("), request.target)

    def test_connects_with_a_slash_at_the_end_of_the_base_address(self) -> None:
        self.start(direct=[])
        self.assert_lives(self.ask("connect", gateway=self.url + "/"))
        [request] = self.generator.seen("connect")
        if not DIRECT:
            # Two of the libraries join by concatenation and ask for `//webcast/…`.
            self.assertNotIn("//", request.target.partition("?")[0])

    def test_the_key_goes_no_further_than_the_gateway(self) -> None:
        self.start()
        self.assert_lives(self.ask("connect", FIRST_KEY))
        self.ask("sign", FIRST_KEY, url=SIGNABLE)
        for request in self.generator.seen("connect") + self.generator.seen("sign-url"):
            self.assertNotIn(FIRST_KEY, request.everything())
        self.assertNotIn(FIRST_KEY, self.gateway.everything_written())

    # quotas

    def assert_over_quota(self, direct_key: str | None, client_key: str | None) -> None:
        """One plain connect uses the quota up; then the client must say the wait that the gateway says."""
        plain_headers = {"X-Api-Key": direct_key} if direct_key else {}
        self.assertEqual(ask_plainly(self.url, PLAIN_CONNECT, plain_headers).status, 200)
        before = ask_plainly(self.url, PLAIN_CONNECT, plain_headers)
        began_s = time.time()
        error = self.refused(key=client_key)
        ended_s = time.time()
        after = ask_plainly(self.url, PLAIN_CONNECT, plain_headers)

        self.assertEqual((before.status, after.status), (429, 429))
        self.assertEqual(error["class"], self.rate_limit_error, error["text"])
        wait_s = error["retry_after"]
        # A wait shrinks as time goes by, so the client's lies between the two: no tolerance is needed.
        self.assertLessEqual(wait_s, before.wait_s)
        self.assertGreaterEqual(wait_s, after.wait_s)
        self.assertTrue(1 <= wait_s <= 60, wait_s)
        self.assert_reset(error["reset"], wait_s, began_s, ended_s)

        message = re.search(r"\| (\S.*\S) \|", error["text"])
        self.assertIsNotNone(message, f"the message is not shown: {error['text']}")
        self.assertRegex(message.group(1), rf"\b{int(wait_s)}\b", "the text has another wait than the headers")
        without_numbers = [re.sub(r"\d+", "#", text) for text in (message.group(1), before.json()["message"])]
        self.assertEqual(*without_numbers)
        self.assertRegex(error["text"], r"\(rate_limit_\w+\) Too many connections")
        self.assertTrue(before.headers["X-Request-ID"])
        self.assertEqual(before.headers["RateLimit-Remaining"], "0", "only TikTokLive reads a wait from this one")
        self.assertEqual(len(self.generator.seen("connect")), 4 if DIRECT else 1, "a refusal cost a signature")

    def assert_reset(self, reset_s: float, wait_s: float, began_s: float, ended_s: float) -> None:
        raise NotImplementedError

    def test_over_the_quota_of_an_address(self) -> None:
        message = "over the limit of 1 connect a minute; try again in 41 seconds"
        plain = as_if(429, message)
        self.start(QUOTA_OF_AN_ADDRESS, direct=[None, plain, as_if(429, message, self.library), plain])
        self.assert_over_quota(None, None)

    def test_over_the_quota_of_an_account_with_another_of_its_keys(self) -> None:
        self.start(QUOTA_OF_AN_ACCOUNT)
        self.assert_over_quota(FIRST_KEY, SECOND_KEY)

    # refusals

    def assert_explained(self, error: dict, statuses: set[int]) -> dict:
        """The user sees our own words, and an id to ask about."""
        status, body = told(error)
        self.assertIn(status, statuses, error["text"])
        self.assertEqual(body["code"], status)
        self.assertTrue(body["message"].strip())
        self.assertTrue(body["error"].strip(), "Node 1.x shows this one")
        self.assertTrue(error["request_id"], "no X-Request-ID")
        return body

    def test_an_unknown_key(self) -> None:
        self.start(direct=[as_if(401, "this key is not known here")])
        error = self.refused(key=UNKNOWN_KEY)
        body = self.assert_explained(error, {401})
        self.assertIn("key", body["message"])
        self.assertNotIn(UNKNOWN_KEY, error["text"])
        if not DIRECT:
            self.assertEqual(self.generator.seen("connect"), [])

    def test_a_blocked_address(self) -> None:
        self.start(BLOCKLIST, direct=[as_if(403, f"blocked: {BLOCK_REASON}")])
        body = self.assert_explained(self.refused(), {403})
        self.assertIn(BLOCK_REASON, body["message"])
        if not DIRECT:
            self.assertEqual(self.generator.seen("connect"), [])

    def test_a_generator_whose_answers_are_no_good(self) -> None:
        # A 200 without a body or without a cookie is a failure too, and must not reach the client as it is: Python
        # would ask its user "are you being detected?" and Node die of a missing cookie.
        for mood in ("failing", "empty", "no-cookie"):
            with self.subTest(mood=mood):
                self.start(direct=[as_if(502, "no generator gave a good answer")])
                self.generator.mood = mood
                error = self.refused()
                self.assert_explained(error, {502, 503, 504})
                self.assertNotIn("10.9.8.7", error["text"], "the generator's own words came through")
                self.assertNotIn(urllib.parse.urlsplit(self.generator.url).netloc, error["text"])

    # sign a URL

    def test_signs_a_url(self) -> None:
        self.start(direct=[])
        result = self.ask("sign", url=SIGNABLE)
        self.assertIsNone(result["error"])
        signed = result["answer"]
        self.assertTrue(signed["signedUrl"].startswith(SIGNABLE + "&"), signed["signedUrl"])
        self.assertEqual(set(signed["tokens"]), {"X-Bogus", "X-Gnarly", "msToken"})
        for name, value in signed["tokens"].items():
            self.assertIn(f"{name}={value}", signed["signedUrl"])
        self.assertTrue(signed["userAgent"].startswith("Mozilla/5.0 ("))
        [request] = self.generator.seen("sign-url")
        self.assertEqual(request.fields()["url"], SIGNABLE)

    def test_refuses_to_sign_what_is_not_a_target(self) -> None:
        message = "this address is not signed here"
        self.start(direct=[as_if(403, message)])
        error = self.refused("sign", url=NOT_SIGNABLE)
        self.assertIn(error["class"], self.signing_refusals)
        self.assert_signing_explained(error)
        if not DIRECT:
            self.assertEqual(self.generator.seen("sign-url"), [])

    signing_refusals: set[str]

    def assert_signing_explained(self, error: dict) -> None:
        """The reason stands in the text."""
        self.assertRegex(error["text"], "not sign|target|not allowed|may not")


class LimitsCases:
    """For the libraries that can ask about their limits."""

    def test_limits_are_the_gateway_s_and_cost_nothing(self) -> None:
        self.start(ROOMY_QUOTA)
        self.assertIsNone(self.ask("connect")["error"])
        for _ in range(3):
            result = self.ask("limits")
            self.assertIsNone(result["error"])
            answer = result["answer"]
            self.assertEqual((answer["minute"]["max"], answer["minute"]["remaining"]), (7, 6))
            self.assertEqual((answer["day"]["max"], answer["day"]["remaining"]), (90, 89))
            self.assertRegex(answer["minute"]["reset_at"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d")

    def test_limits_can_be_read(self) -> None:
        self.start(ROOMY_QUOTA, direct=[])
        result = self.ask("limits")
        self.assertIsNone(result["error"])
        self.assertGreater(result["answer"]["minute"]["max"], 0)


class PythonCases(ClientCases):
    def assert_reset(self, reset_s: float, wait_s: float, began_s: float, ended_s: float) -> None:
        # `RateLimit-Reset` is in seconds from now, as its draft and the Java and C# clients have it.
        self.assertEqual(reset_s, wait_s)


class TikTokLive7(LimitsCases, PythonCases, unittest.TestCase):
    command = [HERE / ".cache/venv-7.0.1/bin/python", "python_client.py"]
    library = "TikTokLive 7.0.1"
    signing_refusals = {"PremiumEndpointError", "UnexpectedSignatureError"}

    def assert_signing_explained(self, error: dict) -> None:
        # On any status but 200 its SDK does not parse the body; the error carries it, its text does not.
        super().assert_signing_explained(error | {"text": error["text"] + error["body"]})


class TikTokLive6(PythonCases, unittest.TestCase):
    # It has no call for the limits.
    command = [HERE / ".cache/venv-6.6.5/bin/python", "python_client.py"]
    library = "TikTokLive 6.6.5"
    signing_refusals = {"PremiumEndpointError"}


class Connector(LimitsCases, ClientCases, unittest.TestCase):
    command = ["node", "node_client.mjs"]
    library = "tiktok-live-connector 2.5.0"
    signing_refusals = {"PremiumFeatureError"}

    def ask_driver(self, **case: object) -> dict:
        # The library holds on to the first address and key that a process gives it.
        driver = Driver(self.command)
        try:
            return driver.ask(**case)
        finally:
            driver.close()

    def assert_reset(self, reset_s: float, wait_s: float, began_s: float, ended_s: float) -> None:
        # `X-RateLimit-Reset` is a date in whole seconds, and the wait is rounded up.
        self.assertGreaterEqual(reset_s, began_s + wait_s - 1)
        self.assertLessEqual(reset_s, ended_s + wait_s + 1)


def main() -> int:
    if not DIRECT:
        gateway_binary()  # Says once, and before anything is started, that there is none.
    program = unittest.main(module="__main__", exit=False, verbosity=2)
    result = program.result
    # A case counts once, however many of its parts failed.
    failed = {str(getattr(case, "test_case", case)) for case, _ in result.failures + result.errors}
    skipped = len(result.skipped)
    passed = max(0, result.testsRun - len(failed) - skipped)
    print(f"{passed} passed, {len(failed)} failed" + (f", {skipped} skipped" if skipped else ""), flush=True)
    return 0 if result.testsRun and not failed else 1


if __name__ == "__main__":
    sys.exit(main())
