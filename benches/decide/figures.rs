//! What can be counted of a decision, and how slow the slow ones are.

use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use allocation_counter::AllocationInfo;

use crate::cases::{self, Case};
use crate::detection::{self, Asked, Crowd};

/// The word that makes this program decide so often and nothing else: it is what runs under valgrind.
const REPEAT: &str = "--repeat";

/// Under valgrind a long run minus a short one is what so many decisions take.
const COUNTED: u32 = 20_000;
const UNCOUNTED: u32 = 1_000;

/// Valgrind is fifty times slower: nobody waits for a million callers.
const CALLERS_UNDER_VALGRIND_MAX: u32 = 1;

/// Memory is told for as many keys and addresses as a service may have, beside a million: tables grow by doubling.
const CROWD: u32 = 200_000;

/// Prints the figures of the cases whose names hold `wanted`.
pub fn print(wanted: &str) {
    println!(
        "\n{:<48} {:>12} {:>12} {:>10} {:>10}",
        "a decision", "instructions", "allocations", "p50, ns", "p99, ns"
    );
    for name in cases::NAMES.into_iter().filter(|name| name.contains(wanted)) {
        let mut case = Case::named(name);
        let warmed = allocation_counter::measure(|| case.warm());
        let facts = case.next();
        let allocations = allocation_counter::measure(|| {
            case.decide(facts);
        });
        let instructions = if case.callers() <= CALLERS_UNDER_VALGRIND_MAX {
            instructions(name).map_or_else(|why| why, |count| count.to_string())
        } else {
            String::new()
        };
        let [median, slow] = times(&mut case);
        println!("{name:<48} {instructions:>12} {:>12} {median:>10} {slow:>10}", allocations.count_total);
        if case.callers() > 1 {
            println!("    {} bytes for each of {} callers", each(&warmed, case.callers()), case.callers());
        }
    }
    if wanted.is_empty() {
        let mut case = Case::key_and_address(CROWD);
        let warmed = allocation_counter::measure(|| case.warm());
        println!("{} bytes for each of {CROWD} keys with an address, by a quota each", each(&warmed, CROWD));
    }
}

/// Prints the figures of view-bot detection for the crowds whose names hold `wanted`: of the decision, and of the decision with
/// what is taken in when its answer is there.
pub fn print_detection(wanted: &str) {
    let quantiles = format!("{:>8} {:>8} {:>9}", "p50, ns", "p99, ns", "p99.9, ns");
    println!(
        "\n{:<48} {:>12} {:>12} {quantiles} | {:<27} {:>8}",
        "a decision", "instructions", "allocations", "with the answer's end", "MB"
    );
    for (name, crowd) in detection::NAMES.into_iter().filter(|(name, _)| name.contains(wanted)) {
        let mut asked = None;
        let held = allocation_counter::measure(|| {
            let asked = asked.insert(Asked::by(crowd));
            asked.warm();
        });
        let Some(mut asked) = asked else { continue };
        let mut took = Vec::with_capacity(TIMED);
        let allocations = allocation_counter::measure(|| took.extend((0..TIMED).map(|_| asked.ask())));
        let decision = quantiles_of(took.iter().map(|took| took.decision));
        let with_ending = quantiles_of(took.iter().map(|took| took.with_ending));
        let is_quick = matches!(crowd, Crowd::Calm { rooms: 4_096, .. });
        let instructions = if is_quick {
            instructions(name).map_or_else(|why| why, |count| count.to_string())
        } else {
            String::new()
        };
        let allocations = allocations.count_total as f64 / TIMED as f64;
        println!(
            "{name:<48} {instructions:>12} {allocations:>12.2} {decision} | {with_ending} {:>8}",
            held.bytes_current / 1_000_000
        );
    }
}

/// The median, the 99th percentile and that of 999 in a thousand, in nanoseconds, as columns.
fn quantiles_of(times: impl Iterator<Item = Duration>) -> String {
    let mut times: Vec<Duration> = times.collect();
    times.sort_unstable();
    let [median, slow, slowest] =
        [500, 990, 999].map(|per_mille| times[times.len() * per_mille / 1000].as_nanos());
    format!("{median:>8} {slow:>8} {slowest:>9}")
}

/// So many decisions are timed of each crowd.
const TIMED: usize = 1_000_000;

/// Bytes that are held for each of so many callers.
fn each(warmed: &AllocationInfo, callers: u32) -> i64 {
    warmed.bytes_current / i64::from(callers)
}

/// The median and the 99th percentile, in nanoseconds; a look at the clock is in both.
#[expect(
    clippy::disallowed_methods,
    reason = "single decisions are timed here, and nothing is decided by it"
)]
fn times(case: &mut Case) -> [u128; 2] {
    let mut times: Vec<u128> = (0..case.callers().max(100_000))
        .map(|_| {
            let facts = case.next();
            let start = Instant::now();
            case.decide(facts);
            start.elapsed().as_nanos()
        })
        .collect();
    times.sort_unstable();
    [times[times.len() / 2], times[times.len() * 99 / 100]]
}

/// Instructions of one decision, or why they cannot be told.
fn instructions(name: &str) -> Result<u64, String> {
    let short = run_under_valgrind(name, UNCOUNTED)?;
    let long = run_under_valgrind(name, UNCOUNTED + COUNTED)?;
    Ok(long.saturating_sub(short) / u64::from(COUNTED))
}

fn run_under_valgrind(name: &str, count: u32) -> Result<u64, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("decide.{}.{count}", std::process::id()));
    let ran = Command::new("valgrind")
        .args(["-q", "--tool=callgrind"])
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(program)
        .args([REPEAT, name, &count.to_string()])
        // Or a long copy is one instruction a byte.
        .env("GLIBC_TUNABLES", "glibc.cpu.hwcaps=-ERMS,-FSRM")
        .output()
        .map_err(|_| "no valgrind".to_owned())?;
    let text = std::fs::read_to_string(&out).map_err(|error| error.to_string());
    let _ = std::fs::remove_file(&out);
    if !ran.status.success() {
        return Err("valgrind failed".into());
    }
    let total = text?.lines().find_map(|line| line.strip_prefix("summary: ")?.trim().parse().ok());
    total.ok_or_else(|| "no summary".into())
}

/// With `--repeat CASE COUNT`: decides so often and ends.
pub fn counted_by_valgrind(words: &[String]) -> Option<ExitCode> {
    let at = words.iter().position(|word| word == REPEAT)?;
    let (name, count) = (words.get(at + 1)?, words.get(at + 2)?.parse::<u32>().ok()?);
    if let Some((_, crowd)) = detection::NAMES.into_iter().find(|(other, _)| other == name) {
        let mut asked = Asked::by(crowd);
        asked.warm();
        (0..count).for_each(|_| {
            asked.ask();
        });
        return Some(ExitCode::SUCCESS);
    }
    let mut case = Case::named(name);
    for _ in 0..count {
        let facts = case.next();
        case.decide(facts);
    }
    Some(ExitCode::SUCCESS)
}
