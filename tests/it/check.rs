//! `signgate check`, as a process of its own.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

const GOOD: &str = r#"format = 1
[tier.anonymous]
class = "none"
[tier.community]
class = "free"
[tier.business]
class = "paid"
[[account]]
id = "overlay-suite"
tier = "business"
[[key]]
id = "k_7f3a"
account = "overlay-suite"
hash = "blake3:HASH"
rooms = ["7300000000000000001"]
[[target]]
hosts = ["webcast.tiktok.com"]
paths = ["/webcast/*"]
[[quota]]
name = "anonymous"
scope = "proxy"
tiers = ["anonymous"]
limits = { minute = 5, hour = 30, day = 100 }
[[quota]]
name = "business"
scope = "account"
tiers = ["business"]
limits = { day = 10_000 }
[[quota]]
name = "closed-rooms"
scope = "room"
limits = { day = 0 }
mode = "shadow"
[[rate]]
name = "pace"
scope = "proxy"
rate = "1/s"
burst = 5
mode = "off"
[[blocklist]]
name = "bots"
prefixes = ["203.0.113.0/24"]
user-agents = ["*viewbot*"]
reason = "known view-bot proxies"
[[blocklist]]
name = "old"
rooms = ["7300000000000000009"]
expires = 2026-01-01T00:00:00Z
[[allowlist]]
name = "partners"
accounts = ["overlay-suite"]
exempt = ["blocklist"]
"#;

const NOW: &str = "2025-11-22T10:00:00Z";
const FETCH: &str = "GET /webcast/fetch?client=ttlive-python&room_id=7300000000000000001&apiKey=";

struct Policies(tempfile::TempDir);

impl Policies {
    fn new(text: &str) -> Self {
        let policies = Self(tempfile::tempdir().unwrap());
        policies.write("policies", text);
        policies
    }

    fn write(&self, directory: &str, text: &str) {
        let hash = blake3_hex("sg_secret");
        std::fs::create_dir_all(self.0.path().join(directory)).unwrap();
        std::fs::write(self.0.path().join(directory).join("10.toml"), text.replace("HASH", &hash)).unwrap();
    }

    fn check(&self, args: &[&str]) -> Checked {
        let output = Command::new(env!("CARGO_BIN_EXE_signgate"))
            .arg("check")
            .args(if args.contains(&"--at") { &[][..] } else { &["--at", NOW] })
            .args(args)
            .current_dir(self.0.path())
            .output()
            .unwrap();
        Checked::of(&output)
    }
}

fn blake3_hex(text: &str) -> String {
    let hash = signgate::base::secret::KeyHash::of(text.as_bytes()).to_string();
    hash.strip_prefix("blake3:").unwrap().to_owned()
}

struct Checked {
    code: i32,
    out: String,
    err: String,
}

impl Checked {
    fn of(output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        Self { code: output.status.code().unwrap(), out: text(&output.stdout), err: text(&output.stderr) }
    }

    fn json(&self) -> Vec<Value> {
        self.out.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"))).collect()
    }
}

const DOUBTFUL: &str = "[[account]]\nid = \"free\"\ntier = \"anonymous\"\n";

#[test]
fn exit_codes_are_those_of_the_manual() {
    let good = Policies::new(GOOD);
    let clean = good.check(&[]);
    assert_eq!((clean.code, clean.out.as_str()), (0, ""), "{}", clean.err);
    assert!(clean.err.contains("7 rules, 3 tiers, 1 accounts, 1 keys, 1 targets"), "{}", clean.err);
    let broken = Policies::new(&GOOD.replace("\"proxy\"", "\"proxies\"")).check(&[]);
    assert_eq!((broken.code, broken.out.as_str()), (1, ""));
    assert!(broken.err.contains("error: unknown scope `proxies`"), "{}", broken.err);
    let doubtful = Policies::new(&format!("{GOOD}{DOUBTFUL}")).check(&[]);
    assert_eq!(doubtful.code, 1, "a warning is a diagnostic");
    assert!(doubtful.err.starts_with("warning: "), "{}", doubtful.err);
    let nothing = good.check(&["elsewhere"]);
    assert_eq!(nothing.code, 2);
    assert!(nothing.err.contains("cannot read `elsewhere`"), "{}", nothing.err);
}

#[test]
fn it_can_be_checked_for_another_time() {
    let later = Policies::new(GOOD).check(&["--at", "2027-01-01T00:00:00Z", "--explain", FETCH]);
    assert_eq!(later.code, 0, "explaining asks for the verdict alone");
    assert!(later.err.contains("warning: rule `old` has expired"), "{}", later.err);
    assert!(later.out.contains("does not apply: it ended at 2026-01-01T00:00:00.000Z"), "{}", later.out);
}

#[test]
fn warnings_can_be_denied() {
    let policies = Policies::new(&format!("{GOOD}{DOUBTFUL}"));
    policies.write("old", GOOD);
    let taken = policies.check(&["--against", "old"]);
    assert_eq!(taken.code, 1);
    assert!(taken.out.contains("account `free`: is new"), "{}", taken.out);
    let denied = policies.check(&["--against", "old", "--deny-warnings"]);
    assert_eq!((denied.code, denied.out.as_str()), (1, ""), "nothing is compared");
    assert!(denied.err.starts_with("error: ") && !denied.err.contains("warning: "), "{}", denied.err);
}

#[test]
fn diagnostics_are_json_where_it_is_asked_for() {
    let broken = Policies::new(&GOOD.replace("\"proxy\"", "\"proxies\"")).check(&["--format", "json"]);
    assert_eq!((broken.code, broken.err.as_str()), (1, ""));
    let lines = broken.json();
    let first = &lines[0];
    assert_eq!(first["type"], "diagnostic");
    assert_eq!(first["severity"], "error");
    assert_eq!(first["message"], "unknown scope `proxies`");
    assert_eq!(first["file"], "./policies/10.toml");
    assert_eq!((&first["line"], &first["column"], &first["length"]), (&21.into(), &9.into(), &9.into()));
    assert!(first["label"].as_str().unwrap().starts_with("expected"));
    assert!(first["help"].as_str().unwrap().contains("`proxy`"));
    let summary = lines.last().unwrap();
    assert_eq!((&summary["type"], &summary["good"]), (&"summary".into(), &false.into()));
    assert_eq!(summary["errors"], lines.len() - 1);
}

#[test]
fn changes_are_told_the_most_dangerous_first() {
    let edited = GOOD
        .replace("minute = 5", "minute = 10")
        .replace("rooms = [\"7300000000000000001\"]", "disabled = true")
        .replace("name = \"business\"", "name = \"business-day\"")
        .replace("\"/webcast/*\"", "\"/webcast/*\", \"/other\"")
        .replace("\"203.0.113.0/24\"", "\"203.0.113.0/25\", \"198.51.100.0/24\"");
    let policies = Policies::new(&edited);
    policies.write("old", GOOD);
    let changed = policies.check(&["--against", "old"]);
    assert_eq!(changed.code, 0, "{}", changed.err);
    insta::assert_snapshot!(changed.out);
    let json = policies.check(&["--against", "old", "--format", "json"]).json();
    assert_eq!(json[0]["type"], "change");
    assert_eq!(json[0]["weight"], "loses-access");
    assert_eq!(json.last().unwrap()["changes"], json.len() - 1);
    let same = policies.check(&["--against", "policies"]);
    assert_eq!(
        (same.code, same.out.as_str()),
        (0, "nothing changes against policies: the files are the same\n")
    );
    policies.write("commented", &format!("# why\n{edited}"));
    let commented = policies.check(&["--against", "commented"]);
    assert!(
        commented.out.starts_with("no verdict changes against commented: only order"),
        "{}",
        commented.out
    );
    let json = policies.check(&["--against", "commented", "--format", "json"]).json();
    let summary = json.last().unwrap();
    assert_eq!((json.len(), &summary["changes"]), (1, &0.into()));
    assert!(
        summary["policy"] != summary["policy_against"] && summary["policy_against"].is_string(),
        "{summary}"
    );
    policies.write("broken", "format = 1");
    assert_eq!(policies.check(&["--against", "broken"]).code, 2);
    assert_eq!(policies.check(&["--against", "nowhere"]).code, 2);
}

#[test]
fn a_request_is_explained_rule_by_rule() {
    let policies = Policies::new(GOOD);
    let explain = |args: &[&str]| {
        let args: Vec<&str> = ["--explain"].into_iter().chain(args.iter().copied()).collect();
        policies.check(&args)
    };
    let anonymous = explain(&[FETCH]);
    assert_eq!(anonymous.code, 0);
    insta::assert_snapshot!("admitted", anonymous.out);
    let blocked = explain(&[FETCH, "--client", "203.0.113.7", "--user-agent", "viewbot/1"]);
    assert_eq!(blocked.code, 1);
    insta::assert_snapshot!("blocked", blocked.out);
    // The partner's list exempts it of the block, whether it shows its key or we know its id.
    let by_id = explain(&[FETCH, "--client", "203.0.113.7", "--key", "k_7f3a"]);
    let by_text = explain(&[FETCH, "--client", "203.0.113.7", "--key-text", "sg_secret"]);
    let by_header =
        explain(&[FETCH, "--client", "203.0.113.7", "--header", "Authorization: Bearer sg_secret"]);
    assert_eq!((by_id.code, &by_id.out), (0, &by_text.out));
    assert_eq!(by_id.out, by_header.out);
    insta::assert_snapshot!("exempt", by_id.out);
    let sign = "POST /webcast/sign_url";
    let body = r#"{"url":"https://example.com/webcast/im/fetch/?room_id=5","sessionid":"s3cr3t"}"#;
    let refused = explain(&[sign, "--body", body]);
    assert_eq!(refused.code, 1);
    insta::assert_snapshot!("target", refused.out);
    let faulty = explain(&["GET /webcast/fetch?room_id=7&room_id=8"]);
    assert_eq!(faulty.code, 1);
    insta::assert_snapshot!("faulty", faulty.out);
    for one in [&anonymous, &blocked, &by_text, &by_header, &refused] {
        assert!(!one.out.contains("sg_secret") && !one.out.contains("s3cr3t"), "{}", one.out);
    }
}

#[test]
fn an_explanation_is_json_too() {
    let policies = Policies::new(GOOD);
    let explained = policies.check(&["--explain", FETCH, "--client", "203.0.113.7", "--format", "json"]);
    assert_eq!((explained.code, explained.err.as_str()), (1, ""));
    let line = &explained.json()[0];
    assert_eq!(
        (&line["type"], &line["verdict"], &line["status"]),
        (&"explanation".into(), &"deny".into(), &403.into())
    );
    assert_eq!(line["rule"], "bots");
    let checks = line["checks"].as_array().unwrap();
    let quota = checks.iter().find(|check| check["rule"] == "anonymous").unwrap();
    assert_eq!((&quota["outcome"], &quota["row"], &quota["line"]), (&"passes".into(), &7.into(), &19.into()));
    assert_eq!(quota["limits"][0]["max"], 5);
    let closed = checks.iter().find(|check| check["rule"] == "closed-rooms").unwrap();
    assert_eq!(closed["outcome"], "would-refuse");
}

#[test]
fn what_cannot_be_asked_is_said() {
    let policies = Policies::new(GOOD);
    for (args, expected) in [
        (&["--explain", "/webcast/fetch"][..], "is no request"),
        (&["--explain", FETCH, "--key", "k_7f3b"], "a similar one is `k_7f3a`"),
        (&["--explain", FETCH, "--header", "nothing"], "is no header"),
        (&["--client", "203.0.113.7"], "--explain"),
    ] {
        let refused = policies.check(args);
        assert_eq!(refused.code, 2, "{args:?}");
        assert!(refused.err.contains(expected), "{args:?}: {}", refused.err);
    }
}

#[test]
fn the_shipped_policies_are_clean() {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies");
    let output = Command::new(env!("CARGO_BIN_EXE_signgate")).arg("check").arg(shipped).output().unwrap();
    let checked = Checked::of(&output);
    assert_eq!(checked.code, 0, "{}", checked.err);
}
