//! A signed URL: the one that was asked for, with a signature that looks like one.

use url::form_urlencoded;

use super::{Fault, Signature};
use crate::dialect::answer::{SignedUrl, SignedUrlError};

/// Judges the body of an answer to "sign `asked`".
pub(super) fn judge(rule: Signature, asked: &str, body: &[u8]) -> Result<SignedUrl, Fault> {
    let signed = SignedUrl::parse(body).map_err(|error| match error {
        SignedUrlError::Json(_) => Fault::NotJson,
        SignedUrlError::Code(_) => Fault::FailureCode,
        SignedUrlError::Missing => Fault::NoSignedUrl,
    })?;
    let (asked_base, asked_query) = split(asked);
    let plain = signed.signed_url.bytes().all(|byte| byte.is_ascii_graphic());
    if plain && split(&signed.signed_url).0 == asked_base {
        judge_query(rule, asked_query, split(&signed.signed_url).1)?;
    } else {
        // Spelled in another way, or another URL.
        let url = url::Url::parse(&signed.signed_url).map_err(|_| Fault::NoSignedUrl)?;
        let asked = url::Url::parse(asked).map_err(|_| Fault::OtherUrl)?;
        if (url.scheme(), url.host_str(), url.path()) != (asked.scheme(), asked.host_str(), asked.path())
            || url.port() != asked.port()
            || !url.username().is_empty()
        {
            return Err(Fault::OtherUrl);
        }
        judge_query(rule, asked.query().unwrap_or_default(), url.query().unwrap_or_default())?;
    }
    Ok(signed)
}

/// What stands before the query, and the query.
fn split(url: &str) -> (&str, &str) {
    let url = url.split_once('#').map_or(url, |(url, _)| url);
    url.split_once('?').unwrap_or((url, ""))
}

fn judge_query(rule: Signature, asked: &str, signed: &str) -> Result<(), Fault> {
    // What a signer adds or puts in order is its own affair; the room is what was counted.
    let room = form_urlencoded::parse(asked.as_bytes()).find(|(name, _)| name == "room_id").map(|(_, id)| id);
    let (mut rooms, mut other_room, mut implausible) = (false, false, false);
    let (mut bogus, mut gnarly, mut token, mut older) = (false, false, false, false);
    for (name, value) in form_urlencoded::parse(signed.as_bytes()) {
        let (found, lengths) = match &*name {
            "room_id" => {
                rooms = true;
                other_room |= room.as_ref().is_some_and(|room| *room != value);
                continue;
            }
            // 28 characters, today.
            "X-Bogus" => (&mut bogus, 16..=64),
            // 332 characters, today.
            "X-Gnarly" => (&mut gnarly, 64..=2048),
            "msToken" => (&mut token, 1..=2048),
            "_signature" => (&mut older, 16..=512),
            _ => continue,
        };
        // Signers leave an empty one where they have none.
        if value.is_empty() {
            continue;
        }
        if !lengths.contains(&value.len()) || !value.bytes().all(is_of_a_signature) {
            implausible = true;
        }
        *found = true;
    }
    if other_room || room.is_some() && !rooms {
        return Err(Fault::OtherUrl);
    }
    if implausible {
        return Err(Fault::ImplausibleSignature);
    }
    if !(bogus || gnarly || older) {
        return Err(Fault::Unsigned);
    }
    let complete = match rule {
        Signature::Any => true,
        Signature::New => bogus && gnarly,
        Signature::Full => bogus && gnarly && token,
    };
    if complete { Ok(()) } else { Err(Fault::IncompleteSignature) }
}

/// The alphabets of base64; a `+` that was not escaped is a space to who reads the query.
fn is_of_a_signature(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'-' | b'_' | b'.' | b'/' | b'+' | b'=' | b'*' | b'~' | b' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASKED: &str = "https://webcast.tiktok.com/webcast/im/fetch/?room_id=7";
    const BOGUS: &str = "DFSzswVLkKxANGP5CtmFF2lUrn1a";

    fn fault(rule: Signature, url: &str) -> Option<Fault> {
        let body = serde_json::json!({"code": 200, "response": {"signedUrl": url}}).to_string();
        judge(rule, ASKED, body.as_bytes()).err()
    }

    #[test]
    fn what_a_signature_must_have_is_a_setting() {
        let gnarly = "M/".repeat(166);
        let with = |parts: &[(&str, &str)]| {
            let part = |(name, value): &(&str, &str)| format!("&{name}={value}");
            format!("{ASKED}{}", parts.iter().map(part).collect::<String>())
        };
        let full = [("X-Bogus", BOGUS), ("X-Gnarly", &*gnarly), ("msToken", "t")];
        let older = [("_signature", "_02B4Z6wo00f01abcdefg")];
        for (parts, any, new, whole) in [
            (&full[..], None, None, None),
            (&full[..2], None, None, Some(Fault::IncompleteSignature)),
            (&full[..1], None, Some(Fault::IncompleteSignature), Some(Fault::IncompleteSignature)),
            (&older[..], None, Some(Fault::IncompleteSignature), Some(Fault::IncompleteSignature)),
            (&full[2..], Some(Fault::Unsigned), Some(Fault::Unsigned), Some(Fault::Unsigned)),
        ] {
            let url = with(parts);
            for (rule, expected) in [(Signature::Any, any), (Signature::New, new), (Signature::Full, whole)] {
                assert_eq!(fault(rule, &url), expected, "{rule:?} {url}");
            }
        }
        for odd in [
            ("X-Bogus", "abc"),
            ("X-Bogus", "<script>alert(1)</script>"),
            ("X-Gnarly", "g"),
            ("_signature", "x"),
        ] {
            assert_eq!(fault(Signature::Any, &with(&[odd])), Some(Fault::ImplausibleSignature), "{odd:?}");
        }
    }

    #[test]
    fn it_is_the_url_that_was_asked_for_however_it_is_spelled() {
        for good in [
            format!("https://WEBCAST.tiktok.com/webcast/im/fetch/?X-Bogus={BOGUS}&room_id=7"),
            format!("https://webcast.tiktok.com:443/webcast/im/fetch/?room_id=%37&X-Bogus={BOGUS}"),
            format!("{ASKED}&X-Bogus={BOGUS}#part"),
        ] {
            assert_eq!(fault(Signature::Any, &good), None, "{good}");
        }
        for other in [
            format!("https://webcast.tiktok.com@evil.example/webcast/im/fetch/?room_id=7&X-Bogus={BOGUS}"),
            format!("https://user@webcast.tiktok.com/webcast/im/fetch/?room_id=7&X-Bogus={BOGUS}"),
            format!("https://webcast.tiktok.com:444/webcast/im/fetch/?room_id=7&X-Bogus={BOGUS}"),
            format!("{ASKED}&room_id=8&X-Bogus={BOGUS}"),
            format!("https://webcast.tiktok.com/webcast/im/fetch/?X-Bogus={BOGUS}"),
            format!("http://webcast.tiktok.com/webcast/im/fetch/?room_id=7&X-Bogus={BOGUS}"),
        ] {
            assert_eq!(fault(Signature::Any, &other), Some(Fault::OtherUrl), "{other}");
        }
        let in_fragment = format!("{ASKED}#&X-Bogus={BOGUS}");
        assert_eq!(fault(Signature::Any, &in_fragment), Some(Fault::Unsigned));
    }
}
