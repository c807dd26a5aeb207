//! `signgate reload`: has the running gateway read its policies again, and says what changed.

use std::fmt::Write as _;
use std::process::ExitCode;

use serde_json::Value;

use super::operate::{Answered, GatewayArgs};
use super::stdout::print;

/// What is asked for.
#[derive(Debug, clap::Args)]
pub struct ReloadArgs {
    /// Take feeds that lost more than half of their entries: whoever is on them no longer is let in
    #[arg(long)]
    confirm_shrink: bool,
    #[command(flatten)]
    gateway: GatewayArgs,
}

/// Asks, and prints what came of it.
pub fn run(args: &ReloadArgs) -> anyhow::Result<ExitCode> {
    let target = if args.confirm_shrink { "/policies/reload?confirm=shrink" } else { "/policies/reload" };
    tell(&args.gateway.ask("POST", target)?)
}

/// What changed on stdout; a refusal, warnings and counters that start anew on stderr. Exit code 0 where a set is in force
/// as asked, 1 where it was refused, 2 where the gateway would not or could not.
pub(super) fn tell(answered: &Answered) -> anyhow::Result<ExitCode> {
    let Answered { status, body } = answered;
    if *status != 200 {
        let message = body["message"].as_str().unwrap_or("the gateway gave no reason");
        let marked =
            if message.starts_with("error") || message.starts_with("warning") { "" } else { "error: " };
        eprintln!("{marked}{message}");
        return Ok(ExitCode::from(if matches!(status, 404 | 409 | 422) { 1 } else { 2 }));
    }
    let texts = |name: &str| body[name].as_array().into_iter().flatten().filter_map(Value::as_str);
    if let Some(warnings) = body["warnings"].as_str() {
        eprintln!("{warnings}");
    }
    for lost in texts("counters_that_start_anew") {
        eprintln!("warning: {lost}");
    }
    let mut told = String::new();
    // Writing into a text does not fail.
    for change in texts("changes") {
        let _ = writeln!(told, "{change}");
    }
    let policy = &body["policy"];
    let _ = writeln!(
        told,
        "policy {} is {}, generation {}, since {}",
        policy["digest"].as_str().unwrap_or_default(),
        if body["result"] == "unchanged" { "unchanged" } else { "in force" },
        policy["generation"],
        policy["since"].as_str().unwrap_or_default()
    );
    print(&told)?;
    Ok(ExitCode::SUCCESS)
}
