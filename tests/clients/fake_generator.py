"""A sign generator and a push server on loopback: what stands behind the gateway in these tests.

The generator speaks the sign API in all its generations of paths and writes down every request that it gets. Its
`mood` says how it answers. The push server takes the WebSocket connection that a client makes with the generator's
answer, and sends one comment once the client has entered the room.
"""

import json
import re
import threading
import urllib.parse
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from websockets.sync.server import serve

import wire

# One pattern an operation; `room` is the room id where it stands in the path.
OPERATIONS = [
    ("connect", "GET", re.compile(r"^/webcast/fetch$")),
    ("connect", "GET", re.compile(r"^/webcast/rooms/(?P<room>\d+)/connect$")),
    ("sign-url", "POST", re.compile(r"^/webcast/sign_url$")),
    ("sign-url", "POST", re.compile(r"^/tiktok/sign_url$")),
    ("sign-url", "POST", re.compile(r"^/tiktok/signing/encrypt/sign_url$")),
    ("limits", "GET", re.compile(r"^/webcast/rate_limits$")),
    ("limits", "GET", re.compile(r"^/accounts/me/rate_limits$")),
]

# The cookie of a connect answer: a client must bring it to the push server.
COOKIE = "ttwid=cookie-of-the-generator"

MOODS = ("good", "failing", "empty", "no-cookie")


@dataclass(frozen=True)
class Refusal:
    """A whole answer, for trying what a client makes of it."""

    status: int
    body: dict
    headers: dict = field(default_factory=dict)


@dataclass(frozen=True)
class Seen:
    """One request as the generator got it."""

    operation: str | None
    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes

    @property
    def query(self) -> list[tuple[str, str]]:
        return urllib.parse.parse_qsl(self.target.partition("?")[2], keep_blank_values=True)

    def rooms(self) -> list[str]:
        """The room ids in path and query."""
        in_path = re.findall(r"/rooms/(\d+)/", self.target.partition("?")[0])
        return in_path + [value for name, value in self.query if name == "room_id"]

    def fields(self) -> dict[str, str]:
        """The body of a sign-a-URL request; form-encoded from TikTokLive 6, JSON from everyone else."""
        try:
            return json.loads(self.body)
        except ValueError:
            return dict(urllib.parse.parse_qsl(self.body.decode()))

    def everything(self) -> str:
        """All of the request as one text, to look for what must not be in it."""
        head = "\n".join(f"{name}: {value}" for name, value in self.headers)
        return f"{self.method} {urllib.parse.unquote(self.target)}\n{head}\n\n{self.body.decode(errors='replace')}"


class FakeGenerator:
    """Starts listening when made; `close` ends it. `url` is what the gateway is given."""

    def __init__(self) -> None:
        self.mood = "good"
        self.refusals: list[Refusal | None] = []   # direct mode: one an answer, None for a good one
        self.pushed_to: list[dict[str, str]] = []   # heads of the WebSocket connections: path and cookie
        self._seen: list[Seen] = []
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

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        # Python offers a subprotocol, Node none; each takes back what it offered.
        self._push = serve(
            self._push_connection, "127.0.0.1", 0,
            select_subprotocol=lambda _, offered: offered[0] if offered else None,
        )
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"
        self.push_url = f"ws://127.0.0.1:{self._push.socket.getsockname()[1]}/webcast/im/ws"
        # The interval is how long `close` takes.
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()
        threading.Thread(target=self._push.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._push.shutdown()

    def seen(self, operation: str) -> list[Seen]:
        """The requests for one operation, oldest first. Anything else, such as a health probe, is not among them."""
        with self._lock:
            return [one for one in self._seen if one.operation == operation]

    def _answer(self, request: BaseHTTPRequestHandler) -> None:
        length = int(request.headers.get("Content-Length") or 0)
        body = request.rfile.read(length)
        # From the request line: `request.path` has lost a double slash at its beginning.
        target = request.requestline.split(" ")[1]
        path = re.sub(r"/+", "/", target.partition("?")[0]).rstrip("/")
        operation, match = next(
            ((name, hit) for name, method, pattern in OPERATIONS
             if method == request.command and (hit := pattern.match(path))),
            (None, None),
        )
        seen = Seen(operation, request.command, target, list(request.headers.items()), body)
        with self._lock:
            self._seen.append(seen)
            refusal = self.refusals.pop(0) if self.refusals else None

        if refusal:
            _reply(request, refusal.status, json.dumps(refusal.body).encode(), refusal.headers)
        elif operation is None:
            _reply(request, 404, b'{"code": 404, "message": "no such operation"}')
        elif self.mood == "failing":
            _reply(request, 500, b'{"code": 500, "message": "the generator fell over at 10.9.8.7"}')
        elif self.mood == "empty":
            _reply(request, 200, b"")
        elif operation == "connect":
            self._connect(request, next(iter(seen.rooms()), "0"))
        elif operation == "sign-url":
            _reply(request, 200, json.dumps(_signed(seen.fields())).encode())
        else:
            _reply(request, 200, json.dumps(_limits()).encode())

    def _connect(self, request: BaseHTTPRequestHandler, room: str) -> None:
        headers = {"Content-Type": "application/protobuf", "X-Room-Id": room, "X-Agent-ID": "fake-generator",
                   "X-Request-ID": "id-of-the-generator", "X-Log-Code": "0"}
        if self.mood != "no-cookie":
            headers["X-Set-TT-Cookie"] = COOKIE
        _reply(request, 200, wire.connect_answer(self.push_url, int(room)), headers)

    def _push_connection(self, socket) -> None:
        head = {"target": socket.request.path, "cookie": socket.request.headers.get("Cookie", "")}
        with self._lock:
            self.pushed_to.append(head)
        room = re.search(r"room_id=(\d+)", head["target"])
        for frame in socket:
            if b"im_enter_room" in frame:
                socket.send(wire.push_frame(int(room.group(1)) if room else 0, 7_100_001, wire.LIVE_COMMENT))


def _reply(request: BaseHTTPRequestHandler, status: int, body: bytes, headers: dict | None = None) -> None:
    request.send_response(status)
    for name, value in ({"Content-Type": "application/json"} | (headers or {})).items():
        request.send_header(name, str(value))
    request.send_header("Content-Length", str(len(body)))
    request.end_headers()
    request.wfile.write(body)


def _signed(asked: dict[str, str]) -> dict:
    tokens = {"X-Bogus": "DFSzswVLX0XANGmHCN" + "q" * 10, "X-Gnarly": "M" * 332, "msToken": "t" * 107}
    joint = "&" if "?" in asked["url"] else "?"
    return {
        "code": 200,
        "response": {
            "signedUrl": asked["url"] + joint + urllib.parse.urlencode(tokens),
            "userAgent": asked.get("userAgent", ""),
            "browserName": "Mozilla",
            "browserVersion": "5.0",
            "tokens": tokens,
            "requestHeaders": {},
            "cookies": [],
        },
    }


def _limits() -> dict:
    """The generator's own limits. No client may ever see these: it asks about the gateway's."""
    window = {"max": 987_654, "remaining": 987_653, "reset_at": None}
    return {"code": 200, "minute": window, "hour": window, "day": window, "load_shedding": {"at": 0, "chance": 0}}
