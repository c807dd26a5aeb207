//! What is wrong at the start is said at the start: in words that say what to do, with exit code 1 for a well-formed no and 2
//! for what could not be done. Nothing listens then.

use std::net::TcpListener;
use std::process::{Command, Stdio};

use tempfile::TempDir;
use tokio::time::Instant;

use crate::gateway::{OPEN, PATIENCE, Setup};

/// Runs the program in a directory that holds `files`; its exit code, stdout and stderr.
fn run(files: &[(&str, &str)], args: &[&str]) -> (i32, String, String) {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = directory.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    run_in(&directory, args)
}

fn run_in(directory: &TempDir, args: &[&str]) -> (i32, String, String) {
    let (stdout, stderr) = (directory.path().join("stdout"), directory.path().join("stderr"));
    let file = |path| Stdio::from(std::fs::File::create(path).unwrap());
    let mut child = Command::new(env!("CARGO_BIN_EXE_signgate"))
        .current_dir(directory.path())
        .args(args)
        .stdin(Stdio::null())
        .stdout(file(&stdout))
        .stderr(file(&stderr))
        .spawn()
        .unwrap();
    let deadline = Instant::now() + PATIENCE;
    let read = |path| std::fs::read_to_string(path).unwrap();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return (status.code().expect("an exit code"), read(&stdout), read(&stderr));
        }
        if Instant::now() > deadline || read(&stderr).contains("ready: listening") {
            let _ = child.kill();
            let _ = child.wait();
            panic!("it serves instead of refusing to:\n{}", read(&stderr));
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

/// Serving on free ports, unless `args` say otherwise.
fn serve(files: &[(&str, &str)], args: &[&str]) -> (i32, String) {
    let all = [&["serve", "--admin", "127.0.0.1:0"], args].concat();
    let listen = if args.contains(&"--listen") { vec![] } else { vec!["--listen", "127.0.0.1:0"] };
    let (code, stdout, stderr) = run(files, &[all, listen].concat());
    assert_eq!(stdout, "", "stdout is for data");
    assert!(!stderr.contains("panicked") && !stderr.contains("ready: listening"), "{stderr}");
    (code, stderr)
}

#[track_caller]
fn says(stderr: &str, parts: &[&str]) {
    for part in parts {
        assert!(stderr.contains(part), "`{part}` is missing:\n{stderr}");
    }
}

const GOOD: (&str, &str) = ("policies/10-all.toml", OPEN);

#[test]
fn policies_that_are_wrong_are_explained() {
    let bad =
        format!("{OPEN}\n[[quota]]\nname = \"q\"\nscope = \"proxies\"\nlimits = {{ minute = \"five\" }}\n");
    let (code, said) = serve(&[("policies/10-all.toml", &bad)], &[]);
    assert_eq!(code, 1, "{said}");
    says(
        &said,
        &["unknown scope `proxies`", "policies/10-all.toml:16:9", "`proxy`", "policies/10-all.toml:17:"],
    );
    let (code, said) = serve(&[("policies/10-all.toml", "[tier.x\n")], &[]);
    assert_eq!(code, 1, "{said}");
    says(&said, &["policies/10-all.toml:1:"]);
}

#[test]
fn policies_that_are_not_there_are_missed() {
    let (code, said) = serve(&[], &["--policies", "nowhere"]);
    assert_eq!(code, 2, "{said}");
    says(&said, &["error: cannot read `nowhere`"]);
    let (code, said) = serve(&[("empty/README", "nothing")], &["--policies", "empty"]);
    assert_eq!(code, 2, "{said}");
    says(&said, &["`empty` holds no `.toml` file", "[tier]"]);
}

#[test]
fn a_deployment_file_that_is_wrong_is_explained() {
    for (text, parts) in [
        ("[listen]\nadress = \"127.0.0.1:8080\"\n", &["signgate.toml:2:1", "`adress`", "`address`"][..]),
        ("[listen]\naddress = \"localhost:8080\"\n", &["signgate.toml:2:11", "127.0.0.1:8080"]),
        ("[listen\n", &["signgate.toml:1:"]),
        ("[[generator]]\nname = \"main\"\nkind = \"euler\"\n", &["signgate.toml:1:", "`url`"]),
        (
            "[[generator]]\nname = \"main\"\nkind = \"euler\"\nurl = \"https://s.example\"\nkey-file = \"no.key\"\n",
            &["signgate.toml:5:", "key file cannot be read", "no such file"],
        ),
        (
            "[[generator]]\nname = \"main\"\nkind = \"euler\"\nurl = \"https://s.example\"\nca = \"no.pem\"\n",
            &["signgate.toml:5:", "certificates cannot be read"],
        ),
        (
            "[[generator]]\nname = \"main\"\nkind = \"euler\"\nurl = \"sign.example\"\n",
            &["signgate.toml:4:", "URL"],
        ),
        ("[[generator]]\nname = \"main\"\nkind = \"oiler\"\n", &["signgate.toml:3:", "`oiler`", "`euler`"]),
        (
            "[listen]\nclient-address = \"x-forwarded-for\"\n",
            &["signgate.toml:2:", "`trusted-proxies`", "anybody can send this header"],
        ),
    ] {
        let (code, said) = serve(&[GOOD, ("signgate.toml", text)], &[]);
        assert_eq!(code, 1, "{text}\n{said}");
        says(&said, &[&["error: "], parts].concat());
    }
    let (code, said) = serve(&[GOOD], &["--config", "nowhere.toml"]);
    assert_eq!(code, 2, "{said}");
    says(&said, &["cannot read `nowhere.toml`"]);
    // What the file names is found missing later, and by its line all the same.
    for (text, parts) in [
        (
            "[policies]\ndirectory = \"./gone\"\n",
            ["signgate.toml:2", "`[policies] directory`", "cannot read `./gone`"],
        ),
        ("[record]\npath = \"taken/x.jsonl\"\n", ["signgate.toml:2", "`[record] path`", "taken"]),
    ] {
        let (code, said) = serve(&[GOOD, ("signgate.toml", text), ("taken", "a file")], &[]);
        assert_eq!(code, 2, "{said}");
        says(&said, &parts);
        says(&said, &[", relative to `/"]);
    }
}

#[test]
fn a_deployment_file_is_checked_with_the_policies_that_it_names() {
    let good = ("signgate.toml", "[policies]\ndirectory = \"policies\"\n");
    let check = |files: &[(&str, &str)], more: &[&str]| {
        run(files, &[&["check", "--config", "signgate.toml"], more].concat())
    };
    let (code, _, said) = check(&[GOOD, good], &[]);
    assert_eq!(code, 0, "{said}");
    says(&said, &["policies: 0 rules"]);
    let (code, _, said) = check(&[good], &[]);
    assert_eq!(code, 2, "the policies are not there: {said}");
    let (code, _, said) = check(&[GOOD], &[]);
    assert_eq!(code, 2, "the file is not there: {said}");
    for wrong in ["[listen]\nadress = \"127.0.0.1:1\"\n", "[admin]\naddress = \"203.0.113.7:9091\"\n"] {
        let (code, _, said) = check(&[GOOD, ("signgate.toml", wrong)], &[]);
        assert_eq!(code, 1, "an error, and a warning alone: {said}");
        says(&said, &["signgate.toml:2:"]);
    }
    // A certificate that is none is a start's to find, and found here.
    let ca =
        "[[generator]]\nname = \"main\"\nkind = \"euler\"\nurl = \"https://s.example\"\nca = \"no.pem\"\n";
    let (code, _, said) = check(&[GOOD, ("signgate.toml", ca), ("no.pem", "nothing")], &[]);
    assert_eq!(code, 1, "{said}");
    says(&said, &["generator `main`"]);
    // Both files' faults at once, as JSON too.
    let wrong = format!("{OPEN}[[quota]]\nname = \"q\"\n");
    let both =
        [("policies/a.toml", wrong.as_str()), ("signgate.toml", "[admin]\naddress = \"203.0.113.7:9091\"\n")];
    let (code, out, _) = check(&both, &["--format", "json"]);
    assert_eq!(code, 1);
    says(&out, &["\"file\":\"signgate.toml\"", "policies/a.toml\"", "\"warnings\":1"]);
}

/// What is wrong with another table keeps nobody from hearing of the policies; and 1 with `--explain` would say that the request
/// is refused.
#[test]
fn policies_are_checked_where_the_deployment_file_is_wrong_elsewhere() {
    let policies = format!("{OPEN}[[quota]]\nname = \"q\"\n");
    let wrong = "[listen]\nadress = \"127.0.0.1:1\"\n[policies]\ndirectory = \"there\"\n";
    let files = [("there/a.toml", policies.as_str()), ("signgate.toml", wrong)];
    let check = ["check", "--config", "signgate.toml"];
    let (code, _, said) = run(&files, &check);
    assert_eq!(code, 1, "{said}");
    says(&said, &["signgate.toml:2:1", "there/a.toml:13:1"]);
    let misspelt = wrong.replace("directory", "directry");
    for (text, is_told) in [(misspelt.as_str(), false), ("[policies\n", false), (wrong, true)] {
        let files = [GOOD, ("there/a.toml", OPEN), ("signgate.toml", text)];
        let (code, _, said) = run(&files, &check);
        assert_eq!(code, 1, "{said}");
        assert_eq!(said.contains("note: the policies were not checked"), !is_told, "{said}");
        let (code, out, said) = run(&files, &[&check[..], &["--explain", "GET /x"]].concat());
        assert_eq!((code, out.as_str()), (2, ""), "{said}");
        says(&said, &["note: nothing was explained"]);
        let (code, out, said) = run(&files, &[&check[..], &["--against", "policies"]].concat());
        assert_eq!((code, out.as_str()), (1, ""), "{said}");
        says(&said, &["note: nothing was compared"]);
    }
}

#[test]
fn flags_that_are_wrong_are_told_what_would_do() {
    for (args, part) in [
        (&["serve", "--listen", "8080"][..], "`127.0.0.1:8080` is for this machine alone"),
        (&["serve", "--workers", "0"], "expected a whole number from 1"),
        (&["serve", "--generator", "euler=127.0.0.1:18100"], "write `http://127.0.0.1:18100`"),
        (&["serve", "--generator", "foo=http://127.0.0.1"], "there is no kind of generator `foo`"),
        (&["reload", "--admin-url", "127.0.0.1:19091"], "write `http://127.0.0.1:19091`"),
        (&["explain", "GET /x", "--client", "203.0.113"], "such as `203.0.113.7`"),
        (&["check", "--explain", "GET /x", "--client", "203.0.113"], "such as `203.0.113.7`"),
    ] {
        let (code, _, said) = run(&[GOOD], args);
        assert_eq!(code, 2, "{args:?}: {said}");
        says(&said, &[part]);
    }
    // What somebody wrote into a URL is repeated by nobody, the command line's reader among them.
    for secret in
        ["euler=https://user:hunter2@h", "euler=sk_live_hunter2:1234", "https://hunter2@h/?key=hunter2"]
    {
        let (code, _, said) = run(&[GOOD], &["serve", "--generator", "stand-in", "--generator", secret]);
        assert_eq!(code, 2, "{secret}: {said}");
        says(&said, &["`--generator` number 2"]);
        assert!(!said.contains("hunter2"), "{said}");
    }
    // Whoever needs the deployment file for a socket is told what is wrong with it, and where.
    for args in [
        &["reload"][..],
        &["bans", "list"],
        &["explain", "--request-id", "x"],
        &["record", "purge", "--room", "7"],
    ] {
        let (code, _, said) = run(&[GOOD, ("signgate.toml", "[listen]\nadress = \"x\"\n")], args);
        assert_eq!(code, 2, "{args:?}: {said}");
        says(&said, &["signgate.toml:2:1", "`adress`", "the deployment file"]);
    }
}

#[test]
fn generators_of_the_command_line_say_that_they_replace_the_file_s() {
    let file = "[[generator]]\nname = \"paris\"\nkind = \"euler\"\nurl = \"http://127.0.0.1:9\"\n";
    // So that it ends.
    let args = ["--generator", "euler=http://127.0.0.1:9", "--policies", "nowhere"];
    let (_, said) = serve(&[("signgate.toml", file)], &args);
    says(
        &said,
        &[
            "note: `--generator` replaces the `[[generator]]` tables of `./signgate.toml`: `paris` is not asked",
        ],
    );
    let (_, said) = serve(&[("signgate.toml", "[listen]\n")], &args);
    assert!(!said.contains("note: "), "{said}");
}

#[test]
fn a_token_is_made_with_the_table_that_lets_it_in() {
    let (code, token, said) = run(&[], &["token", "new", "--role", "operator", "--name", "ops"]);
    assert_eq!(code, 0, "{said}");
    let table = &said[said.find("[[admin.token]]").unwrap()..];
    let loaded =
        signgate::config::parse("signgate.toml", table, &signgate::config::Flags::default()).unwrap();
    let admitted = &loaded.settings.admin.tokens[0];
    assert_eq!((&*admitted.name, admitted.role), ("ops", signgate::config::Role::Operator));
    assert_eq!(admitted.hash, signgate::base::secret::KeyHash::of(token.trim().as_bytes()));
    assert!(!said.contains(token.trim()) && token.lines().count() == 1, "the token alone is data");
    let (_, again, said) = run(&[], &["token", "new", "--role", "viewer"]);
    assert_ne!(again, token);
    says(&said, &["name = \"viewer-1\""]);
    // Into a pipe that nobody reads.
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let ended = Command::new(env!("CARGO_BIN_EXE_signgate"))
        .args(["token", "new", "--role", "viewer"])
        .stdout(writer)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(2), "{said}");
    says(&said, &["error: cannot write the token to stdout"]);
    let (code, _, said) = run(&[], &["token", "new", "--role", "boss"]);
    assert_eq!(code, 2, "{said}");
    says(&said, &["viewer, operator, admin"]);
    let (code, _, said) = run(&[], &["token", "new", "--role", "viewer", "--name", "a b"]);
    assert_eq!(code, 2, "{said}");
    let (_, help, _) = run(&[], &["token", "new", "--help"]);
    for (word, _) in signgate::config::Role::WORDS {
        assert!(help.contains(&format!("- {word}")), "{help}");
    }
}

#[test]
fn secrets_that_stand_in_the_wrong_place_are_not_repeated() {
    let generator = "[[generator]]\nname = \"main\"\nkind = \"euler\"\n";
    for text in [
        format!("{generator}url = \"https://user:CanaryPassword@s.example\"\n"),
        format!("{generator}url = \"https://s.example/?key=CanaryPassword\"\n"),
        format!("{generator}url = \"https://s.example\"\nkey = \"CanaryPassword\"\n"),
        format!("{generator}url = \"https://s.example\"\nkey-file = \"two.key\"\n"),
        "[[admin.token]]\nname = \"me\"\nhash = \"CanaryPassword\"\nrole = \"admin\"\n".to_owned(),
    ] {
        let files = [GOOD, ("signgate.toml", &*text), ("two.key", "CanaryPassword and another\n")];
        let (code, said) = serve(&files, &[]);
        assert_eq!(code, 1, "{said}");
        assert!(!said.contains("Canary"), "{said}");
    }
    let policy =
        format!("{OPEN}\n[[key]]\nid = \"k\"\naccount = \"overlay-suite\"\nhash = \"CanaryPassword\"\n");
    let (code, said) = serve(&[("policies/10-all.toml", &policy)], &[]);
    assert_eq!(code, 1, "{said}");
    assert!(!said.contains("Canary"), "{said}");
}

#[test]
fn a_generator_that_cannot_be_used_is_refused() {
    let garbage = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let text =
        "[[generator]]\nname = \"main\"\nkind = \"euler\"\nurl = \"https://s.example\"\nca = \"ca.pem\"\n";
    let (code, said) = serve(&[GOOD, ("signgate.toml", text), ("ca.pem", garbage)], &[]);
    assert_eq!(code, 2, "{said}");
    says(&said, &["generator `main`", "no usable certificate"]);
    for (flag, part) in [
        ("euler", "euler=https://"),
        ("euler=", "URL"),
        ("oiler=https://s.example", "there is no kind of generator `oiler`"),
        ("euler=ftp://s.example", "http://"),
    ] {
        let (code, said) = serve(&[GOOD], &["--generator", flag]);
        assert_eq!(code, 2, "{said}");
        says(&said, &["--generator", part]);
    }
}

#[test]
fn a_port_that_is_taken_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (code, said) = serve(&[GOOD], &["--listen", &address]);
    assert_eq!(code, 2, "{said}");
    says(&said, &["error: ", &address, "--listen"]);
    let (code, _, said) = run(&[GOOD], &["serve", "--listen", "127.0.0.1:0", "--admin", &address]);
    assert_eq!(code, 2, "{said}");
    says(&said, &["error: ", &address, "--admin"]);
    let (code, said) = serve(&[GOOD], &["--listen", "192.0.2.1:80"]);
    assert_eq!(code, 2, "an address of somebody else: {said}");
    says(&said, &["192.0.2.1:80", "this machine has no such address", "--listen", "`address` in `[listen]`"]);
    assert!(!said.contains("listens there"), "{said}");
}

/// Two gateways that share a port would share its clients, each with half of the counts.
#[test]
fn the_port_of_another_gateway_is_taken() {
    let running = Setup::new(OPEN).start();
    let address = running.public.to_string();
    let (code, said) = serve(&[GOOD], &["--listen", &address]);
    assert_eq!(code, 2, "{said}");
    says(&said, &["error: ", &address, "--listen"]);
    assert_eq!(running.get("/webcast/rate_limits", &[]).status, 200, "the other serves on");
}

#[test]
fn flags_that_nobody_knows_are_refused() {
    for (args, part) in [
        (&["serve", "--listne", "127.0.0.1:0"][..], "--listen"),
        (&["serve", "--listen", "nowhere"], "--listen"),
        (&["serve", "--workers", "0"], "--workers"),
        (&["sevre"], "serve"),
        (&["serve", "extra"], "extra"),
    ] {
        let (code, _, said) = run(&[GOOD], args);
        assert_eq!(code, 2, "{args:?}: {said}");
        says(&said, &["error: ", part]);
    }
}

#[test]
fn a_log_filter_that_cannot_be_read_is_refused() {
    let Err((status, said)) = Setup::new(OPEN).env("SIGNGATE_LOG", "signgate=loud").try_start() else {
        panic!("it serves");
    };
    assert_eq!(status.code(), Some(2), "{said}");
    says(&said, &["`SIGNGATE_LOG`", "`signgate=loud`"]);
}

#[test]
fn a_record_that_cannot_be_written_is_said_before_anybody_is_served() {
    let (code, said) = serve(&[GOOD, ("data", "a file where a directory should be")], &[]);
    assert_eq!(code, 2, "{said}");
    says(&said, &["error: ", "data"]);
}

#[test]
fn check_says_yes_no_and_could_not() {
    let (code, stdout, said) = run(&[GOOD], &["check"]);
    assert_eq!((code, stdout.as_str()), (0, ""), "{said}");
    says(&said, &["1 accounts"]);
    let (code, _, said) = run(&[("elsewhere/a.toml", OPEN)], &["check", "elsewhere"]);
    assert_eq!(code, 0, "{said}");

    let wrong = format!("{OPEN}\n[[quota]]\nname = \"q\"\nscope = \"proxies\"\nlimits = {{ minute = 1 }}\n");
    let (code, _, said) = run(&[("policies/a.toml", &wrong)], &["check"]);
    assert_eq!(code, 1, "{said}");
    says(&said, &["unknown scope `proxies`", "a.toml:16:9"]);
    // What was probably not meant is a no, too.
    let doubtful =
        OPEN.replace("[[target]]\nhosts = [\"webcast.tiktok.com\"]\npaths = [\"/webcast/*\"]\n", "");
    let (code, _, said) = run(&[("policies/a.toml", &doubtful)], &["check"]);
    assert_eq!(code, 1, "{said}");
    says(&said, &["warning: ", "1 warning, with which a gateway would start"]);
    let (code, _, said) = run(&[("policies/a.toml", &doubtful)], &["check", "--deny-warnings"]);
    assert_eq!(code, 1, "the same code, and an error: {said}");
    says(&said, &["error: "]);

    for args in [&["check", "nowhere"][..], &["check"]] {
        let (code, _, said) = run(&[], args);
        assert_eq!(code, 2, "{said}");
        says(&said, &["error: cannot read"]);
    }
    let (code, _, said) = run(&[("policies/README", "")], &["check"]);
    assert_eq!(code, 2, "{said}");
}
