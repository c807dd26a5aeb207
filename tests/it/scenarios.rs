//! The scenarios that come with the project, and how a difference is told.

use std::path::Path;
use std::process::Command;

fn check(arguments: &[&str], directory: &Path) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_signgate"))
        .arg("check")
        .args(arguments)
        .current_dir(directory)
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn every_scenario_comes_as_expected() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (code, told, said) = check(&["--scenarios", "policies/scenarios"], root);
    assert_eq!(code, 0, "{told}{said}");
    for name in ["quotas", "distinct-quotas", "lists", "targets", "refunds"] {
        assert!(told.contains(&format!("{name}: as expected, ")), "{told}");
    }
}

/// Each heuristic's scenario, and what switches the heuristic off in its policy.
const NEEDED: [(&str, &str, &str); 12] = [
    ("viewbot-profile-farm", "profile = 4.0", "profile = 0"),
    ("viewbot-network-block", "network = 4.0", "network = 0"),
    ("viewbot-identity-churn-farm", "identity-churn = 4.0", "identity-churn = 0"),
    ("viewbot-key-fan-in-stolen", "key-fan-in = 4.0", "key-fan-in = 0"),
    ("viewbot-shared-free-key-farm", "shared-free-key = 4.0", "shared-free-key = 0"),
    ("viewbot-pool-chain-pool", "pool-chain = [1.5, 4.0]", "pool-chain = [0, 0]"),
    ("viewbot-lockstep-panel", "pool-chain = [1.5, 4.0]", "pool-chain = [0, 0]"),
    ("viewbot-carried-service", "carried = 4.0", "carried = 0"),
    ("viewbot-known-viewer-regulars", "known-viewer = -2.0", "known-viewer = 0"),
    (
        "viewbot-strangers-attack",
        "known-age = \"2m\"",
        "known-age = \"2m\"\n[viewbot.strangers]\nfraction-of-usual = 0",
    ),
    ("viewbot-room-named-twice", "profile = 4.0", "profile = 0"),
    ("viewbot-room-calm-giant", "profile = 4.0", "profile = 0"),
];

#[test]
fn what_a_heuristic_catches_is_missed_without_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies/scenarios");
    let directory = tempfile::tempdir().unwrap();
    for (name, on, off) in NEEDED {
        let copy = directory.path().join(name);
        std::fs::create_dir(&copy).unwrap();
        for file in ["traffic.jsonl", "expected.jsonl"] {
            std::fs::copy(root.join(name).join(file), copy.join(file)).unwrap();
        }
        let policy = std::fs::read_to_string(root.join(name).join("policy.toml")).unwrap();
        assert!(policy.contains(on), "{name}: {policy}");
        std::fs::write(copy.join("policy.toml"), policy.replace(on, off)).unwrap();
    }
    let (code, told, said) = check(&["--scenarios", "."], directory.path());
    assert_eq!(code, 1, "{told}{said}");
    for (name, ..) in NEEDED {
        assert!(!told.contains(&format!("{name}: as expected")), "{name} passes without it: {told}");
    }
}

const TRAFFIC: &str = r#"
{"time":"2026-11-22T10:00:00Z","client":"203.0.113.7","key":null,"method":"GET","target":"/webcast/fetch?room_id=1","user_agent":""}
{"time":"2026-11-22T10:00:01Z","client":"203.0.113.7","key":null,"method":"GET","target":"/webcast/fetch?room_id=1","user_agent":""}
"#;

const POLICY: &str = r#"
format = 1
[tier.anonymous]
class = "none"
[[quota]]
name = "one"
scope = "proxy"
limits = { hour = 1 }
"#;

#[test]
fn a_difference_is_told_and_a_scenario_without_a_policy_is_for_the_directory_that_is_checked() {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = directory.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write("mine/10.toml", POLICY);
    write("scenarios/one/traffic.jsonl", TRAFFIC);
    let expected = |text: &str| {
        write("scenarios/one/expected.jsonl", text);
        check(&["mine", "--scenarios", "scenarios"], directory.path())
    };
    let good = expected("{\"line\":2,\"verdict\":\"throttle\",\"shadow\":\"throttle\",\"rule\":\"one\"}\n");
    assert_eq!(good, (0, "one: as expected, 2 requests of which 1 are refused\n".into(), String::new()));
    let (code, told, _) = expected("{\"line\":1,\"rule\":\"other\"}\n{\"line\":7,\"verdict\":\"deny\"}\n");
    assert_eq!(code, 1);
    insta::assert_snapshot!(told);
    let (code, _, said) = expected("{\"line\":1,\"verdict\":\"refuse\"}\n");
    assert_eq!(code, 2);
    assert!(said.contains("expected.jsonl:1: a verdict is `allow`, `throttle` or `deny`"), "{said}");
    // What is misspelled expects nothing, and would agree with everything.
    for (line, why) in [
        (
            r#"{"line":2,"verdct":"throttle","rul":"one"}"#,
            "expected.jsonl:1: unknown field `rul`; a similar one is `rule`",
        ),
        (
            r#"{"line":2,"verdict":"throttle","Rules":"other"}"#,
            "expected.jsonl:1: unknown field `Rules`; a similar one is `rule`",
        ),
        (
            r#"{"line":2,"why":"x","outcome":"deny"}"#,
            "it expects nothing: one of `verdict`, `shadow` and `rule` must be there, and of `outcome`, `why` nothing is known",
        ),
        (r#"{"line":2}"#, "it expects nothing: one of `verdict`, `shadow` and `rule` must be there\n"),
        (r#"{"line":"2"}"#, "expected a whole number, at column"),
        ("7", "expected what is expected: one JSON object"),
    ] {
        let (code, _, said) = expected(line);
        assert_eq!(code, 2, "{said}");
        assert!(said.contains(why), "{said}");
    }
    assert_eq!(expected(r#"{"line":2,"rule":"one","why":"it is the second"}"#).0, 0);
}
