//! `signgate explain`: one request after a stretch of traffic, rule by rule.
//!
//! The traffic before it is replayed, so that every count stands as it stood; then the engine is asked as `check --explain`
//! asks it, which books nothing. Exit codes: 0 where the request is admitted, 1 where it is refused, 2 where it cannot be
//! found or read.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::builder::NonEmptyStringValueParser;
use serde_json::{Value, json};

use super::check::BODY_UNREAD;
use super::check::output::{Format, Output};
use super::progress::Progress;
use super::replay::{load_place, tell, tell_tiers, tell_unlike};
use super::same_file::refuse_twice;
use crate::base::room::Room;
use crate::base::time::{Clock, Timestamp};
use crate::config::{self, ConfigError, Flags};
use crate::control::reload::PolicyPlace;
use crate::dialect::recorded::{Recorded, RecordedKey};
use crate::dialect::{Fault, Request};
use crate::engine::explain::Explanation;
use crate::engine::facts::Facts;
use crate::policy::PolicySet;
use crate::policy::diagnostic::{closest, quoted};
use crate::replay::course::Course;
use crate::replay::ending::Ending;
use crate::replay::feed::{Feed, OnBroken, Wanted};
use crate::replay::record::Record;
use crate::replay::run::{Compared, note_tier};
use crate::telemetry::access_log::record_files;

/// Which request, and after what.
#[derive(Debug, clap::Args)]
#[group(id = "what", required = true, multiple = false, args = ["request", "request_id", "line"])]
pub struct ExplainArgs {
    /// A request as its client would send it, such as 'GET /webcast/fetch?room_id=1', asked after all of the input
    #[arg(value_name = "REQUEST")]
    request: Option<String>,
    /// The request that was answered with this `X-Request-ID`
    #[arg(long, value_name = "ID", value_parser = NonEmptyStringValueParser::new())]
    request_id: Option<String>,
    /// The record in this line of the first input, counted from 1
    #[arg(long, value_name = "N", requires = "input")]
    line: Option<u64>,
    /// The traffic before it, as `signgate replay` reads it [default with --request-id: the access record of the deployment
    /// file, with the files that were set aside]
    #[arg(long, value_name = "FILE")]
    input: Vec<PathBuf>,
    /// The policy directory [default: the one of the deployment file, else ./policies]
    #[arg(long, value_name = "DIR")]
    policies: Option<PathBuf>,
    /// The deployment file [default: ./signgate.toml, if there is one]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    said: SaidArgs,
    /// How the explanation is written: a tree for a person, or one JSON object
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: Format,
}

/// What a request line does not say.
#[derive(Debug, clap::Args)]
#[group(multiple = true, conflicts_with_all = ["request_id", "line"])]
struct SaidArgs {
    /// With REQUEST: the client's address
    #[arg(long, value_name = "ADDR", requires = "request", default_value = "192.0.2.1", value_parser = config::flags::client)]
    client: IpAddr,
    /// With REQUEST: ask with the key of this public id; its text is not needed
    #[arg(long, value_name = "ID", requires = "request", value_parser = NonEmptyStringValueParser::new())]
    key_id: Option<String>,
    /// With REQUEST: the `User-Agent` header
    #[arg(long, value_name = "TEXT", requires = "request")]
    user_agent: Option<String>,
    /// With REQUEST: another header; several times for several
    #[arg(long = "header", value_name = "NAME: VALUE", requires = "request")]
    headers: Vec<String>,
    /// With REQUEST: the body of a POST
    #[arg(long, value_name = "TEXT", requires = "request")]
    body: Option<String>,
    /// With REQUEST: when it comes (2027-01-01T00:00:00Z); the input is replayed up to then [default: after all of the input,
    /// or now where there is none]
    #[arg(long, value_name = "TIME", requires = "request", value_parser = super::check::parse_time)]
    time: Option<Timestamp>,
}

/// Explains; exit code 0 where it is admitted.
pub fn run(args: &ExplainArgs) -> anyhow::Result<ExitCode> {
    let settings = config::load(args.config.as_deref(), &Flags::default()).map(|loaded| loaded.settings);
    let place = match (&args.policies, &settings) {
        (Some(directory), _) => PolicyPlace::Directory(directory.clone()),
        (None, Ok(settings)) => super::serve::policy_place(&settings.policies),
        (None, Err(_)) => PolicyPlace::Directory("./policies".into()),
    };
    let policy = load_place(&place)?;
    let wanted = match (&args.request_id, args.line) {
        (Some(id), _) => Some(Wanted::RequestId(id.clone())),
        (None, Some(0)) => bail!("lines are counted from 1"),
        (None, Some(line)) => Some(Wanted::Line(line - 1)),
        (None, None) => None,
    };
    let mut input = args.input.clone();
    if input.is_empty() && args.request_id.is_some() {
        let settings = settings
            .inspect_err(|error| {
                if let ConfigError::Wrong(found) = error {
                    eprintln!("{}", crate::policy::diagnostic::render(found));
                }
            })
            .context("the deployment file names the access record; `--input` does without it")?;
        let config::RecordTo::File(path) = settings.record.to else {
            bail!("the deployment file says that no access record is kept in a file: name the `--input`");
        };
        input = record_files(&path)
            .with_context(|| format!("cannot look for the access record `{}`", path.display()))?;
        if input.is_empty() {
            bail!("there is no access record at `{}`", path.display());
        }
    }
    refuse_twice(&input)?;
    let explainer = Explainer { policy: &policy, place: place.name(), output: Output::new(args.format) };
    match wanted {
        Some(wanted) => explainer.of_record(&input, &wanted),
        None => explainer.of_request(args, &input),
    }
}

struct Explainer<'p> {
    policy: &'p PolicySet,
    /// Where it stands.
    place: String,
    output: Output,
}

/// What is printed beside the explanation.
struct About<'a> {
    method: &'a str,
    target: &'a str,
    client: Option<IpAddr>,
    room: Option<Room>,
    library: String,
    at: Timestamp,
    after: u64,
    record: Option<&'a Record>,
    /// How it ended, as the record says.
    ending: Option<&'a Ending>,
}

impl Explainer<'_> {
    /// A record: the state is what the records decided before it left.
    fn of_record(&self, input: &[PathBuf], wanted: &Wanted) -> anyhow::Result<ExitCode> {
        let mut feed = Feed::open(input, OnBroken::Skip)?;
        feed.look_for_policies([self.policy]);
        feed.look_for(wanted.clone());
        let mut course = Course::new(self.policy, 0);
        let mut progress = Progress::new();
        let (mut before, mut compared) = (0, Compared::default());
        let mut unknown_tiers = BTreeSet::new();
        let found = loop {
            let Some(record) = feed.next_record()? else { break None };
            if record.wanted {
                break Some(record);
            }
            if course.follow(&record) {
                feed.give_back(record);
                continue;
            }
            compared.count(&record, 0, &course.decide(&record));
            note_tier(&mut unknown_tiers, &record, self.policy);
            feed.give_back(record);
            before += 1;
            if before % 4096 == 0 {
                progress.tell(before, "records", feed.progress());
            }
        };
        progress.done();
        self.tell(&mut feed, &unknown_tiers, compared);
        let Some(record) = found else { return Err(not_found(wanted, before, feed.unmet())) };
        if record.starts {
            bail!("line {} is the event `start`: it is no request", record.place.line + 1);
        }
        if let Some(order) = &record.order {
            bail!(
                "line {} is an operator's order of {}, {}: it is no request",
                record.place.line + 1,
                record.time,
                quoted(&format!("{} {order}", order.word()))
            );
        }
        if !record.tier().is_empty() && self.policy.tier_named(record.tier()).is_none() {
            eprintln!(
                "warning: its tier {} is not in the policy: it is explained as a free one",
                quoted(record.tier())
            );
        }
        if !record.policy().is_empty() && record.policy() != self.policy.digest().to_string() {
            eprintln!(
                "warning: it was decided by policy {}, and is explained by policy {}",
                record.policy(),
                self.policy.digest()
            );
        }
        let request = record.request();
        course.advance(record.time);
        let facts = request.as_ref().ok().and_then(|request| course.facts(&record, request));
        let about = About {
            method: record.method(),
            target: record.target(),
            client: record.client(),
            room: facts.and_then(|facts| facts.room),
            library: facts.map(|facts| facts.library.name.to_string()).unwrap_or_default(),
            at: record.time,
            after: before,
            record: Some(&record),
            ending: feed.ending(),
        };
        match (request, facts) {
            _ if record.by_gateway => {
                self.at_the_door(&about, record.rule(), "the gateway refused it by itself")
            }
            (Err(fault), _) => self.at_the_door(&about, fault.label(), &fault.to_string()),
            (Ok(_), Some(facts)) => self.explained(&about, &course, &facts),
            (Ok(_), None) => self.at_the_door(&about, record.rule(), "the record names no client"),
        }
    }

    /// A request that somebody asks about, after all of the input or at a time within it.
    fn of_request(&self, args: &ExplainArgs, input: &[PathBuf]) -> anyhow::Result<ExitCode> {
        let text = args.request.as_deref().unwrap_or_default();
        let split = text.trim().split_once(' ').map(|(method, target)| (method, target.trim()));
        let (method, target) = split.with_context(|| {
            format!(
                "{} is no request: expected a method and a target, such as 'GET /webcast/fetch?room_id=1'",
                quoted(text)
            )
        })?;
        let said = &args.said;
        let mut course = Course::new(self.policy, 0);
        let mut feed = Feed::open(input, OnBroken::Skip)?;
        feed.look_for_policies([self.policy]);
        let mut progress = Progress::new();
        let (mut before, mut compared) = (0, Compared::default());
        let mut holds_later = false;
        let mut unknown_tiers = BTreeSet::new();
        while let Some(record) = feed.next_record()? {
            if said.time.is_some_and(|until| record.time > until) {
                holds_later = true;
                break;
            }
            if course.follow(&record) {
                feed.give_back(record);
                continue;
            }
            compared.count(&record, 0, &course.decide(&record));
            note_tier(&mut unknown_tiers, &record, self.policy);
            feed.give_back(record);
            before += 1;
            if before % 4096 == 0 {
                progress.tell(before, "records", feed.progress());
            }
        }
        progress.done();
        self.tell(&mut feed, &unknown_tiers, compared);
        if feed.noticed.is_nothing_but_broken(before + u64::from(holds_later)) {
            bail!("not one line of the input is a record: nothing can be explained after it");
        }
        let reached = if before > 0 { course.now() } else { Clock::system().now() };
        let at = said.time.unwrap_or(reached);
        course.advance(at);
        let mut headers = Vec::new();
        for header in &said.headers {
            let (name, value) = header
                .split_once(':')
                .with_context(|| format!("{} is no header: expected 'Name: value'", quoted(header)))?;
            headers.push((name.trim(), value.trim()));
        }
        let agent = said.user_agent.as_deref().unwrap_or_default();
        let read = || -> Result<Request<'_>, Fault> {
            let mut request = Request::read_recorded(method, target, agent, headers.iter().copied())?;
            match &said.body {
                Some(body) if request.awaits_body() => request.read_body(body.as_bytes())?,
                Some(_) => eprintln!("{BODY_UNREAD}"),
                None => {}
            }
            if !request.awaits_body() {
                request.complete()?;
            }
            Ok(request)
        };
        let key = match &said.key_id {
            None => RecordedKey::NotSaid,
            Some(id) => self.key(id)?,
        };
        let recorded = Recorded { client: said.client, key, room: None, session: None, url: None };
        // The path alone: keys and sessions may stand in a query.
        let path = target.split('?').next().unwrap_or_default();
        let mut about = About {
            method,
            target: path,
            client: Some(said.client),
            room: None,
            library: String::new(),
            at,
            after: before,
            record: None,
            ending: None,
        };
        let network = self.policy.networks().lookup(said.client);
        match &read() {
            Err(fault) => self.at_the_door(&about, fault.label(), &fault.to_string()),
            Ok(request) => {
                let facts = request.facts_recorded(&recorded, network.map(|network| network.asn));
                (about.room, about.library) = (facts.room, facts.library.name.to_string());
                self.explained(&about, &course, &facts)
            }
        }
    }

    /// What should be known of the traffic before, as a replay of it tells.
    fn tell(&self, feed: &mut Feed, unknown_tiers: &BTreeSet<String>, compared: Compared) {
        feed.noticed.settle_policy();
        tell(feed, self.policy);
        tell_unlike(compared, &self.place);
        tell_tiers(unknown_tiers, &self.place);
    }

    fn key<'a>(&'a self, id: &'a str) -> anyhow::Result<RecordedKey<'a>> {
        let Some(key) = self.policy.key_named(id) else {
            match closest(id, self.policy.keys().map(|key| key.id.as_str())) {
                Some(similar) => {
                    bail!("there is no key {}; a similar one is {}", quoted(id), quoted(similar))
                }
                None => bail!("there is no key {} in the policy", quoted(id)),
            }
        };
        let account = self.policy.account(key.account);
        let tier = self.policy.tier(account.tier).name.as_str();
        Ok(RecordedKey::Known { id, account: account.id.as_str(), tier, subjects: None })
    }

    fn explained(
        &self,
        about: &About<'_>,
        course: &Course<'_>,
        facts: &Facts<'_>,
    ) -> anyhow::Result<ExitCode> {
        let explained = course.engine().explain(self.policy, facts, course.now());
        self.output.result(
            || {
                let mut object = explained.json(self.policy);
                about.add_to(&mut object);
                object
            },
            || {
                about.heading(&who(&explained, self.policy))
                    + &explained.tree(self.policy).to_string()
                    + &about.closing()
            },
        )?;
        Ok(ExitCode::from(u8::from(explained.decision.refusal.is_some())))
    }

    /// Row 1: what no policy was asked about.
    fn at_the_door(&self, about: &About<'_>, label: &str, why: &str) -> anyhow::Result<ExitCode> {
        self.output.result(
            || {
                let checks = json!([{ "row": 1, "check": "request", "outcome": "refuses", "reasons": [why] }]);
                let mut object = json!({ "verdict": "deny", "label": label, "message": why, "checks": checks });
                about.add_to(&mut object);
                object
            },
            || {
                let tree = format!(
                    "├─ 1 the request itself\n│  └─ REFUSES: {why}\n└─ refused by `{label}` before any rule was asked"
                );
                about.heading("nobody was looked up") + &tree + &about.closing()
            },
        )?;
        Ok(ExitCode::from(1))
    }
}

fn who(explained: &Explanation, policy: &PolicySet) -> String {
    let tier = &policy.tier(explained.caller.tier).name;
    match &explained.caller.identity {
        Some((account, key)) => format!("account `{account}` with key `{key}`, tier `{tier}`"),
        None => format!("nobody that the policy knows, tier `{tier}`"),
    }
}

impl About<'_> {
    fn heading(&self, who: &str) -> String {
        let room = self.room.map_or("no room".into(), |room| format!("room {room}"));
        let client = self.client.map_or("nowhere".into(), |client| client.to_string());
        let library =
            if self.library.is_empty() { String::new() } else { format!(", library `{}`", self.library) };
        let mut text = format!(
            "{} {}\n   for {room}, from {client}, {who}{library}\n   at {}, after {} requests\n",
            self.method, self.target, self.at, self.after
        );
        if self.is_turned_away() {
            text.push_str("   it was turned away for want of capacity, and detection did not see it\n");
        }
        if let Some(verdict) = self.record.and_then(|record| record.verdict) {
            let rule = self.record.map(Record::rule).unwrap_or_default();
            let by = if rule.is_empty() { String::new() } else { format!(" (`{rule}`)") };
            // Writing into a text does not fail.
            let _ = writeln!(text, "   the record says: {}{by}", verdict.word());
        }
        text
    }

    /// What came of it, below what the policy says: an admitted request may have got no good answer all the same.
    fn closing(&self) -> String {
        let sentence = self.ending.and_then(Ending::sentence);
        sentence.map_or(String::new(), |sentence| format!("\n   the record says: {sentence}"))
    }

    fn is_turned_away(&self) -> bool {
        self.record.is_some_and(|record| record.turned_away)
    }

    fn add_to(&self, object: &mut Value) {
        object["type"] = "explanation".into();
        object["method"] = self.method.into();
        object["target"] = self.target.into();
        object["client"] = self.client.map(|client| client.to_string()).into();
        object["room"] = self.room.map(|room| room.to_string()).into();
        object["at"] = self.at.to_string().into();
        object["after_requests"] = self.after.into();
        object["turned_away"] = self.is_turned_away().into();
        object["ending"] = self.ending.map(Ending::json).into();
        object["recorded_verdict"] =
            self.record.and_then(|record| record.verdict).map(crate::engine::decision::Verdict::word).into();
    }
}

fn not_found(wanted: &Wanted, records: u64, unmet: Option<&str>) -> anyhow::Error {
    match wanted {
        Wanted::Line(line) => {
            let why = unmet.unwrap_or("the first input ends before it");
            anyhow::anyhow!("line {} holds no record: {why}", line + 1)
        }
        Wanted::RequestId(id) => anyhow::anyhow!(
            "request {} is not among {records} records: a request is recorded within half a second of its answer, unless \
             `allowed-share` leaves it out, and removed when the record has been kept long enough",
            quoted(id)
        ),
    }
}
