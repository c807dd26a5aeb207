//! `signgate token`: tokens for the admin listener. Nothing is asked of a running gateway, and no file is touched.

use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::ValueEnum;

use super::random;
use super::stdout::hand_over;
use crate::base::id::is_name;
use crate::base::secret::{KeyHash, key_text};
use crate::policy::diagnostic::quoted;

/// What is to be done.
#[derive(Debug, clap::Subcommand)]
pub enum TokenVerb {
    /// Make a token: it is printed to stdout, once, and the table that lets it in to stderr
    ///
    /// The token is for `--admin-url` of the other commands (in SIGNGATE_ADMIN_TOKEN or a `--token-file`) and for
    /// `Authorization: Bearer` of programs. The table goes into the deployment file, which is read at the start: restart the
    /// gateway for it. Only the token's hash stands there.
    #[command(after_help = "Exit codes: 0 made, 2 where it could not be")]
    New(NewArgs),
}

/// Whose token, and what for.
#[derive(Debug, clap::Args)]
pub struct NewArgs {
    /// What it admits to
    #[arg(long, value_name = "ROLE")]
    role: RoleWord,
    /// Whose it is, as the log and the access record tell of what was done with it [default: the role and -1]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
}

/// The roles. Each admits to all that the one before it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum RoleWord {
    /// Looks: GET of /policies, /generators, /bans, /viewbot/rooms
    Viewer,
    /// Also changes: reload and rollback, bans, pardons, generators (promote, rollback, drain, reset), setting the record aside
    Operator,
    /// Everything; in this version that is what an operator may
    Admin,
}

/// Makes it.
pub fn run(verb: &TokenVerb) -> anyhow::Result<ExitCode> {
    let TokenVerb::New(NewArgs { role, name }) = verb;
    let role = role.to_possible_value().map(|word| word.get_name().to_owned()).unwrap_or_default();
    let name = name.clone().unwrap_or_else(|| format!("{role}-1"));
    if !is_name(&name) {
        bail!("{} is no name: expected 1 to 64 letters, digits, `-`, `_`, `.`, `@`", quoted(&name));
    }
    let token = key_text(&random()?);
    let hash = KeyHash::of(token.reveal().as_bytes());
    eprintln!("this is the only time that the token is shown; into the deployment file goes its hash:\n");
    eprintln!("[[admin.token]]\nname = \"{name}\"\nhash = \"{hash}\"\nrole = \"{role}\"\n");
    hand_over(&format!("{}\n", token.reveal()))
        .context("cannot write the token to stdout: nobody has it, make another")?;
    Ok(ExitCode::SUCCESS)
}
