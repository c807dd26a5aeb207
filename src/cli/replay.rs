//! `signgate replay`: recorded traffic against a policy. Who would be refused, why, and what another policy says otherwise?
//!
//! stdout is for the report, stderr for talk and progress, `--decisions` for one line for each record (design 9).
//!
//! **Reloads in the record are told and not followed.** A record holds the digest of the policy that came into force, not its
//! files; and the question is what the policies given here would have done with all of this traffic. To see what a reload
//! changed, replay with the new policies `--against` a copy of the former ones.
//! What an operator ordered (a ban, a lift, a promotion, a pardon) is followed, by both policies.
//!
//! Exit codes: 0 done, 2 where something could not be read or written, there are lines and not one is a record, or a broken line
//! was met with `--strict`. What was read before it could not be read on is decided and reported all the same.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};

use super::check::Format;
use super::progress::Progress;
use super::same_file::{refuse_to_write_over, refuse_twice};
use super::stdout::print;
use crate::base::time::Clock;
use crate::control::place::LoadError;
use crate::control::reload::PolicyPlace;
use crate::engine::order;
use crate::policy::PolicySet;
use crate::replay::feed::{Feed, Noticed, OnBroken};
use crate::replay::report::{Count, Report};
use crate::replay::run::{self, Compared, Outcome, ReplayError};
use crate::telemetry::access_log::START;

/// What is replayed, and against what.
#[derive(Debug, clap::Args)]
pub struct ReplayArgs {
    /// The policy directory that decides
    #[arg(long, value_name = "DIR", default_value = "./policies")]
    policies: PathBuf,
    /// Recorded traffic: one JSON object a line, plain or packed with gzip or zstd; `-` is stdin. Several times for several
    /// files, in any order: they are merged by the times of their records
    #[arg(long, value_name = "FILE", required = true)]
    input: Vec<PathBuf>,
    /// Write what is decided of each record to FILE, one JSON object a line in the order of the decisions; `-` is stdout, and the report
    /// goes to stderr then. `line` is counted from 0 there (by `explain --line` from 1), in each `file` where there are several
    #[arg(long, value_name = "FILE")]
    decisions: Option<PathBuf>,
    /// Compare with this policy directory, which is in force now: who would newly be refused, who freed
    #[arg(long, value_name = "DIR")]
    against: Option<PathBuf>,
    /// How the report is written: text for a person, or one JSON object
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: Format,
    /// Show at most so many rows of a kind; JSON tells under `in_all` how many there are
    #[arg(long, value_name = "N", default_value_t = 10)]
    rows: usize,
    /// Stop at the first line that is no record, instead of passing it over
    #[arg(long)]
    strict: bool,
}

/// Replays.
pub fn run(args: &ReplayArgs) -> anyhow::Result<ExitCode> {
    refuse_twice(&args.input)?;
    if let Some(decisions) = &args.decisions {
        refuse_to_write_over(&args.input, decisions)?;
    }
    let policy = load(&args.policies)?;
    let against = args.against.as_deref().map(load).transpose()?;
    let on_broken = if args.strict { OnBroken::Stop } else { OnBroken::Skip };
    let mut feed = Feed::open(&args.input, on_broken)?;
    let mut decisions: Option<Box<dyn Write>> = match args.decisions.as_deref() {
        None => None,
        Some(path) if path == Path::new("-") => Some(Box::new(BufWriter::new(std::io::stdout()))),
        Some(path) => {
            let file = File::create(path).with_context(|| format!("cannot write to `{}`", path.display()))?;
            Some(Box::new(BufWriter::new(file)))
        }
    };
    // The seed is another one each time, so that whoever depends on it is found out.
    let seed = u64::from_le_bytes(super::random()?);
    let mut progress = Progress::new();
    let into = decisions.as_mut().map(|file| file.as_mut() as &mut dyn Write);
    let mut outcome = Outcome::default();
    let policies = (&policy, against.as_ref());
    let done = run::run_into(&mut outcome, &mut feed, policies, seed, into, |feed, count| {
        progress.tell(count, "records", feed.progress());
    });
    progress.done();
    let stopped = match done {
        Ok(()) => None,
        // A reader that has seen enough, such as `head`.
        Err(ReplayError::Decisions(error)) if error.kind() == ErrorKind::BrokenPipe => {
            return Ok(ExitCode::SUCCESS);
        }
        Err(error @ ReplayError::Decisions(_)) => return Err(error.into()),
        // What was read is decided, and its decisions are written: it is told before the error.
        Err(ReplayError::Input(error)) => Some(error),
    };
    let elapsed = progress.elapsed();
    tell(&feed, &policy);
    let directory = args.policies.display().to_string();
    tell_unlike(outcome.compared, &directory);
    tell_tiers(&outcome.unknown_tiers, &directory);
    if let Some(against) = &args.against {
        let directory = against.display().to_string();
        tell_unlike(outcome.compared_against, &directory);
        tell_tiers(&outcome.unknown_tiers_against, &directory);
    }
    match stopped {
        Some(error) if outcome.tally.total.asked == 0 => return Err(error.into()),
        Some(_) => {
            eprintln!("warning: the input was not read to its end: the report is of what stands before");
        }
        None if feed.noticed.is_nothing_but_broken(outcome.tally.total.asked) => {
            bail!("not one line of the input is a record: nothing was decided");
        }
        _ => {}
    }
    let rate = outcome.tally.total.asked as f64 / elapsed.as_secs_f64().max(0.001);
    #[expect(clippy::cast_sign_loss, reason = "a count over a time is not negative")]
    let rate = Count(rate as u64);
    eprintln!(
        "{} records in {:.1} s, {rate} a second",
        Count(outcome.tally.total.asked),
        elapsed.as_secs_f64()
    );
    let report = Report { outcome: &outcome, policy: &policy, rows_max: args.rows };
    let text = match args.format {
        Format::Text => report.text(),
        Format::Json => format!("{}\n", report.json()),
    };
    if args.decisions.as_deref() == Some(Path::new("-")) {
        eprint!("{text}");
    } else {
        print(&text)?;
    }
    stopped.map_or(Ok(ExitCode::SUCCESS), |error| Err(error.into()))
}

/// Reads and compiles a policy directory; what is doubtful about it is `check`'s to tell.
fn load(directory: &Path) -> anyhow::Result<PolicySet> {
    load_place(&PolicyPlace::Directory(directory.to_owned()))
}

/// The same from any place.
pub(super) fn load_place(place: &PolicyPlace) -> anyhow::Result<PolicySet> {
    match place.load(Clock::system().now()) {
        Ok(loaded) => Ok(loaded.policy),
        Err(LoadError::Read(error)) => Err(error.into()),
        Err(LoadError::Wrong(diagnostics)) => {
            eprint!("{}", crate::policy::diagnostic::render(&diagnostics));
            bail!("the policies in `{}` cannot be used", place.name())
        }
    }
}

/// A word of a record, without what a terminal obeys.
fn printable(word: &str) -> String {
    word.chars().filter(|c| !c.is_control()).collect()
}

/// That a policy says otherwise here than it did when the records were made, and why that may be.
pub(super) fn tell_unlike(compared: Compared, directory: &str) {
    if compared.unlike > 0 {
        eprintln!(
            "warning: {} of {} verdicts that the policy of `{directory}` recorded are other ones here: records may be missing \
             (left out by `allowed-share`, an earlier part), or another policy or several workers be behind it",
            Count(compared.unlike),
            Count(compared.verdicts)
        );
    }
}

/// Which tiers the policies of a directory lack.
pub(super) fn tell_tiers(unknown: &BTreeSet<String>, directory: &str) {
    for tier in unknown {
        let tier: String = printable(tier).chars().take(64).collect();
        eprintln!(
            "warning: tier `{tier}` is not in the policy of `{directory}`; its accounts count as free ones"
        );
    }
}

/// What a person should know of the input before believing what follows from it.
pub(super) fn tell(feed: &Feed, policy: &PolicySet) {
    let Noticed { broken, complaints, events, policies, cut_addresses, sampled, .. } = &feed.noticed;
    for (place, why) in complaints {
        eprintln!("warning: {place} is no record and was passed over: {why}");
    }
    if *broken > complaints.len() as u64 {
        eprintln!("warning: {} more lines are no records", Count(broken - complaints.len() as u64));
    }
    if feed.too_late() > 0 {
        eprintln!(
            "warning: {} records stood more than two minutes from their place and were decided late",
            Count(feed.too_late())
        );
    }
    if *sampled > 0 {
        eprintln!(
            "warning: {} records are a share of what was admitted (`allowed-share`): quotas are used up later here than they were",
            Count(*sampled)
        );
    }
    if *cut_addresses > 0 {
        eprintln!(
            "warning: {} records have cut addresses: rules per address count whole networks",
            Count(*cut_addresses)
        );
    }
    let own = policy.digest().to_string();
    if !policies.is_empty() && !policies.contains_key(&own) {
        eprintln!("the records were decided by other policies than {own}");
    }
    for (event, count) in events {
        let what = match event.as_str() {
            "reload" | "rollback" => {
                "not followed: the policies given here decide from the first record to the last"
            }
            START => "followed: nothing that was counted before is known any more, as in the gateway",
            word if order::WORDS.contains(&word) => "followed where they find what they are about",
            _ => "nothing follows from them",
        };
        eprintln!("{} events `{}` in the record; {what}", Count(*count), printable(event));
    }
    for (at, event, policy) in &feed.noticed.first_reloads {
        let same = if *policy == own { ", the one given here" } else { "" };
        eprintln!("  {event} at {at}: policy {} came into force{same}", printable(policy));
    }
    if feed.noticed.reloads > feed.noticed.first_reloads.len() as u64 {
        eprintln!("  and {} more", Count(feed.noticed.reloads - feed.noticed.first_reloads.len() as u64));
    }
}
