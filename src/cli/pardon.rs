//! `signgate pardon`: an event is an event, and no attack.

use std::process::ExitCode;

use super::bans::{refused, target};
use super::operate::GatewayArgs;
use super::stdout::print;

/// What is pardoned.
#[derive(Debug, clap::Args)]
pub struct PardonArgs {
    /// The room: its number, or `@` and its unique id
    #[arg(value_name = "ROOM")]
    room: String,
    /// For how long view-bot detection looks away from the room
    #[arg(long = "for", value_name = "TIME", default_value = "1h")]
    length: String,
    #[command(flatten)]
    gateway: GatewayArgs,
}

/// Asks, and prints what came of it.
pub fn run(args: &PardonArgs) -> anyhow::Result<ExitCode> {
    let asked = target("/viewbot/pardon", &[("room", &args.room), ("for", &args.length)]);
    let answered = args.gateway.ask("POST", &asked)?;
    if let Some(code) = refused(&answered) {
        return Ok(code);
    }
    let text = |name: &str| answered.body[name].as_str().unwrap_or_default().to_owned();
    let printed = print(&format!("room {} is pardoned until {}\n", text("room"), text("until")));
    let dropped = answered.body["bans_dropped"].as_u64().unwrap_or_default();
    eprintln!("{dropped} bans that went back to it are dropped; bans of your own stay");
    printed?;
    Ok(ExitCode::SUCCESS)
}
