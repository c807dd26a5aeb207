use std::fmt::Write as _;
use std::fs;
use std::num::NonZeroU16;

use proptest::prelude::*;

use super::*;
use crate::policy::diagnostic::render;

const NAME: &str = "signgate.toml";

fn parse_plain(text: &str) -> Result<Loaded, ConfigError> {
    parse(NAME, text, &Flags::default())
}

fn complaints(text: &str) -> String {
    match parse_plain(text) {
        Err(ConfigError::Wrong(found)) => render(&found),
        Ok(loaded) => panic!("accepted: {:?}", loaded.settings),
        Err(error) => panic!("{error}"),
    }
}

/// Files that are refused, and what is wrong with them.
const BROKEN: &[(&str, &str)] = &[
    ("no TOML", "[listen\naddress = 1"),
    ("a value that is none", "[listen]\naddress = 127.0.0.1:8080"),
    ("an unknown field", "[listen]\nadress = \"127.0.0.1:8080\""),
    ("an unknown table", "[generater]\nname = \"main\""),
    (
        "of how generators are asked all wrong",
        "[generators]\nqueue-length = 0\nqueue-time = \"soon\"\naccount-share = 2\neject-for = \"2m\"\neject-for-max = \"1m\"\n\
         probe-room = \"@somebody\"\nprobe-url = \"http://x\"\nhedge = \"yes\"\nqueue = 1",
    ),
    ("a weight of nothing", "[[generator]]\nname = \"a\"\nkind = \"stand-in\"\nweight = 0"),
    ("a field at the top", "listen = \"127.0.0.1:8080\""),
    ("a table in double brackets", "[[listen]]\naddress = \"127.0.0.1:8080\""),
    ("a number for a text", "[listen]\naddress = 8080"),
    ("a port alone", "[listen]\naddress = \":8080\""),
    ("a host name", "[admin]\naddress = \"localhost:9091\""),
    ("an address without port", "[listen]\naddress = \"127.0.0.1\""),
    ("an unknown source of addresses", "[listen]\nclient-address = \"x-forwarded\""),
    ("a header, and nobody trusted", "[listen]\nclient-address = \"x-forwarded-for\""),
    ("the same with an empty list", "[listen]\nclient-address = \"forwarded\"\ntrusted-proxies = []"),
    ("bad prefixes", "[listen]\ntrusted-proxies = [\"10.0.0.1/8\", \"10.0.0.0/33\", 7]"),
    (
        "a header, and a list that is broken",
        "[listen]\nclient-address = \"forwarded\"\ntrusted-proxies = [\"ten\"]",
    ),
    ("a prefix alone", "[listen]\ntrusted-proxies = \"10.0.0.0/8\""),
    ("a health path that hides another", "[listen]\nhealth-path = \"/webcast/fetch\""),
    ("a health path with a query", "[listen]\nhealth-path = \"/health?x=1\""),
    ("one address for both", "[listen]\naddress = \"0.0.0.0:9000\"\n[admin]\naddress = \"127.0.0.1:9000\""),
    ("a token for its hash", "[[admin.token]]\nname = \"ops\"\nhash = \"hunter2hunter2\"\nrole = \"admin\""),
    (
        "two tokens of one name, an unknown role, a time in quotes",
        "[[admin.token]]\nname = \"ops\"\nhash = \"blake3:0000000000000000000000000000000000000000000000000000000000000000\"\n\
         role = \"viewer\"\n[[admin.token]]\nname = \"ops\"\n\
         hash = \"blake3:0000000000000000000000000000000000000000000000000000000000000000\"\nrole = \"viewer\"\n\
         [[admin.token]]\nname = \"two\"\nhash = \"blake3:0000000000000000000000000000000000000000000000000000000000000000\"\n\
         role = \"root\"\nexpires = \"2027-01-01T00:00:00Z\"",
    ),
    ("an empty path", "[policies]\ndirectory = \"\""),
    ("an unknown field of the store", "[store]\nfile = \"x.db\""),
    ("four errors at once", "[record]\npath = 7\nrotate-bytes = 1\nkeep = \"a week\"\nallowed-share = 1.5"),
    ("a share in words", "[record]\nallowed-share = \"half\""),
    ("a share that is no number", "[record]\nallowed-share = nan"),
    ("a generator without anything", "[[generator]]"),
    ("a generator in single brackets", "[generator]\nname = \"main\""),
    ("an unknown kind", "[[generator]]\nname = \"main\"\nkind = \"eulr\"\nurl = \"https://sign.example\""),
    ("a browser nowhere", "[[generator]]\nname = \"main\"\nkind = \"carcabot\""),
    (
        "a client certificate without its key, over plain HTTP",
        "[[generator]]\nname = \"main\"\nkind = \"euler\"\nurl = \"http://sign.example\"\nclient-cert = \"no/such.pem\"",
    ),
    (
        "a key without its certificate",
        "[[generator]]\nname = \"main\"\nkind = \"euler\"\nurl = \"https://sign.example\"\nclient-key = \"/dev/null\"",
    ),
    ("no url", "[[generator]]\nname = \"main\"\nkind = \"euler\""),
    ("no such scheme", "[[generator]]\nname = \"main\"\nkind = \"euler\"\nurl = \"ftp://sign.example\""),
    (
        "a key in the url",
        "[[generator]]\nname = \"main\"\nkind = \"euler\"\nurl = \"https://sign.example/?apiKey=hunter2\"",
    ),
    (
        "a password in the url",
        "[[generator]]\nname = \"main\"\nkind = \"euler\"\nurl = \"https://u:hunter2@sign.example\"",
    ),
    (
        "a key in the file",
        "[[generator]]\nname = \"main\"\nkind = \"euler\"\nurl = \"https://sign.example\"\nkey = \"hunter2\"",
    ),
    (
        "files that are missing",
        "[[generator]]\nname = \"main\"\nkind = \"euler\"\nurl = \"https://sign.example\"\nkey-file = \"no/such/key\"\n\
         ca = \"no/such/ca.pem\"",
    ),
    (
        "a stand-in somewhere",
        "[[generator]]\nname = \"main\"\nkind = \"stand-in\"\nurl = \"https://sign.example\"",
    ),
    (
        "two of one name, and a name that is none",
        "[[generator]]\nname = \"main\"\nkind = \"stand-in\"\n[[generator]]\nname = \"main\"\nkind = \"stand-in\"\n\
         [[generator]]\nname = \"a b\"\nkind = \"stand-in\"",
    ),
    ("too many at a time", "[[generator]]\nname = \"main\"\nkind = \"stand-in\"\nin-flight-max = 0"),
    (
        "demands that cannot be met",
        "[judge]\ncookie = 1\npush-hosts = [\"https://x\", \"*x\"]\nsize-share = 2\nsize-below = 99999999\nsignature = \"some\"\nhost = 1",
    ),
    (
        "canaries of nothing, of themselves, and of half the traffic and more",
        "[[generator]]\nname = \"a\"\nkind = \"stand-in\"\ncanary-of = \"b\"\n[[generator]]\nname = \"c\"\nkind = \"stand-in\"\n\
         canary-of = \"c\"\n[[generator]]\nname = \"d\"\nkind = \"stand-in\"\ncanary-share = 0.6\n\
         [[generator]]\nname = \"e\"\nkind = \"stand-in\"\ncanary-share = 0.1",
    ),
    (
        "URLs without their beginning",
        "[[generator]]\nname = \"a\"\nkind = \"euler\"\nurl = \"127.0.0.1:18100\"\n[[generator]]\nname = \"b\"\nkind = \"euler\"\n\
         url = \"sign.example/hunter2\"\n[[generator]]\nname = \"c\"\nkind = \"euler\"\nurl = \"localhost:18100\"",
    ),
    (
        "hosts and ports that may be keys",
        "[[generator]]\nname = \"a\"\nkind = \"euler\"\nurl = \"sk_live_hunter2:1234\"\n[[generator]]\nname = \"b\"\n\
         kind = \"euler\"\nurl = \"[::1]:18100\"",
    ),
    ("an admin port alone", "[admin]\naddress = 9091"),
    (
        "numbers where secrets stand",
        "[[admin.token]]\nname = \"ops\"\nrole = \"operator\"\nhash = 1234567\n[[generator]]\nname = \"a\"\nkind = \"euler\"\n\
         url = 1234567",
    ),
    ("a token without its hash", "[[admin.token]]\nname = \"ops\"\nrole = \"operator\""),
    (
        "a judge of a generator",
        "[[generator]]\nname = \"a\"\nkind = \"stand-in\"\n[generator.judge]\ncookies = true",
    ),
    ("tables of policies", "[[quota]]\nname = \"q\"\n[viewbot]\nmode = \"off\""),
    ("lengths without a unit", "[record]\nkeep = 7\n[generators]\nqueue-time = 2"),
    ("a store elsewhere", "[store]\npath = \"redis://127.0.0.1\""),
    ("a store by its URL", "[store]\nurl = \"redis://127.0.0.1\""),
    ("the console", "[console]\naddress = \"127.0.0.1:9092\""),
    ("shared quotas", "[shared]\nurl = \"redis://127.0.0.1\""),
];

#[test]
fn broken_files_are_explained() {
    let mut all = String::new();
    for (what, text) in BROKEN {
        let found = complaints(text);
        assert!(!found.contains("hunter2") && !found.contains("1234567"), "{what} shows a secret:\n{found}");
        assert!(
            !["Raw", "serde", "Spanned", "u32", "f64"].iter().any(|word| found.contains(word)),
            "{found}"
        );
        writeln!(all, "## {what}\n\n{found}").unwrap();
    }
    insta::assert_snapshot!(all);
}

#[test]
fn doubtful_files_are_taken_with_a_warning() {
    let mut all = String::new();
    for text in [
        "[listen]\ntrusted-proxies = [\"10.0.0.0/8\"]",
        "[listen]\nclient-address = \"proxy-protocol\"",
        "[listen]\nclient-address = \"x-forwarded-for\"\ntrusted-proxies = [\"0.0.0.0/0\"]",
        "[admin]\naddress = \"203.0.113.7:9091\"\nsocket = \"./admin.sock\"",
    ] {
        all += &render(&parse_plain(text).unwrap().warnings);
        all += "\n";
    }
    insta::assert_snapshot!(all);
}

#[test]
fn defaults_are_those_that_scripts_rely_on() {
    let Loaded { settings, warnings, .. } = parse_plain("").unwrap();
    assert_eq!(warnings, []);
    assert_eq!(settings.listen.address.to_string(), "127.0.0.1:8080");
    assert_eq!(settings.listen.client_address, ClientAddress::Peer);
    assert_eq!(settings.admin.address.to_string(), "127.0.0.1:9091");
    assert_eq!(settings.policies, Policies { directory: "./policies".into(), named: false });
    assert_eq!(settings.store, Store::File("./data/signgate.db".into()));
    assert_eq!(settings.record.to, RecordTo::File("./data/access.jsonl".into()));
    assert_eq!((settings.record.rotate_bytes, settings.record.keep.as_secs()), (1 << 30, 7 * 86_400));
    assert_eq!(settings.generators, [Generator::stand_in()]);
}

const WHOLE: &str = r#"
[listen]
address = "[::]:80"
client-address = "x-forwarded-for"
trusted-proxies = ["10.0.0.0/8", "2001:db8::/32", "192.0.2.1"]
health-path = "/healthz"
[admin]
address = "127.0.0.1:9000"
socket = "/run/signgate.sock"
[[admin.token]]
name = "ops"
hash = "blake3:0000000000000000000000000000000000000000000000000000000000000001"
role = "operator"
expires = 2027-01-01T00:00:00Z
[policies]
directory = "/etc/signgate/policies"
[store]
path = "none"
[record]
path = "-"
rotate-bytes = 1_000_000
keep = "30d"
allowed-share = 0.1
[[generator]]
name = "main"
alias = "eu-1"
kind = "euler"
url = "https://sign.example/base/"
in-flight-max = 50
[[generator]]
name = "spare"
kind = "stand-in"
"#;

#[test]
fn a_whole_file_is_taken() {
    let settings = parse_plain(WHOLE).unwrap().settings;
    let proxies: Vec<_> = settings.listen.trusted_proxies.iter().map(ToString::to_string).collect();
    assert_eq!(proxies, ["10.0.0.0/8", "2001:db8::/32", "192.0.2.1/32"]);
    assert_eq!(settings.listen.health_path.as_deref(), Some("/healthz"));
    assert_eq!(settings.admin.tokens[0].role, Role::Operator);
    assert_eq!(settings.admin.tokens[0].expires.unwrap().as_secs(), 1_798_761_600);
    assert_eq!(settings.policies, Policies { directory: "/etc/signgate/policies".into(), named: true });
    assert_eq!((settings.store, &settings.record.to), (Store::None, &RecordTo::Stdout));
    assert_eq!(settings.record.keep.as_secs(), 30 * 86_400);
    assert!((settings.record.allowed_share - 0.1).abs() < f64::EPSILON);
    let canary =
        parse_plain(&format!("{WHOLE}canary-of = \"main\"")).unwrap().settings.generators[1].canary.clone();
    assert_eq!(canary, Some(Canary { of: "main".into(), share: 0.05 }));
    let [main, spare] = settings.generators.as_slice() else { panic!("{:?}", settings.generators) };
    assert_eq!((main.alias.as_str(), main.in_flight_max.get()), ("eu-1", 50));
    assert_eq!((spare.alias.as_str(), &spare.kind), ("spare", &GeneratorKind::StandIn));
}

#[test]
fn a_generator_is_judged_by_its_own_demands_over_those_of_all() {
    let text = "[judge]\nsize-share = 0.5\npush-hosts = [\"*\"]\n[[generator]]\nname = \"a\"\nkind = \"stand-in\"\n\
        [[generator]]\nname = \"b\"\nkind = \"stand-in\"\njudge = { size-share = 0.0, signature = \"full\" }";
    let settings = parse_plain(text).unwrap().settings;
    let [a, b] = settings.generators.as_slice() else { panic!("{:?}", settings.generators) };
    let every = Some(vec![crate::base::host::HostPattern::Every]);
    let for_all = Judge { size_share: 0.5, push_hosts: every, ..Judge::default() };
    assert_eq!(a.judge, for_all);
    assert_eq!(b.judge, Judge { size_share: 0.0, signature: SignatureWord::Full, ..for_all });
}

#[test]
fn flags_win_over_the_file() {
    let flags = Flags {
        listen: Some("127.0.0.1:1".parse().unwrap()),
        admin: Some("127.0.0.1:2".parse().unwrap()),
        policies: Some("here".into()),
        generators: ["euler=http://127.0.0.1:3", "stand-in", "euler=http://127.0.0.1:4", "carcabot=http://h"]
            .map(|flag| flag.parse().unwrap())
            .into(),
        store: Some("kept.db".parse().unwrap()),
        workers: NonZeroU16::new(2),
    };
    let settings = parse(NAME, WHOLE, &flags).unwrap().settings;
    assert_eq!((settings.listen.address.port(), settings.admin.address.port()), (1, 2));
    assert_eq!(settings.policies, Policies { directory: "here".into(), named: true });
    assert_eq!(settings.store, Store::File("kept.db".into()));
    let names: Vec<_> = settings.generators.iter().map(|generator| generator.name.as_str()).collect();
    assert_eq!(names, ["euler", "stand-in", "euler-2", "carcabot"]);
    let at_a_time = settings.generators.iter().map(|generator| generator.in_flight_max.get());
    assert_eq!(at_a_time.collect::<Vec<_>>(), [256, 256, 256, 1], "one browser signs one URL at a time");
    assert_eq!(settings.listen.health_path.as_deref(), Some("/healthz"), "what no flag says stays");
    for bad in
        ["euler", "carcabot", "carcabot=ftp://h", "euler=x", "http://127.0.0.1", "stand-in=http://h", ""]
    {
        assert!(bad.parse::<GeneratorFlag>().is_err(), "{bad}");
    }
}

#[test]
fn flags_are_refused_in_the_words_of_the_file() {
    let said = |flag: &str| flag.parse::<GeneratorFlag>().unwrap_err();
    assert_eq!(
        said("foo=http://127.0.0.1"),
        "there is no kind of generator `foo`: expected `euler`, `carcabot`, `stand-in`"
    );
    assert!(said("euler=127.0.0.1:18100").ends_with("`https://`; write `http://127.0.0.1:18100`"));
    for secret in [
        "euler=hunter2",
        "euler=hunter2@127.0.0.1:1",
        "euler=127.0.0.1:1/hunter2",
        "euler=a.hunter2.b",
        "euler=sk_live_hunter2:1234",
        "euler=https://user:hunter2@h",
        "https://user:hunter2@h/?key=hunter2",
        "hunter2=https://h",
    ] {
        assert!(!said(secret).contains("hunter2"), "{secret}");
    }
    assert!(!said("euler=1234567890:80").contains("73.150"), "a number is no address");
    assert_eq!(
        flags::address("8080").unwrap_err(),
        "expected an IP address and a port, such as `127.0.0.1:8080` or `[::1]:8080`; `127.0.0.1:8080` is for this machine \
         alone, `0.0.0.0:8080` for everybody"
    );
    for wrong in ["0", "x", "70000"] {
        assert_eq!(flags::workers(wrong).unwrap_err(), "expected a whole number from 1 to 65535");
    }
    assert!(flags::client("203.0.113").unwrap_err().contains("`203.0.113.7`"));
    assert!(flags::admin_url("127.0.0.1:19091").unwrap_err().ends_with("write `http://127.0.0.1:19091`"));
    assert!(flags::admin_url("http://127.0.0.1:19091").is_ok());
}

#[test]
fn a_file_that_is_no_text_is_told_by_line() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("signgate.toml");
    std::fs::write(&path, b"# fine\n# caf\xe9\n").unwrap();
    let Err(ConfigError::Wrong(found)) = load(Some(&path), &Flags::default()) else { panic!("it is taken") };
    assert!(render(&found).contains("signgate.toml:2:6"), "{}", render(&found));
}

#[test]
fn where_a_path_is_named_is_known() {
    let places = parse_plain("\n[policies]\ndirectory = \"p\"\n[record]\npath = \"r\"\n").unwrap().places;
    assert_eq!(places.policies, Some(format!("{NAME}:3")));
    assert_eq!(places.record, Some(format!("{NAME}:5")));
    let flags = Flags { policies: Some("here".into()), ..Flags::default() };
    assert_eq!(parse(NAME, "[policies]\ndirectory = \"p\"", &flags).unwrap().places, Places::default());
}

#[test]
fn keys_come_from_their_files_and_do_not_print() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("key");
    let text = format!(
        "[[generator]]\nname = \"main\"\nkind = \"euler\"\nurl = \"https://sign.example\"\nkey-file = {:?}",
        file.display().to_string()
    );
    fs::write(&file, "hunter2\n").unwrap();
    let settings = parse_plain(&text).unwrap().settings;
    assert_eq!(settings.generators[0].key.as_ref().unwrap().reveal(), "hunter2");
    assert!(!format!("{settings:?}").contains("hunter2"));
    for (held, says) in [
        ("\n".to_owned(), "is empty"),
        ("hunter2\nhunter2".into(), "holds no key"),
        ("x".repeat(5000), "holds no key"),
    ] {
        fs::write(&file, held).unwrap();
        let found = complaints(&text);
        assert!(found.contains(says) && !found.contains("hunter2"), "{found}");
    }
}

#[test]
fn only_a_named_file_must_be_there() {
    let directory = tempfile::tempdir().unwrap();
    let missing = directory.path().join("signgate.toml");
    let error = load(Some(&missing), &Flags::default()).unwrap_err();
    assert!(error.to_string().starts_with("cannot read `"), "{error}");
    fs::write(&missing, "[listen]\naddress = \"127.0.0.1:7\"").unwrap();
    let loaded = load(Some(&missing), &Flags::default()).unwrap();
    assert_eq!((loaded.settings.listen.address.port(), loaded.file), (7, Some(missing.clone())));
    fs::write(&missing, [0xff, 0xfe]).unwrap();
    assert!(matches!(load(Some(&missing), &Flags::default()), Err(ConfigError::Wrong(_))));
    fs::write(&missing, " ".repeat(2 << 20)).unwrap();
    assert!(matches!(load(Some(&missing), &Flags::default()), Err(ConfigError::Wrong(_))));
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(
        at in 0usize..700,
        text in "[\\PC\n]{0,12}",
        length in 0usize..12,
    ) {
        // Plain ASCII, so cut anywhere.
        let from = at.min(WHOLE.len());
        let to = (from + length).min(WHOLE.len());
        let _ = parse_plain(&format!("{}{text}{}", &WHOLE[..from], &WHOLE[to..]));
    }
}
