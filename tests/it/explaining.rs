//! How a request is named to `explain`.

use std::path::Path;
use std::process::Command;

use signgate::base::secret::KeyHash;

const POLICY: &str = r#"
format = 1
[tier.anonymous]
class = "none"
[tier.business]
class = "paid"
[[account]]
id = "studio"
tier = "business"
[[target]]
hosts = ["webcast.tiktok.com"]
paths = ["/webcast/*"]
[sessions]
mode = "refuse"
[[blocklist]]
name = "agents"
user-agents = ["evil*"]
[[blocklist]]
name = "rooms-blocked"
rooms = ["7300000000000000007"]
[[quota]]
name = "nobody"
scope = "proxy"
tiers = ["anonymous"]
limits = { hour = 0 }
"#;

fn explain(directory: &Path, arguments: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_signgate"))
        .args(["explain", "--policies", "policies"])
        .args(arguments)
        .current_dir(directory)
        .env_remove("SIGNGATE_CONFIG")
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

fn laboratory() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    std::fs::create_dir(directory.path().join("policies")).unwrap();
    let hash = KeyHash::of(b"sg_key");
    let key = format!("[[key]]\nid = \"k_studio\"\nhash = \"{hash}\"\naccount = \"studio\"\n");
    std::fs::write(directory.path().join("policies/10.toml"), format!("{POLICY}{key}")).unwrap();
    directory
}

/// Three ways to name a request, and one at a time.
#[test]
fn a_request_is_named_in_one_of_three_ways() {
    let directory = laboratory();
    let (code, out, said) = explain(directory.path(), &[]);
    assert_eq!((code, out.as_str()), (2, ""), "{said}");
    assert!(said.contains("not provided:\n  <REQUEST|--request-id <ID>|--line <N>>"), "{said}");
    let request = "GET /webcast/fetch?room_id=1";
    for (both, told) in [
        (&["--line", "1", "--request-id", "x", "--input", "a"][..], "'--line <N>' cannot be used with"),
        (&[request, "--line", "1", "--input", "a"], "'[REQUEST]' cannot be used with"),
        (&["--request-id", "x", request], "'--request-id <ID>' cannot be used with"),
        // What goes with a request alone.
        (&["--request-id", "x", "--body", "{}"], "'--request-id <ID>' cannot be used with"),
        (&["--line", "1", "--input", "a", "--client", "203.0.113.7"], "'--line <N>' cannot be used with"),
        (&["--user-agent", "x"], "not provided:\n  <REQUEST|--request-id <ID>|--line <N>>"),
    ] {
        let (code, out, said) = explain(directory.path(), both);
        assert_eq!((code, out.as_str()), (2, ""), "{said}");
        assert!(said.contains(told), "{both:?}: {said}");
    }
}
