//! The operator's word about generators: which are asked, which are on trial, and what a reload changes.
//!
//! Orders and rollbacks are lines of the log and of the access record. They are kept in memory: a gateway that starts
//! anew goes by its deployment file.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::base::operation::Operation;
use crate::base::time::Clock;
use crate::generator::canary::Behind;
use crate::generator::settings::Settings;
use crate::generator::stage::{Stage, Wanted};
use crate::generator::trial::{Duty, Unchanged};
use crate::telemetry::access_log::{Event, RecordLog};
use crate::telemetry::metrics::Metrics;
use crate::telemetry::readiness::{GeneratorState, Readiness};

/// Reads the deployment file again, as far as it is about generators; what is wrong with it, as a person reads it.
pub type Read = Box<dyn Fn() -> Result<Wish, String> + Send + Sync>;

/// What a deployment file that is read again wants.
#[derive(Debug, Default)]
pub struct Wish {
    /// The generators.
    pub generators: Vec<Wanted>,
    /// How they are asked.
    pub asking: Settings,
    /// What is not what it was at the start, and waits for the next one: a line for each.
    pub waits: Vec<String>,
}

/// What an operator may order about one generator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// A canary gets its part of all traffic.
    Promote,
    /// A canary gets nothing any more.
    RollBack,
    /// It gets nothing new.
    Drain,
    /// It gets what the deployment file says; a canary is compared anew.
    Reset,
}

impl Order {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Promote, Self::RollBack, Self::Drain, Self::Reset];

    /// The word of the command line.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Promote => "promote",
            Self::RollBack => "rollback",
            Self::Drain => "drain",
            Self::Reset => "reset",
        }
    }

    /// The word of its event in the record.
    const fn event(self) -> &'static str {
        match self {
            Self::Promote => "generator-promoted",
            Self::RollBack => "generator-rolled-back",
            Self::Drain => "generator-drained",
            Self::Reset => "generator-reset",
        }
    }
}

/// Why an order was not obeyed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Disobeyed {
    /// There is no such generator.
    #[error("there is no generator `{0}`")]
    Unknown(String),
    /// Its duty stays what it is.
    #[error("`{0}`: {1}")]
    Unchanged(String, Unchanged),
}

/// One generator, as it is listed.
#[derive(Debug, Clone, PartialEq)]
pub struct Listed {
    /// The operator's name for it.
    pub name: Arc<str>,
    /// How it is spoken to.
    pub kind: &'static str,
    /// What it is for at present.
    pub duty: Duty,
    /// Whether it works, as far as is known.
    pub healthy: bool,
    /// Of a canary: of which generator it is a new version, and its share.
    pub canary: Option<(Arc<str>, f64)>,
    /// How much work it has.
    pub in_flight: u32,
    /// And may have.
    pub in_flight_max: u32,
    /// How large its answers to a connect usually are, in bytes.
    pub answer_bytes: Option<u32>,
}

/// The generators of this gateway.
pub struct Generators {
    stage: Arc<Stage>,
    read: Read,
    /// One reload at a time: the later file must win.
    reloading: Mutex<()>,
    record: Arc<RecordLog>,
    metrics: Arc<Metrics>,
    readiness: Readiness,
    clock: Clock,
}

impl std::fmt::Debug for Generators {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Generators").field("stage", &self.stage).finish_non_exhaustive()
    }
}

impl Generators {
    /// Those of `stage`; `read` reads what they should be.
    pub fn new(
        stage: Arc<Stage>,
        read: Read,
        record: Arc<RecordLog>,
        metrics: Arc<Metrics>,
        readiness: Readiness,
        clock: Clock,
    ) -> Self {
        let generators = Self { stage, read, reloading: Mutex::new(()), record, metrics, readiness, clock };
        generators.show();
        generators
    }

    /// The generators in force.
    pub fn stage(&self) -> &Arc<Stage> {
        &self.stage
    }

    /// All of them, in the order of the deployment file.
    pub fn list(&self) -> Vec<Listed> {
        let roster = self.stage.roster();
        let listed = |(place, generator): (usize, &Arc<crate::generator::member::Generator>)| Listed {
            name: Arc::clone(&generator.name),
            kind: generator.kind.word(),
            duty: generator.post.duty(),
            healthy: roster.serving().contains(place),
            canary: generator.post.trial().map(|trial| (Arc::clone(&trial.of), trial.share)),
            in_flight: generator.in_flight(),
            in_flight_max: generator.in_flight_max,
            answer_bytes: generator.judge.usual_bytes(Operation::Connect),
        };
        roster.all().iter().enumerate().map(listed).collect()
    }

    /// Does what the operator orders about the generator of that name: its duty before and now.
    pub fn obey(&self, order: Order, name: &str, by: &str) -> Result<(Duty, Duty), Disobeyed> {
        // Else a reload that is under way would bring back what it was.
        let _one = self.reloading.lock().unwrap_or_else(PoisonError::into_inner);
        let roster = self.stage.roster();
        let found = roster.all().iter().position(|generator| &*generator.name == name);
        let place = found.ok_or_else(|| Disobeyed::Unknown(name.to_owned()))?;
        let is_canary = roster.all()[place].post.trial().is_some();
        let unchanged = |why| Disobeyed::Unchanged(name.to_owned(), why);
        let duty = match order {
            Order::Promote if !is_canary => return Err(unchanged(Unchanged::NoCanary)),
            Order::RollBack => Duty::RolledBack,
            Order::Drain => Duty::Drained,
            Order::Reset if is_canary => Duty::Canary,
            Order::Promote | Order::Reset => Duty::Full,
        };
        let before = roster.assign(place, duty).map_err(unchanged)?;
        tracing::info!(
            generator = name,
            by,
            "generator `{name}` was {} and is {}: {}, as ordered",
            before.word(),
            duty.word(),
            order.word()
        );
        if order == Order::RollBack {
            self.metrics.canary_rolled_back(name, "operator");
        }
        self.tell(order.event(), &format!("{name} by {by}"));
        self.show();
        Ok((before, duty))
    }

    /// Reads the deployment file's generators and how they are asked again, and puts that in force; a line for each change. A
    /// file that cannot be used leaves what is.
    pub fn reload(&self, by: &str) -> Result<Vec<String>, String> {
        let _one = self.reloading.lock().unwrap_or_else(PoisonError::into_inner);
        let wish = (self.read)().inspect_err(|why| {
            tracing::error!(
                "the generators of the deployment file are not taken, those before stay in force: {why}"
            );
        })?;
        for line in &wish.waits {
            tracing::warn!(by, "{line}");
        }
        let Some(changes) = self.stage.set(wish.generators, wish.asking, self.clock.now()) else {
            return Ok(wish.waits);
        };
        let mut lines = changes.lines();
        for line in &lines {
            tracing::info!(by, "{line}");
        }
        // Of one that was replaced the new one's handles may be there already, and write over what was.
        for name in &changes.removed {
            self.metrics.forget_generator(name);
        }
        self.tell("generators-reloaded", &format!("{} by {by}", lines.join(", ")));
        self.show();
        lines.extend(wish.waits);
        Ok(lines)
    }

    /// Compares canaries with their baselines, `passed` after the last time, which is about a second: those that fell behind
    /// are rolled back.
    pub fn compare(&self, passed: Duration) {
        let _one = self.reloading.lock().unwrap_or_else(PoisonError::into_inner);
        let roster = self.stage.roster();
        for (place, behind) in roster.compare(passed) {
            let generator = &roster.all()[place];
            if roster.assign(place, Duty::RolledBack).is_err() {
                continue;
            }
            let of = generator.post.trial().map(|trial| Arc::clone(&trial.of)).unwrap_or_default();
            let how = match behind {
                Behind::Success => "more of its answers fail",
                Behind::Latency => "its answers take longer",
            };
            let name = &generator.name;
            tracing::error!(
                generator = %name,
                "canary `{name}` is rolled back: {how} than those of `{of}`, by more than chance allows; it gets no traffic \
                 until `signgate generators reset {name}` or `promote {name}`"
            );
            self.metrics.canary_rolled_back(name, behind.word());
            self.tell("generator-rolled-back", &format!("{name} of {of}: {how}"));
            self.show();
        }
    }

    fn tell(&self, event: &'static str, detail: &str) {
        let time = self.clock.now();
        self.record.event(&Event { time, seq: 0, event, policy: None, order: None, detail: Some(detail) });
    }

    /// Shows what is in force to metrics and readiness.
    fn show(&self) {
        let listed = self.list();
        for one in &listed {
            if let Some((_, share)) = &one.canary {
                let share = match one.duty {
                    Duty::Full => 1.0,
                    Duty::Canary => *share,
                    Duty::RolledBack | Duty::Drained => 0.0,
                };
                self.metrics.canary_share(&one.name, share);
            }
        }
        let state = |one: &Listed| GeneratorState {
            name: one.name.to_string(),
            kind: one.kind,
            in_use: matches!(one.duty, Duty::Full | Duty::Canary),
        };
        self.readiness.generators(listed.iter().map(state).collect());
    }
}
