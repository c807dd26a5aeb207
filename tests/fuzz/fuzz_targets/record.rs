//! Any bytes as recorded traffic, plain or packed: lines are records or broken, never a panic; nothing is made up, nothing is
//! lost, nothing hangs on a seed, and the quick reader of plain lines says what the other one says.
//!
//! Input: one byte for the packing, then the bytes. Those that are packed by hand here begin as the packer left them; any other
//! bytes may begin like a packed file, too.
#![no_main]

use std::io::{Cursor, Read};
use std::path::Path;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use signgate::base::time::Timestamp;
use signgate::policy::{PolicySet, Sources, compile};
use signgate::replay::ending::Ending;
use signgate::replay::feed::{Feed, OnBroken};
use signgate::replay::report::Report;
use signgate::replay::run::{ReplayError, run};

static POLICY: LazyLock<PolicySet> = LazyLock::new(|| {
    let mut sources = Sources::new("");
    sources.insert("00.toml", include_str!("../../policies/base.toml"));
    sources.insert(
        "10.toml",
        "[[quota]]\nname = \"q\"\nscope = \"proxy\"\nlimits = { minute = 2 }\n\
         [[concurrency]]\nname = \"c\"\nscope = \"room\"\nmax = 2\n[viewbot]\nmode = \"enforce\"\n",
    );
    compile(&sources, Timestamp::from_secs(1_795_000_000)).expect("a sound policy").set
});

/// What a replay came to: the decisions, how many records and broken lines there were, and the report.
#[derive(Debug, PartialEq)]
struct Replayed {
    decisions: Vec<u8>,
    records: u64,
    broken: u64,
    lines: u64,
    events: u64,
    report: String,
}

fn replay(bytes: &[u8], seed: u64, on_broken: OnBroken) -> Result<Replayed, ReplayError> {
    let mut feed = Feed::of(Path::new("fuzzed"), Cursor::new(bytes.to_vec()), on_broken)?;
    let mut decisions = Vec::new();
    let outcome = run(&mut feed, &POLICY, None, seed, Some(&mut decisions), |_, _| {})?;
    let report = Report { outcome: &outcome, policy: &POLICY, rows_max: 10 };
    let text = report.text();
    assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
    let _ = report.json();
    for (place, why) in &feed.noticed.complaints {
        assert!(place.starts_with("fuzzed:") && !why.contains(char::is_control), "{place} {why:?}");
        assert!(why.len() < 1_000, "{why}");
    }
    Ok(Replayed {
        records: outcome.tally.total.asked,
        broken: feed.noticed.broken,
        lines: feed.noticed.lines,
        events: feed.noticed.events.values().sum(),
        decisions,
        report: text,
    })
}

fn packed(choice: u8, bytes: &[u8]) -> Vec<u8> {
    match choice % 4 {
        1 => {
            let mut packed = Vec::new();
            let mut packer = flate2::read::GzEncoder::new(bytes, flate2::Compression::fast());
            packer.read_to_end(&mut packed).expect("it is in memory");
            packed
        }
        2 => zstd::encode_all(bytes, 1).expect("it is in memory"),
        _ => bytes.to_vec(),
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((choice, bytes)) = data.split_first() else { return };
    let input = packed(*choice, bytes);
    // A packed file may be torn, and records may be of a newer format: then that is said.
    let Ok(once) = replay(&input, 1, OnBroken::Skip) else { return };
    assert!(once.records + once.broken <= once.lines, "{once:?}");
    assert_eq!(once.decisions.iter().filter(|byte| **byte == b'\n').count() as u64, once.records);
    let again = replay(&input, 0xdead_beef, OnBroken::Skip).expect("as before");
    assert_eq!(again, once, "another seed");
    assert_eq!(replay(&input, 1, OnBroken::Stop).is_ok(), once.broken == 0);
    // Read as they are, they would be unpacked.
    if bytes.starts_with(&[0x1f, 0x8b]) || bytes.starts_with(&[0x28, 0xb5]) {
        return;
    }
    if choice % 4 == 1 || choice % 4 == 2 {
        assert_eq!(replay(bytes, 1, OnBroken::Skip).ok().as_ref(), Some(&once), "unpacked");
        return;
    }
    // What `explain` reads of a line, whatever stands there.
    for line in bytes.split(|byte| *byte == b'\n') {
        let sentence = Ending::read(line).sentence().unwrap_or_default();
        assert!(!sentence.contains(char::is_control) && sentence.len() < 4_000, "{sentence:?}");
    }
    // With a tab before it no line is plain, and serde_json reads it.
    let mut tabbed = Vec::with_capacity(bytes.len() + 16);
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        tabbed.push(b'\t');
        tabbed.extend_from_slice(line);
    }
    assert_eq!(replay(&tabbed, 1, OnBroken::Skip).ok().as_ref(), Some(&once), "read the other way");
});
