//! Without events and without the thread: each look is made by hand, as is the time.

use std::fs;
use std::path::Path;
use std::sync::Weak;

use super::*;
use crate::base::time::Clock;
use crate::engine::Engine;
use crate::engine::book::STRANGERS_MAX_DEFAULT;
use crate::gateway::Settings;
use crate::telemetry::access_log::{Destination, RecordSettings};

fn write(directory: &Path, limit: u32) {
    let text = format!(
        "format = 1\n[tier.anonymous]\nclass = \"none\"\n[[quota]]\nname = \"q\"\nscope = \"proxy\"\nlimits = {{ minute = {limit} }}\n"
    );
    fs::create_dir_all(directory).unwrap();
    fs::write(directory.join("10.toml"), text).unwrap();
}

fn start(directory: &Path, history: History) -> Result<Start, LoadError> {
    Start::load(PolicyPlace::Directory(directory.to_owned()), history, Timestamp::from_secs(1_800_000_000))
}

fn reloader(start: Start) -> Reloader {
    let clock = Clock::manual(Timestamp::from_secs(1_800_000_000));
    let metrics = Arc::new(Metrics::new(clock.now()));
    let settings = RecordSettings { destination: Destination::None, ..RecordSettings::default() };
    let record = RecordLog::open(&settings, clock.clone(), metrics.record_counts()).unwrap();
    let (policy, rest) = start.split();
    let live = Live::new(policy, &metrics, 1);
    let engine = Engine::new(STRANGERS_MAX_DEFAULT, 1);
    let shared = Arc::new(Shared::new(engine, live, clock, metrics, Settings::default(), [1; 32]));
    Reloader::new(rest, None, shared, Readiness::new(), Arc::new(record))
}

fn limit(policy: &PolicySet) -> u32 {
    match &policy.counters()[0].limit {
        crate::policy::counter::Limit::Windows(windows) => windows[0].max,
        other => panic!("{other:?}"),
    }
}

fn in_force(reloader: &Reloader) -> u32 {
    limit(&reloader.shared.live.load().policy)
}

#[test]
fn a_change_is_read_once_two_looks_agree() {
    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), 5);
    let mut reloader = reloader(start(directory.path(), History::in_memory()).unwrap());
    reloader.look();
    assert_eq!(reloader.next_look, reloader.shared.clock.now() + LOOK_EVERY);
    // Cut to nothing, as an editor leaves it for a moment. An empty file is a policy file, too.
    fs::write(directory.path().join("20.toml"), "").unwrap();
    reloader.look();
    assert_eq!(reloader.next_look, reloader.shared.clock.now() + SETTLE, "soon again");
    write(directory.path(), 60);
    reloader.look();
    assert_eq!(in_force(&reloader), 5, "it is still being written");
    reloader.look();
    assert_eq!(in_force(&reloader), 60);
    // A file that never rests is read all the same.
    let mut last = 60;
    while in_force(&reloader) == 60 {
        last += 1_000;
        write(directory.path(), last);
        reloader.look();
        assert!(last < 100_000);
    }
}

#[test]
fn what_times_do_not_show_hashes_do() {
    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), 5);
    let mut reloader = reloader(start(directory.path(), History::in_memory()).unwrap());
    write(directory.path(), 6);
    // As if both had been written within one tick of the file system's clock.
    reloader.look = reloader.look.again(directory.path());
    reloader.look();
    reloader.look();
    assert_eq!(in_force(&reloader), 6);
}

#[test]
fn a_rollback_outlives_a_restart_and_ends_with_a_change() {
    let directory = tempfile::tempdir().unwrap();
    let (policies, kept) = (directory.path().join("policies"), directory.path().join("kept"));
    write(&policies, 5);
    let mut first = reloader(start(&policies, History::open(kept.clone())).unwrap());
    write(&policies, 6);
    let done = first.read(&Asking::Person { confirm_shrink: false, by: "a test" }).unwrap();
    assert_eq!(done.changes, ["quota `q`: minute: raised from 5 to 6"]);
    let done = first.roll_back(None, "a test").unwrap();
    assert_eq!((in_force(&first), done.policy.generation), (5, 3));
    assert!(first.readiness.state().rolled_back);
    drop(first);
    let again = start(&policies, History::open(kept.clone())).unwrap();
    assert!(again.rolled_back);
    assert_eq!(limit(&again.policy), 5);
    // What is passed over need not even be a policy.
    let mut second = reloader(again);
    second.look();
    second.look();
    assert_eq!(in_force(&second), 5);
    drop(second);
    write(&policies, 7);
    let third = start(&policies, History::open(kept)).unwrap();
    assert!(!third.rolled_back);
    assert_eq!(limit(&third.policy), 7);
}

#[test]
fn a_feed_that_shrank_before_a_start_is_taken_with_a_warning() {
    let directory = tempfile::tempdir().unwrap();
    let (policies, kept) = (directory.path().join("policies"), directory.path().join("kept"));
    write(&policies, 5);
    let target = "[[target]]\nhosts = [\"webcast.tiktok.com\"]\npaths = [\"/webcast/*\"]\n";
    fs::write(policies.join("20.toml"), target).unwrap();
    let list = "[[blocklist]]\nname = \"bad\"\nfile = \"bad.netset\"\n";
    fs::write(policies.join("30.toml"), list).unwrap();
    let listed = |count: u32| (1..=count).fold(String::new(), |text, n| format!("{text}192.0.2.{n}\n"));
    let warned = |count| {
        fs::write(policies.join("bad.netset"), listed(count)).unwrap();
        start(&policies, History::open(kept.clone())).unwrap().warnings
    };
    assert_eq!((warned(100), warned(50)), (String::new(), String::new()));
    let shrank = warned(10);
    assert!(shrank.starts_with("warning: the feed shrank from 50 entries to 10, by 80 %"), "{shrank}");
    assert!(shrank.contains("bad.netset") && shrank.ends_with("`signgate rollback`\n"), "{shrank}");
    assert_eq!(warned(10), "", "it was in force last");
}

#[test]
fn rolling_back_to_what_the_disk_holds_passes_nothing_over() {
    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), 5);
    let mut reloader = reloader(start(directory.path(), History::in_memory()).unwrap());
    let person = Asking::Person { confirm_shrink: false, by: "a test" };
    write(directory.path(), 6);
    reloader.read(&person).unwrap();
    // Mended on the disk, and brought back before anybody looked.
    write(directory.path(), 5);
    reloader.roll_back(None, "a test").unwrap();
    assert_eq!(in_force(&reloader), 5);
    assert!(!reloader.readiness.state().rolled_back);
    write(directory.path(), 7);
    reloader.look();
    reloader.look();
    assert_eq!(in_force(&reloader), 7);
}

#[test]
fn a_retired_set_is_freed_here_and_only_when_no_request_holds_it() {
    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), 5);
    let mut reloader = reloader(start(directory.path(), History::in_memory()).unwrap());
    let request = reloader.shared.live.load_full();
    let set: Weak<Live> = Arc::downgrade(&request);
    write(directory.path(), 6);
    reloader.read(&Asking::Signal).unwrap();
    reloader.let_go();
    assert_eq!(limit(&request.policy), 5, "the request goes on with its own");
    drop(request);
    assert!(set.upgrade().is_some(), "the request's end freed nothing");
    reloader.let_go();
    assert!(set.upgrade().is_none());
}

#[test]
fn the_shipped_set_has_nothing_to_read_again() {
    let start = Start::load(PolicyPlace::Shipped, History::in_memory(), Timestamp::from_secs(1_800_000_000));
    let mut reloader = reloader(start.unwrap());
    reloader.look();
    let refused = reloader.read(&Asking::Signal).unwrap_err();
    assert_eq!(refused.why, Why::Shipped);
    assert!(refused.message.contains("--policies"), "{}", refused.message);
    assert_eq!(reloader.readiness.state().reload_error, None);
}
