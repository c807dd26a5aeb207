//! `signgate check --scenarios DIR`: does each stretch of traffic come to what is expected of it?
//!
//! A scenario is a folder with `traffic.jsonl`, `expected.jsonl`, and a policy of its own, or none: then the directory that is
//! checked decides.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde_json::json;

use super::output::Output;
use crate::cli::replay::load_place;
use crate::control::reload::PolicyPlace;
use crate::replay::scenario::{self, Played};

/// So many differences of one scenario are told.
const MISSES_MAX: usize = 10;

/// Plays all of them; whether everything came as expected.
pub(super) fn run(output: &Output, scenarios: &Path, checked: &Path) -> anyhow::Result<bool> {
    let mut good = true;
    for directory in folders(scenarios)? {
        let name = directory.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let own = holds_policy(&directory)?;
        let place = PolicyPlace::Directory(if own { directory.clone() } else { checked.to_owned() });
        let policy = load_place(&place).with_context(|| format!("scenario `{name}`"))?;
        let played = scenario::play(&policy, &directory).with_context(|| format!("scenario `{name}`"))?;
        good &= played.misses.is_empty();
        tell(output, &name, &played)?;
    }
    Ok(good)
}

fn tell(output: &Output, name: &str, played: &Played) -> anyhow::Result<()> {
    let Played { requests, refused, misses } = played;
    output.result(
        || {
            let misses = misses.iter().map(|miss| {
                json!({ "line": miss.line, "request": miss.request, "expected": miss.expected, "decided": miss.decided })
            });
            json!({
                "type": "scenario", "scenario": name, "good": played.misses.is_empty(), "requests": requests,
                "refused": refused, "misses": misses.collect::<Vec<_>>(),
            })
        },
        || {
            if misses.is_empty() {
                return format!("{name}: as expected, {requests} requests of which {refused} are refused");
            }
            let mut text = format!("{name}: {} differences in {requests} requests", misses.len());
            // Writing into a text does not fail.
            for miss in misses.iter().take(MISSES_MAX) {
                let _ = write!(text, "\n  {miss}");
            }
            if misses.len() > MISSES_MAX {
                let _ = write!(text, "\n  and {} more", misses.len() - MISSES_MAX);
            }
            text
        },
    )
}

/// The folders that hold traffic, by name; `directory` itself, where it is a scenario.
fn folders(directory: &Path) -> anyhow::Result<Vec<PathBuf>> {
    if directory.join(scenario::TRAFFIC).is_file() {
        return Ok(vec![directory.to_owned()]);
    }
    let read = || format!("cannot read the scenarios in `{}`", directory.display());
    let mut folders = Vec::new();
    for entry in std::fs::read_dir(directory).with_context(read)? {
        let path = entry.with_context(read)?.path();
        if path.join(scenario::TRAFFIC).is_file() {
            folders.push(path);
        }
    }
    if folders.is_empty() {
        bail!(
            "`{}` holds no scenario: one is a folder with `{}` and `{}`",
            directory.display(),
            scenario::TRAFFIC,
            scenario::EXPECTED
        );
    }
    folders.sort();
    Ok(folders)
}

fn holds_policy(directory: &Path) -> anyhow::Result<bool> {
    let mut entries = std::fs::read_dir(directory)?.map_while(Result::ok);
    Ok(entries.any(|entry| entry.path().extension().is_some_and(|extension| extension == "toml")))
}
