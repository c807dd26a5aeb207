//! How much of each attack gets through, and who pays for it? Scenarios x seeds x policies, with mean and worst.
//!
//! `cargo bench --bench detect -- --help` tells what can be chosen; without anything it runs every scenario where it belongs, at
//! 30 requests a second for half an hour, from three seeds. Ctrl-C stops after the run under way and prints what there is.
//! Beside the view-bot rules alone stand two baselines that are policies, too: limits per address, and a distinct quota of
//! addresses for each room. Times do not matter here: the same arguments print the same table.

mod goals;
mod policies;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, BufWriter, IsTerminal, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Parser;
use signgate::base::rate::parse_length;
use signgate::policy::PolicySet;
use signgate::replay::feed::{Feed, OnBroken};
use signgate::replay::run;
use signgate::score::{Score, Which, score};
use signgate::simulate::{Kind, Population, Scenario, Settings, Traffic, scenarios};

/// Judges policies by labelled traffic.
#[derive(Debug, Parser)]
struct Args {
    /// Which scenarios: names, or `all`, `honest`, `attacks`
    #[arg(long, value_delimiter = ',', default_value = "all")]
    scenarios: Vec<String>,
    /// In which populations: `own` for where each belongs
    #[arg(long, value_delimiter = ',', default_value = "own")]
    populations: Vec<String>,
    /// From how many seeds
    #[arg(long, default_value_t = 3)]
    seeds: u64,
    /// The first seed
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How long: several for several
    #[arg(long, value_delimiter = ',', default_value = "30m")]
    duration: Vec<String>,
    /// Ordinary traffic before
    #[arg(long, default_value = "")]
    history: String,
    /// Ordinary requests a second
    #[arg(long, value_delimiter = ',', default_value = "30")]
    rate: Vec<f64>,
    /// How much larger than usual attacks and crowds are
    #[arg(long, value_delimiter = ',', default_value = "1")]
    attack_size: Vec<f64>,
    /// Which policies: of `viewbot`, `per-address`, `distinct`, or directories
    #[arg(long, value_delimiter = ',', default_value = "viewbot,per-address,distinct")]
    policies: Vec<String>,
    /// Judge the shadow verdicts
    #[arg(long)]
    shadow: bool,
    /// Write each score as a JSON line to this file, too
    #[arg(long)]
    json: Option<std::path::PathBuf>,
    /// As cargo passes it
    #[arg(long, hide = true)]
    bench: bool,
}

/// What is the same of all seeds.
#[derive(Debug, Clone)]
struct Case {
    scenario: &'static Scenario,
    population: Population,
    duration: Duration,
    history: Duration,
    rate: f64,
    attack_size: f64,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let policies: Vec<(String, PolicySet)> = args
        .policies
        .iter()
        .map(|name| Ok((name.clone(), policies::of_name(name)?)))
        .collect::<anyhow::Result<_>>()?;
    let cases = cases(&args)?;
    let mut json = match &args.json {
        Some(path) => Some(File::create(path).with_context(|| format!("cannot write `{}`", path.display()))?),
        None => None,
    };
    let stop = on_interrupt();
    let is_watched = std::io::stderr().is_terminal();
    let directory = tempfile::tempdir()?;
    let trace = directory.path().join("traffic.jsonl");
    let which = if args.shadow { Which::Shadow } else { Which::Enforced };
    let width = policies.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
    println!("{}", goals::header(width));
    let total = cases.len() as u64 * args.seeds;
    let mut done = 0;
    'all: for case in &cases {
        let mut scores: BTreeMap<usize, Vec<Score>> = BTreeMap::new();
        for seed in args.seed..args.seed + args.seeds {
            if stop.load(Ordering::Relaxed) {
                print_case(case, &policies, &scores, width);
                break 'all;
            }
            done += 1;
            if is_watched {
                eprint!("\r{:60}\r{done} of {total}: {} from seed {seed}", "", case.scenario.name);
            }
            write_trace(case, seed, &trace)?;
            for (place, (name, policy)) in policies.iter().enumerate() {
                let score = judge(&trace, policy, which)?;
                if let Some(out) = &mut json {
                    let mut object = serde_json::to_value(&score)?;
                    object["policy"] = name.as_str().into();
                    object["seed"] = seed.into();
                    object["rate"] = case.rate.into();
                    object["attack_size"] = case.attack_size.into();
                    object["duration_s"] = case.duration.as_secs().into();
                    writeln!(out, "{object}")?;
                }
                scores.entry(place).or_default().push(score);
            }
        }
        if is_watched {
            eprint!("\r{:60}\r", "");
        }
        print_case(case, &policies, &scores, width);
    }
    if stop.load(Ordering::Relaxed) {
        eprintln!("stopped on request after {done} of {total}");
    }
    Ok(())
}

fn print_case(
    case: &Case,
    policies: &[(String, PolicySet)],
    scores: &BTreeMap<usize, Vec<Score>>,
    width: usize,
) {
    for (place, scores) in scores {
        let name = &policies[*place].0;
        println!("{}", goals::row(case, (name, width), scores));
    }
}

/// Everything that was asked for, the scenario changing slowest.
fn cases(args: &Args) -> anyhow::Result<Vec<Case>> {
    let length = |text: &str| {
        if text.is_empty() {
            Ok(Duration::ZERO)
        } else {
            parse_length(text).with_context(|| format!("`{text}`"))
        }
    };
    let history = length(&args.history)?;
    let mut chosen: Vec<&'static Scenario> = Vec::new();
    for name in &args.scenarios {
        let of = |kind| scenarios::ALL.into_iter().filter(move |scenario| scenario.kind == kind);
        match name.as_str() {
            "all" => chosen.extend(scenarios::ALL),
            "honest" => chosen.extend(of(Kind::Honest)),
            "attacks" => chosen.extend(of(Kind::Attack)),
            name => match scenarios::find(name) {
                Some(scenario) => chosen.push(scenario),
                None => bail!("unknown scenario `{name}`; `signgate simulate --list` names them"),
            },
        }
    }
    let mut cases = Vec::new();
    for scenario in chosen {
        for population in populations(args, scenario)? {
            for duration in &args.duration {
                for rate in &args.rate {
                    for attack_size in &args.attack_size {
                        cases.push(Case {
                            scenario,
                            population,
                            duration: length(duration)?,
                            history,
                            rate: *rate,
                            attack_size: *attack_size,
                        });
                    }
                }
            }
        }
    }
    Ok(cases)
}

fn populations(args: &Args, scenario: &Scenario) -> anyhow::Result<Vec<Population>> {
    if args.populations == ["own"] {
        return Ok(scenario.populations.to_vec());
    }
    let read = |text: &String| {
        text.parse().ok().and_then(Population::of_number).with_context(|| format!("no population `{text}`"))
    };
    args.populations.iter().map(read).collect()
}

fn write_trace(case: &Case, seed: u64, path: &Path) -> anyhow::Result<()> {
    let settings = Settings {
        population: case.population,
        rate: case.rate,
        duration: case.duration,
        history: case.history,
        attack_size: case.attack_size,
        ..Settings::new(case.scenario, seed)
    };
    let mut traffic = Traffic::new(settings);
    let mut out = BufWriter::with_capacity(1 << 18, File::create(path)?);
    let mut line = Vec::with_capacity(1 << 10);
    while let Some(record) = traffic.next() {
        line.clear();
        traffic.write_line(&record, &mut line);
        out.write_all(&line)?;
    }
    Ok(out.flush()?)
}

/// The one place where decisions are made: as `signgate replay` makes them, from empty counts.
fn judge(trace: &Path, policy: &PolicySet, which: Which) -> anyhow::Result<Score> {
    let mut feed = Feed::open(&[trace], OnBroken::Stop)?;
    let mut decisions = Vec::new();
    run::run(&mut feed, policy, None, 0, Some(&mut decisions), |_, _| {})?;
    // All of it was written by the simulation.
    let nothing_is_passed_over = |_: &[u8]| false;
    Ok(score(BufReader::new(File::open(trace)?), decisions.as_slice(), which, nothing_is_passed_over)?.score)
}

/// Becomes true at the first Ctrl-C. The second ends the program, as ever.
fn on_interrupt() -> Arc<AtomicBool> {
    let stop = Arc::new(AtomicBool::new(false));
    let asked = Arc::clone(&stop);
    std::thread::spawn(move || {
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
        runtime.block_on(async {
            if tokio::signal::ctrl_c().await.is_ok() {
                asked.store(true, Ordering::Relaxed);
                eprintln!("\nstopping after this run; once more to stop at once");
            }
            if tokio::signal::ctrl_c().await.is_ok() {
                std::process::exit(130);
            }
        });
    });
    stop
}
