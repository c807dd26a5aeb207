//! The answer to a connect: `ProtoMessageFetchResult` (`contract.md` section 3), walked field by field in place.
//!
//! Nothing is decoded that is not looked at, and nothing is copied. The walk is stricter than a decoder: what it takes, one
//! takes alike (a test has prost beside it); groups, which the message does not have, and a known field of another wire
//! type, which decoders of the clients stumble over, are refused.

use super::{Fault, Rules};

/// What of the message is judged.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Fields<'b> {
    pub(super) cursor: &'b str,
    pub(super) push_server: &'b str,
    pub(super) has_route_params: bool,
}

/// Judges a body that is not empty.
pub(super) fn judge(rules: &Rules, cookie: Option<&[u8]>, body: &[u8]) -> Result<(), Fault> {
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

/// `name=value`, neither of them empty.
fn is_cookie(cookie: &[u8]) -> bool {
    cookie.iter().position(|byte| *byte == b'=').is_some_and(|at| at > 0 && at + 1 < cookie.len())
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
    let is_port = |port: &[u8]| port.len() <= 5 && port.iter().all(u8::is_ascii_digit);
    let port_is_one = port.is_empty() || port[0] == b':' && is_port(&port[1..]);
    (!host.is_empty() && port_is_one).then_some(host)
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
                entry(field.bytes)?;
                fields.has_route_params = !field.bytes.is_empty();
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

/// An entry of a map from text to text.
fn entry(mut rest: &[u8]) -> Result<(), Fault> {
    while !rest.is_empty() {
        let field = field(&mut rest).map_err(|_| Fault::NotProtobuf)?;
        if matches!(field.number, 1 | 2) {
            if field.wire_type != 2 {
                return Err(Fault::NotProtobuf);
            }
            text(field.bytes)?;
        }
    }
    Ok(())
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
