//! signgate: a signature-proxy reverse gateway with abuse controls.
//!
//! # The map
//!
//! ```text
//! accept -> identify -> assess -> charge -> conclude -> forward -> judge -> observe -> record
//!           Facts       Assessment  Receipt   Decision    Outcome             Effects    AccessRecord
//! ```
//!
//! *assess* reads and writes nothing. *charge* books the quotas, all or none. *conclude* puts the decision together.
//! *observe* takes back what a request counted that got no good answer. Every exit passes through *record*. `identify` has
//! two parts, of the head and, for a POST whose room or target stands in the body, of the body: the first assess runs
//! on the head and refuses what it can before a body is read. The path itself is [`gateway::admit`].
//!
//! # Rooms
//!
//! | room | what it is |
//! |---|---|
//! | [`base`] | the words that everyone uses: time, rates, names, subjects, addresses, secrets |
//! | [`policy`] | text -> checked -> compiled; reads no files itself |
//! | [`engine`] | the deterministic core: facts in, a decision out |
//! | [`dialect`] | how each client generation speaks; the only maker of facts |
//! | [`telemetry`] | metrics, access records, logs |
//! | [`replay`] | recorded traffic, decided again |
//! | [`generator`] | choose one, forward, judge what came back |
//! | [`gateway`] | the data path: listener, identify, admit, respond |
//! | [`control`] | reads policy files and swaps them in; sweeps |
//! | [`admin`] | the operator's own listener |
//! | [`config`] | the deployment file |
//! | [`simulate`] | labelled traffic, to try policies on; shares nothing with the engine |
//! | [`score`] | what decisions are worth, where it is known who was who |
//! | [`cli`] | one file a verb |
//!
//! `base <- policy <- engine <- {dialect, telemetry} <- generator <- gateway <- control <- admin <- cli`,
//! `{dialect, telemetry} <- replay <- cli`, `base <- simulate <- cli`, `base <- score <- cli` and `policy <- config <- cli`:
//! a room uses only rooms below it, and rooms in braces do not know each other. A test reads the `use` lines. Two rooms of
//! the design are not here yet, as nothing would be in them: the ledger (one process books in its own [`engine::book`]) and
//! the store (everything is in memory).
//!
//! # Invariants
//!
//! - Nothing in `engine` can wait, read a clock or touch a disk. A decision is a function of policy, state, facts, now and
//!   receipt, never of a hash seed or of a map's order.
//! - The order of files and rules never changes a verdict: the strictest enforced rule wins; allowlists come first.
//! - A refusal without a reason cannot be constructed.
//! - One request sees one policy set.
//! - Nothing is charged until every check has passed; all windows are charged or none. Refused requests consume no quota.
//! - Counters are keyed by rule name and subject, so that a reload keeps them and a raised limit helps at once.
//! - Past `identify`, secrets and session values exist only as hashes, except in the forwarder, until sent.
//! - Keys, addresses and rooms are never metric labels.
//! - Time and randomness are passed in.

pub mod admin;
pub mod base;
pub mod cli;
pub mod config;
pub mod control;
pub mod dialect;
pub mod engine;
pub mod gateway;
pub mod generator;
pub mod policy;
pub mod replay;
pub mod score;
pub mod simulate;
pub mod telemetry;
