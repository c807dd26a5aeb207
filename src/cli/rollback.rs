//! `signgate rollback`: brings an earlier policy back in the running gateway.

use std::fmt::Write as _;
use std::process::ExitCode;

use super::operate::GatewayArgs;
use super::reload::tell;
use super::stdout::print;

/// What is brought back.
#[derive(Debug, clap::Args)]
pub struct RollbackArgs {
    /// The policy to bring back [default: the one before the one in force]
    #[arg(long, value_name = "DIGEST")]
    to: Option<String>,
    /// Only tell which policies are kept
    #[arg(long, conflicts_with = "to")]
    list: bool,
    #[command(flatten)]
    gateway: GatewayArgs,
}

/// Asks, and prints what came of it.
pub fn run(args: &RollbackArgs) -> anyhow::Result<ExitCode> {
    if args.list {
        return list(&args.gateway);
    }
    let target = match args.to.as_deref() {
        None => "/policies/rollback".to_owned(),
        Some(to) if to.len() == 16 && to.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
            format!("/policies/rollback?to={to}")
        }
        Some(_) => anyhow::bail!("a policy is named by 16 hexadecimal digits: `signgate rollback --list`"),
    };
    let answered = args.gateway.ask("POST", &target)?;
    if answered.status == 200 && answered.body["result"] != "unchanged" {
        eprintln!("the files on disk are passed over until a policy file changes, or `signgate reload`");
    }
    tell(&answered)
}

fn list(gateway: &GatewayArgs) -> anyhow::Result<ExitCode> {
    let answered = gateway.ask("GET", "/policies")?;
    if answered.status != 200 {
        return tell(&answered);
    }
    let mut list = String::new();
    for set in answered.body["kept"].as_array().into_iter().flatten() {
        let text = |name: &str| set[name].as_str().unwrap_or_default().to_owned();
        let mark = if set["in_force"] == true { "  in force" } else { "" };
        // Writing into a text does not fail.
        let _ = writeln!(list, "{}  {}{mark}", text("digest"), text("since"));
    }
    if answered.body["rolled_back"] == true {
        eprintln!(
            "rolled back: the files on disk are passed over until a policy file changes, or `signgate reload`"
        );
    }
    print(&list)?;
    Ok(ExitCode::SUCCESS)
}
