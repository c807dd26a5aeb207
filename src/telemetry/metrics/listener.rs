//! What the listener counts, turned into families when the page is asked for.

use prometheus::proto::{Counter, Gauge, LabelPair, Metric, MetricFamily, MetricType};

use super::series::{self, Kind, Series, Values};

/// Reads the listener's own counters.
pub(super) struct Source(pub(super) Box<dyn Fn() -> ListenerTotals + Send>);

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Source")
    }
}

/// The numbers of all listener threads, summed. The words are static: the listener's own closed sets.
#[derive(Debug, Clone, Default)]
pub struct ListenerTotals {
    /// Connections open now.
    pub open: u64,
    /// Connections accepted since the start.
    pub accepted: u64,
    /// Failures of accept itself.
    pub accept_errors: u64,
    /// Connections turned away, by the cap that they met.
    pub refused: Vec<(&'static str, u64)>,
    /// Requests rejected for their framing or size.
    pub rejected: Vec<(&'static str, u64)>,
    /// Deadlines hit, by their kind.
    pub deadlines: Vec<(&'static str, u64)>,
    /// Bytes read from clients.
    pub bytes_in: u64,
    /// Bytes written to clients.
    pub bytes_out: u64,
}

impl ListenerTotals {
    /// The families of the table that these numbers fill.
    pub(super) fn families(&self) -> Vec<MetricFamily> {
        let plain = |series: Series, value: u64| plain(series, value as f64);
        vec![
            plain(series::CONNECTIONS_OPEN, self.open),
            plain(series::CONNECTIONS_ACCEPTED, self.accepted),
            plain(series::ACCEPT_ERRORS, self.accept_errors),
            labelled(series::CONNECTIONS_REFUSED, &self.refused),
            labelled(series::REQUESTS_REJECTED, &self.rejected),
            labelled(series::DEADLINES, &self.deadlines),
            plain(series::RECEIVED, self.bytes_in),
            plain(series::SENT, self.bytes_out),
        ]
    }
}

fn labelled(series: Series, values: &[(&'static str, u64)]) -> MetricFamily {
    let count_max = series.labels.first().map_or(1, |label| match label.values {
        Values::Words(_, count_max) => count_max,
        Values::Closed(words) => words.len(),
        Values::Names(_) => 0,
    });
    debug_assert!(values.len() <= count_max, "{}: more words than its bound says", series.name);
    family(series, values.iter().map(|(word, value)| (*word, *value as f64)))
}

/// A family of one series without labels.
pub(super) fn plain(series: Series, value: f64) -> MetricFamily {
    family(series, std::iter::once(("", value)))
}

/// One metric a word, labelled with it where the series has a label.
fn family(series: Series, values: impl Iterator<Item = (&'static str, f64)>) -> MetricFamily {
    let metrics = values.map(|(word, value)| {
        let mut metric = Metric::default();
        if let Some(label) = series.labels.first() {
            let mut pair = LabelPair::default();
            pair.set_name(label.name.to_owned());
            pair.set_value(word.to_owned());
            metric.set_label(vec![pair]);
        }
        if series.kind == Kind::Gauge {
            let mut gauge = Gauge::default();
            gauge.set_value(value);
            metric.set_gauge(gauge);
        } else {
            let mut counter = Counter::default();
            counter.set_value(value);
            metric.set_counter(counter);
        }
        metric
    });
    let mut family = MetricFamily::default();
    family.set_name(series.name.to_owned());
    family.set_help(series.help.to_owned());
    family.set_field_type(if series.kind == Kind::Gauge { MetricType::GAUGE } else { MetricType::COUNTER });
    family.set_metric(metrics.collect());
    family
}
