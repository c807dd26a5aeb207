//! `signgate generators`: which a running gateway asks, which are on trial, and the operator's word in it.

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::Subcommand;
use serde_json::Value;

use super::bans::target;
use super::operate::{Answered, GatewayArgs};
use super::stdout::print;

/// What is to be done.
#[derive(Debug, Subcommand)]
pub enum GeneratorsVerb {
    /// List the generators: what each is for, whether it works, how much it has to do
    #[command(after_help = super::exit_codes::ASK)]
    List(GatewayArgs),
    /// Give a canary its part of all traffic
    ///
    /// It stays so until the gateway stops: take `canary-of` out of its `[[generator]]` before.
    #[command(after_help = super::exit_codes::ASK)]
    Promote(OneArgs),
    /// Take a canary back: it gets no traffic until `promote` or `reset`
    #[command(after_help = super::exit_codes::ASK)]
    Rollback(OneArgs),
    /// Give a generator nothing new: what it works on is finished
    #[command(after_help = super::exit_codes::ASK)]
    Drain(OneArgs),
    /// Give a generator what the deployment file says again; a canary is compared anew
    #[command(after_help = super::exit_codes::ASK)]
    Reset(OneArgs),
}

/// Which.
#[derive(Debug, clap::Args)]
pub struct OneArgs {
    /// Its name in the deployment file
    #[arg(value_name = "NAME")]
    name: String,
    #[command(flatten)]
    gateway: GatewayArgs,
}

/// Asks, and prints what came of it.
pub fn run(verb: &GeneratorsVerb) -> anyhow::Result<ExitCode> {
    match verb {
        GeneratorsVerb::List(gateway) => list(&gateway.ask("GET", "/generators")?),
        GeneratorsVerb::Promote(args) => order(args, "/generators/promote"),
        GeneratorsVerb::Rollback(args) => order(args, "/generators/rollback"),
        GeneratorsVerb::Drain(args) => order(args, "/generators/drain"),
        GeneratorsVerb::Reset(args) => order(args, "/generators/reset"),
    }
}

fn order(args: &OneArgs, path: &str) -> anyhow::Result<ExitCode> {
    let answered = args.gateway.ask("POST", &target(path, &[("name", &args.name)]))?;
    if let Some(code) = refused(&answered) {
        return Ok(code);
    }
    let text = |name: &str| answered.body[name].as_str().unwrap_or_default().to_owned();
    print(&format!("{} was {} and is {}\n", args.name, text("before"), text("duty")))?;
    Ok(ExitCode::SUCCESS)
}

/// Says why the gateway would not: exit code 1 for a well-formed no, 2 where it could not.
fn refused(answered: &Answered) -> Option<ExitCode> {
    if answered.status == 200 {
        return None;
    }
    eprintln!("error: {}", answered.body["message"].as_str().unwrap_or("the gateway gave no reason"));
    Some(ExitCode::from(if matches!(answered.status, 404 | 409) { 1 } else { 2 }))
}

fn list(answered: &Answered) -> anyhow::Result<ExitCode> {
    if let Some(code) = refused(answered) {
        return Ok(code);
    }
    let mut out = String::new();
    // Writing into a text does not fail.
    let _ = writeln!(
        out,
        "{:<20} {:<9} {:<12} {:<8} {:>9}  {:<24} why not, canary of",
        "name", "kind", "duty", "healthy", "in flight", "since"
    );
    for one in answered.body["generators"].as_array().into_iter().flatten() {
        let text = |name: &str| one[name].as_str().unwrap_or_default();
        let of = match (&one["canary_of"], &one["canary_share"]) {
            (Value::String(of), share) => {
                Some(format!("canary of {of}, {:.1} %", share.as_f64().unwrap_or_default() * 100.0))
            }
            _ => None,
        };
        let why_not = one["why_not"].as_str().map(str::to_owned);
        let more = why_not.into_iter().chain(of).collect::<Vec<_>>().join("; ");
        let healthy = if one["healthy"] == true { "yes" } else { "no" };
        let line = format!(
            "{:<20} {:<9} {:<12} {healthy:<8} {:>9}  {:<24} {more}",
            text("name"),
            text("kind"),
            text("duty"),
            format!("{}/{}", one["in_flight"], one["in_flight_max"]),
            text("since")
        );
        let _ = writeln!(out, "{}", line.trim_end());
    }
    print(&out)?;
    Ok(ExitCode::SUCCESS)
}
