//! `signgate bans`: who is denied by a running gateway, why and until when; and the operator's word in it.

use std::process::ExitCode;

use clap::{Subcommand, ValueEnum};
use serde_json::Value;
use url::form_urlencoded::Serializer;

use super::columns::columns;
use super::operate::{Answered, GatewayArgs};
use super::stdout::{Results, print};

/// What is to be done.
#[derive(Debug, Subcommand)]
pub enum BansVerb {
    /// List the bans that stand: whom, since when, until when, and what is held against them
    ///
    /// An id begins with `b` for what view-bot detection convicted, `s` for what it would have convicted (shadow: it acts
    /// on nobody, and a change of mode never makes it real), `p` for what an operator promoted out of it, `o` for the
    /// operator's own.
    #[command(after_help = super::exit_codes::ASK)]
    List(ListArgs),
    /// Ban an account, a key, an autonomous system, a room or a prefix, for a reason and a while
    ///
    /// The gateway answers whoever it holds with 403 and the reason, whatever the mode of view-bot detection. Allowlists
    /// that exempt from blocklists exempt from this, too. The ban is kept in memory alone: it ends with the gateway, if
    /// not before. What must outlast it belongs into a `[[blocklist]]` of a policy file.
    ///
    /// Example: signgate bans add --prefix 203.0.113.0/24 --reason "rented view-bots" --for 2h
    #[command(after_help = super::exit_codes::ASK)]
    Add(AddArgs),
    /// Lift bans: by their ids, or all that view-bot detection has about a proxy
    ///
    /// With a ban go the counts that led to it, and for an hour the same evidence only throttles whom it was about.
    /// Lifting one of several bans leaves the others: `signgate bans list --proxy ADDRESS` shows them.
    #[command(after_help = super::exit_codes::ASK)]
    Lift(LiftArgs),
    /// Make convictions in shadow real: they deny from now on, in every mode but `off`
    ///
    /// They end when the conviction would have ended, or with the gateway: they are kept in memory alone.
    #[command(after_help = super::exit_codes::ASK)]
    Promote(PromoteArgs),
}

/// What is listed.
#[derive(Debug, clap::Args)]
pub struct ListArgs {
    /// Only what goes back to this room: its number, or `@` and its unique id
    #[arg(long, value_name = "ROOM")]
    room: Option<String>,
    /// Only what is about this address, or a subnet or prefix that it lies in
    #[arg(long, value_name = "ADDRESS")]
    proxy: Option<String>,
    /// A table for people, or JSON for programs: plain data, to be kept
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    format: Format,
    #[command(flatten)]
    gateway: GatewayArgs,
}

/// How a list is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Columns.
    Table,
    /// What the gateway answered.
    Json,
}

/// What is banned.
#[derive(Debug, clap::Args)]
pub struct AddArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// Why: the caller is told it
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// For how long, such as 2h, 30m or 7d
    #[arg(long = "for", value_name = "TIME")]
    length: String,
    /// Ban a prefix that is wider than any network is, up to everybody: wider than /8, of IPv6 than /16
    #[arg(long)]
    confirm: bool,
    #[command(flatten)]
    gateway: GatewayArgs,
}

/// Whom: one of these.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
pub struct TargetArgs {
    /// Whoever comes from there, such as 203.0.113.0/24 or 203.0.113.7
    #[arg(long, value_name = "PREFIX")]
    prefix: Option<String>,
    /// Whoever comes from this autonomous system, such as AS64500; takes a table in `[networks]`
    #[arg(long, value_name = "ASN")]
    asn: Option<String>,
    /// Whoever shows a key of this account
    #[arg(long, value_name = "ID")]
    account: Option<String>,
    /// Whoever shows this key, by its public id
    #[arg(long, value_name = "ID")]
    key: Option<String>,
    /// Whoever asks for this room: its number, or `@` and its unique id
    #[arg(long, value_name = "ROOM")]
    room: Option<String>,
}

/// What is lifted.
#[derive(Debug, clap::Args)]
pub struct LiftArgs {
    /// Which, as `signgate bans list` names them, such as b12
    #[arg(value_name = "ID", required_unless_present = "proxy")]
    ids: Vec<String>,
    /// All that view-bot detection has about this address and its subnet, in earnest and in shadow; your own bans go by their ids
    #[arg(long, value_name = "ADDRESS", conflicts_with = "ids")]
    proxy: Option<String>,
    #[command(flatten)]
    gateway: GatewayArgs,
}

/// What is promoted.
#[derive(Debug, clap::Args)]
pub struct PromoteArgs {
    /// Which, as `signgate bans list` names them, such as s12
    #[arg(value_name = "ID", required = true)]
    ids: Vec<String>,
    #[command(flatten)]
    gateway: GatewayArgs,
}

/// Asks, and prints what came of it.
pub fn run(verb: &BansVerb) -> anyhow::Result<ExitCode> {
    let mut told = Results::default();
    let done = match verb {
        BansVerb::List(args) => list(args),
        BansVerb::Add(args) => add(args, &mut told),
        BansVerb::Lift(args) => {
            let mut lift = |by: &str, whom: &str| {
                Ok(lifted(&args.gateway.ask("POST", &target("/bans/lift", &[(by, whom)]))?, &mut told))
            };
            match &args.proxy {
                Some(proxy) => lift("proxy", proxy),
                None => each(&args.ids, |id| lift("id", id)),
            }
        }
        BansVerb::Promote(args) => each(&args.ids, |id| {
            let answered = args.gateway.ask("POST", &target("/bans/promote", &[("id", id)]))?;
            if let Some(code) = refused(&answered) {
                return Ok(code);
            }
            tell_banned("promoted to", &answered.body, &mut told);
            Ok(ExitCode::SUCCESS)
        }),
    };
    let code = done?;
    told.finish()?;
    Ok(code)
}

/// A path with fields in its query.
pub(super) fn target(path: &str, fields: &[(&str, &str)]) -> String {
    if fields.is_empty() {
        return path.to_owned();
    }
    format!("{path}?{}", Serializer::new(String::new()).extend_pairs(fields).finish())
}

/// Each of several; the first that fails says how it ends, and the others are done all the same.
fn each(ids: &[String], mut one: impl FnMut(&str) -> anyhow::Result<ExitCode>) -> anyhow::Result<ExitCode> {
    let mut ended = ExitCode::SUCCESS;
    for id in ids {
        let code = one(id)?;
        if ended == ExitCode::SUCCESS {
            ended = code;
        }
    }
    Ok(ended)
}

/// Tells a refusal: exit code 1 for a no, 2 where the gateway would not or could not.
pub(super) fn refused(answered: &Answered) -> Option<ExitCode> {
    if answered.status == 200 {
        return None;
    }
    eprintln!("error: {}", answered.body["message"].as_str().unwrap_or("the gateway gave no reason"));
    Some(ExitCode::from(if matches!(answered.status, 400 | 404 | 409 | 422) { 1 } else { 2 }))
}

fn list(args: &ListArgs) -> anyhow::Result<ExitCode> {
    let fields = [("room", &args.room), ("proxy", &args.proxy)];
    let fields: Vec<(&str, &str)> =
        fields.iter().filter_map(|(name, value)| Some((*name, value.as_deref()?))).collect();
    let answered = args.gateway.ask("GET", &target("/bans", &fields))?;
    if let Some(code) = refused(&answered) {
        return Ok(code);
    }
    let body = &answered.body;
    let text = match args.format {
        Format::Json => serde_json::to_string_pretty(body)? + "\n",
        Format::Table => table(body),
    };
    print(&text)?;
    let none = body["bans"].as_array().is_none_or(Vec::is_empty);
    if args.format == Format::Table && none {
        eprintln!("no bans stand; view-bot detection is in mode `{}`", plain(&body["mode"]));
    }
    if let Some(more) = body["left_out"].as_u64().filter(|more| *more > 0) {
        eprintln!("… and {more} more: choose with `--room` or `--proxy`");
    }
    Ok(ExitCode::SUCCESS)
}

/// Aligned, what is widest last.
fn table(body: &Value) -> String {
    const COLUMNS: [(&str, &str); 8] = [
        ("id", "ID"),
        ("state", "STATE"),
        ("kind", "KIND"),
        ("origin", "ORIGIN"),
        ("since", "SINCE"),
        ("until", "UNTIL"),
        ("whom", "WHOM"),
        ("evidence", "EVIDENCE"),
    ];
    let bans = body["bans"].as_array().map_or(&[][..], Vec::as_slice);
    if bans.is_empty() {
        return String::new();
    }
    let rows = bans.iter().map(|ban| COLUMNS.map(|(name, _)| plain(&ban[name])));
    columns(COLUMNS.map(|(_, title)| title.to_owned()), rows.collect())
}

/// A text of the gateway's without what a terminal obeys: user agents are strangers' words.
fn plain(value: &Value) -> String {
    let text = value.as_str().unwrap_or_default();
    text.chars().map(|letter| if letter.is_control() { '?' } else { letter }).collect()
}

fn add(args: &AddArgs, told: &mut Results) -> anyhow::Result<ExitCode> {
    let TargetArgs { prefix, asn, account, key, room } = &args.target;
    let kinds = [("prefix", prefix), ("asn", asn), ("account", account), ("key", key), ("room", room)];
    let mut fields: Vec<(&str, &str)> =
        kinds.iter().filter_map(|(name, value)| Some((*name, value.as_deref()?))).collect();
    fields.extend([("reason", args.reason.as_str()), ("for", args.length.as_str())]);
    fields.extend(args.confirm.then_some(("confirm", "wide")));
    let answered = args.gateway.ask("POST", &target("/bans/add", &fields))?;
    if let Some(code) = refused(&answered) {
        return Ok(code);
    }
    tell_banned("banned as", &answered.body, told);
    if let Some(replaced) = answered.body["replaced"].as_str() {
        eprintln!("in place of {replaced}");
    }
    if let Some(note) = answered.body["note"].as_str() {
        eprintln!("warning: {note}");
    }
    Ok(ExitCode::SUCCESS)
}

fn tell_banned(how: &str, body: &Value, told: &mut Results) {
    let ban = &body["ban"];
    let (whom, id, until) = (plain(&ban["whom"]), plain(&ban["id"]), plain(&ban["until"]));
    told.print(&format!("{whom} {how} {id} until {until}\n"));
    if let Some(kept) = body["kept"].as_str() {
        eprintln!("{kept}");
    }
}

fn lifted(answered: &Answered, told: &mut Results) -> ExitCode {
    if let Some(code) = refused(answered) {
        return code;
    }
    let bans = answered.body["bans"].as_array().map_or(&[][..], Vec::as_slice);
    for ban in bans {
        let (id, kind, whom) = (plain(&ban["id"]), plain(&ban["kind"]), plain(&ban["whom"]));
        told.print(&format!("lifted {id}: {kind}, {whom}\n"));
    }
    if bans.iter().any(|ban| ban["origin"] != "operator") {
        let minutes = answered.body["probation_secs"].as_u64().unwrap_or_default() / 60;
        eprintln!("what led there is forgotten; for {minutes} minutes the same evidence only throttles them");
    }
    if let Some(note) = answered.body["note"].as_str() {
        eprintln!("note: {note}");
    }
    ExitCode::SUCCESS
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_table_is_aligned_and_obeyed_by_no_terminal() {
        let ban = |id: &str, whom: &str| {
            json!({
                "id": id, "state": "shadow", "kind": "address", "origin": "heuristics", "since": "s", "until": "u",
                "whom": whom, "evidence": "31 viewers from this address (+2.9)",
            })
        };
        let text = table(&json!({ "bans": [ban("s1", "a\u{1b}[2J"), ban("s1234", "192.0.2.7")] }));
        assert!(!text.contains('\u{1b}'), "{text}");
        let column = |word: &str| -> Vec<usize> { text.lines().filter_map(|line| line.find(word)).collect() };
        assert_eq!(column("shadow"), [column("STATE")[0]; 2], "{text}");
        assert_eq!(column("31 viewers"), [column("EVIDENCE")[0]; 2], "{text}");
        assert_eq!(table(&json!({ "bans": [] })), "");
    }

    #[test]
    fn what_is_asked_is_escaped() {
        assert_eq!(target("/bans", &[]), "/bans");
        let asked = target("/bans/add", &[("prefix", "203.0.113.0/24"), ("reason", "a & b\r\nX: y")]);
        assert_eq!(asked, "/bans/add?prefix=203.0.113.0%2F24&reason=a+%26+b%0D%0AX%3A+y");
    }
}
