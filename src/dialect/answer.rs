//! A good answer of a generator, as the client gets it: through an allow-list of headers, in the shape of its generation.
//!
//! Nothing that a generator says of itself goes out: no `Set-Cookie`, no `Server`, no `Via`, no addresses, and never its
//! limit headers: its limits are between it and us, the client's are ours (`ratelimit`).

use std::collections::BTreeMap;

use bytes::Bytes;
use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};

use crate::base::header::is_name;
use crate::base::request_id::RequestId;
use crate::base::room::Room;
use crate::base::time::Timestamp;

use super::head::{Field, Head};
use super::ratelimit::{self, Limits};

pub mod loose;

use loose::{Cookie, Object};

/// What of a generator's header goes out.
fn passed(name: &[u8], body: Body) -> Option<Field> {
    let is = |known: &str| is_name(name, known);
    // The length tells most headers apart from these.
    Some(match name.len() {
        8 if is("x-log-id") => Field::LogId,
        10 if is("x-agent-id") => Field::AgentId,
        10 if is("x-log-code") => Field::LogCode,
        12 if is("content-type") => Field::ContentType,
        15 if is("x-set-tt-cookie") => Field::SetTtCookie,
        16 if body == Body::AsItCame && is("content-encoding") => Field::ContentEncoding,
        _ => return None,
    })
}

/// A longer value is left out, but for the cookie, which is judged: Node takes no more than 16 KiB of headers.
const VALUE_BYTES_MAX: usize = 1024;

/// What became of a generator's body before it goes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body {
    /// Nothing: its `Content-Encoding` goes with it.
    AsItCame,
    /// It was decoded: a `Content-Encoding` would be a lie.
    Decoded,
    /// It was replaced by JSON of ours ([`SignedUrl::body`]): the generator's `Content-Type` too would be a lie.
    Json,
}

/// The header of a good answer: of the generator's what is on the list, of ours the request's id, the limits, and
/// `no-store` (a connect answer goes stale within 30 s, and every answer is one caller's own).
///
/// `headers` are the generator's, in any case and order; of a field that comes twice the first counts. `agent` is what
/// clients are told of the generator in the place of its own word, `room` which room the answer is for, as it was judged.
pub fn head<'h>(
    headers: impl IntoIterator<Item = (&'h [u8], &'h [u8])>,
    agent: Option<&str>,
    room: Option<Room>,
    body: Body,
    id: RequestId,
    limits: Limits<'_>,
    now: Timestamp,
) -> Head {
    let mut head = Head::new();
    if let Some(agent) = agent {
        head.set(Field::AgentId, agent);
    }
    if body == Body::Json {
        head.set(Field::ContentType, "application/json");
    }
    for (name, value) in headers {
        let may_be_long = |field| field == Field::SetTtCookie || value.len() <= VALUE_BYTES_MAX;
        if let Some(field) = passed(name, body).filter(|field| !head.has(*field) && may_be_long(*field)) {
            head.set_foreign(field, value);
        }
    }
    if let Some(Room::Id(room)) = room {
        head.set_number(Field::RoomId, room);
    }
    head.set(Field::CacheControl, "no-store");
    head.set_request_id(id);
    ratelimit::write_standing(&mut head, limits, now);
    head
}

/// How a signed URL is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignedShape {
    /// `{code, response: {…}}`: generations A, B and C.
    Nested,
    /// `{signedUrl, "User-Agent", msToken}`: generation 0.
    Flat,
}

/// A signed URL with what belongs to it, whatever generator it came from.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SignedUrl {
    /// The URL asked for, with its signature.
    #[serde(deserialize_with = "text_or_nothing")]
    pub signed_url: String,
    /// The user agent that it was signed for: another one makes the platform refuse it.
    #[serde(deserialize_with = "text_or_nothing")]
    pub user_agent: String,
    /// `navigator.appCodeName` of the browser that signed.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "loose::word")]
    pub browser_name: Option<String>,
    /// The rest of its user agent.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "loose::word")]
    pub browser_version: Option<String>,
    /// The signature's parts by their name in the query. Node needs at least one.
    #[serde(deserialize_with = "loose::texts")]
    pub tokens: BTreeMap<String, String>,
    /// Headers to send along.
    #[serde(deserialize_with = "loose::words")]
    pub request_headers: BTreeMap<String, String>,
    /// Cookies to send along, whatever form they came in.
    #[serde(deserialize_with = "loose::cookies")]
    pub cookies: Vec<Cookie>,
}

/// Why a body tells no signed URL.
#[derive(Debug, thiserror::Error)]
pub enum SignedUrlError {
    /// Not JSON, or not an object.
    #[error("the answer is not the JSON of a signed URL")]
    Json(#[from] serde_json::Error),
    /// It says itself that it failed.
    #[error("the answer says code {0}")]
    Code(f64),
    /// Neither form has its `signedUrl`.
    #[error("the answer has no `signedUrl`")]
    Missing,
    /// A part of the signature is told beside the URL, and stands otherwise in it: they are two signatures.
    #[error("the answer's `tokens` are not those of its `signedUrl`")]
    OtherTokens,
}

/// The parameters of a signed URL that are its signature (contract 3: newer forms, then older ones).
const TOKENS: [&str; 5] = ["X-Bogus", "X-Gnarly", "msToken", "_signature", "verifyFp"];

/// Those of them that are of one request. The others are of a session, and may have been renewed since.
fn is_of_one_request(token: &str) -> bool {
    matches!(token, "X-Bogus" | "X-Gnarly" | "_signature")
}

fn text_or_nothing<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    loose::text(deserializer).map(Option::unwrap_or_default)
}

/// Either form, as it is read. Fields that we do not know are left behind.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Told {
    #[serde(deserialize_with = "loose::code")]
    code: Option<f64>,
    response: Option<Object<SignedUrl>>,
    #[serde(rename = "signedUrl", deserialize_with = "loose::text")]
    signed_url: Option<String>,
    #[serde(rename = "User-Agent", deserialize_with = "loose::text")]
    user_agent: Option<String>,
    #[serde(rename = "browserName", deserialize_with = "loose::word")]
    browser_name: Option<String>,
    #[serde(rename = "browserVersion", deserialize_with = "loose::word")]
    browser_version: Option<String>,
    #[serde(rename = "msToken", deserialize_with = "loose::text")]
    ms_token: Option<String>,
    #[serde(rename = "X-Bogus", deserialize_with = "loose::text")]
    x_bogus: Option<String>,
    #[serde(rename = "_signature", deserialize_with = "loose::text")]
    signature: Option<String>,
}

#[derive(Serialize)]
struct Nested<'a> {
    code: u16,
    response: &'a SignedUrl,
}

#[derive(Serialize)]
struct Flat<'a> {
    #[serde(rename = "signedUrl")]
    signed_url: &'a str,
    #[serde(rename = "User-Agent")]
    user_agent: &'a str,
    #[serde(rename = "msToken")]
    ms_token: &'a str,
}

impl SignedUrl {
    /// Of a URL and the user agent that it was signed for; the tokens are read from the URL.
    pub fn new(signed_url: String, user_agent: String) -> Self {
        let mut signed = Self { signed_url, user_agent, ..Self::default() };
        signed.agree_with_url();
        signed
    }

    /// Reads either form. Whether the signature is any good is for the judge to say.
    pub fn parse(body: &[u8]) -> Result<Self, SignedUrlError> {
        let Object(told) = serde_json::from_slice::<Object<Told>>(body)?;
        let mut signed = match (told.code, told.response, told.signed_url) {
            (Some(code), ..) if !loose::is_success(code) => return Err(SignedUrlError::Code(code)),
            (_, Some(Object(signed)), _) if !signed.signed_url.is_empty() => signed,
            (_, _, Some(signed_url)) if !signed_url.is_empty() => {
                let tokens =
                    [("msToken", told.ms_token), ("X-Bogus", told.x_bogus), ("_signature", told.signature)];
                let tokens = tokens.into_iter().filter_map(|(name, token)| Some((name.to_owned(), token?)));
                Self {
                    signed_url,
                    user_agent: told.user_agent.unwrap_or_default(),
                    browser_name: told.browser_name,
                    browser_version: told.browser_version,
                    tokens: tokens.collect(),
                    ..Self::default()
                }
            }
            _ => return Err(SignedUrlError::Missing),
        };
        // Generators leave an empty one where they have none.
        signed.tokens.retain(|_, token| !token.is_empty());
        if signed.agree_with_url() { Ok(signed) } else { Err(SignedUrlError::OtherTokens) }
    }

    /// The body of the answer, in JSON, with status 200.
    pub fn body(&self, shape: SignedShape) -> Bytes {
        let body = match shape {
            SignedShape::Nested => serde_json::to_vec(&Nested { code: 200, response: self }),
            SignedShape::Flat => serde_json::to_vec(&Flat {
                signed_url: &self.signed_url,
                user_agent: &self.user_agent,
                ms_token: self.tokens.get("msToken").map_or("", String::as_str),
            }),
        };
        // Texts and maps of texts always serialise.
        Bytes::from(body.unwrap_or_default())
    }

    /// Adds the tokens that stand in the URL and were not told apart. False where one was, and contradicts the URL.
    fn agree_with_url(&mut self) -> bool {
        let Some((_, query)) = self.signed_url.split_once('?') else { return true };
        let query = query.split('#').next().unwrap_or_default();
        // A URL that was signed before may have one twice: of these one is as told.
        let (mut is_told, mut is_other) = ([false; TOKENS.len()], [false; TOKENS.len()]);
        for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
            let Some(token) = TOKENS.iter().position(|token| *token == name) else { continue };
            if value.is_empty() {
                continue;
            }
            let decoded = percent_decode_str(value).decode_utf8_lossy();
            match self.tokens.get(name) {
                Some(told) if *told == decoded || told == value => is_told[token] = true,
                Some(_) if is_of_one_request(name) => is_other[token] = true,
                _ => {
                    is_told[token] = true;
                    self.tokens.insert(name.to_owned(), decoded.into_owned());
                }
            }
        }
        is_told.iter().zip(is_other).all(|(is_told, is_other)| *is_told || !is_other)
    }
}

#[cfg(test)]
mod tests;
