//! JSON as generators write it: the same thing in several forms.
//!
//! Clients take from an answer what they need and pass over the rest, and so is it read here: a field of another type than
//! expected is as good as none. Only what is no object at all is refused.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;

/// Something that stands there as an object. A derived struct reads an array of its fields as well, which no client does.
#[derive(Debug)]
pub struct Object<T>(pub T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Fields<T> {
            type Value = T;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map))
            }
        }

        deserializer.deserialize_map(Fields(PhantomData)).map(Self)
    }
}

/// A cookie: its name and value, and what else is said of it in texts.
pub type Cookie = BTreeMap<String, String>;

/// A text.
pub fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Value::deserialize(deserializer).map(text_of)
}

/// A text, or a number in its digits.
pub fn word<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Value::deserialize(deserializer).map(word_of)
}

/// The texts of an object.
pub fn texts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, String>, D::Error> {
    Value::deserialize(deserializer).map(|value| map_of(value, text_of))
}

/// The texts and numbers of an object.
pub fn words<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, String>, D::Error> {
    Value::deserialize(deserializer).map(|value| map_of(value, word_of))
}

/// A status within an answer: a number, also where it stands as a text. A text that is none is no success.
pub fn code<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => Some(text.trim().parse().unwrap_or(f64::NAN)),
        _ => None,
    })
}

/// Whether that status says that it went well.
pub fn is_success(code: f64) -> bool {
    (code - 200.0).abs() < 1.0
}

/// So many cookies, and so many fields of one or of tokens, are taken: browsers hold some dozen for a site. Each takes hundreds
/// of bytes, and three in an answer.
const TAKEN_MAX: usize = 128;

/// Cookies: a list of objects or of texts `name=value`, one text `a=b; c=d`, or an object of names and values.
pub fn cookies<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Cookie>, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::String(text) => text.split(';').filter_map(cookie_of_text).take(TAKEN_MAX).collect(),
        Value::Array(list) => list.into_iter().filter_map(cookie_of).take(TAKEN_MAX).collect(),
        Value::Object(fields) if fields.contains_key("name") && fields.contains_key("value") => {
            cookie_of(Value::Object(fields)).into_iter().collect()
        }
        Value::Object(fields) => {
            let pair = |(name, value)| Some(cookie(name, word_of(value)?));
            fields.into_iter().filter_map(pair).take(TAKEN_MAX).collect()
        }
        _ => Vec::new(),
    })
}

/// One of a list. Of a text what follows the first `;` are its attributes.
fn cookie_of(value: Value) -> Option<Cookie> {
    match value {
        Value::String(text) => cookie_of_text(text.split(';').next().unwrap_or_default()),
        Value::Object(_) => Some(map_of(value, word_of))
            .filter(|cookie| cookie.contains_key("name") && cookie.contains_key("value")),
        _ => None,
    }
}

fn cookie_of_text(text: &str) -> Option<Cookie> {
    let (name, value) = text.trim().split_once('=')?;
    (!name.is_empty()).then(|| cookie(name.to_owned(), value.to_owned()))
}

fn cookie(name: String, value: String) -> Cookie {
    BTreeMap::from([("name".to_owned(), name), ("value".to_owned(), value)])
}

fn map_of(value: Value, told: impl Fn(Value) -> Option<String>) -> BTreeMap<String, String> {
    let Value::Object(fields) = value else { return BTreeMap::new() };
    fields.into_iter().filter_map(|(name, value)| Some((name, told(value)?))).take(TAKEN_MAX).collect()
}

fn text_of(value: Value) -> Option<String> {
    if let Value::String(text) = value { Some(text) } else { None }
}

fn word_of(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}
