//! How many clients get an answer that works, and how soon, while any two of three generators are sick?
//!
//! For each pair of moods (`tests/moods/mood.rs`): three generators in a process of their own, one of them good and quick
//! (20 ms), behind signgate, nginx, and HAProxy with and without probes (their files lie beside this one). Clients ask each
//! proxy at a steady rate and look into every answer. A second of calm; then two generators fall sick; five seconds to notice,
//! which are not counted; then it is measured. `cargo bench --bench sick_generators -- --help` tells what can be chosen.

#[path = "../../tests/moods/mod.rs"]
mod moods;
mod overload;
mod proxies;
mod table;

use std::io::IsTerminal;
use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Parser;

use moods::generator::{Generator, Settings};
use moods::load::{Group, Load, Running, Tally};
use moods::mood::Mood;
use proxies::{Generators, Kind, Proxy};
use table::{Measured, Pair};

/// So long a proxy has to notice what is the matter.
const WINDOW: Duration = Duration::from_secs(5);
/// So long all are good before.
const CALM: Duration = Duration::from_secs(1);

/// Sets the gateway beside nginx and HAProxy in front of sick generators.
#[derive(Debug, Parser)]
struct Args {
    /// Which moods, in pairs of each other: two words for one pair; `all`
    #[arg(long, value_delimiter = ',', default_value = "all")]
    moods: Vec<String>,
    /// Which proxies: of `signgate`, `nginx`, `haproxy`, `haproxy-probing`
    #[arg(long, value_delimiter = ',', default_value = "signgate,nginx,haproxy,haproxy-probing")]
    proxies: Vec<String>,
    /// Requests a second, to each proxy
    #[arg(long, default_value_t = 200.0)]
    rate: f64,
    /// How long is measured, in seconds
    #[arg(long, default_value_t = 6.0)]
    seconds: f64,
    /// How large good answers are, in bytes: real ones have 43000; 0 is as small as can be
    #[arg(long, default_value_t = 0)]
    bytes: usize,
    /// So many pairs at a time
    #[arg(long, default_value_t = 1)]
    at_once: usize,
    /// Each mood once, for two seconds: shows that it works
    #[arg(long)]
    quick: bool,
    /// Well generators and more work than they can do, in place of sick ones
    #[arg(long)]
    overload: bool,
    /// Write `results/table.md`, or `results/overload.md`
    #[arg(long)]
    write: bool,
    /// As cargo passes it
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> anyhow::Result<()> {
    let words: Vec<String> = std::env::args().collect();
    if let [_, word, takes, bytes, slots] = &words[..]
        && word == "generators"
    {
        let takes = Duration::from_millis(takes.parse()?);
        Generator::serve_three(Settings { takes, bytes: bytes.parse()?, slots: slots.parse()? });
        return Ok(());
    }
    let mut args = Args::parse();
    if args.quick {
        args.seconds = args.seconds.min(2.0);
    }
    if args.overload {
        let text = overload::run(Duration::from_secs_f64(args.seconds))?;
        println!("{text}");
        return if args.write { write("overload.md", &text) } else { Ok(()) };
    }
    let kinds: Vec<Kind> = args.proxies.iter().map(|word| kind(word)).collect::<anyhow::Result<_>>()?;
    if kinds.iter().any(|kind| *kind != Kind::Signgate) {
        proxies::install()?;
    }
    let pairs = pairs(&args)?;
    let (left, done) =
        (Mutex::new(pairs.iter().enumerate().rev().collect::<Vec<_>>()), Mutex::new(Vec::new()));
    let is_watched = std::io::stderr().is_terminal();
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..args.at_once.max(1))
            .map(|_| {
                scope.spawn(|| -> anyhow::Result<()> {
                    loop {
                        let next = left.lock().expect("no thread panics").pop();
                        let Some((place, &(one, other))) = next else { return Ok(()) };
                        // A machine that stood still in the calm spoils a pair, not the whole evening.
                        let rows = measure(one, other, &kinds, &args)
                            .or_else(|_| measure(one, other, &kinds, &args))
                            .with_context(|| format!("{} and {}", one.word(), other.word()))?;
                        let mut done = done.lock().expect("no thread panics");
                        done.push((place, Pair { one, other, rows }));
                        if is_watched {
                            eprint!("\r{} of {} pairs", done.len(), pairs.len());
                        }
                    }
                })
            })
            .collect();
        workers.into_iter().try_for_each(|worker| worker.join().expect("no thread panics"))
    })?;
    if is_watched {
        eprintln!();
    }
    let mut done = done.into_inner().expect("no thread panics");
    done.sort_by_key(|(place, _)| *place);
    let done: Vec<Pair> = done.into_iter().map(|(_, pair)| pair).collect();
    let about = format!(
        "{} requests a second to each proxy, {} s for each pair, {} at a time, answers of {}; {}",
        args.rate,
        args.seconds,
        args.at_once.max(1),
        if args.bytes == 0 { "some 180 bytes".to_owned() } else { format!("{} bytes", args.bytes) },
        proxies::versions(&kinds),
    );
    let text = table::text(&kinds, &done, &about);
    println!("{text}");
    if args.write {
        write("table.md", &text)?;
    }
    Ok(())
}

fn write(name: &str, text: &str) -> anyhow::Result<()> {
    let path = format!("{}/benches/sick_generators/results/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::write(&path, text).with_context(|| format!("cannot write `{path}`"))
}

fn kind(word: &str) -> anyhow::Result<Kind> {
    Ok(match word {
        "signgate" => Kind::Signgate,
        "nginx" => Kind::Nginx,
        "haproxy" => Kind::Haproxy,
        "haproxy-probing" => Kind::HaproxyProbing,
        _ => bail!("there is no proxy `{word}`: `signgate`, `nginx`, `haproxy`, `haproxy-probing`"),
    })
}

/// All pairs of the chosen moods, also of one with itself where only one was chosen.
fn pairs(args: &Args) -> anyhow::Result<Vec<(Mood, Mood)>> {
    let all = Mood::SICK;
    if args.quick && args.moods == ["all"] {
        // The last of an odd number is set beside the first.
        let half = all.len().div_ceil(2);
        return Ok((0..half).map(|place| (all[place], all[(place + half) % all.len()])).collect());
    }
    let moods: Vec<Mood> = if args.moods == ["all"] {
        all.to_vec()
    } else {
        let mood = |word: &String| Mood::parse(word).with_context(|| format!("there is no mood `{word}`"));
        args.moods.iter().map(mood).collect::<anyhow::Result<_>>()?
    };
    let alone = moods.len() == 1 || args.moods == ["all"];
    let pairs = moods.iter().enumerate().flat_map(|(place, one)| {
        moods[place + usize::from(!alone)..].iter().map(move |other| (*one, *other))
    });
    Ok(pairs.collect())
}

/// Measures all proxies at one pair, at the same time and in front of the same generators.
fn measure(one: Mood, other: Mood, kinds: &[Kind], args: &Args) -> anyhow::Result<Vec<Measured>> {
    let mut generators = Generators::start(Settings { bytes: args.bytes, ..Settings::default() })?;
    let proxies: Vec<Proxy> =
        kinds.iter().map(|kind| Proxy::start(*kind, &generators.addresses)).collect::<anyhow::Result<_>>()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async {
        let mut loads: Vec<Running> = proxies
            .iter()
            .map(|proxy| {
                Running::new(Load {
                    address: proxy.address,
                    rate: args.rate,
                    bytes: args.bytes,
                    library: "ttlive-node",
                    patience: Duration::from_secs(5),
                    groups: vec![Group { lines: String::new(), weight: 1 }],
                })
            })
            .collect();
        let calm = tallies(&mut loads, CALM).await;
        generators.set([one, other, Mood::Good])?;
        let window = tallies(&mut loads, WINDOW).await;
        let measured = tallies(&mut loads, Duration::from_secs_f64(args.seconds)).await;
        let mut rows = Vec::new();
        for ((calm, window), measured) in calm.into_iter().zip(window).zip(measured) {
            let [calm, window, measured] =
                [calm.end().await, window.end().await, measured.end().await].map(sum);
            if calm.success() < 0.9 {
                bail!(
                    "with all generators good only {} of {} were answered: {:?}",
                    calm.good,
                    calm.sent,
                    calm.faults
                );
            }
            rows.push(Measured::of(&window, &measured));
        }
        Ok(rows)
    })
}

async fn tallies(loads: &mut [Running], length: Duration) -> Vec<moods::load::Stretch> {
    let asking = loads.iter_mut().map(|load| load.ask_for(length));
    futures_of(asking).await
}

/// All of them at the same time, on this thread.
async fn futures_of<F: Future>(all: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut all: Vec<_> = all.map(|one| Some(Box::pin(one))).collect();
    let mut ended: Vec<Option<F::Output>> = all.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        for (one, end) in all.iter_mut().zip(&mut ended) {
            if let Some(future) = one
                && let std::task::Poll::Ready(output) = future.as_mut().poll(context)
            {
                (*one, *end) = (None, Some(output));
            }
        }
        if all.iter().all(Option::is_none) { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    ended.into_iter().flatten().collect()
}

/// There is one group of clients here.
fn sum(mut tallies: Vec<Tally>) -> Tally {
    tallies.pop().unwrap_or_default()
}
