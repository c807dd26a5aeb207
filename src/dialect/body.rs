//! The body of a POST: a flat JSON object, of which a list of fields is known and all others are dropped. TikTokLive 6.6.5
//! sends the same fields as a form (`application/x-www-form-urlencoded`), so what begins with no bracket is read as one;
//! what is forwarded is JSON in either case.
//!
//! JSON parsers differ in which of two equal names wins (RFC 8259 section 4), so a known field that stands twice must
//! say the same twice. What is forwarded is written anew from what was read here.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, Visitor};

use super::fault::Fault;
use super::query::Pairs;

/// How many fields a form may have.
const PAIRS_MAX: u32 = 64;

/// The fields that are read and forwarded, as the SDKs spell them.
pub(super) const FIELDS: [&str; 28] = [
    // sign a URL
    "url",
    "method",
    "userAgent",
    "user_agent",
    "type",
    "payload",
    "ttwid",
    "includeBrowserParams",
    "includeVerifyFp",
    // chat
    "content",
    // both
    "roomId",
    "room_id",
    "targetRoomId",
    "target_room_id",
    "uniqueId",
    "unique_id",
    "targetUniqueId",
    "target_unique_id",
    "sessionId",
    "session_id",
    "sessionid",
    "ttTargetIdc",
    "tt_target_idc",
    "client",
    // looked at, and dropped
    "apiKey",
    "api_key",
    "apikey",
    "x-api-key",
];

/// The known fields of a body, in the order in which they came, each once. Empty and `null` ones are left out.
#[derive(Clone, Default)]
pub(super) struct Body {
    fields: Vec<(&'static str, Scalar)>,
    conflict: Option<&'static str>,
}

/// What a field may hold.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Scalar {
    /// A text.
    Text(String),
    /// A number without sign or fraction.
    Number(u64),
    /// `true` or `false`.
    Flag(bool),
    /// `null`
    Null,
}

impl Body {
    /// Reads a body; an empty one is an object without fields.
    pub fn read(bytes: &[u8]) -> Result<Self, Fault> {
        if bytes.trim_ascii().is_empty() {
            return Ok(Self::default());
        }
        let body = match bytes.trim_ascii_start().first() {
            Some(b'{' | b'[' | b'"') => serde_json::from_slice(bytes).map_err(|_| Fault::BadBody)?,
            _ => Self::read_form(bytes)?,
        };
        if let Some(name) = body.conflict {
            return Err(Fault::ConflictingField { name });
        }
        for (name, value) in &body.fields {
            // A generator may put any of them into a header; what people say may have lines.
            let lines = matches!(*name, "content" | "payload");
            if matches!(value, Scalar::Text(text) if !lines && text.chars().any(char::is_control))
                && *name != "url"
            {
                return Err(Fault::BadBody);
            }
        }
        Ok(body)
    }

    fn read_form(bytes: &[u8]) -> Result<Self, Fault> {
        let text = std::str::from_utf8(bytes.trim_ascii()).map_err(|_| Fault::BadBody)?;
        if !text.contains('=') {
            return Err(Fault::BadBody);
        }
        let mut body = Self::default();
        for pair in Pairs::of(text, PAIRS_MAX) {
            let pair = pair.map_err(|_| Fault::BadBody)?;
            let name = pair.name.decoded();
            if let Some(name) = FIELDS.into_iter().find(|field| *field == name)
                && !pair.value.is_empty()
            {
                body.add(name, Scalar::Text(pair.value.decoded().into_owned()));
            }
        }
        Ok(body)
    }

    /// Takes in a field; one that says something else than before is a conflict.
    fn add(&mut self, name: &'static str, value: Scalar) {
        match self.fields.iter().find(|(field, _)| *field == name) {
            Some((_, before)) if *before != value => self.conflict = Some(name),
            Some(_) => {}
            None => self.fields.push((name, value)),
        }
    }

    /// Its fields.
    pub fn fields(&self) -> impl Iterator<Item = (&'static str, &Scalar)> {
        self.fields.iter().map(|(name, value)| (*name, value))
    }

    /// The text of one field.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.fields.iter().find_map(|(field, value)| match value {
            Scalar::Text(text) if *field == name => Some(text.as_str()),
            _ => None,
        })
    }
}

impl<'de> Deserialize<'de> for Body {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Object)
    }
}

struct Object;

impl<'de> Visitor<'de> for Object {
    type Value = Body;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Body, M::Error> {
        let mut body = Body::default();
        while let Some(Name(name)) = map.next_key()? {
            let Some(name) = name else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            let value: Scalar = map.next_value()?;
            body.add(name, value);
        }
        body.fields
            .retain(|(_, value)| !matches!(value, Scalar::Null) && *value != Scalar::Text(String::new()));
        Ok(body)
    }
}

/// A field's name, where it is known.
struct Name(Option<&'static str>);

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Known;
        impl Visitor<'_> for Known {
            type Value = Name;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }
            fn visit_str<E: Error>(self, name: &str) -> Result<Name, E> {
                Ok(Name(FIELDS.into_iter().find(|field| *field == name)))
            }
        }
        deserializer.deserialize_identifier(Known)
    }
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Plain;
        impl Visitor<'_> for Plain {
            type Value = Scalar;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text, a number, true, false or null")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Scalar, E> {
                Ok(Scalar::Text(text.to_owned()))
            }
            fn visit_string<E: Error>(self, text: String) -> Result<Scalar, E> {
                Ok(Scalar::Text(text))
            }
            fn visit_u64<E: Error>(self, number: u64) -> Result<Scalar, E> {
                Ok(Scalar::Number(number))
            }
            fn visit_bool<E: Error>(self, flag: bool) -> Result<Scalar, E> {
                Ok(Scalar::Flag(flag))
            }
            fn visit_unit<E: Error>(self) -> Result<Scalar, E> {
                Ok(Scalar::Null)
            }
        }
        deserializer.deserialize_any(Plain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_read_as_an_object_is() {
        let body = Body::read(
            b"url=https%3A%2F%2Fh%2F%3Froom_id%3D7&userAgent=Mozilla%2F5.0+(X11)&method=GET&payload=&x=1\r\n",
        );
        let body = body.unwrap();
        assert_eq!(body.fields().map(|(name, _)| name).collect::<Vec<_>>(), ["url", "userAgent", "method"]);
        assert_eq!(body.text("url"), Some("https://h/?room_id=7"));
        assert_eq!(body.text("userAgent"), Some("Mozilla/5.0 (X11)"));
        let refused = |bytes: &[u8]| Body::read(bytes).err();
        assert_eq!(refused(b"url=a&url=b"), Some(Fault::ConflictingField { name: "url" }));
        for bytes in [&b"url"[..], b"url=%zz", b"url=\xff", b"<html>", b"plain text"] {
            assert_eq!(refused(bytes), Some(Fault::BadBody), "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn known_fields_are_read_and_others_dropped() {
        let body = Body::read(
            br#" {"url":"https:\/\/h","x":{"deep":[[[1]]]},"method":"GET","includeVerifyFp":true,"ttwid":null,"type":""} "#,
        )
        .unwrap();
        assert_eq!(
            body.fields().map(|(name, _)| name).collect::<Vec<_>>(),
            ["url", "method", "includeVerifyFp"]
        );
        assert_eq!(body.text("url"), Some("https://h"));
        assert_eq!(Body::read(b" \n").unwrap().fields().count(), 0);
    }

    #[test]
    fn a_field_that_stands_twice_must_say_the_same() {
        assert!(Body::read(br#"{"url":"a","\u0075rl":"a"}"#).is_ok());
        for (twice, name) in [
            (&br#"{"url":"a","\u0075rl":"b"}"#[..], "url"),
            (br#"{"url":"a","url":""}"#, "url"),
            (br#"{"room_id":1,"x":2,"room_id":"1"}"#, "room_id"),
            (br#"{"url":"a","url":null}"#, "url"),
        ] {
            assert_eq!(Body::read(twice).err(), Some(Fault::ConflictingField { name }));
        }
    }

    #[test]
    fn everything_else_is_refused_without_a_panic() {
        let deep = "[".repeat(60_000);
        let deep_unknown = format!(r#"{{"x":{deep}"#);
        for bad in [
            "[]",
            "1",
            "null",
            "\"text\"",
            "{",
            "{}x",
            r#"{"url":1.5}"#,
            r#"{"url":-1}"#,
            r#"{"url":["a"]}"#,
            r#"{"url":{}}"#,
            r#"{"userAgent":"a\r\nb"}"#,
            r#"{url:"a"}"#,
            &deep,
            &deep_unknown,
        ] {
            assert_eq!(
                Body::read(bad.as_bytes()).err(),
                Some(Fault::BadBody),
                "{}",
                &bad[..bad.len().min(40)]
            );
        }
        assert_eq!(Body::read(b"{\"url\":\"\xff\"}").err(), Some(Fault::BadBody));
        assert!(Body::read(br#"{"content":"two\nlines"}"#).is_ok());
    }
}
