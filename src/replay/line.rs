//! One line of recorded traffic as JSON, borrowed: an access record of ours, or the few fields that design 9 asks for.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde_json::Number;

use crate::base::time::Timestamp;
use crate::telemetry::access_log::RECORD_FORMAT;

/// What is wrong with a line is told in so many bytes.
const WHY_BYTES_MAX: usize = 200;

/// At most so many headers of a line are taken.
pub(super) const HEADERS_MAX: usize = 64;

/// A line, with every field that is looked at. Others are passed over.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(expecting = "a record: one JSON object")]
pub(super) struct Line<'a> {
    #[serde(default)]
    pub format: Option<u64>,
    pub time: Moment,
    #[serde(default)]
    pub nanos: Option<u32>,
    #[serde(default)]
    pub seq: Option<u64>,
    #[serde(default)]
    pub duration_ms: Option<f64>,
    #[serde(default, borrow)]
    pub event: Option<Text<'a>>,
    #[serde(default, borrow)]
    pub order: Option<Text<'a>>,
    #[serde(default, borrow)]
    pub policy: Option<Text<'a>>,
    #[serde(default, borrow)]
    pub request_id: Option<Text<'a>>,
    #[serde(default, borrow)]
    pub client: Option<Text<'a>>,
    #[serde(default)]
    pub client_prefix: Option<u8>,
    #[serde(default, borrow)]
    pub key: Key<'a>,
    #[serde(default)]
    pub key_unknown: Option<bool>,
    #[serde(default)]
    pub key_barred_s: Option<u64>,
    #[serde(default, borrow)]
    pub method: Option<Text<'a>>,
    #[serde(default, borrow)]
    pub target: Option<Text<'a>>,
    #[serde(default, borrow)]
    pub url: Option<Text<'a>>,
    #[serde(default, borrow)]
    pub user_agent: Option<Text<'a>>,
    #[serde(default, borrow)]
    pub headers: Option<Headers<'a>>,
    #[serde(default, borrow)]
    pub session: Option<Text<'a>>,
    #[serde(default, borrow)]
    pub room: Option<Text<'a>>,
    #[serde(default, borrow)]
    pub answer_room: Option<Text<'a>>,
    #[serde(default, borrow)]
    pub outcome: Option<Text<'a>>,
    #[serde(default)]
    pub refunded: Option<bool>,
    #[serde(default)]
    pub turned_away: Option<bool>,
    #[serde(default, borrow)]
    pub verdict: Option<Text<'a>>,
    #[serde(default, borrow)]
    pub by: Option<Text<'a>>,
    #[serde(default, borrow)]
    pub rule: Option<Text<'a>>,
    #[serde(default)]
    pub share: Option<f64>,
}

/// The format of a line that does not parse as a whole, where it is later than those that are known: a later version may mean
/// something else by every other name.
pub(super) fn newer_format(text: &str) -> Option<Number> {
    #[derive(Deserialize)]
    struct Alone {
        format: Number,
    }
    let Alone { format } = serde_json::from_str(text).ok()?;
    format.as_f64().is_some_and(|number| number > RECORD_FORMAT.into()).then_some(format)
}

/// What is wrong with a line, without the parser's own line number, which is always 1, without its names for numbers, and without
/// what a terminal obeys.
pub(super) fn worded(error: &serde_json::Error) -> String {
    const NUMBERS: [(&str, &str); 4] = [
        ("u64", "a whole number"),
        ("u32", "a whole number"),
        ("u8", "a number up to 255"),
        ("f64", "a number"),
    ];
    let text = error.to_string();
    let mut text = text.split(" at line ").next().unwrap_or_default().to_owned();
    for (type_name, word) in NUMBERS {
        if let Some(before) = text.strip_suffix(&format!("expected {type_name}")) {
            text = format!("{before}expected {word}");
        }
    }
    let mut plain: String = text.chars().filter(|c| !c.is_control()).take(WHY_BYTES_MAX).collect();
    if error.column() > 0 {
        use std::fmt::Write;
        // Writing into a text does not fail.
        let _ = write!(plain, ", at column {}", error.column());
    }
    plain
}

/// A text, borrowed from the line where nothing in it is escaped.
#[derive(Debug, PartialEq)]
pub(super) struct Text<'a>(pub Cow<'a, str>);

impl std::ops::Deref for Text<'_> {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

/// serde's own `Option<Cow<str>>` copies always.
impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Text<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }
            fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(Reader)
    }
}

/// A point in time: milliseconds since 1970, or RFC 3339.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Moment(pub Timestamp);

impl Moment {
    /// Of milliseconds since 1970; `None` beyond the year 2554, where nanoseconds in 64 bits end.
    pub(super) fn of_millis(millis: u64) -> Option<Self> {
        (millis < MILLIS_MAX).then(|| Self(Timestamp::from_millis(millis)))
    }
}

const MILLIS_MAX: u64 = u64::MAX / 1_000_000;

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl Visitor<'_> for Reader {
            type Value = Moment;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a time: milliseconds since 1970, or RFC 3339")
            }
            fn visit_u64<E: de::Error>(self, millis: u64) -> Result<Moment, E> {
                Moment::of_millis(millis)
                    .ok_or_else(|| E::custom("a time beyond the year 2554; are these milliseconds?"))
            }
            fn visit_f64<E: de::Error>(self, millis: f64) -> Result<Moment, E> {
                if !(0.0..MILLIS_MAX as f64).contains(&millis) {
                    return Err(E::custom("a time before 1970 or beyond the year 2554"));
                }
                #[expect(clippy::cast_sign_loss, reason = "it is not negative")]
                Ok(Moment(Timestamp::from_nanos((millis * 1e6) as u64)))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Moment, E> {
                Timestamp::parse_rfc3339(text)
                    .map(Moment)
                    .ok_or_else(|| E::custom("a time that is not RFC 3339, such as 2027-01-01T00:00:00Z"))
            }
        }
        deserializer.deserialize_any(Reader)
    }
}

/// What a line says of the key.
#[derive(Debug, Default, PartialEq)]
pub(super) enum Key<'a> {
    /// Nothing.
    #[default]
    NotSaid,
    /// `null`.
    None,
    /// One.
    Known(KeyFields<'a>),
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(expecting = "a key with `id`, `account` and `tier`, or null")]
pub(super) struct KeyFields<'a> {
    #[serde(borrow)]
    pub id: Text<'a>,
    #[serde(borrow)]
    pub account: Text<'a>,
    #[serde(borrow)]
    pub tier: Text<'a>,
}

impl<'de: 'a, 'a> Deserialize<'de> for Key<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let fields = Option::<KeyFields<'a>>::deserialize(deserializer)?;
        Ok(fields.map_or(Self::None, Self::Known))
    }
}

/// Headers by name, in the line's order.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Headers<'a>(pub Vec<(Text<'a>, Text<'a>)>);

impl<'de: 'a, 'a> Deserialize<'de> for Headers<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Headers<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("headers: texts by name")
            }
            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Headers<'de>, M::Error> {
                let mut headers = Vec::new();
                while let Some(header) = map.next_entry()? {
                    if headers.len() == HEADERS_MAX {
                        return Err(de::Error::custom(format_args!("more than {HEADERS_MAX} headers")));
                    }
                    headers.push(header);
                }
                Ok(Headers(headers))
            }
        }
        deserializer.deserialize_map(Reader)
    }
}
