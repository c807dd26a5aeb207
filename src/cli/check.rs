//! `signgate check`: is this policy directory good, what does it change, and what would it decide? And is the deployment
//! file good?
//!
//! **Exit codes.** 0 clean; 1 with diagnostics, warnings too: a set that was probably not meant is not clean, and a script
//! that goes on at 0 must be able to rely on it. `--deny-warnings` therefore changes no code: it makes errors of them, so that
//! a set with warnings is neither compared nor explained; 2 where something could not be read or asked, as with `--explain`
//! where there are errors. Changes are no diagnostics:
//! `--against` leaves the code as it is, and whoever wants to stop at a change looks at the output. `--explain` asks
//! another question, and so 0 means that the request would be admitted, 1 that it would be refused.
//!
//! **Output.** stdout is for what was asked for, stderr for diagnostics. With `--format json` stdout holds one JSON object a
//! line, the diagnostics among them, each with its `type`: `diagnostic`, `change`, `explanation`, and a last `summary`.

mod explain;
pub(super) mod output;
mod scenarios;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};

use crate::base::time::{Clock, Timestamp};
use crate::config;
use crate::control::reload::PolicyPlace;
use crate::policy::diff::{Side, diff};
use crate::policy::{Diagnostic, PolicySet, Sources, compile};
use output::Output;

pub(super) use explain::BODY_UNREAD;
pub use output::Format;

/// What is checked.
#[derive(Debug, clap::Args)]
pub struct CheckArgs {
    /// The policy directory [default: the one that --config names, else ./policies]
    #[arg(value_name = "DIR")]
    directory: Option<PathBuf>,
    /// Check this deployment file too, and the policies that it names
    #[arg(long, value_name = "FILE", conflicts_with = "scenarios")]
    config: Option<PathBuf>,
    /// Say what would change from this directory, which is in force now, to DIR: the most dangerous first
    #[arg(long, value_name = "DIR", conflicts_with = "explain")]
    against: Option<PathBuf>,
    /// Say what DIR would decide for one request on empty counters, rule by rule; exit code 0 where it is admitted, 1 where
    /// it is refused
    #[arg(long, value_name = "REQUEST")]
    explain: Option<String>,
    /// Play the scenarios in this directory instead: folders with `traffic.jsonl`, `expected.jsonl` and a policy, or none, then
    /// DIR decides; exit code 0 where everything comes as expected
    #[arg(long, value_name = "FOLDER", conflicts_with_all = ["against", "explain"])]
    scenarios: Option<PathBuf>,
    #[command(flatten)]
    request: explain::RequestArgs,
    /// How the results are written: text for a person, or one JSON object a line on stdout, diagnostics among them
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: output::Format,
    /// Take warnings for errors: they are called so, and nothing is compared or explained; the exit code is 1 either
    /// way, with --explain 2
    #[arg(long)]
    deny_warnings: bool,
    /// Check as if it were this time (2027-01-01T00:00:00Z) instead of now: what has expired then?
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    at: Option<Timestamp>,
}

impl CheckArgs {
    /// How it ends where errors leave no policy to ask, with a word about what was asked for beside.
    fn stopped(&self) -> ExitCode {
        if self.explain.is_some() {
            // 1 would say that the request is refused.
            eprintln!("note: nothing was explained, as there are errors");
            return ExitCode::from(2);
        }
        if self.against.is_some() {
            eprintln!("note: nothing was compared, as there are errors");
        }
        ExitCode::from(1)
    }
}

pub(super) fn parse_time(text: &str) -> Result<Timestamp, String> {
    Timestamp::parse_rfc3339(text).ok_or_else(|| "expected a time such as 2027-01-01T00:00:00Z".to_owned())
}

/// Checks, and says what was asked for.
pub fn run(args: &CheckArgs) -> anyhow::Result<ExitCode> {
    let now = args.at.unwrap_or_else(|| Clock::system().now());
    let mut output = Output::new(args.format);
    if let Some(folder) = &args.scenarios {
        let directory = args.directory.as_deref().unwrap_or(Path::new(DIRECTORY_DEFAULT));
        return Ok(ExitCode::from(u8::from(!scenarios::run(&output, folder, directory)?)));
    }
    let (of_file, named) = match &args.config {
        Some(file) => deployment(file)?,
        None => (Vec::new(), None),
    };
    let place = match (&args.directory, named, &args.config) {
        (Some(directory), ..) => PolicyPlace::Directory(directory.clone()),
        (None, Some(named), _) => named,
        (None, None, None) => PolicyPlace::Directory(DIRECTORY_DEFAULT.into()),
        (None, None, Some(file)) => {
            let name = file.display().to_string();
            output.diagnostics(&of_file)?;
            eprintln!(
                "note: the policies were not checked: `{name}` does not tell where they are; name their directory"
            );
            output.summary(&name, None, &of_file)?;
            return Ok(args.stopped());
        }
    };
    let sources = match place.sources() {
        Ok(sources) => sources,
        Err(error) => {
            output.diagnostics(&of_file)?;
            return Err(error.into());
        }
    };
    let (set, of_policies) = match compile(&sources, now) {
        Ok(compiled) => (Some(compiled.set), compiled.warnings),
        Err(diagnostics) => (None, diagnostics),
    };
    let mut diagnostics = of_file;
    diagnostics.extend(of_policies);
    if args.deny_warnings {
        diagnostics.iter_mut().for_each(Diagnostic::deny);
    }
    output.diagnostics(&diagnostics)?;
    let good = set.filter(|_| !diagnostics.iter().any(Diagnostic::is_error));
    let Some(set) = good else {
        output.summary(&place.name(), None, &diagnostics)?;
        return Ok(args.stopped());
    };
    let mut code = u8::from(!diagnostics.is_empty());
    if let Some(against) = &args.against {
        let (before_sources, before) = load_before(against, now)?;
        let before = Side { set: &before, sources: &before_sources };
        let after = Side { set: &set, sources: &sources };
        output.changes(against, (before.set.digest(), set.digest()), &diff(before, after))?;
    }
    if let Some(request) = &args.explain {
        code = u8::from(!explain::run(&mut output, request, &args.request, (&set, &sources), now)?);
    }
    output.summary(&place.name(), Some(&set), &diagnostics)?;
    Ok(ExitCode::from(code))
}

/// What is checked where nothing is named.
const DIRECTORY_DEFAULT: &str = "./policies";

/// What is wrong with a deployment file, and which policies it names, where that can be told. Generators are put together
/// as a start does it, certificates among it, and none is asked.
fn deployment(file: &Path) -> anyhow::Result<(Vec<Diagnostic>, Option<PolicyPlace>)> {
    let config::Checked { mut found, settings, policies } = config::check(file)?;
    if let Some(Err(error)) = settings.as_ref().map(super::serve::wanted_generators) {
        let name = file.display().to_string().into();
        found.push(Diagnostic::error(format!("{error:#}")).in_file(&name));
    }
    Ok((found, policies.as_ref().map(super::serve::policy_place)))
}

/// The set that is compared with. What is doubtful about it is not asked.
fn load_before(directory: &Path, now: Timestamp) -> anyhow::Result<(Sources, PolicySet)> {
    let sources = PolicyPlace::Directory(directory.to_owned())
        .sources()
        .with_context(|| format!("nothing can be compared with `{}`", directory.display()))?;
    match compile(&sources, now) {
        Ok(compiled) => Ok((sources, compiled.set)),
        Err(diagnostics) => {
            let first = diagnostics.first().map(ToString::to_string).unwrap_or_default();
            bail!("nothing can be compared with `{}`, which is no good itself: {first}", directory.display())
        }
    }
}
