//! The answer to a connect: `ProtoMessageFetchResult` (`contract.md` section 3), walked field by field in place.
//!
//! Nothing is decoded that is not looked at, and nothing is copied. The walk is stricter than a decoder: what it takes, one
//! takes alike (a test has prost beside it); groups, which the message does not have, and a known field of another wire
//! type, which decoders of the clients stumble over, are refused.
//!
//! `need_ack` is not judged: the platform sets it where it wants to be told what arrived, and is answered by whoever holds the
//! stream. Of the clients that are tested TikTokLive 6.6.5 alone would rather have it unset.

use super::{Fault, Rules};

/// A longer cookie is refused: Node takes no more than 16 KiB of headers.
const COOKIE_BYTES_MAX: usize = 8 * 1024;

/// What of the message is judged.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Fields<'b> {
    pub(super) cursor: &'b str,
    pub(super) push_server: &'b str,
    pub(super) has_route_params: bool,
}

/// Judges a body that is not empty.
pub(super) fn judge(rules: &Rules, cookie: Option<&[u8]>, body: &[u8]) -> Result<(), Fault> {
    if cookie.is_some_and(|cookie| cookie.len() > COOKIE_BYTES_MAX) {
        return Err(Fault::OversizedCookie);
    }
    if rules.cookie && !cookie.is_some_and(is_cookie) {
        return Err(Fault::NoCookie);
    }
    let fields = read(body)?;
    if fields.cursor.is_empty() {
        return Err(Fault::NoCursor);
    }
    let host = host_of_websocket(fields.push_server).ok_or(Fault::NoPushServer)?;
    if !rules.push_hosts.admit(host) {
        return Err(Fault::FallbackHost);
    }
    if rules.route_params && !fields.has_route_params {
        return Err(Fault::NoRouteParams);
    }
    Ok(())
}

/// `name=value`, neither of them empty, and the name a token (RFC 6265 section 4.1.1). What follows a `;` are attributes, or more
/// cookies.
fn is_cookie(cookie: &[u8]) -> bool {
    let pair = memchr::memchr(b';', cookie).map_or(cookie, |end| &cookie[..end]);
    let Some(at) = memchr::memchr(b'=', pair) else { return false };
    let (name, value) = (pair[..at].trim_ascii(), pair[at + 1..].trim_ascii());
    let is_token = |byte: &u8| byte.is_ascii_graphic() && !b"\"(),/:;<=>?@[\\]{}".contains(byte);
    !name.is_empty() && name.iter().all(is_token) && !matches!(value, b"" | b"\"\"")
}

/// The host of a WebSocket's URL, without port: of `wss://host:port/path`.
fn host_of_websocket(url: &str) -> Option<&[u8]> {
    let rest = url.strip_prefix("wss://").or_else(|| url.strip_prefix("ws://"))?.as_bytes();
    let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?' | b'#')).unwrap_or(rest.len());
    let authority = &rest[..end];
    // A user before an `@` would make what follows the host; a backslash is a slash to some.
    if !authority.iter().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'@' | b'\\' | b'%')) {
        return None;
    }
    let host_end = match authority.first() {
        Some(b'[') => authority.iter().position(|byte| *byte == b']')? + 1,
        _ => authority.iter().position(|byte| *byte == b':').unwrap_or(authority.len()),
    };
    let (host, port) = authority.split_at(host_end);
    let port_is_one = match port {
        [] | [b':'] => true,
        [b':', port @ ..] => is_port(port),
        _ => false,
    };
    (!host.is_empty() && port_is_one).then_some(host)
}

/// From 1 to 65535.
fn is_port(port: &[u8]) -> bool {
    let number = |port: &[u8]| std::str::from_utf8(port).ok()?.parse::<u16>().ok();
    port.iter().all(u8::is_ascii_digit) && number(port).is_some_and(|port| port > 0)
}

/// The fields of the message by number: how each stands on the wire. Of numbers from 16 on none is known.
const WIRE_TYPES: [Option<u8>; 16] = {
    const BYTES: Option<u8> = Some(2);
    const VARINT: Option<u8> = Some(0);
    let mut types = [None; 16];
    types[1] = BYTES; // messages
    types[2] = BYTES; // cursor
    types[3] = VARINT; // fetch_interval
    types[4] = VARINT; // now
    types[5] = BYTES; // internal_ext
    types[6] = VARINT; // fetch_type
    types[7] = BYTES; // route_params
    types[8] = VARINT; // heartbeat_duration
    types[9] = VARINT; // need_ack
    types[10] = BYTES; // push_server
    types[11] = VARINT; // is_first
    types
};

/// Walks the message.
pub(super) fn read(body: &[u8]) -> Result<Fields<'_>, Fault> {
    let mut fields = Fields::default();
    let mut rest = body;
    let mut known = false;
    while !rest.is_empty() {
        let field = match field(&mut rest) {
            Ok(field) => field,
            // Something of it was there.
            Err(Broken::Short) if known => return Err(Fault::MessageCut),
            Err(_) => return Err(Fault::NotProtobuf),
        };
        if let Some(Some(wire_type)) = WIRE_TYPES.get(field.number as usize) {
            if *wire_type != field.wire_type {
                return Err(Fault::NotProtobuf);
            }
            known = true;
        }
        match field.number {
            2 => fields.cursor = text(field.bytes)?,
            5 => drop(text(field.bytes)?),
            7 => {
                fields.has_route_params |= entry(field.bytes)?;
            }
            10 => fields.push_server = text(field.bytes)?,
            _ => {}
        }
    }
    Ok(fields)
}

fn text(bytes: &[u8]) -> Result<&str, Fault> {
    std::str::from_utf8(bytes).map_err(|_| Fault::NotProtobuf)
}

/// An entry of a map from text to text: whether it has a name. One without says nothing.
fn entry(mut rest: &[u8]) -> Result<bool, Fault> {
    let mut is_named = false;
    while !rest.is_empty() {
        let field = field(&mut rest).map_err(|_| Fault::NotProtobuf)?;
        if matches!(field.number, 1 | 2) {
            if field.wire_type != 2 {
                return Err(Fault::NotProtobuf);
            }
            let text = text(field.bytes)?;
            if field.number == 1 {
                is_named = !text.is_empty();
            }
        }
    }
    Ok(is_named)
}

/// One field; `bytes` is empty but of the length-delimited.
struct Field<'b> {
    number: u32,
    wire_type: u8,
    bytes: &'b [u8],
}

enum Broken {
    /// It ends within a field.
    Short,
    /// It is none.
    Odd,
}

fn field<'b>(rest: &mut &'b [u8]) -> Result<Field<'b>, Broken> {
    let tag = u32::try_from(varint(rest)?).map_err(|_| Broken::Odd)?;
    let (number, wire_type) = (tag >> 3, (tag & 7) as u8);
    if number == 0 {
        return Err(Broken::Odd);
    }
    let length = match wire_type {
        0 => {
            varint(rest)?;
            return Ok(Field { number, wire_type, bytes: &[] });
        }
        1 => 8,
        2 => usize::try_from(varint(rest)?).map_err(|_| Broken::Odd)?,
        5 => 4,
        _ => return Err(Broken::Odd),
    };
    let (bytes, after) = rest.split_at_checked(length).ok_or(Broken::Short)?;
    *rest = after;
    Ok(Field { number, wire_type, bytes: if wire_type == 2 { bytes } else { &[] } })
}

/// A number of at most 64 bits, in groups of seven.
#[inline]
fn varint(rest: &mut &[u8]) -> Result<u64, Broken> {
    // Nearly all have one byte.
    if let [byte @ ..128, after @ ..] = *rest {
        *rest = after;
        return Ok(u64::from(*byte));
    }
    long_varint(rest)
}

fn long_varint(rest: &mut &[u8]) -> Result<u64, Broken> {
    let mut value = 0;
    for (place, byte) in rest.iter().enumerate() {
        // The tenth byte has room for the last bit alone.
        if place == 9 && *byte > 1 {
            return Err(Broken::Odd);
        }
        value |= u64::from(byte & 127) << (7 * place);
        if byte & 128 == 0 {
            *rest = &rest[place + 1..];
            return Ok(value);
        }
    }
    Err(Broken::Short)
}

#[cfg(test)]
mod tests;
