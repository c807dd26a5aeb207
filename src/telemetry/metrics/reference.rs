//! The reference of all series, printed from their table.

use std::fmt::Write as _;

use super::series::{Bounds, Kind, Label, SERIES, Series, Unit, Values};

const INTRODUCTION: &str = "\
# Metrics

Every series of `/metrics` on the operator's listener, printed from the table that the gateway counts by
(`src/telemetry/metrics/series.rs`). Labels take their values from closed sets of words, or from names in your own policy and
settings; keys, addresses and rooms are never labels, so that nobody but you can make a series.
";

/// All of it, as Markdown.
pub fn reference() -> String {
    let mut text = INTRODUCTION.to_owned();
    bounds(&mut text);
    text.push_str("\n| series | type | unit | labels | what it says |\n|---|---|---|---|---|\n");
    for series in SERIES {
        let labels: Vec<String> = series.labels.iter().map(|label| format!("`{}`", label.name)).collect();
        let _ = writeln!(
            text,
            "| `{}` | {} | {} | {} | {} |",
            series.name,
            kind(series.kind),
            unit(series),
            labels.join(" "),
            series.help
        );
    }
    text.push_str("\n## Values of labels\n\n| series | label | values |\n|---|---|---|\n");
    for series in SERIES {
        for label in series.labels {
            let _ = writeln!(text, "| `{}` | `{}` | {} |", series.name, label.name, values(label));
        }
    }
    text.push_str("\n## Buckets\n\n| series | upper bounds, in seconds |\n|---|---|\n");
    for series in SERIES {
        if let Kind::Histogram(buckets) = series.kind {
            let bounds: Vec<String> = buckets.iter().map(f64::to_string).collect();
            let _ = writeln!(text, "| `{}` | {} |", series.name, bounds.join(", "));
        }
    }
    text
}

/// How many series there can be, for nobody's names and what each name adds.
fn bounds(text: &mut String) {
    const NONE: Bounds = Bounds { rules: 0, feeds: 0, tiers: 0, generators: 0 };
    let fixed = NONE.series_max();
    let adds = |bounds: Bounds| bounds.series_max() - fixed;
    let _ = writeln!(
        text,
        "\nThere are at most {fixed} series, {} more for each rule of the policy, {} for each feed, {} for each tier and {} \
         for each generator; a policy with 20 rules, one feed and 4 tiers in front of 3 generators has at most {}. What \
         policies and settings admit at the very most (1,000 rules, all with feeds, 64 tiers, 64 generators) makes {}.",
        adds(Bounds { rules: 1, ..NONE }),
        adds(Bounds { feeds: 1, ..NONE }),
        adds(Bounds { tiers: 1, ..NONE }),
        adds(Bounds { generators: 1, ..NONE }),
        Bounds { rules: 20, feeds: 1, tiers: 4, generators: 3 }.series_max(),
        Bounds { rules: 1_000, feeds: 1_000, tiers: 64, generators: 64 }.series_max(),
    );
}

const fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
        Kind::Histogram(_) => "histogram",
    }
}

const fn unit(series: &Series) -> &'static str {
    match series.unit {
        Unit::Count => "count",
        Unit::Seconds => "seconds",
        Unit::Bytes => "bytes",
        Unit::Ratio => "0 to 1",
    }
}

fn values(label: &Label) -> String {
    match label.values {
        Values::Closed(words) => words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", "),
        Values::Words(of, count_max) => format!("{of}, at most {count_max}"),
        Values::Names(named) => named.words().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `SIGNGATE_WRITE_REFERENCE=1 cargo test reference` writes it.
    #[test]
    fn the_committed_reference_is_this_one() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/METRICS.md");
        if std::env::var_os("SIGNGATE_WRITE_REFERENCE").is_some() {
            std::fs::write(path, reference()).unwrap();
        }
        let committed = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            committed == reference(),
            "deploy/METRICS.md is not what the code says: run `SIGNGATE_WRITE_REFERENCE=1 cargo test reference`"
        );
    }

    #[test]
    fn no_help_breaks_the_table() {
        for series in SERIES {
            assert!(!series.help.contains(['|', '\n']), "{}", series.name);
        }
    }
}
