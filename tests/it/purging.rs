//! Somebody is taken out of the access record, while a gateway writes to it and when none does.

use std::path::Path;
use std::process::Command;

use serde_json::Value;
use signgate::base::secret::KeyHash;

use crate::gateway::{Gateway, OPEN, Setup};
use crate::generator::Generator;

fn purge(directory: &Path, more: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_signgate"))
        .args(["record", "purge", "--config", "signgate.toml"])
        .args(more)
        .current_dir(directory)
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

/// All lines of all files of the record.
fn lines(directory: &Path) -> Vec<Value> {
    let files = std::fs::read_dir(directory.join("data")).unwrap().map(|entry| entry.unwrap().path());
    let files = files.filter(|path| path.to_string_lossy().contains("access.jsonl"));
    let read = |path| std::fs::read_to_string(path).unwrap();
    files
        .flat_map(|path| {
            read(path).lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<_>>()
        })
        .collect()
}

fn of(lines: &[Value], field: &str, value: &str) -> usize {
    lines.iter().filter(|line| line[field] == value).count()
}

fn ask(gateway: &Gateway, client: &str, room: u64) {
    let from = format!("X-Forwarded-For: {client}");
    assert_eq!(gateway.get(&format!("/webcast/fetch?room_id={room}"), &[&from]).status, 200);
}

#[test]
fn an_address_and_a_room_go_while_the_gateway_writes_on() {
    let generator = Generator::good();
    let gateway = Setup::new(OPEN)
        .config("[listen]\nclient-address = \"x-forwarded-for\"\ntrusted-proxies = [\"127.0.0.0/8\"]")
        .generator(generator.address)
        .start();
    for _ in 0..3 {
        ask(&gateway, "203.0.113.7", 7_300_000_000_000_000_001);
        ask(&gateway, "203.0.113.8", 7_300_000_000_000_000_001);
        ask(&gateway, "203.0.113.9", 7_300_000_000_000_000_002);
    }
    let directory = gateway.directory().to_owned();
    let (code, told, said) = purge(&directory, &["--address", "203.0.113.7"]);
    assert_eq!(code, 0, "{told}{said}");
    assert!(told.contains("3 lines in all removed"), "{told}");
    assert!(said.contains("what was copied elsewhere"), "{said}");
    let left = lines(&directory);
    assert_eq!((of(&left, "client", "203.0.113.7"), of(&left, "client", "203.0.113.8")), (0, 3));

    // The gateway goes on in a new file, and nothing of it is lost.
    ask(&gateway, "203.0.113.7", 7_300_000_000_000_000_002);
    let (code, told, _) = purge(&directory, &["--room", "7300000000000000002", "--dry-run"]);
    assert_eq!(code, 0, "{told}");
    let (code, told, said) = purge(&directory, &["--room", "7300000000000000002"]);
    assert_eq!(code, 0, "{told}{said}");
    assert!(told.contains("4 lines in all removed"), "{told}");
    ask(&gateway, "203.0.113.7", 7_300_000_000_000_000_001);
    gateway
        .wait_until("a record of who comes again", |_| of(&lines(&directory), "client", "203.0.113.7") == 1);
    let left = lines(&directory);
    assert_eq!(of(&left, "room", "7300000000000000002"), 0);
    assert_eq!((of(&left, "client", "203.0.113.8"), left.len()), (3, 3 + 1 + 3), "{left:#?}");
    assert_eq!(of(&left, "event", "start"), 1);
    assert_eq!(of(&left, "event", "record-rotated"), 2, "an operator's action is a line of its own");
}

#[test]
fn an_account_goes_while_the_gateway_writes_on() {
    const ACCOUNTS: [(&str, &str); 2] = [("one", "sg_key_one"), ("other", "sg_key_other")];
    let accounts = ACCOUNTS.map(|(account, key)| {
        let hash = KeyHash::of(key.as_bytes());
        format!(
            "[[account]]\nid = \"{account}\"\ntier = \"community\"\n\
             [[key]]\nid = \"k_{account}\"\nhash = \"{hash}\"\naccount = \"{account}\"\n"
        )
    });
    let generator = Generator::good();
    let gateway =
        Setup::new(OPEN).policy("50-accounts.toml", &accounts.concat()).generator(generator.address).start();
    let ask_all = || {
        for (_, key) in ACCOUNTS {
            let shown = format!("X-Api-Key: {key}");
            assert_eq!(gateway.get("/webcast/fetch?room_id=7300000000000000001", &[&shown]).status, 200);
        }
    };
    let directory = gateway.directory().to_owned();
    let count = || {
        let lines = lines(&directory);
        ACCOUNTS.map(|(account, _)| lines.iter().filter(|line| line["key"]["account"] == account).count())
    };
    ask_all();
    ask_all();
    let (code, told, said) = purge(&directory, &["--account", "one"]);
    assert_eq!(code, 0, "{told}{said}");
    assert!(told.contains("2 lines in all removed"), "{told}");
    assert_eq!(count(), [0, 2]);
    // The gateway goes on in a new file, and nothing of it is lost.
    ask_all();
    gateway.wait_until("a record of who comes again", |_| count() == [1, 3]);
    assert_eq!(purge(&directory, &["--account", "one"]).0, 0);
    assert_eq!(count(), [0, 3]);
}

#[test]
fn without_a_gateway_somebody_has_to_say_so() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    std::fs::create_dir(at("data")).unwrap();
    std::fs::write(at("signgate.toml"), "").unwrap();
    let line = |account: &str| {
        format!(
            "{{\"time\":1,\"client\":\"203.0.113.7\",\"key\":{{\"id\":\"k\",\"account\":\"{account}\",\"tier\":\"t\"}}}}\n"
        )
    };
    std::fs::write(at("data/access.jsonl"), line("one") + &line("other")).unwrap();
    let (code, _, said) = purge(directory.path(), &["--account", "one"]);
    assert_eq!(code, 2);
    assert!(said.contains("where none is running, say `--stopped`"), "{said}");
    let dry = purge(directory.path(), &["--account", "one", "--dry-run"]);
    assert!(dry.1.contains("1 lines in all would be removed, 1 stay"), "{}", dry.1);
    assert_eq!(lines(directory.path()).len(), 2);
    assert_eq!(purge(directory.path(), &["--account", "one", "--stopped"]).0, 0);
    let left = lines(directory.path());
    assert_eq!((left.len(), &left[0]["key"]["account"]), (1, &Value::from("other")));
    assert_eq!(purge(directory.path(), &["--stopped"]).0, 2, "nothing is purged by mistake");
    assert_eq!(purge(directory.path(), &["--account", "", "--stopped"]).0, 2, "nobody's account is none");
    for more in ["--stopped", "--dry-run"] {
        let (code, told, said) =
            purge(directory.path(), &["--account", "one", "--path", "data/nope.jsonl", more]);
        assert_eq!((code, told.as_str()), (2, ""), "{said}");
        assert!(said.contains("error: there is no access record at `data/nope.jsonl`"), "{said}");
    }
}

/// One that keeps all others in its file would keep them for ever.
#[test]
fn a_line_longer_than_any_record_stays_and_nobody_else_with_it() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    std::fs::create_dir(at("data")).unwrap();
    std::fs::write(at("signgate.toml"), "").unwrap();
    let line = "{\"time\":1,\"client\":\"203.0.113.7\",\"key\":null}\n";
    let other = "{\"time\":1,\"client\":\"203.0.113.8\",\"key\":null}\n";
    // Longer than what `replay` reads, and than any record of ours, but read.
    let wide = format!("{{\"client\":\"203.0.113.7\",\"x\":\"{}\"}}\n", "x".repeat(100_000));
    let long = format!("{}203.0.113.7\n", "x".repeat(2 << 20));
    let whole = [line, &long, other, &wide, &long, line].concat();
    std::fs::write(at("data/access.jsonl"), &whole).unwrap();
    let warned = "warning: line 2 of ./data/access.jsonl is longer than any record, and so are 1 more: what is no record stays, \
                  whoever it names\n";
    let (code, told, said) = purge(directory.path(), &["--address", "203.0.113.7", "--dry-run"]);
    assert_eq!(code, 0, "{told}{said}");
    assert!(told.ends_with("3 lines in all would be removed, 3 stay\n"), "{told}");
    assert!(said.contains(warned), "{said}");
    assert!(std::fs::read_to_string(at("data/access.jsonl")).unwrap() == whole);
    let (code, told, said) = purge(directory.path(), &["--address", "203.0.113.7", "--stopped"]);
    assert_eq!(code, 0, "{told}{said}");
    assert!(told.ends_with("3 lines in all removed, 3 stay\n"), "{told}");
    assert!(said.contains(warned), "{said}");
    let left = std::fs::read_to_string(at("data/access.jsonl")).unwrap();
    assert!(left == [&long, other, &long].concat());
}

/// What is counted is only what could be looked at.
#[test]
fn the_sum_names_the_files_that_were_left_as_they_are() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    std::fs::create_dir(at("data")).unwrap();
    std::fs::write(at("signgate.toml"), "").unwrap();
    let line = "{\"time\":1,\"client\":\"203.0.113.7\",\"key\":null}\n";
    let whole = zstd::encode_all(line.repeat(9_999).as_bytes(), 1).unwrap();
    std::fs::write(at("data/access.jsonl"), &whole[..whole.len() - 9]).unwrap();
    for (more, verb) in [("--dry-run", "would be removed"), ("--stopped", "removed")] {
        let (code, told, said) = purge(directory.path(), &["--address", "203.0.113.7", more]);
        assert_eq!(
            (code, told),
            (2, format!("0 lines in all {verb}, 0 stay, and 1 file was left as it is\n"))
        );
        assert!(said.contains("error: ./data/access.jsonl was left as it is"), "{said}");
    }
}

/// Whoever means those of an account in a room would lose all of either.
#[test]
fn two_conditions_are_refused_and_nothing_is_touched() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::create_dir(directory.path().join("data")).unwrap();
    std::fs::write(directory.path().join("signgate.toml"), "").unwrap();
    let line = "{\"time\":1,\"client\":\"203.0.113.7\",\"key\":null,\"room\":\"71\"}\n";
    std::fs::write(directory.path().join("data/access.jsonl"), line).unwrap();
    for more in ["--stopped", "--dry-run"] {
        let both = ["--address", "203.0.113.7", "--room", "72", more];
        let (code, told, said) = purge(directory.path(), &both);
        assert_eq!((code, told.as_str()), (2, ""), "{said}");
        assert!(said.contains("'--address <ADDR>' cannot be used with '--room <ROOM>'"), "{said}");
    }
    assert_eq!(lines(directory.path()).len(), 1);
}
