//! What `explain` is told of a request beside its request line, and what it says where it is told nothing.

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

#[test]
fn what_is_said_beside_the_request_line_decides_too() {
    const GET: &str = "GET /webcast/fetch?room_id=7300000000000000001";
    const POST: &str = "POST /tiktok/sign_url";
    const KEY: [&str; 2] = ["--key-id", "k_studio"];
    let directory = laboratory();
    let url = |room: &str| {
        format!(
            "{{\"url\":\"https://webcast.tiktok.com/webcast/im/fetch/?room_id=730000000000000000{room}\"}}"
        )
    };
    let (open, blocked) = (url("1"), url("7"));
    for (request, more, code, told) in [
        (GET, &[][..], 1, "nobody that the policy knows, tier `anonymous`"),
        (GET, &[], 1, "refused by `nobody`"),
        (GET, &KEY, 0, "account `studio` with key `k_studio`, tier `business`"),
        (GET, &[&KEY[..], &["--user-agent", "evil/1.0"]].concat(), 1, "`agents` (policies/10.toml:"),
        (GET, &[&KEY[..], &["--user-agent", "good/1.0"]].concat(), 0, "└─ admitted"),
        (
            GET,
            &[&KEY[..], &["--header", "Accept: */*", "--header", "X-Cookie-Header: sessionid=0123456789"]]
                .concat(),
            1,
            "the session REFUSES",
        ),
        (GET, &[&KEY[..], &["--header", "Accept: */*"]].concat(), 0, "the session passes: none came along"),
        (POST, &[&KEY[..], &["--body", &open]].concat(), 0, "for room 7300000000000000001,"),
        (POST, &[&KEY[..], &["--body", &blocked]].concat(), 1, "it lists the room"),
        (POST, &[&KEY[..], &["--body", "{}"]].concat(), 1, "refused by `"),
    ] {
        let (ended, out, said) = explain(directory.path(), &[&[request], more].concat());
        assert_eq!(ended, code, "{request} {more:?}: {out}{said}");
        assert!(out.contains(told), "no `{told}` for {request} {more:?} in\n{out}{said}");
    }
    for (more, told) in [
        (["--key-id", "k_studi"], "error: there is no key `k_studi`; a similar one is `k_studio`"),
        (["--header", "Accept"], "error: `Accept` is no header: expected 'Name: value'"),
    ] {
        let (code, out, said) = explain(directory.path(), &[&[GET][..], &more].concat());
        assert_eq!((code, out.as_str()), (2, ""), "{said}");
        assert!(said.contains(told), "{said}");
    }
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
