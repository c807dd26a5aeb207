//! What a verb prints arrives, or whoever asked is told so; a reader that has gone has seen enough.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Output, Stdio};

const POLICY: &str = r#"
format = 1
[tier.anonymous]
class = "none"
[tier.community]
class = "free"
[[account]]
id = "one"
tier = "community"
[[key]]
id = "k_one"
hash = "blake3:0000000000000000000000000000000000000000000000000000000000000000"
account = "one"
"#;

/// Every verb that prints a result without a gateway.
const VERBS: [&str; 13] = [
    "simulate --list",
    "simulate --duration 1m",
    "replay --input t.jsonl",
    "replay --input t.jsonl --format json",
    "replay --input t.jsonl --decisions -",
    "score --traffic t.jsonl --decisions d.jsonl",
    "score --traffic t.jsonl --decisions d.jsonl --format json",
    "explain --input t.jsonl --line 1",
    "explain --input t.jsonl --line 1 --format json",
    "check --format json",
    "check --scenarios policies/scenarios",
    "keys list",
    "record purge --stopped --account one --path t.jsonl",
];

fn signgate(directory: &Path, arguments: &str, stdout: Stdio) -> Output {
    Command::new(env!("CARGO_BIN_EXE_signgate"))
        .args(arguments.split(' '))
        .current_dir(directory)
        .env_remove("SIGNGATE_CONFIG")
        .stdout(stdout)
        .output()
        .unwrap()
}

fn laboratory() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    std::fs::create_dir_all(at("policies/scenarios/one")).unwrap();
    std::fs::write(at("policies/10.toml"), POLICY).unwrap();
    let made = signgate(directory.path(), "simulate --duration 1m --out t.jsonl", Stdio::null());
    assert!(made.status.success(), "{made:?}");
    let traffic = std::fs::read_to_string(at("t.jsonl")).unwrap();
    std::fs::write(at("policies/scenarios/one/traffic.jsonl"), &traffic).unwrap();
    std::fs::write(at("policies/scenarios/one/expected.jsonl"), "").unwrap();
    let replayed = signgate(directory.path(), "replay --input t.jsonl --decisions d.jsonl", Stdio::null());
    assert!(replayed.status.success(), "{replayed:?}");
    directory
}

#[test]
fn a_result_that_cannot_be_written_is_told() {
    let directory = laboratory();
    for verb in VERBS {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let ended = signgate(directory.path(), verb, full.into());
        let said = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.status.code(), Some(2), "{verb}: {said}");
        assert!(said.contains("error: cannot write") && said.contains("No space left"), "{verb}: {said}");
    }
}

#[test]
fn whoever_stops_reading_has_seen_enough() {
    let directory = laboratory();
    for verb in VERBS {
        let usual = signgate(directory.path(), verb, Stdio::null());
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let ended = signgate(directory.path(), verb, writer.into());
        let said = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.status.code(), usual.status.code(), "{verb}: {said}");
        assert!(!said.contains("error"), "{verb}: {said}");
    }
}

/// A key or a token that nobody got is not to be had again: for these a reader that has gone is a failure.
#[test]
fn what_is_shown_once_must_arrive() {
    let directory = laboratory();
    for verb in ["token new --role viewer", "keys new --account one"] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let ended = signgate(directory.path(), verb, writer.into());
        let said = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.status.code(), Some(2), "{verb}: {said}");
        assert!(said.contains("nobody has it"), "{verb}: {said}");
    }
}
