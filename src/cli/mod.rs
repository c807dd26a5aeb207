//! The command line: one file a verb.
//!
//! stdout is for data, stderr for talk. Exit codes: 0 yes, 1 a well-formed no, 2 could not do it.

pub mod bans;
pub mod check;
mod columns;
pub mod explain;
pub mod generators;
pub mod keys;
pub mod keys_file;
pub mod operate;
pub mod pardon;
mod progress;
pub mod record;
pub mod reload;
pub mod replay;
pub mod rollback;
mod same_file;
pub mod score;
pub mod serve;
pub mod simulate;
mod stdout;
pub mod token;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// A gateway in front of signature generators: it knows who asks, holds each to a quota, passes only answers that work,
/// and says why it refuses.
///
/// Without a command it serves, as `signgate serve` does: on http://127.0.0.1:8080, with the stand-in generator and the
/// policies in ./policies, or the shipped ones where there is no such folder.
#[derive(Debug, Parser)]
#[command(name = "signgate", version, max_term_width = 100, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    serve: serve::ServeArgs,
}

/// How each verb ends: 0 yes, 1 a well-formed no, 2 could not do it, and what that is for it.
mod exit_codes {
    pub(super) const SERVE: &str = "Exit codes: 0 stopped as it was told, 1 where the deployment file or the policies have errors, 2 where it could not start";
    pub(super) const CHECK: &str = "Exit codes: 0 clean (with --explain: admitted), 1 with diagnostics, warnings alone too (with --explain: refused), 2 where something could not be read or written (with --explain: or there are errors)";
    pub(super) const RELOAD: &str = "Exit codes: 0 where policies and generators are in force, warnings or not, 1 where either was refused (the message says which), 2 where the gateway could not be asked, or what it said not be written";
    pub(super) const ROLLBACK: &str = "Exit codes: 0 where an earlier policy is in force, 1 where there is none or it was refused, 2 where the gateway could not be asked, or what it said not be written";
    pub(super) const ASK: &str = "Exit codes: 0 done, 1 where the gateway says no (there is no such one, or it cannot be), 2 where it could not be asked, or what it said not be written";
    pub(super) const REPLAY: &str = "Exit codes: 0 done, whatever was decided, 2 where something could not be read or written, or where there are lines and not one of them is a record; an empty input is none of that";
    pub(super) const EXPLAIN: &str = "Exit codes: 0 admitted, 1 refused, 2 where it cannot be told: no such request, nothing to read, not one line that is a record";
    pub(super) const KEYS: &str = "Exit codes: 0 done, 1 where it cannot be done or the policies have errors, 2 where something could not be read or written";
    pub(super) const SIMULATE: &str =
        "Exit codes: 0 written, 2 where it could not be, or where a file is there that is not its own";
    pub(super) const SCORE: &str = "Exit codes: 0 judged, however it came out, 2 where something could not be read or written, or the decisions are not about the traffic";
    pub(super) const PURGE: &str = "Exit codes: 0 done, also where nothing was to be taken out, 2 where there is no record, a file could not be read or written, or the gateway not be asked";
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Serve clients until told to stop
    ///
    /// SIGTERM and SIGINT stop it without losing a request; SIGHUP reads the policies, and the generators of the
    /// deployment file, again and reopens the access record. Changed policy files are taken by themselves, at the latest within two seconds; a set with errors leaves
    /// the one before in force.
    ///
    /// The log goes to stderr: SIGNGATE_LOG=debug, or signgate::generator=debug,info, says how much (info).
    #[command(after_help = exit_codes::SERVE)]
    Serve(serve::ServeArgs),
    /// Check a policy directory, or a deployment file: exit code 0 where it is clean, 1 with diagnostics, 2 where it cannot be read
    #[command(after_help = exit_codes::CHECK)]
    Check(check::CheckArgs),
    /// Have a running gateway read its policies, and the generators of its deployment file, again: exit code 0 where they are in
    /// force, 1 where either was refused
    ///
    /// Changed policy files are taken by themselves: for them it is needed only to hear at once what comes of a change, to end a
    /// rollback, or to confirm that a feed shrank. Changes of generators are taken by this or SIGHUP alone.
    #[command(after_help = exit_codes::RELOAD)]
    Reload(reload::ReloadArgs),
    /// Bring the policy before this one back in a running gateway; once more goes further back
    ///
    /// The files on disk stay as they are, and are passed over until a policy file changes (a feed alone does not count)
    /// or `signgate reload` asks for them. Ten former policies are kept.
    #[command(after_help = exit_codes::ROLLBACK)]
    Rollback(rollback::RollbackArgs),
    /// Bans of a running gateway: list them with their evidence, make your own, lift, make convictions in shadow real
    #[command(subcommand)]
    Bans(bans::BansVerb),
    /// Generators of a running gateway: list them, promote or roll back a canary, drain one
    #[command(subcommand)]
    Generators(generators::GeneratorsVerb),
    /// Pardon a room in a running gateway: a large crowd that you know of, and no attack
    ///
    /// Its excess and everything derived from it is dropped, bans and strikes too, and view-bot detection looks away from
    /// the room for a while. For a known event do it before it begins; what you banned yourself stays banned.
    #[command(after_help = exit_codes::ASK)]
    Pardon(pardon::PardonArgs),
    /// Decide recorded traffic again with a policy: who would be refused, by which rule, and what changes against another
    ///
    /// The input is the access record of a gateway (`data/access.jsonl` and the files that were set aside), or any traffic
    /// with one JSON object a line that holds at least `time`, `client`, `key`, `method`, `target`, `user_agent`. What a request
    /// costs, and whether that was given back, counts from the moment it ended, so no decision knows the future. To try a
    /// new policy on yesterday: `signgate replay --policies new --against policies --input data/access.jsonl`.
    #[command(after_help = exit_codes::REPLAY)]
    Replay(replay::ReplayArgs),
    /// Say why one request was decided as it was, or would be after a stretch of traffic: every rule considered, with its
    /// numbers
    ///
    /// With `--request-id`, which every answer carries as `X-Request-ID`, it is looked up in the access record of the
    /// deployment file, and the record up to it is replayed first, so that every count stands as it stood then (of a
    /// gateway that was not started anew in between); the record also says how it ended: which generator answered, what
    /// was the matter, what the client got. With a
    /// REQUEST it is asked after all of `--input`. Nothing is asked of a running gateway, and nothing of it is slowed.
    #[command(after_help = exit_codes::EXPLAIN)]
    Explain(explain::ExplainArgs),
    /// Look after the access record: take somebody out of it
    #[command(subcommand)]
    Record(record::RecordVerb),
    /// Make, list, rotate and disable API keys in the policy files, whose comments stay
    Keys(keys::KeysArgs),
    /// Make a token for the admin listener, which a `[[admin.token]]` of the deployment file lets in
    #[command(subcommand)]
    Token(token::TokenVerb),
    /// Write labelled traffic of a known world: ordinary people, honest stress, attacks
    ///
    /// One JSON object a line, as `signgate replay` reads it, with a `label` that says who it was in truth. Try a policy
    /// on it before it meets real people: `signgate simulate --scenario flash-crowd --out crowd.jsonl --networks
    /// networks.csv`, then replay, then `signgate score`. `--list` tells the scenarios. The traffic does not know what is
    /// decided about it: nobody comes again because they were refused.
    #[command(after_help = exit_codes::SIMULATE)]
    Simulate(simulate::SimulateArgs),
    /// Judge decisions about labelled traffic: what leaked, how fast it was stopped, who paid for it
    ///
    /// The decisions are those of `signgate replay --decisions` about traffic of `signgate simulate`. Several pairs make one
    /// table: the same traffic under several policies, or several scenarios under one.
    #[command(after_help = exit_codes::SCORE)]
    Score(score::ScoreArgs),
}

/// Reads the command line and does what it says.
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    let done = match cli.verb {
        None => serve::run(cli.serve),
        Some(Verb::Serve(args)) => serve::run(args),
        Some(Verb::Check(args)) => check::run(&args),
        Some(Verb::Bans(verb)) => bans::run(&verb),
        Some(Verb::Generators(verb)) => generators::run(&verb),
        Some(Verb::Pardon(args)) => pardon::run(&args),
        Some(Verb::Replay(args)) => replay::run(&args),
        Some(Verb::Explain(args)) => explain::run(&args),
        Some(Verb::Record(verb)) => record::run(&verb),
        Some(Verb::Keys(args)) => keys::run(args),
        Some(Verb::Token(verb)) => token::run(&verb),
        Some(Verb::Simulate(args)) => simulate::run(&args),
        Some(Verb::Score(args)) => score::run(&args),
        Some(Verb::Reload(args)) => reload::run(&args),
        Some(Verb::Rollback(args)) => rollback::run(&args),
    };
    done.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::from(2)
    })
}

/// Random bytes of the system.
fn random<const N: usize>() -> anyhow::Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)
        .map_err(|error| anyhow::anyhow!("the system gives no random bytes: {error}"))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_verb_says_how_it_ends() {
        fn look(command: &clap::Command) {
            let verbs: Vec<_> = command.get_subcommands().filter(|verb| verb.get_name() != "help").collect();
            for verb in &verbs {
                look(verb);
            }
            if verbs.is_empty() {
                let told = command.get_after_help().map(ToString::to_string).unwrap_or_default();
                assert!(told.starts_with("Exit codes: 0 "), "`{}` does not say", command.get_name());
            }
        }
        look(&Cli::command());
    }
}
