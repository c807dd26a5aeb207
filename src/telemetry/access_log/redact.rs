//! A request's target as it may be kept: what decided, and none of what was secret.
//!
//! Keys, sessions and tokens ride in queries (`contract.md` section 2), some under names that nobody has thought of yet.
//! So nothing is struck out here; a few named parameters are let through, and of these only values that look like what
//! they are for. Idempotent: what was redacted stays as it is.

use percent_encoding::percent_decode;

use crate::base::text::may_be_kept;

/// The parameter that holds a URL, which is kept as far as its path and room.
const URL: &[u8] = b"url";

/// What stands for a value that is not shown.
const REMOVED: u8 = b'-';

/// A kept value holds at most so many bytes.
const VALUE_BYTES_MAX: usize = 64;

/// A segment of a path holds at most so many bytes: words, room ids and handles do. Shorter than a key of ours.
const SEGMENT_BYTES_MAX: usize = 40;

/// At most so many parameters and so many segments are kept: two that contradict each other are worth seeing, a thousand
/// are not.
const PARTS_MAX: usize = 16;

/// Appends `target` (path and query, as the request line had it) with everything left out that may be secret. Adds at
/// most about 4 KiB, only printable ASCII without quotes and backslashes.
pub fn redact_target(target: &str, out: &mut Vec<u8>) {
    let target = target.as_bytes();
    let end = target.iter().position(|byte| *byte == b'#').unwrap_or(target.len());
    let target = &target[..end];
    let path_end = target.iter().position(|byte| *byte == b'?').unwrap_or(target.len());
    let (path, query) = target.split_at(path_end);
    redact_path(path, out);
    let pairs = query.strip_prefix(b"?").unwrap_or_default().split(|byte| *byte == b'&').take(1024);
    let mut separator = b'?';
    let kept = pairs.map(name_and_value).filter_map(|(name, value)| kept(name).map(|name| (name, value)));
    for (name, value) in kept.take(PARTS_MAX) {
        out.push(separator);
        separator = b'&';
        out.extend_from_slice(name);
        out.push(b'=');
        match name {
            // An empty one is none.
            URL if value.is_empty() => {}
            URL => redact_url(value, out),
            b"room_id" => redact_room_id(value, out),
            _ => redact_bounded(value, VALUE_BYTES_MAX, out),
        }
    }
}

/// Whether redacting changes nothing.
pub(super) fn is_redacted(target: &str) -> bool {
    let mut redacted = Vec::new();
    redact_target(target, &mut redacted);
    redacted == target.as_bytes()
}

fn name_and_value(pair: &[u8]) -> (&[u8], &[u8]) {
    let end = pair.iter().position(|byte| *byte == b'=');
    end.map_or((pair, &[]), |end| (&pair[..end], &pair[end + 1..]))
}

/// The names of those that facts are made from, each in one spelling: `dialect::param` reads names in any, and what is kept
/// must say the same.
fn kept(name: &[u8]) -> Option<&'static [u8]> {
    Some(match name {
        b"client" => b"client",
        b"room_id" => b"room_id",
        b"url" => URL,
        b"device_id" => b"device_id",
        b"unique_id" => b"unique_id",
        b"uniqueId" => b"uniqueId",
        b"uuc" => b"uuc",
        b"platform" => b"platform",
        b"type" => b"type",
        // What clients send beside these.
        b"user_agent" | b"client_enter" | b"cursor" | b"tt_target_idc" | b"country" => return None,
        _ => return folded(name),
    })
}

/// The name behind any other spelling: percent-encoded, in either case, with or without `_` and `-`, as one of an array.
fn folded(name: &[u8]) -> Option<&'static [u8]> {
    const LONGEST: usize = 14;
    let may_be = |first: &u8| {
        matches!(first.to_ascii_lowercase(), b'c' | b'd' | b'r' | b't' | b'u' | b'_' | b'-' | b'%')
    };
    if !name.first().is_some_and(may_be) {
        return None;
    }
    let mut folded = [0; LONGEST];
    let mut length = 0;
    for byte in percent_decode(name) {
        match byte {
            b'[' => break,
            b'_' | b'-' => {}
            other => {
                *folded.get_mut(length)? = other.to_ascii_lowercase();
                length += 1;
            }
        }
    }
    Some(match &folded[..length] {
        b"client" => b"client",
        b"roomid" | b"targetroomid" => b"room_id",
        b"uniqueid" | b"targetuniqueid" => b"unique_id",
        b"url" => URL,
        b"deviceid" => b"device_id",
        _ => return None,
    })
}

/// Appends host and path of a URL to be signed, with the path's odd segments left out.
pub(super) fn redact_host_and_path(host: &str, path: &str, out: &mut Vec<u8>) {
    if may_be_kept(host.as_bytes(), 255) {
        out.extend_from_slice(host.as_bytes());
    } else {
        out.push(REMOVED);
    }
    redact_path(path.as_bytes(), out);
}

fn redact_path(path: &[u8], out: &mut Vec<u8>) {
    for (place, segment) in path.split(|byte| *byte == b'/').take(PARTS_MAX).enumerate() {
        if place > 0 {
            out.push(b'/');
        }
        redact_bounded(segment, SEGMENT_BYTES_MAX, out);
    }
}

/// Appends a room id, decoded. Anything else in its place is a mistake, and what was mistaken for a room may be a session.
fn redact_room_id(value: &[u8], out: &mut Vec<u8>) {
    if is_room_id(value) {
        out.extend_from_slice(value);
        return;
    }
    let start = out.len();
    out.extend(percent_decode(value).take(ROOM_ID_BYTES_MAX + 1));
    if !is_room_id(&out[start..]) {
        out.truncate(start);
        out.push(REMOVED);
    }
}

/// The longest room id, in bytes.
const ROOM_ID_BYTES_MAX: usize = 20;

fn is_room_id(value: &[u8]) -> bool {
    value.len() <= ROOM_ID_BYTES_MAX && value.iter().all(u8::is_ascii_digit)
}

/// Appends the text as it stands where it is plain and no key of ours, else one `-`.
fn redact_bounded(text: &[u8], bytes_max: usize, out: &mut Vec<u8>) {
    if may_be_kept(text, bytes_max) { out.extend_from_slice(text) } else { out.push(REMOVED) }
}

/// Appends a percent-encoded URL as `scheme://host/path?room_id=…`, percent-encoded again; `-` where it is none.
fn redact_url(encoded: &[u8], out: &mut Vec<u8>) {
    const DECODED_BYTES_MAX: usize = 4096;
    const NAME: &[u8] = b"room_id=";
    // Decoded into a fixed buffer: the record is written without allocating.
    let mut buffer = [0; DECODED_BYTES_MAX];
    let mut decoded = percent_decode(encoded);
    let mut length = 0;
    for (to, byte) in buffer.iter_mut().zip(&mut decoded) {
        *to = byte;
        length += 1;
    }
    let mut url = &buffer[..length];
    if decoded.next().is_some() {
        // Cut within its last parameter, which could read as another room: that one is left out.
        url = &url[..url.iter().rposition(|byte| *byte == b'&').unwrap_or(0)];
    }
    let start = out.len();
    let Some((scheme, rest)) = [&b"https://"[..], b"http://"]
        .into_iter()
        .find_map(|scheme| url.strip_prefix(scheme).map(|rest| (scheme, rest)))
    else {
        out.push(REMOVED);
        return;
    };
    let end = rest.iter().position(|byte| matches!(byte, b'?' | b'#')).unwrap_or(rest.len());
    let (address, query) = rest.split_at(end);
    let host_end = address.iter().position(|byte| *byte == b'/').unwrap_or(address.len());
    let (host, path) = address.split_at(host_end);
    // A name before the host may be a name and a password.
    if host.is_empty() || host.contains(&b'@') || !may_be_kept(host, 255) || host.contains(&b'%') {
        out.push(REMOVED);
        return;
    }
    out.extend_from_slice(scheme);
    out.extend_from_slice(host);
    redact_path(path, out);
    let query = query.strip_prefix(b"?").unwrap_or_default();
    let room = query.split(|byte| *byte == b'&').find_map(|pair| pair.strip_prefix(NAME));
    if let Some(room) = room.filter(|room| is_room_id(room)) {
        out.push(b'?');
        out.extend_from_slice(NAME);
        out.extend_from_slice(room);
    }
    encode_from(out, start);
}

/// Percent-encodes what was appended since `start`, in place: everything but unreserved characters (RFC 3986 section 2.3).
fn encode_from(out: &mut Vec<u8>, start: usize) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
    let mut from = out.len();
    let mut to = from + 2 * out[start..].iter().filter(|byte| !unreserved(**byte)).count();
    out.resize(to, 0);
    // From the end, so that nothing is overwritten before it was read.
    while from > start {
        from -= 1;
        let byte = out[from];
        if unreserved(byte) {
            to -= 1;
            out[to] = byte;
        } else {
            to -= 3;
            let code = [b'%', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]];
            out[to..to + 3].copy_from_slice(&code);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn redacted(target: &str) -> String {
        let mut out = Vec::new();
        redact_target(target, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_decides_is_kept() {
        for target in [
            "/webcast/fetch?client=ttlive-python&room_id=7300000000000000001&platform=web",
            "/webcast/rooms/7300000000000000001/connect?client=ttlive-node",
            "/webcast/anchors/%40some.name_1/room_id",
            "/webcast/room_id?uniqueId=@some.name_1&device_id=7123",
            "/accounts/me/rate_limits?type=day",
            "//webcast/fetch/?uuc=3",
            "/webcast/sign_url?url=https%3A%2F%2Fwebcast.tiktok.com%2Fwebcast%2Fim%2Ffetch%2F%3Froom_id%3D7300000000000000001&client=ttlive-node",
        ] {
            assert_eq!(redacted(target), target);
        }
    }

    #[test]
    fn what_is_secret_is_not() {
        let key = "sg_abcdefghijklmnopqrstuvwxyz234567abcdefgh";
        for (target, expected) in [
            (format!("/webcast/fetch?apiKey={key}&session_id=s3cret&room_id=7"), "/webcast/fetch?room_id=7"),
            (format!("/webcast/fetch?room_id={key}"), "/webcast/fetch?room_id=-"),
            ("/webcast/fetch?room_id=7%26apiKey%3Ds3cret".into(), "/webcast/fetch?room_id=-"),
            ("/webcast/fetch?room_id=0f1e2d3c4b5a69788796a5b4c3d2e1f0".into(), "/webcast/fetch?room_id=-"),
            (format!("/webcast/{key}/connect"), "/webcast/-/connect"),
            ("/webcast/rooms/7;sessionid=s3cret/connect".into(), "/webcast/rooms/-/connect"),
            ("/webcast/fetch#s3cret".into(), "/webcast/fetch"),
            ("/webcast/fetch?msToken=s3cret&cookie=s3cret".into(), "/webcast/fetch"),
            ("/webcast/sign_url?url=https%3A%2F%2Fh.example%2Fp%3FmsToken%3Ds3cret%26room_id%3D7%26sessionid%3Ds3cret".into(),
                "/webcast/sign_url?url=https%3A%2F%2Fh.example%2Fp%3Froom_id%3D7"),
            ("/webcast/sign_url?url=https%3A%2F%2Fuser%3As3cret%40h.example%2Fp".into(), "/webcast/sign_url?url=-"),
            ("/webcast/sign_url?url=https%3A%2F%2Fh.example%5C%40s3cret%2Fp".into(), "/webcast/sign_url?url=-"),
            ("/webcast/sign_url?url=s3cret".into(), "/webcast/sign_url?url=-"),
            ("/webcast/sign_url?url=https%3A%2F%2Fh.example%2F%3Froom_id%3Ds3cret".into(),
                "/webcast/sign_url?url=https%3A%2F%2Fh.example%2F"),
        ] {
            assert_eq!(redacted(&target), expected);
        }
    }

    proptest! {
        #[test]
        fn redacting_is_idempotent_bounded_and_plain(target in "\\PC{0,300}") {
            let once = redacted(&target);
            prop_assert_eq!(redacted(&once), once.clone());
            prop_assert!(once.bytes().all(|b| b.is_ascii_graphic() && b != b'"' && b != b'\\'));
        }

        #[test]
        fn no_secret_comes_through(
            name in "(apiKey|session_id|sessionid|msToken|x-jwt-key|[a-z_]{1,12})",
            before in "(/webcast/fetch\\?room_id=7&|/webcast/sign_url\\?url=https%3A%2F%2Fh%2F%3F|/a/b\\?)",
            after in "(&client=x|%26room_id%3D7)?",
        ) {
            prop_assume!(kept(name.as_bytes()).is_none());
            let target = format!("{before}{name}=s3cretvalue{after}");
            prop_assert!(!redacted(&target).contains("s3cretvalue"), "{}", redacted(&target));
            let encoded = format!("{before}{name}%3Ds3cretvalue{after}");
            prop_assert!(!redacted(&encoded).contains("s3cretvalue"), "{}", redacted(&encoded));
        }

        #[test]
        fn targets_of_the_api_stay_small(parts in proptest::collection::vec("[a-z%/?&=]{0,200}", 0..40)) {
            prop_assert!(redacted(&parts.join("&room_id=7&")).len() < 4096);
        }
    }
}
