//! The reloader by hand: each look is called, none is waited for.

use std::fs;

use super::*;
use crate::base::time::Clock;
use crate::engine::Engine;
use crate::gateway::Settings;
use crate::telemetry::access_log::{Destination, RecordSettings};

const GOOD: &str =
    "format = 1\n[tier.anonymous]\nclass = \"none\"\n[[target]]\nhosts = [\"h.example\"]\npaths = [\"/*\"]\n";

struct Scene {
    directory: tempfile::TempDir,
    reloader: Reloader,
    shared: Arc<Shared>,
    readiness: Readiness,
}

impl Scene {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let policies = directory.path().join("policies");
        fs::create_dir(&policies).unwrap();
        fs::write(policies.join("a.toml"), GOOD).unwrap();
        let now = Timestamp::from_secs(1_800_000_000);
        let place = PolicyPlace::Directory(policies);
        let Loaded { policy, look, .. } = place.load(now).unwrap();
        let (metrics, clock) = (Arc::new(Metrics::new(now)), Clock::manual(now));
        let live = Live::new(policy, &metrics, 1);
        let settings = RecordSettings { destination: Destination::None, ..RecordSettings::default() };
        let record = Arc::new(RecordLog::open(&settings, clock.clone(), metrics.record_counts()).unwrap());
        let engine = Engine::new(0, 1);
        let shared = Arc::new(Shared::new(engine, live, clock, metrics, Settings::default(), [0; 32]));
        let readiness = Readiness::new();
        let reloader = Reloader::new(place, look, Arc::clone(&shared), readiness.clone(), record);
        Self { directory, reloader, shared, readiness }
    }

    fn write(&self, text: &str) {
        fs::write(self.directory.path().join("policies/a.toml"), text).unwrap();
    }

    /// Looks, and tells which generation is in force then and whether the last reload failed.
    fn look(&mut self) -> (u64, bool) {
        self.reloader.look(false);
        (self.shared.live.load().generation, self.readiness.state().reload_error.is_some())
    }

    fn reload_successful(&self) -> bool {
        self.shared.metrics.text().contains("signgate_policy_last_reload_successful 1\n")
    }
}

#[test]
fn a_directory_that_vanishes_and_comes_back_leaves_no_alarm() {
    let mut scene = Scene::new();
    let (policies, aside) = (scene.directory.path().join("policies"), scene.directory.path().join("aside"));
    fs::rename(&policies, &aside).unwrap();
    assert_eq!(scene.look(), (1, true), "the set before stays in force");
    assert_eq!(scene.look(), (1, true));
    assert!(!scene.reload_successful());
    fs::rename(&aside, &policies).unwrap();
    assert_eq!(
        scene.look(),
        (1, false),
        "the same files are back: nothing to swap, and nothing failed any more"
    );
    assert!(scene.reload_successful());
}

#[test]
fn a_bad_set_leaves_the_one_before_and_a_good_one_follows_it() {
    let mut scene = Scene::new();
    scene.write("format = 2\n");
    assert_eq!(scene.look(), (1, true));
    fs::remove_file(scene.directory.path().join("policies/a.toml")).unwrap();
    assert_eq!(scene.look(), (1, true), "an empty directory is no policy");
    scene.write("format = 2\n");
    assert_eq!(scene.look(), (1, true));
    assert!(
        scene.readiness.state().reload_error.unwrap().message.contains("format 2"),
        "the last reason is told"
    );
    scene.write(&format!("{GOOD}# changed\n"));
    assert_eq!(scene.look(), (2, false));
}
