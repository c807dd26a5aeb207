//! `signgate check --explain`: one request, as its client would send it, against a policy with empty counters.

use std::net::{IpAddr, Ipv4Addr};

use anyhow::{Context, anyhow};
use serde_json::json;

use super::output::Output;
use crate::base::secret::KeyHash;
use crate::base::time::Timestamp;
use crate::dialect::ratelimit::Limits;
use crate::dialect::refusal::Rejected;
use crate::dialect::{Fault, Request};
use crate::engine::Engine;
use crate::engine::book::STRANGERS_MAX_DEFAULT;
use crate::engine::facts::Credential;
use crate::policy::diagnostic::{closest, quoted};
use crate::policy::reader::Report;
use crate::policy::{PolicySet, Sources, file};

/// Of documentation (RFC 5737): in nobody's list.
const CLIENT_DEFAULT: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

/// What is told where a body is given to a request that has none.
pub(in crate::cli) const BODY_UNREAD: &str =
    "warning: `--body` was not looked at: only of a POST a body is read";

/// What the request line does not say.
#[derive(Debug, clap::Args)]
pub struct RequestArgs {
    /// The client's address, as its one configured source would tell it (192.0.2.1 where left out)
    #[arg(long, value_name = "ADDR", requires = "explain", value_parser = crate::config::flags::client)]
    client: Option<IpAddr>,
    /// Ask with the key of this public id: its text is not needed
    #[arg(long, value_name = "ID", requires = "explain", conflicts_with = "key_text")]
    key: Option<String>,
    /// Ask with a key's text
    #[arg(long, value_name = "KEY", requires = "explain")]
    key_text: Option<String>,
    /// The `User-Agent` header
    #[arg(long, value_name = "TEXT", requires = "explain")]
    user_agent: Option<String>,
    /// Another header; several times for several
    #[arg(long = "header", value_name = "NAME: VALUE", requires = "explain")]
    headers: Vec<String>,
    /// The body of a POST
    #[arg(long, value_name = "TEXT", requires = "explain")]
    body: Option<String>,
}

/// Explains; whether the request would be admitted.
pub(super) fn run(
    output: &mut Output,
    request: &str,
    args: &RequestArgs,
    (set, sources): (&PolicySet, &Sources),
    now: Timestamp,
) -> anyhow::Result<bool> {
    let (method, target) = request
        .trim()
        .split_once(' ')
        .map(|(method, target)| (method, target.trim()))
        .with_context(|| {
            format!(
                "{} is no request: expected a method and a target, such as 'GET /webcast/fetch?room_id=1'",
                quoted(request)
            )
        })?;
    let mut headers = Vec::new();
    for header in &args.headers {
        let (name, value) = header
            .split_once(':')
            .with_context(|| format!("{} is no header: expected 'Name: value'", quoted(header)))?;
        headers.push((name.trim(), value.trim().as_bytes()));
    }
    headers.extend(args.user_agent.iter().map(|text| ("user-agent", text.as_bytes())));
    headers.extend(args.key_text.iter().map(|text| ("x-api-key", text.as_bytes())));
    let shown_key = args.key.as_deref().map(|id| hash_of(id, sources)).transpose()?;
    let client = args.client.unwrap_or(CLIENT_DEFAULT);

    let read = || -> Result<Request<'_>, Fault> {
        let mut read = Request::read(method, target, headers.iter().copied(), &[0; 32])?;
        match &args.body {
            Some(body) if read.awaits_body() => read.read_body(body.as_bytes())?,
            Some(_) => eprintln!("{BODY_UNREAD}"),
            None => {}
        }
        // As in the gateway: what is not there yet may stand in a body that was not given.
        if !read.awaits_body() {
            read.complete()?;
        }
        Ok(read)
    };
    let read = match read() {
        Ok(read) => read,
        Err(fault) => {
            refused_at_the_door(output, method, client, fault)?;
            return Ok(false);
        }
    };
    let network = set.networks().lookup(client);
    let mut facts = read.facts(client, network.map(|network| network.asn));
    if let Some(hash) = shown_key {
        facts.credential = Credential::Presented(hash);
    }
    // No seed: nothing hangs on it, and there is nothing to attack.
    let engine = Engine::new(STRANGERS_MAX_DEFAULT, 0);
    let explained = engine.explain(set, &facts, now);
    let refusal = explained.decision.refusal.as_ref();
    let status = refusal.map_or(200, |refusal| {
        Rejected::refused(refusal, Limits { policy: set, standings: &[] }).status().as_u16()
    });
    // The path alone: keys and sessions may stand in a query.
    let path = target.split('?').next().unwrap_or_default();
    output.result(
        || {
            let mut object = explained.json(set);
            object["type"] = "explanation".into();
            object["client"] = client.to_string().into();
            object["room"] = facts.room.map(|room| room.to_string()).into();
            object["status"] = status.into();
            object
        },
        || {
            let who = match &explained.caller.identity {
                Some((account, key)) => format!("account `{account}` with key `{key}`"),
                None => "nobody that the policy knows".into(),
            };
            let room = facts.room.map_or("no room".into(), |room| format!("room {room}"));
            let tier = &set.tier(explained.caller.tier).name;
            let verdict = if status == 200 { String::new() } else { format!(" [status {status}]") };
            format!(
                "{method} {path}\n   `{}` for {room}, from {client}, {who}, tier `{tier}`, library `{}`, on empty counters\n{}{verdict}",
                facts.operation,
                facts.library.name,
                explained.tree(set),
            )
        },
    )?;
    Ok(refusal.is_none())
}

/// Row 1: what cannot be read is not decided.
fn refused_at_the_door(output: &Output, method: &str, client: IpAddr, fault: Fault) -> anyhow::Result<()> {
    output.result(
        || {
            json!({
                "type": "explanation",
                "client": client.to_string(),
                "verdict": "deny",
                "status": fault.status(),
                "label": fault.label(),
                "message": fault.to_string(),
                "checks": [{ "row": 1, "check": "request", "outcome": "refuses", "reasons": [fault.to_string()] }],
            })
        },
        || {
            format!(
                "{method}, from {client}\n├─ 1 the request itself\n│  └─ REFUSES: {fault}\n└─ refused before any rule is asked [status {}]",
                fault.status()
            )
        },
    )
}

/// The hash of the key of that id: a policy holds no key's text.
fn hash_of(id: &str, sources: &Sources) -> anyhow::Result<KeyHash> {
    let report = Report::new(sources.texts().collect());
    let forms = file::read(&report);
    let found = forms.keys.iter().find(|key| key.id.value.as_str() == id);
    found.map(|key| key.hash.value).ok_or_else(|| {
        let known = forms.keys.iter().map(|key| key.id.value.as_str());
        match closest(id, known) {
            Some(similar) => anyhow!("there is no key {}; a similar one is {}", quoted(id), quoted(similar)),
            None => anyhow!("there is no key {} in the policy", quoted(id)),
        }
    })
}
