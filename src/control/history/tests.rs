use super::*;

fn sources(limit: u32) -> Sources {
    let mut sources = Sources::new("policies");
    sources.insert("10.toml", format!("limit = {limit}"));
    sources.insert("feeds/a.netset", "10.0.0.0/8\n".repeat(1_000));
    sources
}

fn at(secs: u64) -> Timestamp {
    Timestamp::from_secs(secs)
}

fn take(history: &mut History, limit: u32) -> Digest {
    let sources = sources(limit);
    history.taken(&sources, sources.digest(), at(u64::from(limit)));
    sources.digest()
}

fn order(history: &History) -> Vec<(Digest, bool)> {
    history.overview().iter().map(|set| (set.digest, set.in_force)).collect()
}

#[test]
fn going_back_goes_further_back_and_loses_nothing() {
    let mut history = History::in_memory();
    assert!(history.earlier(None).is_none());
    let [a, b, c] = [1, 2, 3].map(|limit| take(&mut history, limit));
    assert_eq!(history.earlier(None).unwrap().digest, b);
    history.went_back(b, Digest([9; 8]), at(10));
    assert_eq!(history.earlier(None).unwrap().digest, a);
    history.went_back(a, Digest([9; 8]), at(11));
    assert!(history.earlier(None).is_none(), "there is nothing before the first");
    assert_eq!(history.earlier(Some(c)).unwrap().digest, c, "forward by name");
    assert_eq!(history.passed_over(), Some(Digest([9; 8])));
    let d = take(&mut history, 4);
    assert_eq!(order(&history), [(d, true), (a, false), (c, false), (b, false)]);
    assert_eq!(history.passed_over(), None);
    assert_eq!(history.earlier(None).unwrap().digest, a, "the one that was replaced");
    take(&mut history, 2);
    assert_eq!(order(&history), [(b, true), (d, false), (a, false), (c, false)], "no set twice");
}

#[test]
fn ten_former_sets_are_kept_and_shared_files_once() {
    let mut history = History::in_memory();
    for limit in 0..50 {
        take(&mut history, limit);
    }
    assert_eq!(history.overview().len(), KEPT_MAX + 1);
    assert!(history.bytes() < 12_000, "{}: the feed is held once", history.bytes());
    let kept = history.earlier(None).unwrap().sources("policies".into());
    assert_eq!(kept.digest(), sources(48).digest());
}

#[test]
fn a_restart_forgets_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let mut history = History::open(directory.path().join("kept"));
    let [a, b, c] = [1, 2, 3].map(|limit| take(&mut history, limit));
    history.went_back(b, Digest([9; 8]), at(10));
    let history = History::open(directory.path().join("kept"));
    assert_eq!(order(&history), [(c, false), (b, true), (a, false)]);
    assert_eq!(history.passed_over(), Some(Digest([9; 8])));
    assert_eq!(history.current().unwrap().since, at(10));
    assert_eq!(history.earlier(None).unwrap().sources("policies".into()).digest(), a);
    // The feed is there once, and three policy files.
    let files = directory.path().join("kept/files");
    assert_eq!(std::fs::read_dir(&files).unwrap().count(), 4);
}

#[test]
fn files_without_a_set_are_removed() {
    let directory = tempfile::tempdir().unwrap();
    let mut history = History::open(directory.path().to_owned());
    for limit in 0..30 {
        take(&mut history, limit);
    }
    assert_eq!(std::fs::read_dir(directory.path().join("files")).unwrap().count(), KEPT_MAX + 2);
}

#[test]
fn what_was_damaged_is_left_out_and_the_rest_is_kept() {
    let directory = tempfile::tempdir().unwrap();
    let mut history = History::open(directory.path().to_owned());
    let [a, b] = [1, 2].map(|limit| take(&mut history, limit));
    let damaged = blake3::hash(b"limit = 2").to_hex();
    std::fs::write(directory.path().join("files").join(damaged.as_str()), "limit = 9").unwrap();
    let history = History::open(directory.path().to_owned());
    assert_eq!(order(&history), [(a, true)]);
    assert!(history.earlier(Some(b)).is_none());
    let index = std::fs::read(directory.path().join("index.json")).unwrap();
    for length in 0..index.len() {
        // Cut anywhere: nothing is taken from it, and nothing panics.
        std::fs::write(directory.path().join("index.json"), &index[..length]).unwrap();
        assert!(History::open(directory.path().to_owned()).current().is_none(), "{length}");
    }
}
