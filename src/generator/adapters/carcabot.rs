//! carcabot's `tiktok-signature` 4.x: a browser behind a small server that signs URLs, one after the other.
//!
//! What is particular about it (`contract.md` section 6): it signs URLs and nothing else; all requests wait in one queue
//! without an end, at about 84 ms each, so that what is sent to it beyond one at a time only waits there, where nobody can
//! take it back: it signs also for whoever has hung up. It restarts its browser every 500 signatures or 30 minutes and stands still for seconds meanwhile, which
//! `GET /health` tells; and it has control paths (`/restart`, `/fetch`) and a field (`navigateTo`) with which whoever reaches
//! them stops it, or makes its browser go anywhere. Nothing that a client writes gets to it but the URL, which the policy
//! has let through, and the user agent; method, paths and fields are constants here.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::{Adapter, Standing};
use crate::base::operation::Operation;
use crate::base::secret::Secret;
use crate::dialect::answer::loose::{self, Cookie, Object};
use crate::dialect::answer::{SignedShape, SignedUrl};
use crate::generator::Question;
use crate::generator::reply::Reply;
use crate::generator::wire::{Answer, Method, Origin, Pool, Repeat, Request, WireError};

const SIGNATURE: &str = "/signature";
const HEALTH: &str = "/health";

/// After 5 s it has given a signature up itself; half a second for saying so.
const GIVES_UP_AFTER: Duration = Duration::from_millis(5_500);

/// With so many waiting at it, about two seconds of work, it counts as stalled.
const QUEUED_MAX: u32 = 24;

/// One instance of it.
#[derive(Debug)]
pub struct Carcabot {
    /// Where it is.
    pub origin: Origin,
    /// What is sent as `X-Api-Key`, for a proxy in front of it: it knows no keys itself.
    pub key: Option<Secret>,
    standing: Standing,
}

impl Carcabot {
    /// One that has said nothing of itself yet.
    pub fn new(origin: Origin, key: Option<Secret>) -> Self {
        Self { origin, key, standing: Standing::default() }
    }

    async fn send(
        &self,
        pool: &Pool,
        method: Method,
        target: &'static str,
        body: Option<&[u8]>,
        deadline: Instant,
    ) -> Result<Answer, WireError> {
        let mut headers =
            [("accept", "application/json"), ("accept-encoding", "identity"), ("", ""), ("", "")];
        let mut count = 2;
        if body.is_some() {
            headers[count] = ("content-type", "application/json");
            count += 1;
        }
        if let Some(key) = &self.key {
            headers[count] = ("x-api-key", key.reveal());
            count += 1;
        }
        let headers = &headers[..count];
        pool.send(&Request { method, target, headers, body, repeat: Repeat::Allowed }, deadline).await
    }
}

impl Adapter for Carcabot {
    const OPERATIONS: &'static [Operation] = &[Operation::SignUrl];

    const WORKS_TO_THE_END_FOR: Option<Duration> = Some(GIVES_UP_AFTER);

    fn origin(&self) -> &Origin {
        &self.origin
    }

    async fn ask(&self, pool: &Pool, question: &Question<'_>, deadline: Instant) -> Result<Reply, WireError> {
        let user_agent = (question.browser_user_agent)();
        let wanted = Wanted { url: question.url.unwrap_or_default(), user_agent: user_agent.as_deref() };
        // Texts always serialise.
        let body = serde_json::to_vec(&wanted).unwrap_or_default();
        let answered = self.send(pool, Method::Post, SIGNATURE, Some(&body), deadline).await;
        match answered {
            Ok(answer) => {
                if answer.status() != 200 {
                    self.standing.look_soon();
                }
                Ok(mapped(answer, user_agent.as_deref()))
            }
            Err(error) => {
                self.standing.look_soon();
                Err(error)
            }
        }
    }

    fn standing(&self) -> Option<&Standing> {
        Some(&self.standing)
    }

    async fn look(&self, pool: &Pool, deadline: Instant) {
        let told = self.send(pool, Method::Get, HEALTH, None, deadline).await;
        let health =
            told.ok().filter(|answer| answer.status() == 200).and_then(|answer| health(answer.body()));
        match health {
            Some(Health { ready: true, queue_length }) if queue_length < QUEUED_MAX => {
                self.standing.ready(queue_length);
            }
            _ => self.standing.stall(),
        }
    }
}

/// What it is asked. There is a third field, `navigateTo`: whoever fills it in sends the browser somewhere.
#[derive(Serialize)]
struct Wanted<'q> {
    url: &'q str,
    #[serde(rename = "userAgent", skip_serializing_if = "Option::is_none")]
    user_agent: Option<&'q str>,
}

/// What it says of itself.
#[derive(Deserialize)]
struct Health {
    ready: bool,
    #[serde(rename = "queueLength", default)]
    queue_length: u32,
}

fn health(body: &[u8]) -> Option<Health> {
    serde_json::from_slice(body).ok()
}

/// What it answers.
#[derive(Deserialize)]
struct Told {
    #[serde(default, deserialize_with = "loose::text")]
    status: Option<String>,
    data: Option<Object<Signed>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Signed {
    #[serde(rename = "signed_url", deserialize_with = "loose::text")]
    url: Option<String>,
    #[serde(rename = "x-bogus", deserialize_with = "loose::text")]
    x_bogus: Option<String>,
    #[serde(rename = "x-gnarly", deserialize_with = "loose::text")]
    x_gnarly: Option<String>,
    /// The browser's: as one text `a=b; c=d`, or one by one.
    #[serde(deserialize_with = "loose::cookies")]
    cookies: Vec<Cookie>,
    /// What the browser says of itself.
    #[serde(deserialize_with = "loose::words")]
    navigator: BTreeMap<String, String>,
}

/// Its answer in the words of the sign API; as it is where it is in no words of its own either. In the open for fuzzing alone.
pub fn mapped(answer: Answer, asked_user_agent: Option<&str>) -> Reply {
    let status = answer.status().as_u16();
    let told = serde_json::from_slice::<Object<Told>>(answer.body());
    let Ok(Object(Told { status: Some(word), data })) = told else { return Reply::Wire(answer) };
    let body = match data.filter(|_| word == "ok") {
        Some(Object(signed)) => signed_url(signed, asked_user_agent).body(SignedShape::Nested),
        // Its own words for what went wrong are for nobody: they may tell where it runs.
        None => Bytes::from_static(br#"{"code":500}"#),
    };
    Reply::Mapped { status, headers: vec![("content-type", "application/json".into())], body }
}

fn signed_url(mut signed: Signed, asked_user_agent: Option<&str>) -> SignedUrl {
    let mut told = |name| signed.navigator.remove(name);
    // A signature holds for the user agent of the browser that made it: what it says of itself goes before what was asked.
    let user_agent = told("user_agent").or_else(|| asked_user_agent.map(str::to_owned));
    let mut url = SignedUrl::new(signed.url.unwrap_or_default(), user_agent.unwrap_or_default());
    url.browser_name = told("browser_name");
    url.browser_version = told("browser_version");
    for (name, token) in [("X-Bogus", signed.x_bogus), ("X-Gnarly", signed.x_gnarly)] {
        if let Some(token) = token.filter(|token| !token.is_empty()) {
            // Also in the place of the URL's own: where they differ, it is for the judge to see.
            url.tokens.insert(name.into(), token);
        }
    }
    url.cookies = signed.cookies;
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(json: &str) -> SignedUrl {
        let Object(told) = serde_json::from_str::<Object<Told>>(json).unwrap();
        signed_url(told.data.unwrap().0, Some("asked"))
    }

    #[test]
    fn what_it_answers_is_put_into_the_words_of_the_sign_api() {
        let signed = of(
            r#"{"status":"ok","data":{"signed_url":"https://webcast.tiktok.com/x/?a=1&X-Bogus=B&X-Gnarly=G%2F&msToken=M",
            "x-bogus":"B","x-gnarly":"G/","device-id":null,"cookies":"ttwid=1%7C2; a=b=c; odd",
            "navigator":{"user_agent":"Mozilla/5.0 (X11)"}}}"#,
        );
        assert_eq!(signed.user_agent, "Mozilla/5.0 (X11)");
        let tokens: Vec<_> =
            signed.tokens.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(tokens, [("X-Bogus", "B"), ("X-Gnarly", "G/"), ("msToken", "M")]);
        let cookies: Vec<_> =
            signed.cookies.iter().map(|cookie| (&*cookie["name"], &*cookie["value"])).collect();
        assert_eq!(cookies, [("ttwid", "1%7C2"), ("a", "b=c")]);
    }

    #[test]
    fn what_it_leaves_out_does_no_harm() {
        let signed = of(r#"{"status":"ok","data":{"signed_url":"https://h/?X-Bogus=B","x-bogus":null}}"#);
        assert_eq!((signed.user_agent.as_str(), signed.cookies.len()), ("asked", 0));
        let listed = of(
            r#"{"status":"ok","data":{"cookies":[{"name":"a","value":"b","domain":"x"}],"navigator":{}}}"#,
        );
        assert_eq!((listed.signed_url.as_str(), listed.cookies.len()), ("", 1));
        assert!(of(r#"{"status":"ok","data":{"cookies":null}}"#).cookies.is_empty());
        let odd = of(
            r#"{"status":"ok","data":{"signed_url":"https://h/?X-Gnarly=G","x-gnarly":5,"x-bogus":[],"navigator":null,"cookies":7}}"#,
        );
        assert_eq!(
            (odd.user_agent.as_str(), odd.tokens["X-Gnarly"].as_str(), odd.tokens.len()),
            ("asked", "G", 1)
        );
        let numbered = of(r#"{"status":"ok","data":{"navigator":{"user_agent":"M","browser_version":5}}}"#);
        assert_eq!((numbered.user_agent.as_str(), numbered.browser_version.as_deref()), ("M", Some("5")));
    }

    #[test]
    fn its_health_is_read_with_whatever_stands_beside() {
        let told = health(br#"{"status":"ok","ready":true,"initializing":false,"queueLength":3}"#).unwrap();
        assert_eq!((told.ready, told.queue_length), (true, 3));
        assert!(health(b"<html>").is_none() && health(b"{}").is_none());
    }
}
