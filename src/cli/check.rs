//! `signgate check`: is this policy directory good?

use std::path::PathBuf;
use std::process::ExitCode;

use crate::base::time::Clock;
use crate::control::reload::{LoadError, PolicyPlace};
use crate::policy::diagnostic::render;

/// What is checked.
#[derive(Debug, clap::Args)]
pub struct CheckArgs {
    /// The policy directory
    #[arg(value_name = "DIR", default_value = "./policies")]
    directory: PathBuf,
}

/// Checks, and says on stderr what is wrong.
pub fn run(args: &CheckArgs) -> anyhow::Result<ExitCode> {
    let place = PolicyPlace::Directory(args.directory.clone());
    match place.load(Clock::system().now()) {
        Ok(loaded) => {
            eprint!("{}", render(&loaded.warnings));
            let policy = &loaded.policy;
            eprintln!(
                "{}: {} rules, {} tiers, {} accounts, {} keys, {} targets; policy {}",
                args.directory.display(),
                policy.rules().len(),
                policy.tiers().len(),
                policy.accounts().len(),
                policy.keys().len(),
                policy.targets().len(),
                policy.digest()
            );
            Ok(ExitCode::from(u8::from(!loaded.warnings.is_empty())))
        }
        Err(LoadError::Wrong(diagnostics)) => {
            eprint!("{}", render(&diagnostics));
            Ok(ExitCode::from(1))
        }
        Err(LoadError::Read(error)) => Err(error.into()),
    }
}
