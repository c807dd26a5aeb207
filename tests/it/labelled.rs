//! Labelled traffic from end to end: what `simulate` writes is what `replay` reads and `score` judges.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use signgate::base::time::Timestamp;
use signgate::control::reload::PolicyPlace;
use signgate::policy::{PolicySet, Sources, compile};
use signgate::replay::course::{Course, Said};
use signgate::replay::feed::{Feed, OnBroken};
use signgate::replay::run;
use signgate::score::{Score, Which, score};
use signgate::simulate::{Population, Settings, Traffic, scenarios, write_networks};

/// What `cargo bench --bench detect` judges.
#[path = "../../benches/detect/policies.rs"]
mod policies;

const POLICY: &str = r#"
format = 1
[tier.anonymous]
class = "none"
[tier.community]
class = "free"
[tier.business]
class = "paid"
[tier.enterprise]
class = "paid"
[[target]]
hosts = ["webcast.tiktok.com"]
paths = ["/webcast/*"]
[networks]
table = "networks.csv"
"#;

fn networks() -> Vec<u8> {
    let mut csv = Vec::new();
    write_networks(&mut csv).unwrap();
    csv
}

fn policy(more: &str) -> PolicySet {
    let mut sources = Sources::new("");
    sources.insert("00.toml", format!("{POLICY}{more}"));
    sources.insert("networks.csv", networks());
    let compiled =
        compile(&sources, Timestamp::from_secs(1_800_000_000)).unwrap_or_else(|wrong| panic!("{wrong:?}"));
    assert_eq!(compiled.warnings.len(), 0, "{:?}", compiled.warnings);
    compiled.set
}

/// Every line of every scenario is a request that a gateway would have taken, from a network that the table knows.
#[test]
fn every_line_is_taken_by_replay() {
    let directory = tempfile::tempdir().unwrap();
    let (path, policy) = (directory.path().join("traffic.jsonl"), policy(""));
    for (scenario, population) in scenarios::ALL
        .into_iter()
        .flat_map(|scenario| Population::ALL.map(|population| (scenario, population)))
    {
        let duration = Duration::from_secs(400);
        let settings =
            Settings { rate: 1.5, attack_size: 0.3, population, duration, ..Settings::new(scenario, 3) };
        let mut traffic = Traffic::new(settings);
        let (mut bytes, mut rooms, mut count) = (Vec::new(), Vec::new(), 0);
        while let Some(record) = traffic.next() {
            traffic.write_line(&record, &mut bytes);
            rooms.push(record.room);
            count += 1;
            assert!(policy.networks().lookup(record.client).is_some(), "{}", record.client);
        }
        std::fs::write(&path, bytes).unwrap();
        let mut feed = Feed::open(&[&path], OnBroken::Stop).unwrap();
        let mut course = Course::new(&policy, 0);
        while let Some(record) = feed.next_record().unwrap() {
            let said = course.decide(&record);
            let place = record.place.line as usize;
            assert!(
                matches!(&said, Said::Decision(decision) if decision.refusal.is_none()),
                "{} line {place}: {}",
                scenario.name,
                record.target()
            );
            // The room that is counted is the label's, wherever it stands.
            let request = record.request().as_ref().unwrap();
            let facts = course.facts(&record, request).unwrap();
            if let Some(signgate::base::room::Room::Id(room)) = facts.room {
                assert_eq!(room, rooms[place], "{} line {place}", scenario.name);
            }
            count -= 1;
        }
        assert_eq!((count, feed.too_late()), (0, 0), "{}", scenario.name);
    }
}

fn signgate(directory: &Path, args: &[&str]) -> Output {
    let output =
        Command::new(env!("CARGO_BIN_EXE_signgate")).args(args).current_dir(directory).output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

#[test]
fn rooms_and_the_beginning_are_chosen() {
    let simulate = |more: &str| -> Vec<(u64, String)> {
        let args = format!("simulate --population 1 --rate 5 --duration 4m --seed 2 {more}");
        let out = signgate(Path::new("."), &args.split_whitespace().collect::<Vec<_>>()).stdout;
        let lines = String::from_utf8(out).unwrap();
        let read = |line: &str| -> serde_json::Value { serde_json::from_str(line).unwrap() };
        let of = |record: serde_json::Value| {
            (record["time"].as_u64().unwrap(), record["label"]["room"].as_str().unwrap().to_owned())
        };
        lines.lines().map(read).map(of).collect()
    };
    let rooms =
        |records: &[(u64, String)]| records.iter().map(|(_, room)| room).collect::<BTreeSet<_>>().len();
    let few = simulate("--rooms 60");
    assert!((50..=60).contains(&rooms(&few)), "{}", rooms(&few));
    let many = rooms(&simulate("--rooms 400"));
    assert!((150..=400).contains(&many), "{many}");
    // The same traffic, three years later.
    let later = simulate("--rooms 60 --start 2030-01-15T08:00:00Z");
    let (first, start) =
        (Timestamp::parse_rfc3339("2027-01-15T08:00:00Z"), Timestamp::parse_rfc3339("2030-01-15T08:00:00Z"));
    let (first, start) = (first.unwrap().as_millis(), start.unwrap().as_millis());
    assert!((start..start + 10_000).contains(&later[0].0), "{}", later[0].0);
    let shifted = |(time, room): (u64, String)| (time - first + start, room);
    assert!(few.into_iter().map(shifted).eq(later), "but for the time nothing changes");
}

/// The table must not be written over by the traffic, whatever the two are called, and with `--force` too.
#[test]
fn two_outputs_are_two_files() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    let simulate = |out: &str, networks: &str, more: &[&str]| {
        let args = [&["simulate", "--duration", "1m", "--out", out, "--networks", networks], more].concat();
        let output =
            Command::new(env!("CARGO_BIN_EXE_signgate")).current_dir(at).args(args).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    std::fs::create_dir(at.join("d")).unwrap();
    for (out, networks) in [("same", "same"), ("same", "./same"), ("-", "-")] {
        for more in [&[][..], &["--force"]] {
            let (code, said) = simulate(out, networks, more);
            assert_eq!(code, Some(2), "{said}");
            assert!(said.contains("are both"), "{said}");
            assert!(!at.join("same").exists());
        }
    }
    std::fs::write(at.join("d/one"), "").unwrap();
    std::os::unix::fs::symlink("one", at.join("d/other")).unwrap();
    assert!(simulate("d/one", "d/other", &[]).1.contains("are both"));
    assert_eq!(simulate("d/one", "d/table", &[]).0, Some(0));
}

#[test]
fn simulate_replay_and_score_fit_together() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    let simulate = "simulate --scenario hammering --rate 4 --duration 10m --seed 5 --out t.jsonl --networks p/networks.csv";
    std::fs::create_dir(at.join("p")).unwrap();
    // Every repeating address is held to one signature a minute.
    let rule = "[[rate]]\nname = \"one-a-minute\"\nscope = \"proxy+room\"\nrate = \"1/min\"\n";
    std::fs::write(at.join("p/p.toml"), format!("{POLICY}{rule}")).unwrap();
    signgate(at, &simulate.split(' ').collect::<Vec<_>>());
    let again: Vec<&str> =
        simulate.split(' ').map(|word| if word == "t.jsonl" { "-" } else { word }).collect();
    assert!(
        signgate(at, &again).stdout == std::fs::read(at.join("t.jsonl")).unwrap(),
        "the same seed, the same bytes"
    );
    assert_eq!(std::fs::read(at.join("p/networks.csv")).unwrap(), networks());
    signgate(at, &["replay", "--policies", "p", "--input", "t.jsonl", "--decisions", "d.jsonl", "--strict"]);
    let score =
        signgate(at, &["score", "--traffic", "t.jsonl", "--decisions", "d.jsonl", "--format", "json"]);
    let score: serde_json::Value = serde_json::from_slice(&score.stdout).unwrap();
    assert_eq!(score["scenario"], "hammering");
    // As many lines, and one of them of another moment: these decisions were not made of it.
    let traffic = std::fs::read_to_string(at.join("t.jsonl")).unwrap();
    let time = traffic.split("\"time\":").nth(1).unwrap().split(',').next().unwrap();
    let other = time.parse::<u64>().unwrap() + 1;
    std::fs::write(at.join("other.jsonl"), traffic.replacen(time, &other.to_string(), 1)).unwrap();
    let refused = Command::new(env!("CARGO_BIN_EXE_signgate"))
        .current_dir(at)
        .args(["score", "--traffic", "other.jsonl", "--decisions", "d.jsonl"])
        .output()
        .unwrap();
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("of other times"), "{refused:?}");
    assert_eq!(score["attack"]["signatures"], 1_600);
    // Packed, with a line that is no record in it, and with requests that nobody labelled.
    let unlabelled = r#"{"time":1800000000000,"client":"203.0.113.7","key":null,"method":"GET","target":"/webcast/fetch?room_id=7","user_agent":"x"}"#;
    let more = format!("{traffic}torn\n{unlabelled}\n{unlabelled}\n");
    std::fs::write(at.join("more.zst"), zstd::encode_all(more.as_bytes(), 1).unwrap()).unwrap();
    signgate(at, &["replay", "--policies", "p", "--input", "more.zst", "--decisions", "m.jsonl"]);
    let more =
        signgate(at, &["score", "--traffic", "more.zst", "--decisions", "m.jsonl", "--format", "json"]);
    let said = String::from_utf8(more.stderr).unwrap();
    let told =
        format!("warning: 2 of the {} records in `more.zst` have no label", traffic.lines().count() + 2);
    assert!(said.replace(',', "").contains(&told), "{said}");
    assert!(said.contains("warning: 1 lines of `more.zst` are no records and were passed over"), "{said}");
    let more: serde_json::Value = serde_json::from_slice(&more.stdout).unwrap();
    assert_eq!(more["attack"], score["attack"]);
    // Sixty addresses, one a minute each, for five minutes.
    let leaked = score["attack"]["leaked"].as_u64().unwrap();
    assert!((240..=360).contains(&leaked), "{leaked}");
    // Whom such a rule meets: those with several tools at one address.
    assert_eq!(score["benign"]["personas"][0]["persona"], "creator", "{score}");
    assert_eq!(score["benign"]["denied"], 0);
    let text = signgate(at, &["score", "--traffic", "t.jsonl", "--decisions", "d.jsonl", "--shadow"]);
    assert!(String::from_utf8(text.stdout).unwrap().contains("hammering"));
}

/// Ordinary crowds at a small scale, before a gateway that knows enough to convict: nobody is denied. The attack beside them
/// shows that it would.
#[test]
fn view_bot_detection_denies_nobody_in_ordinary_crowds() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    std::fs::create_dir(at.join("p")).unwrap();
    let viewbot = "[viewbot]\nmode = \"enforce\"\nknown-age = \"8m\"\n";
    std::fs::write(at.join("p/p.toml"), format!("{POLICY}{viewbot}")).unwrap();
    let crowds = [("flash-crowd", 1), ("ordinary", 2), ("naive-burst", 1)];
    for (scenario, population) in crowds {
        let simulate = format!(
            "simulate --scenario {scenario} --population {population} --rate 8 --history 15m --duration 10m \
             --attack-size 0.3 --seed 7 --out t.jsonl --networks p/networks.csv"
        );
        signgate(at, &simulate.split_whitespace().collect::<Vec<_>>());
        signgate(at, &["replay", "--policies", "p", "--input", "t.jsonl", "--decisions", "d.jsonl"]);
        let score =
            signgate(at, &["score", "--traffic", "t.jsonl", "--decisions", "d.jsonl", "--format", "json"]);
        let score: serde_json::Value = serde_json::from_slice(&score.stdout).unwrap();
        assert_eq!(score["benign"]["denied"], 0, "{scenario} {population}: {score}");
        if scenario == "naive-burst" {
            assert!(score["attack"]["leak"].as_f64().unwrap() < 0.05, "{score}");
            assert!(score["precision"]["requests"]["count"].as_u64().unwrap() > 500, "{score}");
        }
    }
}

#[test]
fn what_cannot_be_simulated_is_told() {
    let told = |args: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_signgate")).args(args).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(told(&["simulate", "--scenario", "flash-crowds"]).contains("a similar one is `flash-crowd`"));
    assert!(told(&["simulate", "--population", "3"]).contains("expected 1 or 2"));
    assert!(told(&["simulate", "--rate", "0"]).contains("expected a number from 0.1"));
    assert!(told(&["simulate", "--rate", "NaN"]).contains("expected a number from 0.1"));
    assert!(told(&["simulate", "--out", "/no/such/folder/t.jsonl"]).contains("cannot write"));
    assert!(
        told(&["score", "--traffic", "a", "--decisions", "b", "--decisions", "c"])
            .contains("each `--traffic`")
    );
    assert!(
        told(&["score", "--traffic", "/no/such", "--decisions", "/no/such"])
            .contains("cannot open `/no/such`")
    );
}

#[test]
fn the_list_names_every_scenario_with_its_trouble() {
    let listed = signgate(Path::new("."), &["simulate", "--list"]);
    let listed = String::from_utf8(listed.stdout).unwrap();
    for scenario in scenarios::ALL {
        assert!(listed.contains(scenario.name) && listed.contains(scenario.hard), "{}", scenario.name);
    }
    let client: IpAddr = "240.0.0.1".parse().unwrap();
    assert!(policy("").networks().lookup(client).is_some());
}

/// What is not `simulate`'s own stays as it is, unless `--force` says otherwise.
#[test]
fn an_operator_s_files_are_not_written_over() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let simulate = |more: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_signgate"));
        let usual = ["simulate", "--duration", "2m", "--out", "traffic.jsonl", "--networks", "networks.csv"];
        command.current_dir(directory.path()).args([&usual, more].concat()).output().unwrap()
    };
    let stderr = |output: &Output| String::from_utf8_lossy(&output.stderr).into_owned();
    for (file, own) in [
        ("networks.csv", "203.0.113.0/24,64496,hosting\n"),
        (
            "networks.csv",
            std::str::from_utf8(&[networks(), b"203.0.113.0/24,64496,hosting\n".to_vec()].concat()).unwrap(),
        ),
        ("traffic.jsonl", "{\"time\":1,\"client\":\"203.0.113.7\",\"label\":{\"mine\":1}}\n"),
    ] {
        let other = if file == "networks.csv" { "traffic.jsonl" } else { "networks.csv" };
        std::fs::write(at(file), own).unwrap();
        let _ = std::fs::remove_file(at(other));
        let refused = simulate(&[]);
        assert_eq!(refused.status.code(), Some(2), "{file}");
        assert!(stderr(&refused).contains(&format!("`{file}` is there and is not ")), "{}", stderr(&refused));
        assert!(stderr(&refused).contains("`--force`; nothing was written"), "{}", stderr(&refused));
        assert_eq!(std::fs::read_to_string(at(file)).unwrap(), own);
        assert!(!at(other).exists(), "nothing was written");
    }
    std::fs::write(at("networks.csv"), "mine\n").unwrap();
    assert!(simulate(&["--force"]).status.success());
    assert_eq!(std::fs::read(at("networks.csv")).unwrap(), networks());
    // Its own it writes over, and empty files, as redirections leave them.
    std::fs::write(at("networks.csv"), "").unwrap();
    let again = simulate(&["--seed", "2"]);
    assert!(again.status.success(), "{}", stderr(&again));
}

/// The README's lines, as they stand there, in a fresh directory.
#[test]
fn the_readme_s_lines_work_in_a_fresh_directory() {
    let readme = include_str!("../../README.md");
    let chapter = readme.split_once("## Labelled traffic").unwrap().1;
    let lines = chapter.split_once("```sh\n").unwrap().1.split_once("```").unwrap().0;
    let directory = tempfile::tempdir().unwrap();
    let repository = Path::new(env!("CARGO_MANIFEST_DIR"));
    let copied = Command::new("cp").arg("-r").arg(repository.join("policies")).arg(directory.path()).status();
    assert!(copied.unwrap().success());
    let program = Path::new(env!("CARGO_BIN_EXE_signgate"));
    let path = format!("{}:{}", program.parent().unwrap().display(), std::env::var("PATH").unwrap());
    let ran =
        Command::new("sh").args(["-ec", lines]).current_dir(directory.path()).env("PATH", path).output();
    let ran = ran.unwrap();
    let said = String::from_utf8_lossy(&ran.stderr).into_owned() + &String::from_utf8_lossy(&ran.stdout);
    assert!(ran.status.success(), "{said}");
    assert!(said.contains("distinct `anonymous-rooms`"), "{said}");
    // What the lines below them say of the shipped policies.
    let told = chapter.split_once("On the shipped policies this shows ").unwrap().1;
    let percent = told.split_once(" % throttled and nobody denied").unwrap().0;
    let row = |name: &str| {
        let line =
            said.lines().find(|line| line.trim_start().starts_with(name)).unwrap_or_else(|| panic!("{said}"));
        let share = line.split_whitespace().nth_back(1).unwrap();
        share.parse::<f64>().unwrap_or_else(|_| panic!("{line}"))
    };
    assert_eq!(format!("{:.0}", row("throttle")), percent, "{said}");
    assert!(row("deny ") < 0.005, "{said}");
    // And the table is in force.
    let lab = PolicyPlace::Directory(directory.path().join("lab"));
    let policy = lab.load(Timestamp::from_secs(1_800_000_000)).unwrap().policy;
    let table = String::from_utf8(networks()).unwrap();
    let first = table.lines().find(|line| line.starts_with(|c: char| c.is_ascii_digit())).unwrap();
    assert!(policy.networks().lookup(first.split('/').next().unwrap().parse().unwrap()).is_some(), "{first}");
}

/// What the two baselines of `cargo bench --bench detect` are for: either fails where view-bot detection does not.
#[test]
fn the_bench_s_baselines_fail_each_in_its_own_way() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("traffic.jsonl");
    let judge = |scenario: &str| -> [Score; 3] {
        let scenario = scenarios::find(scenario).unwrap();
        let duration = Duration::from_secs(120);
        let mut traffic = Traffic::new(Settings { duration, ..Settings::new(scenario, 1) });
        let mut bytes = Vec::new();
        while let Some(record) = traffic.next() {
            traffic.write_line(&record, &mut bytes);
        }
        std::fs::write(&path, &bytes).unwrap();
        ["viewbot", "per-address", "distinct"].map(|name| {
            let policy = policies::of_name(name).unwrap();
            let mut feed = Feed::open(&[&path], OnBroken::Stop).unwrap();
            let mut decisions = Vec::new();
            run::run(&mut feed, &policy, None, 0, Some(&mut decisions), |_, _| {}).unwrap();
            score(bytes.as_slice(), decisions.as_slice(), Which::Enforced, |_| false).unwrap().score
        })
    };
    // Each bot has a machine of its own: no limit per address sees any of them, and a hundred addresses fill a room's bucket.
    let leaks = judge("naive-burst").map(|score| score.attack.unwrap().leak);
    assert!(leaks[0] < 0.01 && leaks[1] > 0.99 && (0.01..0.1).contains(&leaks[2]), "{leaks:?}");
    // Nor does it see a crowd, which the bucket turns away.
    let benign = judge("flash-crowd").map(|score| score.benign);
    let refused = benign.map(|benign| (benign.denied_ppm + benign.throttled_ppm) / 1e6);
    assert!(refused[0] < 0.001 && refused[1] < 0.001 && refused[2] > 0.2, "{refused:?}");
}
