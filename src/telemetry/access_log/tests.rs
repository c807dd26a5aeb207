use std::fs;
use std::path::Path;

use proptest::prelude::*;
use serde_json::Value;

use super::writer::{Chunk, Queue};
use super::*;
use crate::base::id::{AccountId, KeyId, RuleName, TierName};
use crate::base::request_id::RequestId;
use crate::base::time::Clock;
use crate::engine::decision::{Caller, Reason, Shadow};
use crate::policy::set::{Mode, Parts, Rule, RuleIndex, RuleKind, Tier, TierClass, TierIndex};
use crate::telemetry::metrics::{Metrics, RecordCounts};

fn policy() -> PolicySet {
    let rule = |name: &str| Rule {
        name: RuleName::new(name).unwrap(),
        mode: Mode::Enforce,
        kind: RuleKind::Quota { counters: 0..0 },
        file: "10.toml".into(),
        line: 1,
    };
    PolicySet::new(Parts {
        digest: Digest([0x0f, 0xa1, 2, 3, 4, 5, 6, 0xff]),
        tiers: vec![Tier { name: TierName::new("community").unwrap(), class: TierClass::Free }],
        rules: vec![rule("a-minute"), rule("a-day")],
        ..Parts::default()
    })
}

fn decision(refusal: Option<Refusal>) -> Decision {
    let identity = Some((AccountId::new("overlay-suite").unwrap(), KeyId::new("k_7f3a").unwrap()));
    Decision { caller: Caller { tier: TierIndex(0), identity }, refusal, shadow: Shadow::Same }
}

fn refusal() -> Refusal {
    let quota = |rule, wait| {
        let (label, window, wait) = ("l".into(), Duration::from_secs(60), Duration::from_millis(wait));
        Reason::Quota { rule: RuleIndex(rule), label, max: 5, different: None, window, wait }
    };
    let mut refusal = Refusal::new(quota(0, 30_500));
    refusal.add(quota(1, 90_000));
    refusal
}

fn record(ruling: Ruling<'_>) -> AccessRecord<'_> {
    AccessRecord {
        time: Timestamp::from_millis(1_795_342_463_123),
        seq: 7,
        duration: Duration::from_micros(81_402),
        request_id: id(7),
        client: Some("203.0.113.7".parse().unwrap()),
        key_doubt: None,
        method: "GET",
        target: Target::AsItCame(
            "/webcast/fetch?client=ttlive-python&room_id=7300000000000000001&apiKey=s3cret",
        ),
        url: TargetClaim::None,
        user_agent: "TikTokLive.py/7.0.1",
        session: Some(SessionHash::of(&[7; 32], b"s3cret")),
        room: Some(Room::Id(7_300_000_000_000_000_001)),
        answer_room: None,
        operation: Some(Operation::Connect),
        status: 200,
        ruling,
        outcome: Outcome::Good,
        generator: Some("main"),
        lapse: None,
        attempts: 1,
        refunded: false,
        turned_away: false,
        queue: Duration::ZERO,
        generator_time: Duration::from_millis(81),
        bytes_in: 0,
        bytes_out: 43_000,
    }
}

fn id(sequence: u64) -> RequestIdText {
    RequestId::new(Timestamp::from_millis(1_795_342_463_123), sequence, [1, 2]).text()
}

fn line(record: &AccessRecord<'_>) -> String {
    let mut out = Vec::new();
    record.write_json(&mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn lines() {
    let policy = policy();
    let (good, refused) = (decision(None), decision(Some(refusal())));
    let shadowed = Decision { shadow: Shadow::Refuses(refusal()), ..decision(None) };
    let ruling = |decision| Ruling::Policy { decision, policy: &policy };
    let url = TargetClaim::Url { host: "webcast.tiktok.com", path: "/webcast/im/fetch/" };
    let lines = [
        AccessRecord { answer_room: Some(Room::Id(7)), ..record(ruling(&good)) },
        AccessRecord { status: 429, outcome: Outcome::Refused, generator: None, ..record(ruling(&refused)) },
        AccessRecord {
            url,
            method: "POST",
            target: Target::Public("/tiktok/sign_url"),
            ..record(ruling(&shadowed))
        },
        AccessRecord {
            status: 400,
            outcome: Outcome::Invalid,
            client: None,
            session: None,
            room: None,
            operation: None,
            ..record(Ruling::Gateway { policy: None, reason: "bare_lf" })
        },
        AccessRecord {
            status: 502,
            outcome: Outcome::GeneratorFailed,
            lapse: Some(Lapse::Defect("fallback host")),
            refunded: true,
            ..record(ruling(&good))
        },
        AccessRecord {
            status: 503,
            outcome: Outcome::NoCapacity,
            generator: None,
            lapse: Some(Lapse::Lack("shed")),
            attempts: 0,
            turned_away: true,
            ..record(ruling(&good))
        },
    ]
    .map(|record| line(&record));
    let event = Event {
        time: Timestamp::from_millis(1),
        seq: 8,
        event: "reload",
        policy: Some(policy.digest()),
        order: None,
        detail: Some("by\nhand"),
    };
    let mut out = Vec::new();
    event.write_json(&mut out);
    insta::assert_snapshot!(lines.concat() + std::str::from_utf8(&out).unwrap());
    assert!(!lines.concat().contains("s3cret"));
    for line in lines {
        let value: Value = serde_json::from_str(&line).unwrap();
        // What design 9 asks of an input of replay.
        assert!(value["time"].is_u64() && value["method"].is_string() && value["target"].is_string());
        assert!(value["key"].is_null() || value["key"]["tier"] == "community");
        assert_eq!(line.matches('\n').count(), 1);
    }
}

proptest! {
    #[test]
    fn hostile_texts_read_back_from_one_bounded_line(
        user_agent in "[\\PC\\x00-\\x1f\u{2028}\"\\\\]{0,400}",
        method in "\\PC{0,100}",
        target in "\\PC{0,3000}",
    ) {
        let (policy, decision) = (policy(), decision(Some(refusal())));
        let record = AccessRecord {
            method: &method,
            target: Target::AsItCame(&target),
            user_agent: &user_agent,
            ..record(Ruling::Policy { decision: &decision, policy: &policy })
        };
        let line = line(&record);
        prop_assert!(line.len() < 8 << 10);
        prop_assert_eq!(line.lines().count(), 1);
        let value: Value = serde_json::from_str(&line).unwrap();
        let kept = value["user_agent"].as_str().unwrap();
        prop_assert!(user_agent.starts_with(kept) && (kept.len() > 252 || kept == user_agent));
        prop_assert_eq!(value["wait"].as_u64(), Some(90));
    }

    #[test]
    fn addresses_and_rooms_are_written_as_they_print(
        v4 in any::<u32>(), v6 in any::<u128>(), id in 1u64.., name in "[a-z0-9._]{1,32}",
    ) {
        let quoted = |write: &dyn Fn(&mut Vec<u8>)| {
            let mut out = Vec::new();
            write(&mut out);
            String::from_utf8(out).unwrap()
        };
        for address in [IpAddr::V4(v4.into()), IpAddr::V6(v6.into())] {
            prop_assert_eq!(quoted(&|out| write_address(out, address)), format!("\"{address}\""));
        }
        for room in [Room::Id(id), Room::parse_anchor(&name).unwrap()] {
            prop_assert_eq!(quoted(&|out| write_room(out, room)), format!("\"{room}\""));
        }
    }

    #[test]
    fn milliseconds_keep_their_places(micros in 0u64..1 << 40) {
        let mut out = Vec::new();
        milliseconds(&mut out, Duration::from_micros(micros));
        let read: f64 = std::str::from_utf8(&out).unwrap().parse().unwrap();
        prop_assert!((read * 1000.0 - micros as f64).abs() < 0.5);
    }
}

fn counts() -> RecordCounts {
    Metrics::new(Timestamp::EPOCH).record_counts()
}

fn settings(path: &Path) -> RecordSettings {
    RecordSettings { destination: Destination::File(path.into()), ..RecordSettings::default() }
}

const PATIENCE: Duration = Duration::from_secs(20);

fn start() -> Clock {
    Clock::manual(Timestamp::from_millis(1_795_342_463_123))
}

/// All lines of all files of the directory, each of which must be JSON.
fn read_all(directory: &Path) -> Vec<Value> {
    let files =
        fs::read_dir(directory).unwrap().map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap());
    files
        .flat_map(|text| text.lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<_>>())
        .collect()
}

#[test]
fn lines_of_several_workers_are_whole_and_all_there() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("new/access.jsonl");
    let counts = counts();
    let log = RecordLog::open(&settings(&path), start(), counts.clone()).unwrap();
    std::thread::scope(|scope| {
        for worker in 0..4u64 {
            let recorder = log.recorder();
            scope.spawn(move || {
                let (policy, decision) = (policy(), decision(None));
                for n in 0..500 {
                    let ruling = Ruling::Policy { decision: &decision, policy: &policy };
                    recorder.record(&AccessRecord { seq: worker * 500 + n, ..record(ruling) });
                }
            });
        }
    });
    assert!(log.close(PATIENCE));
    let mut seqs: Vec<_> =
        read_all(path.parent().unwrap()).iter().map(|line| line["seq"].as_u64().unwrap()).collect();
    seqs.sort_unstable();
    assert_eq!(seqs, (0..2000).collect::<Vec<_>>());
    assert_eq!((counts.written.get(), counts.queue_full.get()), (2000, 0));
}

#[test]
fn a_writer_that_is_behind_costs_lines_and_no_waiting() {
    let counts = counts();
    // The receiver is held and never read: a disk that hangs.
    let (queue, _held) = Queue::new(counts.clone());
    for _ in 0..20 {
        queue.push(Chunk { bytes: vec![b'x'; 1 << 20], lines: 10 });
    }
    assert_eq!(counts.queue_full.get(), 120, "8 MiB wait, the rest is lost");
}

#[test]
fn refused_requests_are_recorded_whatever_the_share() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("access.jsonl");
    let share = Share::new(0.25).unwrap();
    let log = RecordLog::open(&RecordSettings { allowed_share: share, ..settings(&path) }, start(), counts())
        .unwrap();
    let recorder = log.recorder();
    let policy = policy();
    let (good, refused) = (decision(None), decision(Some(refusal())));
    for n in 0..2000u32 {
        let id = id(n.into());
        let ruling = |decision| Ruling::Policy { decision, policy: &policy };
        recorder.record(&AccessRecord { request_id: id, ..record(ruling(&good)) });
        recorder.record(&AccessRecord { request_id: id, ..record(ruling(&refused)) });
        let outcome = Outcome::GeneratorFailed;
        recorder.record(&AccessRecord { request_id: id, outcome, ..record(ruling(&good)) });
    }
    drop(recorder);
    assert!(log.close(PATIENCE));
    let lines = read_all(directory.path());
    let count = |verdict: &str, outcome: &str| {
        lines.iter().filter(|line| line["verdict"] == verdict && line["outcome"] == outcome).count()
    };
    assert_eq!((count("throttle", "good"), count("allow", "generator-failed")), (2000, 2000));
    assert!((400..600).contains(&count("allow", "good")), "{}", count("allow", "good"));
    assert!(
        lines
            .iter()
            .all(|line| (line["share"] == 0.25) == (line["verdict"] == "allow" && line["outcome"] == "good"))
    );
}

#[test]
fn shares() {
    let taken = |share: f64| {
        (0..10_000).filter(|n| Share::new(share).unwrap().takes(n.to_string().as_bytes())).count()
    };
    assert_eq!((taken(0.0), taken(1.0)), (0, 10_000));
    assert!((900..1100).contains(&taken(0.1)), "{}", taken(0.1));
    for bad in [-0.1, 1.1, f64::NAN] {
        assert_eq!(Share::new(bad), None);
    }
}

#[test]
fn files_are_rotated_by_size_and_age_and_removed_when_kept_long_enough() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("access.jsonl");
    let clock = start();
    let settings = RecordSettings { rotate_bytes: 1000, ..settings(&path) };
    let day = Duration::from_secs(86_400);
    let names = || {
        let names = fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<_> = names.map(|name| name.into_string().unwrap()).collect();
        names.sort();
        names
    };
    // A log of its own for each step: closing is how a test knows that the writer is done.
    let write = |lines: usize| {
        let log = RecordLog::open(&settings, clock.clone(), counts()).unwrap();
        let recorder = log.recorder();
        let (policy, decision) = (policy(), decision(None));
        for _ in 0..lines {
            let ruling = Ruling::Policy { decision: &decision, policy: &policy };
            recorder.record(&AccessRecord { time: clock.now(), ..record(ruling) });
        }
        drop(recorder);
        assert!(log.close(PATIENCE));
    };
    write(1);
    assert_eq!(names(), ["access.jsonl"]);
    write(2);
    assert_eq!(names(), ["access.jsonl", "access.jsonl.2026-11-22T101423.123Z"], "over 1000 bytes");
    write(3);
    assert_eq!(names().len(), 3, "two of one moment: {:?}", names());
    assert_eq!(read_all(directory.path()).len(), 6);
    write(1);
    clock.advance(day);
    write(1);
    assert_eq!(names().len(), 4, "a day old: {:?}", names());
    clock.advance(6 * day + Duration::from_secs(86_399));
    write(1);
    assert_eq!(
        names().iter().filter(|name| name.starts_with("access.jsonl.2026-11-22")).count(),
        0,
        "{:?}",
        names()
    );
    assert_eq!(
        names().iter().filter(|name| name.starts_with("access.jsonl.2026-11-23")).count(),
        1,
        "{:?}",
        names()
    );
}

#[test]
fn a_line_torn_by_a_kill_is_cut_off() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("access.jsonl");
    let whole = "{\"time\":1795342463123,\"seq\":1}\n";
    for length in 0..whole.len() {
        fs::write(&path, format!("{whole}{}", &whole[..length])).unwrap();
        let log = RecordLog::open(&settings(&path), start(), counts()).unwrap();
        log.event(&Event {
            time: Timestamp::EPOCH,
            seq: 2,
            event: "start",
            policy: None,
            order: None,
            detail: None,
        });
        assert!(log.close(PATIENCE));
        assert_eq!(read_all(directory.path()).len(), 2, "{length}");
    }
}

#[test]
fn reopening_follows_an_operator_who_renames() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("access.jsonl");
    let log = RecordLog::open(&settings(&path), start(), counts()).unwrap();
    let event =
        |seq| Event { time: Timestamp::EPOCH, seq, event: "start", policy: None, order: None, detail: None };
    log.event(&event(1));
    fs::rename(&path, directory.path().join("mine")).unwrap();
    log.reopen();
    log.event(&event(2));
    assert!(log.close(PATIENCE));
    assert!(fs::read_to_string(&path).unwrap().contains("\"seq\":2"));
    assert!(fs::read_to_string(directory.path().join("mine")).unwrap().contains("\"seq\":1"));
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_costs_lines_that_are_counted() {
    let counts = counts();
    let log = RecordLog::open(&settings(Path::new("/dev/full")), start(), counts.clone()).unwrap();
    for seq in 0..5 {
        log.event(&Event {
            time: Timestamp::EPOCH,
            seq,
            event: "start",
            policy: None,
            order: None,
            detail: None,
        });
    }
    assert!(log.close(PATIENCE));
    assert_eq!((counts.write_failed.get(), counts.written.get()), (5, 0));
}

#[test]
fn what_cannot_be_opened_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let error = RecordLog::open(&settings(directory.path()), start(), counts()).unwrap_err();
    assert!(error.to_string().starts_with("cannot open the access record `"), "{error}");
    let nothing = RecordSettings { destination: Destination::None, ..RecordSettings::default() };
    let log = RecordLog::open(&nothing, start(), counts()).unwrap();
    log.recorder().flush();
    assert!(log.close(Duration::ZERO));
}

#[test]
fn no_whole_address_is_kept_longer_than_stated() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("access.jsonl");
    let clock = start();
    let hour = Duration::from_secs(3_600);
    let settings = RecordSettings { cut_addresses_after: Some(4 * hour), ..settings(&path) };
    let write = || {
        let log = RecordLog::open(&settings, clock.clone(), counts()).unwrap();
        let recorder = log.recorder();
        let (policy, decision) = (policy(), decision(None));
        let ruling = Ruling::Policy { decision: &decision, policy: &policy };
        recorder.record(&AccessRecord { time: clock.now(), ..record(ruling) });
        drop(recorder);
        assert!(log.close(PATIENCE));
    };
    let cut = || {
        let names = fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().path());
        names.filter(|name| name.extension().is_some_and(|extension| extension == "cut")).collect::<Vec<_>>()
    };
    write();
    clock.advance(hour);
    // Rotated at a quarter of the time, so that what comes next is not cut with it too early.
    write();
    assert_eq!(record_files(&path).unwrap().len(), 2, "set aside, and an empty one begun");
    clock.advance(2 * hour);
    write();
    assert_eq!(cut(), [] as [std::path::PathBuf; 0], "three hours: not yet");
    clock.advance(hour);
    write();
    // It is cut beside the writer, which does not wait for it.
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while cut().is_empty() {
        assert!(tokio::time::Instant::now() < deadline, "{:?}", record_files(&path));
        std::thread::yield_now();
    }
    let text = fs::read_to_string(&cut()[0]).unwrap();
    assert!(!text.contains("203.0.113.7\""), "{text}");
    assert_eq!(
        text.matches("\"client\":\"203.0.113.0\",\"client_prefix\":24,").count(),
        text.lines().count()
    );
}
