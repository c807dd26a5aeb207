//! What the process uses, read from the system when the page is asked for.
//!
//! Read here and not with the `process` feature of `prometheus`: that brings the crate `procfs` and names that are not ours,
//! for five numbers out of four small files. Where there is no `/proc` the page lacks them.

use std::fs;

use prometheus::proto::MetricFamily;

use super::listener::plain;
use super::series::{self, Series};

/// The families of the table that the system fills; those that cannot be read are left out.
pub(super) fn families() -> Vec<MetricFamily> {
    let read = |name: &str| fs::read_to_string(format!("/proc/self/{name}")).unwrap_or_default();
    let (status, limits) = (read("status"), read("limits"));
    let values: [(Series, Option<f64>); 5] = [
        (series::CPU, cpu_seconds(&read("stat"), ticks_per_second())),
        (series::RESIDENT, field(&status, "VmRSS:").map(|kib| kib * 1024.0)),
        (series::THREADS, field(&status, "Threads:")),
        (series::OPEN_FDS, open_fds()),
        (series::MAX_FDS, field(&limits, "Max open files")),
    ];
    values.into_iter().filter_map(|(series, value)| Some(plain(series, value?))).collect()
}

/// The first number after `name` at the beginning of a line (proc(5)).
fn field(text: &str, name: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

/// User and system time: the 14th and 15th field of `/proc/self/stat`. The second is a name in parentheses, which may hold
/// anything.
fn cpu_seconds(stat: &str, ticks_per_second: f64) -> Option<f64> {
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split(' ').skip(11).map(str::parse::<f64>);
    let (user, system) = (fields.next()?.ok()?, fields.next()?.ok()?);
    Some((user + system) / ticks_per_second)
}

/// `AT_CLKTCK` of the auxiliary vector (getauxval(3)): pairs of words. It has been 100 on every Linux for decades.
fn ticks_per_second() -> f64 {
    const AT_CLKTCK: usize = 17;
    let vector = fs::read("/proc/self/auxv").unwrap_or_default();
    let (words, _) = vector.as_chunks::<{ size_of::<usize>() }>();
    let words: Vec<usize> = words.iter().map(|word| usize::from_ne_bytes(*word)).collect();
    let ticks = words.chunks_exact(2).find(|pair| pair[0] == AT_CLKTCK).map_or(100, |pair| pair[1]);
    if ticks == 0 { 100.0 } else { ticks as f64 }
}

/// Without the one that the listing itself is.
fn open_fds() -> Option<f64> {
    Some(fs::read_dir("/proc/self/fd").ok()?.count().saturating_sub(1) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_is_read_right() {
        let stat = "1 (a ) b) S 0 1 1 0 -1 4194560 9 8 7 6 250 50 5 4 20 0 3 0 11";
        assert_eq!(cpu_seconds(stat, 100.0), Some(3.0));
        assert_eq!(cpu_seconds("nonsense", 100.0), None);
        assert_eq!(field("Name:\tx\nVmRSS:\t    2048 kB\n", "VmRSS:"), Some(2048.0));
        assert_eq!(
            field("Max open files            1024                 4096   files", "Max open files"),
            Some(1024.0)
        );
        assert_eq!(field("", "VmRSS:"), None);
    }

    #[test]
    fn this_process_has_all_of_them() {
        let values: Vec<(String, f64)> = families()
            .iter()
            .map(|family| {
                let metric = &family.get_metric()[0];
                let value = if family.name().ends_with("_total") {
                    metric.get_counter().get_value()
                } else {
                    metric.get_gauge().get_value()
                };
                (family.name().to_owned(), value)
            })
            .collect();
        assert_eq!(values.len(), 5, "{values:?}");
        let ticks = ticks_per_second();
        assert!((1.0..=10_000.0).contains(&ticks), "{ticks}");
        for (name, value) in &values {
            // A test may not have used a hundredth of a second yet.
            assert!(*value > 0.0 || name.ends_with("cpu_seconds_total"), "{values:?}");
        }
    }
}
