//! What was measured, as a table.

use std::fmt::Write as _;
use std::time::Duration;

use crate::moods::load::Tally;
use crate::moods::mood::Mood;
use crate::proxies::Kind;

/// So many of a thousand have to be good.
pub const SUCCESS_MIN: f64 = 0.999;
/// So long one in a hundred may take, where a good generator takes 20 ms.
pub const P99_MAX: Duration = Duration::from_millis(300);

/// How one proxy did at one pair.
#[derive(Debug, Clone)]
pub struct Measured {
    /// The share of clients with a good answer while it was to notice.
    pub window: f64,
    /// The same after that.
    pub success: f64,
    /// What the others got most often.
    pub fault: Option<&'static str>,
    /// The 99th percentile of good answers.
    pub p99: Duration,
}

impl Measured {
    /// Of a window and of what came after it.
    pub fn of(window: &Tally, measured: &Tally) -> Self {
        Self {
            window: window.success(),
            success: measured.success(),
            fault: measured.faults.iter().max_by_key(|(_, count)| **count).map(|(fault, _)| *fault),
            p99: Tally::percentile(&measured.took, 0.99),
        }
    }

    fn reaches(&self) -> bool {
        self.success >= SUCCESS_MIN && self.p99 <= P99_MAX
    }
}

/// A pair of moods, and how each proxy did.
#[derive(Debug, Clone)]
pub struct Pair {
    pub one: Mood,
    pub other: Mood,
    pub rows: Vec<Measured>,
}

/// All of it in Markdown.
pub fn text(kinds: &[Kind], pairs: &[Pair], about: &str) -> String {
    let mut text = format!(
        "# One good generator of three\n\nMeasured {} on: {}; {about}.\n\nThe share of clients that got an answer that works, \
         judged by what is in it, from five seconds after the two others fell sick; and the 99th percentile of the time that \
         these took, where the good generator takes 20 ms.\n\n",
        today(),
        machine(),
    );
    text.push_str("| proxy | pairs with 99.9 % and 300 ms | least success | most time | success while it notices |\n|---|---|---|---|---|\n");
    for (place, kind) in kinds.iter().enumerate() {
        let rows = || pairs.iter().map(|pair| &pair.rows[place]);
        let least = rows().map(|row| row.success).fold(1.0, f64::min);
        let most = rows().map(|row| row.p99).max().unwrap_or_default();
        let window = rows().map(|row| row.window).sum::<f64>() / pairs.len().max(1) as f64;
        let _ = writeln!(
            text,
            "| {} | {} of {} | {} | {} ms | {} |",
            kind.title(),
            rows().filter(|row| row.reaches()).count(),
            pairs.len(),
            percent(least),
            most.as_millis(),
            percent(window),
        );
    }
    if let Some(place) = kinds.iter().position(|kind| *kind == Kind::Signgate) {
        let missed: Vec<&Pair> = pairs.iter().filter(|pair| !pair.rows[place].reaches()).collect();
        text.push_str("\n## Where signgate misses\n\n");
        if missed.is_empty() {
            text.push_str("Nowhere.\n");
        }
        for pair in missed {
            let row = &pair.rows[place];
            let _ = writeln!(
                text,
                "- {}: {} ({}), {} ms",
                named(pair),
                percent(row.success),
                row.fault.unwrap_or("all good"),
                row.p99.as_millis(),
            );
        }
    }
    text.push_str("\n## All pairs\n\n| two are |");
    for kind in kinds {
        let _ = write!(text, " {} | ms |", kind.title());
    }
    let _ = writeln!(text, "\n|---|{}", "---|---|".repeat(kinds.len()));
    for pair in pairs {
        let _ = write!(text, "| {} |", named(pair));
        for row in &pair.rows {
            let _ = write!(text, " {} | {} |", percent(row.success), row.p99.as_millis());
        }
        text.push('\n');
    }
    text
}

fn named(pair: &Pair) -> String {
    format!("{} + {}", pair.one.word(), pair.other.word())
}

/// Never rounded up to what it is not.
pub fn percent(share: f64) -> String {
    format!("{:.1} %", (share * 1000.0 + 1e-9).floor() / 10.0)
}

pub fn today() -> String {
    let seconds = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_secs();
    let now = jiff::Timestamp::from_second(seconds.cast_signed()).unwrap_or_default();
    now.strftime("%Y-%m-%d").to_string()
}

pub fn machine() -> String {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model =
        cpu.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ")).map(|(_, name)| name);
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let kernel: Vec<_> = kernel.trim().split('.').take(2).collect();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    format!("{}, {cores} cores, Linux {}", model.unwrap_or("unknown processor"), kernel.join("."))
}
