"""The few protobuf messages that a connect answer and a push server are made of.

Written by hand from the field numbers, so that the test's idea of the format does not come from the libraries that it
tests. Wire format: varint (type 0) and length-delimited (type 2) fields only.
"""

import gzip

# The text of the one comment that comes over the WebSocket. A client that reports it has been through the whole of it:
# the gateway's answer, the push server named there, the event handler.
LIVE_COMMENT = "said live, after the connection stood"

# So many comments lie in the connect answer itself, as the platform sends a room's last comments. They bring the
# answer to the size of a real one (about 40 kB) and show whether the gateway handed it on whole.
HISTORY_COUNT = 200


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def number(field: int, value: int) -> bytes:
    """A varint field."""
    return _varint(field << 3) + _varint(value)


def text(field: int, value: str | bytes) -> bytes:
    """A length-delimited field: string, bytes or an embedded message."""
    raw = value.encode() if isinstance(value, str) else value
    return _varint(field << 3 | 2) + _varint(len(raw)) + raw


def entry(field: int, key: str, value: str) -> bytes:
    """One entry of a map<string, string>, or a {key, value} message: the same bytes."""
    return text(field, text(1, key) + text(2, value))


def chat_message(room_id: int, message_id: int, comment: str) -> bytes:
    """A BaseProtoMessage (method, payload, msg_id) that holds a WebcastChatMessage."""
    common = text(1, "WebcastChatMessage") + number(2, message_id) + number(3, room_id)
    user = number(1, 6_900_000_000_000_000_001) + text(3, "A Viewer") + text(38, "a_viewer")
    chat = text(1, common) + text(2, user) + text(3, comment)
    return text(1, "WebcastChatMessage") + text(2, chat) + number(3, message_id)


def connect_answer(push_server: str, room_id: int) -> bytes:
    """A ProtoMessageFetchResult as the sign API answers a connect."""
    filler = "said before this client came; " * 4
    history = b"".join(
        text(1, chat_message(room_id, 7_000_000 + n, f"{filler}{n}")) for n in range(HISTORY_COUNT)
    )
    return b"".join([
        history,
        text(2, "c-1-1"),                                    # cursor
        number(3, 1000),                                     # fetch_interval, ms
        text(5, "internal_src:dim|wss_push_room_id:1"),      # internal_ext
        number(6, 1),                                        # fetch_type
        entry(7, "imprp", "route-parameter"),                # route_params
        number(8, 10_000),                                   # heartbeat_duration, ms
        text(10, push_server),
        number(11, 1),                                       # is_first
    ])


def push_frame(room_id: int, message_id: int, comment: str) -> bytes:
    """A WebcastPushFrame with one comment, compressed as the platform compresses when asked to."""
    result = text(1, chat_message(room_id, message_id, comment)) + text(2, "c-2-1")
    return b"".join([
        number(1, 1),                                        # seq_id
        number(2, message_id),                               # log_id
        entry(5, "compress_type", "gzip"),                   # headers
        text(6, "pb"),                                       # payload_encoding
        text(7, "msg"),                                      # payload_type
        text(8, gzip.compress(result)),                      # payload
    ])
