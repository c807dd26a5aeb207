//! `signgate record purge`: takes an account, a room or an address out of the access record.
//!
//! Only files that nobody writes to are rewritten. A running gateway is asked to set its file aside first; where none runs,
//! `--stopped` says so, and the file that it left is rewritten too.

use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::builder::NonEmptyStringValueParser;
use ipnet::{IpNet, Ipv4Net};
use serde::Deserialize;

use super::operate::{GatewayArgs, deployment};
use super::stdout::Results;
use crate::base::id::AccountId;
use crate::base::room::Room;
use crate::config::RecordTo;
use crate::dialect::mention::mentions;
use crate::engine::order::Order;
use crate::replay::report::Count;
use crate::telemetry::access_log::{Edit, Rewritten, record_files, rehearse, rewrite};

/// What is done to the record.
#[derive(Debug, clap::Subcommand)]
pub enum RecordVerb {
    /// Take every request of an account, for a room or from an address out of the access record
    ///
    /// One account, one room or one address at a time: for two of them run it twice. The files that were set aside are
    /// rewritten, each in one step; a running gateway sets its own aside first, and goes on with a new one. What was copied
    /// elsewhere (backups, logs that were shipped, what `replay` wrote) is not touched, nor are the counts that the gateway
    /// holds in memory, which end with their windows. A request that comes later is recorded like any other. What an operator
    /// ordered about just these (a ban of the address) goes, too, and a replay does not follow it then; what was ordered about
    /// more (a ban of its network) stays.
    #[command(after_help = super::exit_codes::PURGE)]
    Purge(PurgeArgs),
}

/// What goes, and from where.
#[derive(Debug, clap::Args)]
#[group(id = "what", required = true, multiple = false, args = ["account", "room", "address"])]
pub struct PurgeArgs {
    /// Requests with a key of this account
    #[arg(long, value_name = "ID", value_parser = NonEmptyStringValueParser::new())]
    account: Option<String>,
    /// Requests for this room: its number, or @ and the streamer's unique id (requests that named the other one stay)
    #[arg(long, value_name = "ROOM", value_parser = room)]
    room: Option<Room>,
    /// Requests from this address or prefix; of IPv6 name the subscriber's /64
    #[arg(long, value_name = "ADDR", value_parser = net)]
    address: Option<IpNet>,
    /// The record's file [default: the one of the deployment file]
    #[arg(long, value_name = "FILE")]
    path: Option<PathBuf>,
    /// No gateway is running: rewrite its last file, too
    #[arg(long, conflicts_with_all = ["socket", "admin_url"])]
    stopped: bool,
    /// Only count what would go
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    gateway: GatewayArgs,
}

fn room(text: &str) -> Result<Room, String> {
    let read = if text.bytes().all(|byte| byte.is_ascii_digit()) {
        Room::parse_id(text)
    } else {
        Room::parse_anchor(text)
    };
    read.map_err(|why| why.to_string())
}

fn net(text: &str) -> Result<IpNet, String> {
    let alone = text.parse().map(|address: IpAddr| IpNet::from(address.to_canonical()));
    let net = alone
        .or_else(|_| text.parse())
        .map_err(|_| "expected an address or a prefix, such as 203.0.113.7")?;
    // The record has no IPv4 address in the form of IPv6 (RFC 4291 section 2.5.5.2).
    Ok(match net {
        IpNet::V6(mapped) if mapped.prefix_len() >= 96 => {
            let v4 =
                mapped.addr().to_ipv4_mapped().and_then(|v4| Ipv4Net::new(v4, mapped.prefix_len() - 96).ok());
            v4.map_or(net, IpNet::V4)
        }
        _ => net,
    })
}

/// Does it.
pub fn run(verb: &RecordVerb) -> anyhow::Result<ExitCode> {
    let RecordVerb::Purge(args) = verb;
    let path = if let Some(path) = &args.path {
        path.clone()
    } else {
        let loaded = deployment(args.gateway.config())
            .context("the deployment file names the access record; `--path` does without it")?;
        let RecordTo::File(path) = loaded.settings.record.to else {
            bail!("the deployment file says that no access record is kept in a file: name its `--path`");
        };
        path
    };
    if !args.stopped && !args.dry_run {
        let answered = args.gateway.ask("POST", "/record/rotate").context(
            "a gateway that writes to the record has to set its file aside first; where none is running, say `--stopped`",
        )?;
        if answered.status != 200 {
            let why = answered.body["message"].as_str().unwrap_or("it gave no reason");
            bail!("the gateway would not set its record aside: {why}");
        }
    }
    let files = record_files(&path)
        .with_context(|| format!("cannot look for the access record `{}`", path.display()))?;
    if files.is_empty() {
        bail!("there is no access record at `{}`", path.display());
    }
    let rewritable = |file: &&PathBuf| **file != path || args.stopped || args.dry_run;
    let mut total = Rewritten::default();
    let mut failed = 0;
    let mut told = Results::default();
    for file in files.iter().filter(rewritable) {
        match purge(file, args) {
            Ok(done) => {
                told.print(&format!(
                    "{}: {} lines {}, {} stay\n",
                    file.display(),
                    Count(done.removed),
                    if args.dry_run { "would be removed" } else { "removed" },
                    Count(done.kept)
                ));
                total.removed += done.removed;
                total.kept += done.kept;
                tell_too_long(file, done);
            }
            Err(error) => {
                eprintln!("error: {} was left as it is: {error:#}", file.display());
                failed += 1;
            }
        }
    }
    let left = match failed {
        0 => String::new(),
        1 => ", and 1 file was left as it is".to_owned(),
        many => format!(", and {many} files were left as they are"),
    };
    told.print(&format!(
        "{} lines in all {}, {} stay{left}\n",
        Count(total.removed),
        if args.dry_run { "would be removed" } else { "removed" },
        Count(total.kept)
    ));
    eprintln!(
        "note: what was copied elsewhere (backups, logs that were shipped, what `replay` wrote) was not touched"
    );
    told.finish()?;
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::from(2) })
}

fn purge(file: &Path, args: &PurgeArgs) -> io::Result<Rewritten> {
    let edit = |line: &[u8], _: &mut Vec<u8>| if args.holds(line) { Edit::Remove } else { Edit::Keep };
    if args.dry_run { rehearse(file, edit) } else { rewrite(file, file, edit) }
}

/// Whoever purges has to know what was not looked at.
fn tell_too_long(file: &Path, done: Rewritten) {
    let Some(first) = done.first_too_long else { return };
    let more = match done.too_long - 1 {
        0 => String::new(),
        more => format!(", and so are {} more", Count(more)),
    };
    eprintln!(
        "warning: line {} of {} is longer than any record{more}: what is no record stays, whoever it names",
        Count(first),
        file.display()
    );
}

/// What a line says of people.
#[derive(Deserialize)]
struct Named {
    #[serde(default)]
    client: Option<String>,
    #[serde(default)]
    client_prefix: Option<u8>,
    #[serde(default)]
    key: Option<KeyNamed>,
    #[serde(default)]
    room: Option<String>,
    #[serde(default)]
    answer_room: Option<String>,
    #[serde(default)]
    target: Option<String>,
    #[serde(default)]
    event: Option<String>,
    #[serde(default)]
    order: Option<String>,
}

#[derive(Deserialize)]
struct KeyNamed {
    account: String,
}

impl PurgeArgs {
    /// Whether a line is about what is to go. One that cannot be read goes where it holds the words.
    fn holds(&self, line: &[u8]) -> bool {
        let Ok(named) = serde_json::from_slice::<Named>(line) else {
            let holds = |word: String| line.windows(word.len().max(1)).any(|part| part == word.as_bytes());
            return self.account.clone().is_some_and(holds)
                || self.room.is_some_and(|room| holds(room.to_string()))
                || self.address.is_some_and(|net| holds(net.addr().to_string()));
        };
        if let Some(order) = named.order() {
            return self.holds_order(&order);
        }
        let account = || named.key.as_ref().map(|key| key.account.as_str());
        self.account.as_deref().is_some_and(|wanted| account() == Some(wanted))
            || self.room.is_some_and(|wanted| named.is_about(wanted))
            || self.address.is_some_and(|net| named.comes_from(net))
    }

    /// An order goes where it is about nothing wider than what is to go.
    fn holds_order(&self, order: &Order) -> bool {
        let about = order.about();
        let account = about.account.map(AccountId::as_str);
        self.account.as_deref().is_some_and(|wanted| account == Some(wanted))
            || self.room.is_some_and(|wanted| about.room == Some(wanted))
            || self.address.is_some_and(|net| about.network.is_some_and(|network| net.contains(&network)))
    }
}

impl Named {
    fn order(&self) -> Option<Order> {
        Order::parse(self.event.as_deref()?, self.order.as_deref()?)
    }

    fn is_about(&self, wanted: Room) -> bool {
        let said = [&self.room, &self.answer_room].into_iter().flatten().any(|text| room(text) == Ok(wanted));
        // One that the gateway refused has no other trace of its room.
        said || self.target.as_deref().is_some_and(|target| mentions(target, wanted))
    }

    fn comes_from(&self, net: IpNet) -> bool {
        let Some(client) = self.client.as_deref().and_then(|text| text.parse::<IpAddr>().ok()) else {
            return false;
        };
        match self.client_prefix {
            None => net.contains(&client.to_canonical()),
            // A cut address is the prefix of many: it goes where all of them do.
            Some(length) => IpNet::new(client, length).is_ok_and(|cut| net.contains(&cut)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &[&str]) -> Result<PurgeArgs, String> {
        #[derive(clap::Parser)]
        struct Line {
            #[command(flatten)]
            args: PurgeArgs,
        }
        let line = <Line as clap::Parser>::try_parse_from(std::iter::once(&"x").chain(words));
        line.map(|line| line.args).map_err(|error| error.to_string())
    }

    fn args(account: Option<&str>, about: Option<&str>, address: Option<&str>) -> PurgeArgs {
        let words = [("--account", account), ("--room", about), ("--address", address)];
        let words = words.into_iter().filter_map(|(flag, value)| Some([flag, value?])).flatten();
        read(&words.collect::<Vec<_>>()).unwrap()
    }

    /// Whoever means those of an account in a room would lose all of either.
    #[test]
    fn two_conditions_are_refused() {
        let all = [["--account", "studio"], ["--room", "71"], ["--address", "203.0.113.7"]];
        for (one, other) in [(0, 1), (0, 2), (2, 1)] {
            let told = read(&[all[one], all[other]].concat()).unwrap_err();
            let [one, other] = [one, other].map(|place| all[place][0]);
            assert!(told.contains(&format!("error: the argument '{one} <")), "{told}");
            assert!(told.contains("cannot be used with") && told.contains(other), "{told}");
        }
        assert!(read(&["--account", "studio", "--account", "other"]).is_err());
    }

    #[test]
    fn what_goes_and_what_stays() {
        let line = r#"{"time":1,"client":"203.0.113.7","key":{"id":"k","account":"studio","tier":"t"},"target":"/webcast/fetch?room_id=71","room":"71","answer_room":"72"}"#;
        let refused = r#"{"time":1,"client":"2001:db8::7","key":null,"target":"/webcast/anchors/%40Some.Name/restart"}"#;
        let cut = r#"{"time":1,"client":"203.0.113.0","client_prefix":24,"key":null}"#;
        let ban =
            r#"{"time":1,"event":"ban","order":"prefix 203.0.113.7 1800000000000 spam from 2001:db8::7"}"#;
        let lift = r#"{"time":1,"event":"lift","order":"shadow subnet-in-room 203.0.113.0/24 71"}"#;
        let pardon = r#"{"time":1,"event":"pardon","order":"@some.name 1h"}"#;
        let banned = r#"{"time":1,"event":"ban","order":"account studio 1800000000000 x"}"#;
        for (account, about, address, expected) in [
            (Some("studio"), None, None, [true, false, false, false, false, false, true]),
            (Some("studi"), None, None, [false; 7]),
            (None, Some("71"), None, [true, false, false, false, true, false, false]),
            (None, Some("72"), None, [true, false, false, false, false, false, false]),
            (None, Some("7"), None, [false; 7]),
            (None, Some("@some.name"), None, [false, true, false, false, false, true, false]),
            (None, Some("name"), None, [false; 7]),
            (None, None, Some("203.0.113.7"), [true, false, false, true, false, false, false]),
            (None, None, Some("::ffff:203.0.113.7"), [true, false, false, true, false, false, false]),
            (None, None, Some("::ffff:203.0.113.7/128"), [true, false, false, true, false, false, false]),
            (None, None, Some("::ffff:203.0.113.0/120"), [true, false, true, true, true, false, false]),
            (None, None, Some("203.0.113.0/24"), [true, false, true, true, true, false, false]),
            (None, None, Some("2001:db8::/64"), [false, true, false, false, false, false, false]),
        ] {
            let args = args(account, about, address);
            let holds =
                [line, refused, cut, ban, lift, pardon, banned].map(|line| args.holds(line.as_bytes()));
            assert_eq!(holds, expected, "{args:?}");
        }
        // Words of every target are no streamers' names.
        let usual = r#"{"time":1,"client":"203.0.113.7","key":null,"target":"/webcast/fetch?client=ttlive-node&platform=web&room_id=71","room":"71"}"#;
        for about in ["@webcast", "@fetch", "@web", "@node"] {
            assert!(!args(None, Some(about), None).holds(usual.as_bytes()), "{about}");
        }
        assert!(args(Some("studio"), None, None).holds(b"{\"account\":\"studio\", torn"));
        assert!(!args(Some("studio"), None, None).holds(b"{ torn"));
    }
}
