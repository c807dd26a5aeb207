//! A signed URL: the one that was asked for, with a signature that is new and looks like one.
//!
//! A signer puts its parameters behind those that were asked for, or anywhere among them, and may replace a signature that
//! the URL came with. All else that was asked for is there as it was, in whatever order: the signature is of it, and it is
//! what was counted. A URL that clients would have to repair is refused, as each repairs it in its own way.

use std::borrow::Cow;

use smallvec::SmallVec;
use url::{Url, form_urlencoded};

use super::{Fault, Signature};
use crate::dialect::answer::{SignedUrl, SignedUrlError};
use crate::dialect::target::URL_BYTES_MAX;

/// A signature makes a URL longer by so many bytes at most; today it is some 600.
const SIGNATURE_BYTES_MAX: usize = 8 * 1024;

/// Judges the body of an answer to "sign `asked`".
pub(super) fn judge(rule: Signature, asked: &str, body: &[u8]) -> Result<SignedUrl, Fault> {
    let signed = SignedUrl::parse(body).map_err(|error| match error {
        SignedUrlError::Json(_) => Fault::NotJson,
        SignedUrlError::Code(_) => Fault::FailureCode,
        SignedUrlError::Missing => Fault::NoSignedUrl,
        SignedUrlError::OtherTokens => Fault::OtherTokens,
    })?;
    let url = &*signed.signed_url;
    let is_plain = url.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    if !is_plain || url.len() > URL_BYTES_MAX + SIGNATURE_BYTES_MAX {
        return Err(Fault::NoSignedUrl);
    }
    let ((base, query), (asked_base, asked_query)) = (split(url), split(asked));
    if base != asked_base {
        judge_spelling(base, asked_base)?;
    }
    judge_query(rule, asked_query, query)?;
    Ok(signed)
}

/// What stands before the query, and the query.
fn split(url: &str) -> (&str, &str) {
    let url = url.split_once('#').map_or(url, |(url, _)| url);
    url.split_once('?').unwrap_or((url, ""))
}

/// Whether what stands before the query, and is not as it was asked for, is another way to write it.
fn judge_spelling(base: &str, asked: &str) -> Result<(), Fault> {
    let url = Url::parse(base).map_err(|_| Fault::NoSignedUrl)?;
    let asked = Url::parse(asked).map_err(|_| Fault::OtherUrl)?;
    // The parser adds slashes and unescapes hosts; and a user in front of the host goes to it as a header.
    let authority = base.split_once("://").and_then(|(_, rest)| rest.split('/').next()).unwrap_or_default();
    let is_spelled_out = !authority.is_empty()
        && authority.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b':'));
    let place = (url.scheme(), url.host_str(), url.port(), url.path());
    let is_asked = place == (asked.scheme(), asked.host_str(), asked.port(), asked.path());
    if is_spelled_out && is_asked { Ok(()) } else { Err(Fault::OtherUrl) }
}

fn judge_query(rule: Signature, asked: &str, signed: &str) -> Result<(), Fault> {
    // Nearly always a signature stands behind what was asked for: that was kept then, and need not be taken apart.
    if let Some(added) = behind(asked, signed)
        && !names_again(asked, added)
        && Parts::of(form_urlencoded::parse(added.as_bytes())).judge(rule).is_ok()
    {
        return Ok(());
    }
    judge_pairs(rule, asked, signed)
}

/// What stands behind `asked`.
fn behind<'s>(asked: &str, signed: &'s str) -> Option<&'s str> {
    let rest = signed.strip_prefix(asked)?;
    if asked.is_empty() { Some(rest) } else { rest.strip_prefix('&') }
}

/// Whether `added` has a name that `asked` has; true as well where that cannot be told without unescaping them.
fn names_again(asked: &str, added: &str) -> bool {
    let is_escaped = |name: &str| name.contains(['%', '+']);
    names(added).any(is_escaped)
        || names(asked).any(|name| is_escaped(name) || names(added).any(|added| added == name))
}

fn names(query: &str) -> impl Iterator<Item = &str> {
    query.split('&').map(|pair| pair.split_once('=').map_or(pair, |(name, _)| name))
}

/// Pair by pair, in whatever order. Whoever asks chooses how many there are: what was asked for is sorted, so that each is found
/// in a few steps.
fn judge_pairs(rule: Signature, asked: &str, signed: &str) -> Result<(), Fault> {
    type Pair<'q> = (Cow<'q, str>, Cow<'q, str>);
    let mut asked: SmallVec<[Pair<'_>; 64]> = form_urlencoded::parse(asked.as_bytes()).collect();
    asked.sort_unstable();
    // How many of equal pairs were found again, at the place of the first of them.
    let mut kept: SmallVec<[usize; 64]> = SmallVec::from_elem(0, asked.len());
    let mut parts = Parts::default();
    for pair in form_urlencoded::parse(signed.as_bytes()) {
        let first = asked.partition_point(|asked| *asked < pair);
        let was_asked = asked.get(first) == Some(&pair);
        let (name, value) = &pair;
        if was_asked && asked.get(first + kept[first]) == Some(&pair) {
            kept[first] += 1;
            // A token is a session's; the others are one request's, and this one came with the question.
            parts.token |= name == "msToken" && !value.is_empty();
        } else if is_of_signers(name) {
            if !was_asked {
                parts.add(name, value);
            }
        } else {
            let named_so = asked.partition_point(|asked| asked.0 < *name)
                ..asked.partition_point(|asked| asked.0 <= *name);
            let named_so = &asked[named_so];
            if [named_so.first(), named_so.last()].into_iter().flatten().any(|asked| asked.1 != *value) {
                return Err(Fault::OtherUrl);
            }
            if named_so.is_empty() {
                parts.add(name, value);
            }
        }
    }
    // One that is empty says as much as none.
    let may_be_missing = |(name, value): &Pair<'_>| value.is_empty() || is_of_signers(name);
    let mut first = 0;
    for (at, pair) in asked.iter().enumerate() {
        if asked[first] != *pair {
            first = at;
        }
        if at - first >= kept[first] && !may_be_missing(pair) {
            return Err(Fault::OtherUrl);
        }
    }
    parts.judge(rule)
}

/// Whether a parameter is the signer's own, to be set anew with each signature.
fn is_of_signers(name: &str) -> bool {
    name.get(..2).is_some_and(|start| start.eq_ignore_ascii_case("X-"))
        || matches!(name, "msToken" | "_signature" | "verifyFp" | "fp")
}

/// The parts of a signature that were found.
#[derive(Default)]
struct Parts {
    bogus: bool,
    gnarly: bool,
    token: bool,
    older: bool,
    /// Any other that was not asked for.
    other: bool,
    /// One is a word of scripts that have nothing.
    says_nothing: bool,
    /// One is of a length or an alphabet that no signature has today.
    is_odd: bool,
}

impl Parts {
    fn of<'q>(pairs: impl Iterator<Item = (Cow<'q, str>, Cow<'q, str>)>) -> Self {
        let mut parts = Self::default();
        pairs.for_each(|(name, value)| parts.add(&name, &value));
        parts
    }

    fn add(&mut self, name: &str, value: &str) {
        let (found, lengths) = match name {
            // 28 characters, today.
            "X-Bogus" => (&mut self.bogus, 16..=64),
            // 332 characters, today.
            "X-Gnarly" => (&mut self.gnarly, 64..=2048),
            "msToken" => (&mut self.token, 1..=2048),
            "_signature" => (&mut self.older, 16..=512),
            // Of the session, as a token is.
            "verifyFp" | "fp" => return,
            _ => {
                self.other |= !value.is_empty() && !says_nothing(value);
                return;
            }
        };
        // Signers leave an empty one where they have none.
        if value.is_empty() {
            return;
        }
        *found = true;
        self.says_nothing |= says_nothing(value);
        self.is_odd |= !lengths.contains(&value.len()) || !is_of_a_signature(value);
    }

    fn judge(&self, rule: Signature) -> Result<(), Fault> {
        let is_lenient = rule == Signature::Present;
        if self.says_nothing || self.is_odd && !is_lenient {
            return Err(Fault::ImplausibleSignature);
        }
        if !(self.bogus || self.gnarly || self.older || self.other && is_lenient) {
            return Err(Fault::Unsigned);
        }
        let is_complete = match rule {
            Signature::Present | Signature::Any => true,
            Signature::New => self.bogus && self.gnarly,
            Signature::Full => self.bogus && self.gnarly && self.token,
        };
        if is_complete { Ok(()) } else { Err(Fault::IncompleteSignature) }
    }
}

/// Whether it is of the alphabets of base64. A `+` that was not escaped is a space to who reads the query, and would be to the
/// platform.
fn is_of_a_signature(value: &str) -> bool {
    value.bytes().all(|byte| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'/' | b'+' | b'=' | b'*' | b'~')
    })
}

/// Whether it is a word of scripts and servers, or made of such. Short words stand in a long signature by chance: they count
/// where there is nothing else, and an error where it begins, ends or is set apart.
fn says_nothing(value: &str) -> bool {
    let is_error = |word: &str| word.eq_ignore_ascii_case("error");
    let is_null = |mut word: &str| {
        while let Some(rest) = word.strip_prefix("null").or_else(|| word.strip_prefix("NaN")) {
            word = rest;
        }
        word.is_empty()
    };
    let words = || value.split(|letter: char| !letter.is_ascii_alphanumeric());
    value.contains("undefined")
        || value.get(..5).is_some_and(is_error)
        || value.get(value.len().saturating_sub(5)..).is_some_and(is_error)
        || words().any(is_error)
        || words().all(is_null)
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
            ("X-Bogus", "undefinedundefined"),
            ("X-Bogus", "undefined"),
            ("X-Bogus", "nullnullnullnullnull"),
            ("X-Bogus", "NaN.NaN_NaN-NaN.NaN"),
            ("X-Bogus", "%5Bobject%20Object%5D"),
            ("X-Bogus", "++++++++++++++++++++++++++++"),
            ("X-Bogus", "DFSzswVLkKxANGP5+tmFF2lUrn1a"),
            ("X-Bogus", "DFSzswVLkKxANGP5%20tmFF2lUrn"),
            ("_signature", "Internal+Server+Error"),
            ("_signature", "InternalServerError"),
            ("_signature", "upstream_error_no_page"),
            ("_signature", "Error.at.page.evaluate"),
        ] {
            assert_eq!(fault(Signature::Any, &with(&[odd])), Some(Fault::ImplausibleSignature), "{odd:?}");
        }
    }

    /// The platform's signature is of another name, length or alphabet from one day to the next.
    #[test]
    fn any_signature_that_is_present_will_do_where_that_is_asked_for() {
        for part in [
            format!("X-Bogus={}", "b".repeat(70)),
            format!("X-Gnarly={}", "g".repeat(3_000)),
            "X-Bogus=DFSz(swVLkKxANGP5CtmFF2l)".to_owned(),
            "X-Mystery=1".to_owned(),
            "a_bogus=of%20another%20kind".to_owned(),
        ] {
            for url in [format!("{ASKED}&{part}"), ASKED.replace("room_id", &format!("{part}&room_id"))] {
                assert_eq!(fault(Signature::Present, &url), None, "{url}");
                let strict = fault(Signature::Any, &url);
                assert!(
                    matches!(strict, Some(Fault::ImplausibleSignature | Fault::Unsigned)),
                    "{strict:?} {url}"
                );
            }
        }
        for (part, why) in [
            ("X-Bogus=undefined", Fault::ImplausibleSignature),
            ("a_bogus=undefined", Fault::Unsigned),
            ("X-Mystery=", Fault::Unsigned),
            ("msToken=t", Fault::Unsigned),
            ("verifyFp=verify_x&fp=verify_x", Fault::Unsigned),
            ("room_id=8", Fault::OtherUrl),
        ] {
            assert_eq!(fault(Signature::Present, &format!("{ASKED}&{part}")), Some(why), "{part}");
        }
        assert_eq!(fault(Signature::Present, ASKED), Some(Fault::Unsigned));
    }

    #[test]
    fn a_word_that_stands_in_a_signature_by_chance_is_no_word() {
        for value in [
            "DFSzNaNLkKxANGP5CtmFF2lUrn1a",
            "nullswVLkKxANGP5CtmFF2lUrn1a",
            "DFSzswerrorNGP5CtmFF2lUrn1a",
            "_Bnull",
        ] {
            assert!(!says_nothing(value), "{value}");
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
            format!("https://:pw@webcast.tiktok.com/webcast/im/fetch/?room_id=7&X-Bogus={BOGUS}"),
            format!("https://webcast.tiktok.com./webcast/im/fetch/?room_id=7&X-Bogus={BOGUS}"),
            format!("https://%77ebcast.tiktok.com/webcast/im/fetch/?room_id=7&X-Bogus={BOGUS}"),
            format!("https:/webcast.tiktok.com/webcast/im/fetch/?room_id=7&X-Bogus={BOGUS}"),
            format!("https:///webcast.tiktok.com/webcast/im/fetch/?room_id=7&X-Bogus={BOGUS}"),
        ] {
            assert_eq!(fault(Signature::Any, &other), Some(Fault::OtherUrl), "{other}");
        }
        let in_fragment = format!("{ASKED}#&X-Bogus={BOGUS}");
        assert_eq!(fault(Signature::Any, &in_fragment), Some(Fault::Unsigned));
        for broken in [
            format!(" {ASKED}&X-Bogus={BOGUS}"),
            format!("https://web\tcast.tiktok.com/webcast/im/fetch/?room_id=7&X-Bogus={BOGUS}"),
            format!("{ASKED}&X-Bogus={BOGUS}\r\nX: y"),
            format!("https:\\\\webcast.tiktok.com/webcast/im/fetch/?room_id=7&X-Bogus={BOGUS}"),
            format!("{ASKED}&X-Bogus={BOGUS}&name=\u{fc}"),
            format!("{ASKED}&X-Bogus={BOGUS}&more={}", "m".repeat(20_000)),
        ] {
            assert_eq!(fault(Signature::Any, &broken), Some(Fault::NoSignedUrl), "{broken:?}");
        }
    }

    #[test]
    fn all_that_was_asked_for_is_kept_in_whatever_order() {
        let asked =
            "https://h.example/x?aid=1988&room_id=7&cursor=&ua=Mozilla%2F5.0+(X11)&msToken=old&tag=a&tag=b";
        let judged = |query: &str| {
            let url = format!("https://h.example/x?{query}");
            let body = serde_json::json!({"response": {"signedUrl": url}}).to_string();
            judge(Signature::Any, asked, body.as_bytes()).err()
        };
        let bogus = format!("X-Bogus={BOGUS}");
        for good in [
            format!("aid=1988&room_id=7&cursor=&ua=Mozilla%2F5.0+(X11)&msToken=old&tag=a&tag=b&{bogus}"),
            format!("tag=a&{bogus}&tag=b&ua=Mozilla%2F5.0%20%28X11%29&room_id=7&aid=1988&device_id=5"),
            format!(
                "aid=1988&room_id=7&cursor&ua=Mozilla/5.0+(X11)&tag=a&tag=b&msToken=new&{bogus}&room_id=7"
            ),
        ] {
            assert_eq!(judged(&good), None, "{good}");
        }
        for other in [
            format!("room_id=7&cursor=&ua=Mozilla%2F5.0+(X11)&msToken=old&tag=a&tag=b&{bogus}"),
            format!("aid=1987&room_id=7&cursor=&ua=Mozilla%2F5.0+(X11)&tag=a&tag=b&{bogus}"),
            format!("aid=1988&room_id=7&cursor=&ua=Mozilla%2F5.0+(X11)&tag=a&{bogus}"),
            format!(
                "aid=1988&room_id=7&cursor=&ua=Mozilla%2F5.0+(X11)&msToken=old&tag=a&tag=b&{bogus}&aid=1"
            ),
            format!(
                "aid=1988&room_id=7&cursor=&ua=Mozilla%2F5.0+(X11)&msToken=old&tag=a&tag=b&{bogus}&%61id=1"
            ),
            format!("aid=1988&room_id=7&cursor=x&ua=Mozilla%2F5.0+(X11)&tag=a&tag=b&{bogus}"),
        ] {
            assert_eq!(judged(&other), Some(Fault::OtherUrl), "{other}");
        }
    }

    /// Also thousands of them, of which each is there twice.
    #[test]
    fn what_was_asked_for_twice_is_there_twice() {
        let pairs = |numbers: &mut dyn Iterator<Item = u16>| {
            numbers.fold(String::new(), |pairs, number| format!("{pairs}&p{}=v", number / 2))
        };
        let twice = pairs(&mut (0..1_400));
        let asked = format!("https://h.example/x?a=1{twice}");
        let judged = |query: &str| {
            let url = format!("https://h.example/x?X-Bogus={BOGUS}{query}&a=1");
            let body = serde_json::json!({"response": {"signedUrl": url}}).to_string();
            judge(Signature::Any, &asked, body.as_bytes()).err()
        };
        let backwards = pairs(&mut (0..1_400).rev());
        assert_eq!(judged(&backwards), None);
        assert_eq!(judged(&format!("{backwards}&p9=v")), None);
        assert_eq!(judged(&backwards.replacen("&p9=v", "", 1)), Some(Fault::OtherUrl));
        assert_eq!(judged(&backwards.replacen("&p9=v", "&p9=w", 1)), Some(Fault::OtherUrl));
        assert_eq!(judged(&format!("{backwards}&p9=w")), Some(Fault::OtherUrl));
    }

    #[test]
    fn a_signature_that_came_with_the_question_is_none() {
        let old = "M".repeat(332);
        let asked = format!("https://h.example/x?room_id=7&X-Bogus={BOGUS}&X-Gnarly={old}&msToken=t");
        let judged = |rule, url: &str| {
            let body = serde_json::json!({"response": {"signedUrl": url}}).to_string();
            judge(rule, &asked, body.as_bytes()).err()
        };
        let renewed = asked.replace("DFS", "DFT");
        assert_eq!(judged(Signature::Any, &asked), Some(Fault::Unsigned));
        assert_eq!(judged(Signature::Any, &asked.replace("=t", "=u")), Some(Fault::Unsigned));
        assert_eq!(judged(Signature::Any, &format!("{asked}&X-Bogus={BOGUS}")), Some(Fault::Unsigned));
        assert_eq!(judged(Signature::Any, &renewed), None);
        assert_eq!(
            judged(Signature::Full, &renewed),
            Some(Fault::IncompleteSignature),
            "one of two is stale"
        );
        assert_eq!(judged(Signature::Full, &renewed.replace("MM", "MN")), None, "a token may stay");
        assert_eq!(judged(Signature::Any, &format!("{asked}&X-Bogus={}", BOGUS.replace("DFS", "DFT"))), None);
        // What a client wrote into its question is not the generator's.
        let asked = "https://h.example/x?room_id=7&X-Bogus=mine";
        let body =
            serde_json::json!({"response": {"signedUrl": format!("{asked}&X-Bogus={BOGUS}")}}).to_string();
        assert!(judge(Signature::Any, asked, body.as_bytes()).is_ok());
    }
}
