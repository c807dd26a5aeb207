//! A good answer, byte for byte, and whether one that came is it.

/// The push server of a good answer.
pub const PUSH_SERVER: &str = "wss://webcast-ws.tiktok.com/webcast/im/ws_proxy/ws_reuse_supplement/";

/// Where a stub points.
pub const FALLBACK_SERVER: &str = "wss://webcast-fallback.example/webcast/im/ws_proxy/ws_reuse_supplement/";

/// The name and value of the cookie of a good answer.
pub const COOKIE: &str = "ttwid=1%7Cabcdefghijklmnopqrstuvwxyz0123456789";

/// How large a real good answer is.
pub const REAL_BYTES: usize = 43_000;

/// The body of a good answer to a connect to `room`: a `ProtoMessageFetchResult` with what clients need, of which the cursor
/// names the room, filled up to `bytes` with messages as a real one is. Small ones are as long as they have to be.
pub fn connect(room: u64, bytes: usize) -> Vec<u8> {
    fetch_result(room, PUSH_SERVER, bytes)
}

/// A stub of some 272 bytes that a client can read, and that leads nowhere.
pub fn stub(room: u64) -> Vec<u8> {
    fetch_result(room, FALLBACK_SERVER, 272)
}

fn fetch_result(room: u64, push_server: &str, bytes: usize) -> Vec<u8> {
    let mut body = Vec::with_capacity(bytes.max(256));
    let mut field = |number: u8, value: &[u8]| {
        body.push(number << 3 | 2);
        varint(value.len(), &mut body);
        body.extend_from_slice(value);
    };
    field(2, format!("t-{room}_r-1").as_bytes());
    field(7, b"\x0a\x05imprp\x12\x18\x30\x31\x32\x33\x34\x35\x36\x37\x38\x39abcdef01234567");
    field(10, push_server.as_bytes());
    body.extend_from_slice(&[0x18, 0xe8, 0x07, 0x40, 0x90, 0x4e, 0x58, 0x01]); // fetch_interval, heartbeat, is_first
    // Messages of 400 bytes, then one of what is left.
    while body.len() + 2 < bytes {
        let left = bytes - body.len();
        let inner = if left > 500 { 397 } else { left - 2 - usize::from(left - 2 > 128) };
        body.push(0x0a);
        varint(inner, &mut body);
        body.extend(std::iter::repeat_n(b'm', inner));
    }
    body
}

fn varint(mut value: usize, out: &mut Vec<u8>) {
    while value > 127 {
        out.push(value as u8 & 127 | 128);
        value >>= 7;
    }
    out.push(value as u8);
}

/// The head of an answer with these lines and so long a body.
pub fn head(status: u16, lines: &[&str], length: usize) -> Vec<u8> {
    let mut head = format!("HTTP/1.1 {status} Whatever\r\nContent-Length: {length}\r\n");
    for line in lines {
        head.push_str(line);
        head.push_str("\r\n");
    }
    head.push_str("\r\n");
    head.into_bytes()
}

/// Why what came is not the good answer to a connect to `room`; nothing where it is.
pub fn fault(
    room: u64,
    bytes: usize,
    status: u16,
    cookie: Option<&str>,
    body: &[u8],
) -> Option<&'static str> {
    match (status, cookie) {
        (200, Some(cookie)) if cookie == COOKIE => {}
        (200, _) => return Some("200 without its cookie"),
        (429, _) => return Some("429"),
        (502, _) => return Some("502"),
        (503, _) => return Some("503"),
        (504, _) => return Some("504"),
        _ => return Some("another status"),
    }
    (body != connect(room, bytes)).then_some("200 with another body")
}
