//! What does a decision cost? assess, charge, conclude and observe, without any I/O.
//!
//! First the times, by criterion: compare cases within one run, the machine's own speed is in every figure. Then what can be
//! counted: allocations, instructions (by valgrind, where there is one), the slowest in a hundred among a million
//! callers, and the memory of one more key with its address. Then the same of view-bot detection: calm rooms, a million of
//! them, floods of strangers, and sprays of whatever can be made up.
//!
//! `cargo bench --bench decide`, or with part of a case's name after `--`.

mod cases;
mod detection;
mod figures;

use std::hint::black_box;
use std::process::{Command, ExitCode};

use criterion::Criterion;

use cases::Case;

fn decisions(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decide");
    for name in cases::NAMES {
        let mut case = None;
        group.bench_function(name, |bench| {
            // Made when it is its turn: a million keys are compiled for those alone who ask for them.
            let case = case.get_or_insert_with(|| {
                let mut case = Case::named(name);
                case.warm();
                case
            });
            bench.iter(|| {
                let facts = black_box(case.next());
                assert_eq!(case.decide(facts), name.starts_with("admitted"), "{name}");
            });
        });
    }
    group.finish();
}

/// The shipped program's allocator keeps memory in huge pages. The C library's, which is counted here, does so when a word of
/// the environment says it: this program starts itself once more with that. With small pages most of a look-up among a
/// million is looking for the page.
fn in_huge_pages(words: &[String]) -> Option<ExitCode> {
    const TUNABLES: &str = "GLIBC_TUNABLES";
    if std::env::var_os(TUNABLES).is_some() {
        return None;
    }
    let ran = Command::new(std::env::current_exe().ok()?)
        .args(words)
        .env(TUNABLES, "glibc.malloc.hugetlb=1")
        .status()
        .ok()?;
    Some(if ran.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let Some(code) = figures::counted_by_valgrind(&words).or_else(|| in_huge_pages(&words)) {
        return code;
    }
    let mut criterion = Criterion::default().configure_from_args();
    decisions(&mut criterion);
    criterion.final_summary();
    // Whoever asks for a list or a trial run wants no figures.
    if !words.iter().any(|word| word == "--list" || word == "--test") {
        figures::print(wanted(&words));
        figures::print_detection(wanted(&words));
    }
    ExitCode::SUCCESS
}

/// The part of a name that criterion was told to look for: a word that is neither an option nor one's value.
fn wanted(words: &[String]) -> &str {
    let mut before = "--bench";
    for word in words {
        if !word.starts_with('-') && (before == "--bench" || !before.starts_with('-')) {
            return word;
        }
        before = word;
    }
    ""
}
