//! `signgate score`: labelled traffic and what was decided of it, judged.

use std::fmt::Write as _;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};

use super::check::Format;
use super::stdout::print;
use crate::replay::feed::LineCheck;
use crate::replay::input;
use crate::replay::report::Count;
use crate::score::{Score, Scored, Which, score, text};

/// What is judged.
#[derive(Debug, clap::Args)]
pub struct ScoreArgs {
    /// Labelled traffic, as `signgate simulate` writes it, plain or packed with gzip or zstd. Several times for several, each with its `--decisions`
    #[arg(long, value_name = "FILE", required = true)]
    traffic: Vec<PathBuf>,
    /// What was decided of it alone, as `signgate replay --decisions` writes it; in the order of `--traffic`
    #[arg(long, value_name = "FILE", required = true)]
    decisions: Vec<PathBuf>,
    /// Judge what would have been decided with every shadow rule enforced
    #[arg(long)]
    shadow: bool,
    /// How the scores are written: a table for a person, or one JSON object a line for each pair
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: Format,
}

/// Judges.
pub fn run(args: &ScoreArgs) -> anyhow::Result<ExitCode> {
    if args.traffic.len() != args.decisions.len() {
        bail!(
            "each `--traffic` needs its `--decisions`: there are {} and {}",
            args.traffic.len(),
            args.decisions.len()
        );
    }
    let which = if args.shadow { Which::Shadow } else { Which::Enforced };
    let mut scores = Vec::new();
    for (traffic, decisions) in args.traffic.iter().zip(&args.decisions) {
        scores.push((name(decisions), one(traffic, decisions, which)?));
    }
    let told = match args.format {
        Format::Text => text(&scores),
        Format::Json => {
            let mut lines = String::new();
            for ((name, score), traffic) in scores.iter().zip(&args.traffic) {
                let mut object = serde_json::to_value(score)?;
                object["decisions"] = name.as_str().into();
                object["traffic"] = traffic.display().to_string().into();
                // Writing into a text does not fail.
                let _ = writeln!(lines, "{object}");
            }
            lines
        }
    };
    print(&told)?;
    Ok(ExitCode::SUCCESS)
}

fn one(traffic: &Path, decisions: &Path, which: Which) -> anyhow::Result<Score> {
    let open = |path: &Path| input::open(path).map(BufReader::new);
    let mut check = LineCheck::default();
    let scored = score(open(traffic)?, open(decisions)?, which, |line| check.passes_over(line))
        .with_context(|| format!("cannot score `{}` by `{}`", traffic.display(), decisions.display()))?;
    let Scored { score, unlabelled, passed_over } = scored;
    if unlabelled > 0 {
        eprintln!(
            "warning: {} of the {} records in `{}` have no label and are not judged",
            Count(unlabelled),
            Count(unlabelled + score.records),
            traffic.display()
        );
    }
    if passed_over > 0 {
        eprintln!(
            "warning: {} lines of `{}` are no records and were passed over, as by the replay",
            Count(passed_over),
            traffic.display()
        );
    }
    Ok(score)
}

/// The decisions' file without its folder and ending: one trace may be judged under several policies.
fn name(path: &Path) -> String {
    path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}
