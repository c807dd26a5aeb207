//! What is to be reached, and the rows of the table.

use std::fmt::Write as _;

use signgate::score::{Attack, Score};
use signgate::simulate::Population;

use super::Case;

/// What view-bot detection has to reach in one scenario at the usual settings; `None` where nothing is asked.
#[derive(Debug, Clone, Copy, Default)]
struct Goal {
    leak_percent: Option<f64>,
    sigs: Option<f64>,
    denied_ppm: Option<f64>,
    throttled_ppm: Option<f64>,
}

const fn leak(percent: f64) -> Goal {
    Goal { leak_percent: Some(percent), sigs: None, denied_ppm: None, throttled_ppm: None }
}

const fn denied(ppm: f64) -> Goal {
    Goal { leak_percent: None, sigs: None, denied_ppm: Some(ppm), throttled_ppm: None }
}

impl Goal {
    const fn sigs(self, sigs: f64) -> Self {
        Self { sigs: Some(sigs), ..self }
    }

    const fn denied(self, ppm: f64) -> Self {
        Self { denied_ppm: Some(ppm), ..self }
    }

    const fn throttled(self, ppm: f64) -> Self {
        Self { throttled_ppm: Some(ppm), ..self }
    }

    /// In the order of the scenarios' table.
    #[expect(clippy::match_same_arms, reason = "a table reads by its rows")]
    fn of(scenario: &str, population: Population) -> Self {
        match (scenario, population) {
            ("ordinary", Population::Independent) => denied(0.0).throttled(20.0),
            ("ordinary", Population::Lively) => denied(0.0),
            ("reconnect-storm" | "generator-outage", _) => denied(0.0),
            // No goal but to refuse nobody else.
            ("mimicked-and-aged" | "four-in-five-minutes" | "country-true-drip", _) => denied(0.0),
            ("flash-crowd", _) => denied(20.0),
            ("skewed-crowd" | "tournament" | "outage-moved" | "app-update", _) => denied(50.0),
            ("celebrity", _) => denied(2_000.0),
            ("tv-game" | "app-launch", _) => denied(10_000.0),
            ("naive-burst", _) => leak(0.5).sigs(12.0).denied(0.0),
            ("slow-drip" | "residential-rotation" | "free-keys", _) => leak(0.8).sigs(16.0),
            ("ipv6-rotation", _) => leak(0.5).sigs(12.0),
            ("stolen-key" | "hammering", _) => leak(0.5),
            ("identity-churn", _) => leak(0.8),
            ("new-room", _) => leak(1.2),
            ("aged-identities", _) => leak(1.5).denied(50.0),
            ("shared-cgnat", _) => leak(1.0).denied(100.0),
            ("mimicked-timing", _) => leak(3.0).sigs(30.0),
            ("mimicked-churn" | "mimicked-hosting", _) => leak(4.0),
            ("trained-baseline", _) => leak(10.0).sigs(25.0),
            ("moving-pool", _) => leak(12.0),
            ("panel" | "residential-churn", _) => leak(10.0),
            ("small-panel", _) => leak(40.0),
            ("hidden-in-crowd", _) => leak(20.0),
            ("mimicked-but-age", _) => Self::default().sigs(50.0),
            ("hosting-subnets", _) => leak(2.5),
            ("free-key-farm", _) => leak(2.0),
            ("infected-phones", _) => leak(0.6).denied(300.0),
            ("viewer-service", _) => leak(30.0),
            ("rented-pool", _) => leak(50.0),
            ("adapting-operator", _) => leak(12.0),
            ("platform-abuse", _) => leak(5.0),
            ("replayed-profiles", _) => leak(15.0),
            _ => Self::default(),
        }
    }
}

/// The first line of the table.
pub fn header(width: usize) -> String {
    format!(
        "mean (worst) over the seeds; `*`: the mean misses what view-bot detection is to reach at the usual settings\n\
         {:46} {:width$} {:>16} {:>14} {:>16} {:>18} {:>16} {:>8}  worst persona",
        "scenario", "policy", "leak %", "sigs", "denied ppm", "throttled ppm", "stop s", "proxy %"
    )
}

/// One row: all seeds of a case under one policy.
pub fn row(case: &Case, (policy, width): (&str, usize), scores: &[Score]) -> String {
    let goal =
        if policy == "viewbot" { Goal::of(case.scenario.name, case.population) } else { Goal::default() };
    let attacks = |figure: &dyn Fn(&Attack) -> Option<f64>| -> Vec<f64> {
        scores.iter().filter_map(|score| figure(score.attack.as_ref()?)).collect()
    };
    let all = |figure: &dyn Fn(&Score) -> f64| scores.iter().map(figure).collect::<Vec<f64>>();
    let proxies = scores.iter().filter_map(|score| score.precision.as_ref()?.proxies.value());
    let proxies: Vec<f64> = proxies.map(|share| share * 100.0).collect();
    let worst = scores
        .iter()
        .filter_map(|score| score.benign.personas.first())
        .filter(|persona| persona.denied + persona.throttled > 0)
        .max_by(|one, other| {
            one.denied_ppm
                .total_cmp(&other.denied_ppm)
                .then(one.throttled_ppm.total_cmp(&other.throttled_ppm))
        });
    format!(
        "{:46} {policy:width$} {:>16} {:>14} {:>16} {:>18} {:>16} {:>8}  {}",
        name(case),
        cell(&attacks(&|attack| Some(attack.leak * 100.0)), 2, goal.leak_percent),
        cell(&attacks(&|attack| Some(attack.leaked_before_stop as f64)), 0, goal.sigs),
        cell(&all(&|score| score.benign.denied_ppm), 0, goal.denied_ppm),
        cell(&all(&|score| score.benign.throttled_ppm), 0, goal.throttled_ppm),
        cell(&attacks(&|attack| attack.seconds_to_stop), 1, None),
        mean(&proxies).map_or_else(|| "-".into(), |mean| format!("{mean:.1}")),
        worst.map_or_else(String::new, |persona| format!(
            "{}: {:.2} % denied, {:.2} % throttled",
            persona.persona,
            persona.denied_ppm / 1e4,
            persona.throttled_ppm / 1e4
        )),
    )
}

fn name(case: &Case) -> String {
    let mut name = format!("{} ({})", case.scenario.name, case.population.number());
    let usual = signgate::simulate::Settings::new(case.scenario, 0);
    if case.duration != usual.duration {
        let _ = write!(name, " {} min", case.duration.as_secs() / 60);
    }
    if !case.history.is_zero() {
        let _ = write!(name, " +{} min", case.history.as_secs() / 60);
    }
    if (case.rate - usual.rate).abs() > f64::EPSILON {
        let _ = write!(name, " {}/s", case.rate);
    }
    if (case.attack_size - usual.attack_size).abs() > f64::EPSILON {
        let _ = write!(name, " x{}", case.attack_size);
    }
    name
}

fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// `mean (worst)`, with a star where the mean misses the goal.
fn cell(values: &[f64], places: usize, goal: Option<f64>) -> String {
    let Some(mean) = mean(values) else { return "-".into() };
    let worst = values.iter().copied().fold(f64::MIN, f64::max);
    let star = if goal.is_some_and(|goal| mean > goal) { "*" } else { "" };
    format!("{mean:.places$} ({worst:.places$}){star}")
}
