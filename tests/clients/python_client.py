"""Drives TikTokLive, any version: one JSON case a line on stdin, one JSON result a line on stdout.

A case: {"do": "connect" | "sign" | "limits", "gateway": URL, "key": text or null, "room": id, "url": for sign}.
A result: {"connected", "comment", "history", "answer", "error"}; the error is null or what `describe` gives, its times
in seconds.

Run by hand: echo '{"do": "connect", "gateway": "http://127.0.0.1:8080", "room": 7300000000000000001}' |
    .cache/venv-7.0.1/bin/python python_client.py
"""

import asyncio
import json
import sys

from TikTokLive import __version__
from TikTokLive.client.client import TikTokLiveClient
from TikTokLive.client.errors import SignAPIError, SignatureRateLimitError
from TikTokLive.client.web.web_settings import WebDefaults
from TikTokLive.events import CommentEvent, ConnectEvent

# Longer than anything here takes; a client that waits for this has failed.
PATIENCE_S = 20


def make_client(case: dict) -> TikTokLiveClient:
    # This is all that a user of the library has to do. Version 6 reads this one setting when it connects and ignores
    # SIGN_API_URL and `sign_api_base`; version 7 takes any of the three.
    WebDefaults.tiktok_sign_url = case["gateway"]
    WebDefaults.tiktok_sign_api_key = case.get("key")
    return TikTokLiveClient(unique_id="@a_broadcaster")


async def connect(case: dict, result: dict) -> None:
    client = make_client(case)
    live = asyncio.get_running_loop().create_future()

    @client.on(ConnectEvent)
    async def on_connect(_: ConnectEvent) -> None:
        result["connected"] = True

    @client.on(CommentEvent)
    async def on_comment(event: CommentEvent) -> None:
        if event.comment.startswith("said before"):
            result["history"] += 1
        elif not live.done():
            live.set_result(event.comment)

    # The room's id is given and the live check left out: both would ask the platform.
    loop = await client.start(room_id=int(case["room"]), fetch_live_check=False)
    try:
        await asyncio.wait({live, loop}, timeout=PATIENCE_S, return_when=asyncio.FIRST_COMPLETED)
        if live.done():
            result["comment"] = live.result()
        elif loop.done():
            loop.result()
    finally:
        await client.disconnect()


async def sign(case: dict, result: dict) -> None:
    client = make_client(case)
    signed = await client.web.signer.webcast_sign(
        url=case["url"], method="GET", sign_url_type="fetch", payload="",
        user_agent=client.web.headers["User-Agent"],
    )
    result["answer"] = signed["response"] if isinstance(signed, dict) else signed.to_dict()


async def limits(case: dict, result: dict) -> None:
    # TikTokLive has no call of its own for it; version 7 brings the SDK that has one, version 6 has none.
    from EulerApiSdk.api.tik_tok_live import get_rate_limits

    answer = await get_rate_limits.asyncio_detailed(client=make_client(case).web.signer.sdk_client)
    if answer.parsed is None:
        raise RuntimeError(f"{answer.status_code}: {answer.content!r}")
    result["answer"] = answer.parsed.to_dict()


def describe(error: Exception) -> dict:
    told = {"class": type(error).__name__, "text": str(error), "retry_after": None, "reset": None, "request_id": None}
    if isinstance(error, SignAPIError):
        told["request_id"] = error.log_id
        # A refused signature says why only in the answer that the error carries, not in its text.
        told["body"] = error.response.text if error.response is not None else None
    if isinstance(error, SignatureRateLimitError):
        told["retry_after"] = error.retry_after
        told["reset"] = int(error.reset_time)
    return told


def run(case: dict) -> dict:
    result = {"connected": False, "comment": None, "history": 0, "answer": None, "error": None}
    step = {"connect": connect, "sign": sign, "limits": limits}[case["do"]]
    try:
        asyncio.run(asyncio.wait_for(step(case, result), PATIENCE_S * 2))
    except Exception as error:  # Whatever a user would see as a traceback is the result.
        result["error"] = describe(error)
    return result


if __name__ == "__main__":
    # The library logs to stdout; only results may go there.
    results, sys.stdout = sys.stdout, sys.stderr
    print(json.dumps({"library": f"TikTokLive {__version__.PACKAGE_VERSION}"}), file=results, flush=True)
    for line in sys.stdin:
        print(json.dumps(run(json.loads(line))), file=results, flush=True)
