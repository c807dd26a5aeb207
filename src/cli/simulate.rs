//! `signgate simulate`: labelled traffic, to try a policy on before anybody is refused by it.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read as _, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};

use super::same_file::is_same_file;
use super::stdout::{despite_closed_pipe, print};
use crate::base::rate::parse_length;
use crate::base::time::Timestamp;
use crate::policy::diagnostic::{closest, quoted};
use crate::simulate::{Kind, Population, Scenario, Settings, Traffic, scenarios, write_networks};

/// So much is written at a time.
const CHUNK: usize = 1 << 18;

/// No line of simulated traffic is longer.
const LINE_BYTES_MAX: u64 = 16 << 10;

/// What is simulated.
#[derive(Debug, clap::Args)]
pub struct SimulateArgs {
    /// What happens: a name of `--list`
    #[arg(long, value_name = "NAME", default_value = "ordinary")]
    scenario: String,
    /// List the scenarios with what each models and why it is hard, and do nothing else
    #[arg(long)]
    list: bool,
    /// What ordinary traffic is like: 1 for independent attributes and rooms with a long history; 2 for streams that start
    /// and end, national audiences and roll-outs. Left out: where the scenario belongs
    #[arg(long, value_name = "1|2", value_parser = parse_population)]
    population: Option<Population>,
    /// From which everything is drawn: the same seed makes the same traffic, byte for byte
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    seed: u64,
    /// Ordinary requests a second, from 0.1 to 100000
    #[arg(long, value_name = "NUMBER", default_value_t = 30.0, value_parser = parse_rate)]
    rate: f64,
    /// How long the part is in which the scenario happens: it begins when two fifths of it are over
    #[arg(long, value_name = "LENGTH", default_value = "30m", value_parser = parse_duration)]
    duration: Duration,
    /// How much ordinary traffic comes before that
    #[arg(long, value_name = "LENGTH", default_value = "0s", value_parser = parse_duration)]
    history: Duration,
    /// How much larger than usual the scenario's own crowd or attack is, from 0.01 to 100
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0, value_parser = parse_size)]
    attack_size: f64,
    /// How many rooms are live at a time, from 60. Left out: twenty for each request a second
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(60..=100_000))]
    rooms: Option<u32>,
    /// When it begins
    #[arg(long, value_name = "TIME", default_value = "2027-01-15T08:00:00Z", value_parser = parse_time)]
    start: Timestamp,
    /// Where the records go: a file, or `-` for stdout. Of files that are there only simulated traffic is written over
    #[arg(long, value_name = "FILE", default_value = "-")]
    out: PathBuf,
    /// Write the table of the networks, too, which a policy's `[networks]` reads: the same for all seeds and scenarios
    #[arg(long, value_name = "FILE")]
    networks: Option<PathBuf>,
    /// Write over whatever is in the files of `--out` and `--networks`
    #[arg(long)]
    force: bool,
}

fn parse_population(text: &str) -> Result<Population, String> {
    let number = text.parse().ok().and_then(Population::of_number);
    number.ok_or_else(|| "expected 1 or 2".to_owned())
}

fn parse_duration(text: &str) -> Result<Duration, String> {
    if text == "0" || text == "0s" {
        return Ok(Duration::ZERO);
    }
    parse_length(text).map_err(|error| error.to_string())
}

fn parse_rate(text: &str) -> Result<f64, String> {
    parse_within(text, 0.1, 100_000.0)
}

fn parse_size(text: &str) -> Result<f64, String> {
    parse_within(text, 0.01, 100.0)
}

fn parse_within(text: &str, from: f64, to: f64) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number| (from..=to).contains(number));
    number.ok_or_else(|| format!("expected a number from {from} to {to}"))
}

fn parse_time(text: &str) -> Result<Timestamp, String> {
    Timestamp::parse_rfc3339(text).ok_or_else(|| "expected a time such as 2027-01-15T08:00:00Z".to_owned())
}

/// Writes the traffic.
pub fn run(args: &SimulateArgs) -> anyhow::Result<ExitCode> {
    if args.list {
        print(&list())?;
        return Ok(ExitCode::SUCCESS);
    }
    let settings = settings(args)?;
    if let Some(networks) = &args.networks
        && (args.out == *networks || is_same_file(&args.out, networks))
    {
        bail!(
            "`--out` and `--networks` are both `{}`: choose two files; nothing was written",
            networks.display()
        );
    }
    // Both looked at before either is written.
    if !args.force {
        may_write_over(&args.out, "traffic of `signgate simulate`", is_our_traffic)?;
    }
    if let Some(path) = &args.networks {
        if !args.force {
            may_write_over(path, "the table of `signgate simulate --networks`", is_our_table)?;
        }
        let mut out = create(path)?;
        let written = write_networks(&mut out).and_then(|()| out.flush());
        despite_closed_pipe(written).with_context(|| cannot_write(path))?;
    }
    let mut out = create(&args.out)?;
    match write(settings, &mut out) {
        // A reader that has seen enough, such as `head`.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
        Err(error) => Err(error).with_context(|| cannot_write(&args.out)),
        Ok(told) => {
            eprintln!("{told}");
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn settings(args: &SimulateArgs) -> anyhow::Result<Settings> {
    let Some(scenario) = scenarios::find(&args.scenario) else {
        let known = scenarios::ALL.iter().map(|scenario| scenario.name);
        match closest(&args.scenario, known) {
            Some(similar) => {
                bail!("unknown scenario {}; a similar one is `{similar}`", quoted(&args.scenario))
            }
            None => bail!("unknown scenario {}; `--list` names them", quoted(&args.scenario)),
        }
    };
    let usual = Settings::new(scenario, args.seed);
    Ok(Settings {
        population: args.population.unwrap_or(usual.population),
        rate: args.rate,
        duration: args.duration,
        history: args.history,
        attack_size: args.attack_size,
        rooms: args.rooms,
        start_ms: args.start.as_millis(),
        ..usual
    })
}

/// Whether a file may be written over: one that is not there, that is empty, that is no file but a device or a pipe, or that
/// is `ours` already. An operator's own table of networks, or a record, is not to be had again.
fn may_write_over(
    path: &Path,
    what: &str,
    ours: fn(&mut dyn BufRead) -> io::Result<bool>,
) -> anyhow::Result<()> {
    if path == Path::new("-")
        || !std::fs::metadata(path).is_ok_and(|found| found.is_file() && found.len() > 0)
    {
        return Ok(());
    }
    let is_ours = File::open(path).and_then(|file| ours(&mut BufReader::new(file)));
    if is_ours.with_context(|| format!("cannot read `{}`", path.display()))? {
        return Ok(());
    }
    bail!(
        "`{}` is there and is not {what}: choose another file, or write over it with `--force`; nothing was written",
        path.display()
    )
}

/// A first line as this writes it: a record with the label of who it was in truth.
fn is_our_traffic(file: &mut dyn BufRead) -> io::Result<bool> {
    let mut line = Vec::new();
    file.take(LINE_BYTES_MAX).read_until(b'\n', &mut line)?;
    let record: serde_json::Map<String, serde_json::Value> =
        serde_json::from_slice(&line).unwrap_or_default();
    Ok(record.get("label").is_some_and(|label| label["scenario"].is_string() && label["persona"].is_string()))
}

/// The table itself: it is the same each time.
fn is_our_table(file: &mut dyn BufRead) -> io::Result<bool> {
    let mut table = Vec::new();
    write_networks(&mut table)?;
    let mut found = Vec::new();
    file.take(table.len() as u64 + 1).read_to_end(&mut found)?;
    Ok(found == table)
}

fn create(path: &Path) -> anyhow::Result<Box<dyn Write>> {
    if path == Path::new("-") {
        return Ok(Box::new(io::stdout().lock()));
    }
    let file = File::create(path).with_context(|| cannot_write(path))?;
    Ok(Box::new(BufWriter::new(file)))
}

fn cannot_write(path: &Path) -> String {
    format!("cannot write `{}`", path.display())
}

/// Writes all lines; what there was of them.
fn write(settings: Settings, out: &mut impl Write) -> io::Result<String> {
    let (scenario, population, seed) = (settings.scenario.name, settings.population.number(), settings.seed);
    let mut traffic = Traffic::new(settings);
    let mut chunk = Vec::with_capacity(CHUNK + 4_096);
    let (mut records, mut attack) = (0u64, 0u64);
    while let Some(record) = traffic.next() {
        records += 1;
        attack += u64::from(record.is_attack);
        traffic.write_line(&record, &mut chunk);
        if chunk.len() >= CHUNK {
            out.write_all(&chunk)?;
            chunk.clear();
        }
    }
    out.write_all(&chunk)?;
    out.flush()?;
    Ok(format!(
        "`{scenario}` in population {population}, seed {seed}: {records} records, {attack} of them of an attack"
    ))
}

/// The scenarios, as a person reads them.
fn list() -> String {
    let mut text = String::new();
    for population in Population::ALL {
        for kind in [Kind::Honest, Kind::Attack] {
            let what = match kind {
                Kind::Honest => "nobody should be refused",
                Kind::Attack => "attacks",
            };
            // Writing into a text does not fail.
            let _ = writeln!(text, "population {}, {what}:", population.number());
            let here = |scenario: &&&Scenario| scenario.kind == kind && scenario.populations[0] == population;
            for Scenario { name, summary, hard, .. } in scenarios::ALL.iter().filter(here) {
                let _ = writeln!(text, "  {name:22} {summary}\n  {:22}   hard: {hard}", "");
            }
            text.push('\n');
        }
    }
    text + "Any of them can be laid over either population with `--population`.\n"
}
