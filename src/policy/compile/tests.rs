use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use proptest::sample::{Index, subsequence};

use super::*;
use crate::policy::diagnostic::{Severity, render};
use crate::policy::viewbot::ViewbotMode;

fn now() -> Timestamp {
    Timestamp::parse_rfc3339("2026-11-22T10:00:00Z").unwrap()
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn sources(files: &[(&str, &str)]) -> Sources {
    let mut sources = Sources::new("policies");
    for (name, text) in files {
        sources.insert(*name, *text);
    }
    sources
}

/// The shipped directory, feeds and all.
fn shipped() -> Sources {
    let mut sources = Sources::new("policies");
    let directory = root().join("policies");
    for entry in std::fs::read_dir(&directory).unwrap().map(Result::unwrap) {
        let name = entry.file_name().into_string().unwrap();
        if is_toml(&name) {
            sources.insert(name, std::fs::read(entry.path()).unwrap());
        }
    }
    for feed in sources.feeds_named() {
        let bytes = std::fs::read(directory.join(&feed)).unwrap();
        sources.insert(feed, bytes);
    }
    sources
}

/// What decides, as a text in which no place of anything shows: two policies that print alike decide alike.
fn meaning(set: &PolicySet) -> String {
    let mut text = format!("anonymous {:?} sessions {:?}\n", set.tier(set.anonymous()).name, set.sessions());
    for tier in set.tiers() {
        writeln!(text, "tier {:?} {:?}", tier.name, tier.class).unwrap();
    }
    for account in set.accounts() {
        writeln!(text, "account {:?} {:?} {:?}", account.id, account.tier, account.subject).unwrap();
    }
    let mut keys: Vec<_> = set.keys().map(|key| format!("{key:?}")).collect();
    keys.sort();
    writeln!(text, "keys {keys:#?}").unwrap();
    for rule in set.rules() {
        writeln!(text, "rule {:?} {:?} {:?}", rule.name, rule.mode, rule.kind).unwrap();
    }
    writeln!(text, "{:#?}", set.counters()).unwrap();
    for (tier, _) in (0u16..).zip(set.tiers()) {
        for operation in Operation::ALL {
            writeln!(text, "{tier} {operation} {:?}", set.applicable(TierIndex(tier), operation)).unwrap();
        }
    }
    writeln!(text, "{:?}", set.targets()).unwrap();
    writeln!(text, "shedding {:?}\n{:?}", set.shedding_order(), set.viewbot()).unwrap();
    for (name, lists) in [("block", set.blocklists()), ("allow", set.allowlists())] {
        let of = |rules: &mut dyn Iterator<Item = RuleIndex>| rules.map(|rule| rule.0).collect::<Vec<_>>();
        for asn in [64496, 64497, 64498] {
            writeln!(text, "{name} AS{asn} {:?}", lists.of_asn(asn)).unwrap();
        }
        for address in ["203.0.113.7", "203.0.113.9", "198.51.100.1", "2001:db8::1"] {
            writeln!(text, "{address} {:?}", set.networks().lookup(address.parse().unwrap())).unwrap();
            writeln!(
                text,
                "{name} {address} {:?}",
                of(&mut lists.of_address(address.parse().unwrap()).iter().copied())
            )
            .unwrap();
        }
        let room = crate::base::room::Room::parse("@someone").unwrap();
        let key = crate::base::id::KeyId::new("k_1").unwrap();
        let library = crate::base::library::Library {
            name: crate::base::library::LibraryName::Python,
            version: crate::base::library::Version::parse("6.6.5"),
        };
        writeln!(
            text,
            "{name} {:?} {:?} {:?} {:?}",
            lists.of_room(&room),
            lists.of_key(&key),
            of(&mut lists.of_user_agent("curl/8")),
            of(&mut lists.of_library(library)),
        )
        .unwrap();
        for account in 0..set.accounts().len() {
            writeln!(text, "{name} {account} {:?}", lists.of_account(AccountIndex(account as u32))).unwrap();
        }
    }
    text
}

#[test]
fn the_shipped_policy_is_clean_and_says_what_the_reference_says() {
    let compiled = compile(&shipped(), now()).unwrap_or_else(|wrong| panic!("{}", render(&wrong)));
    assert_eq!(render(&compiled.warnings), "");
    let set = compiled.set;
    let limits = |tier: &str| -> Vec<String> {
        let places = set.applicable(set.tier_named(tier).unwrap(), Operation::Connect);
        let windows = places.iter().filter_map(|place| match &set.counter(*place).limit {
            Limit::Windows(windows) | Limit::Distinct { windows, .. } => Some((set.counter(*place), windows)),
            _ => None,
        });
        windows
            .flat_map(|(counter, windows)| {
                windows
                    .iter()
                    .map(|window| format!("{} {} {}", counter.mode.word(), window.label, window.max))
            })
            .collect()
    };
    let room = "shadow rate_limit_room_id_day 5000";
    assert_eq!(
        limits("anonymous"),
        [
            "enforce rate_limit_proxy_minute 5",
            "enforce rate_limit_proxy_hour 30",
            "enforce rate_limit_proxy_day 100",
            "enforce rate_limit_proxy_different_room_id_30m 4",
            room
        ]
    );
    assert_eq!(limits("community"), ["enforce rate_limit_account_day 2500", room]);
    assert_eq!(limits("business"), ["enforce rate_limit_account_day 10000", room]);
    assert_eq!(limits("enterprise"), ["enforce rate_limit_account_day 250000", room]);
    assert!(set.applicable(set.anonymous(), Operation::Limits).is_empty(), "asking for limits is free");
    assert!(set.targets().iter().any(|target| target.allows("www.tiktok.com", "/api/live/detail/")));
    assert!(!set.targets().iter().any(|target| target.allows("www.tiktok.com", "/webcast/fetch/")));
    assert_eq!(set.sessions().word(), "pass");
    assert_eq!(set.viewbot().mode, ViewbotMode::Shadow);
    let shed: Vec<_> = set.shedding_order().iter().map(|tier| set.tier(*tier).name.as_str()).collect();
    assert_eq!(shed, ["anonymous", "community", "business", "enterprise"]);
    assert_eq!(set.tier(set.anonymous()).name.as_str(), "anonymous");
}

/// One of everything that may be written.
const FULL: [(&str, &str); 5] = [
    (
        "10.toml",
        r#"
        format = 1
        [tier.anonymous]
        class = "none"
        [tier.community]
        class = "free"
        [[account]]
        id = "b"
        tier = "community"
        [[account]]
        id = "a"
        tier = "community"
        [[key]]
        id = "k_1"
        hash = "blake3:1111111111111111111111111111111111111111111111111111111111111111"
        account = "b"
        expires = 2027-01-01T01:00:00+01:00
        disabled = true
        proxies = ["203.0.113.7", "2001:db8::/32", "::ffff:198.51.100.0/120"]
        rooms = ["7300000000000000001", "@Someone"]
        [[key]]
        id = "k_2"
        hash = "blake3:2222222222222222222222222222222222222222222222222222222222222222"
        account = "a"
        "#,
    ),
    (
        "20.toml",
        r#"
        [[quota]]
        name = "windows"
        scope = "room+proxy"
        tiers = ["community", "anonymous", "community"]
        operations = ["connect", "chat"]
        limits = { day = 100, "60s" = 5, "30m" = 20, hour = 30, week = 500 }
        mode = "shadow"
        [[distinct]]
        name = "harvest"
        count = "room"
        scope = "proxy+key"
        limits = { hour = 40, "30m" = 4, day = 1000, week = 1000 }
        [[rate]]
        name = "pace"
        scope = "account"
        rate = "20/5m"
        [[rate]]
        name = "burst"
        scope = "total"
        rate = "2/s"
        burst = 5
        [[concurrency]]
        name = "in-flight"
        scope = "key"
        max = 50
        mode = "off"
        "#,
    ),
    (
        "30.toml",
        r#"
        [[blocklist]]
        name = "feed"
        file = "feeds/x.netset"
        prefixes = ["203.0.113.0/24"]
        reason = "known view-bot proxies"
        expires = 2027-01-01T00:00Z
        [[blocklist]]
        name = "agents"
        user-agents = ["curl/*"]
        asns = [64496, 64497]
        libraries = ["ttlive-python >=6.0 <7", "ttlive-rust"]
        rooms = ["@someone"]
        keys = ["k_1"]
        accounts = ["a"]
        [[allowlist]]
        name = "partners"
        accounts = ["b"]
        exempt = ["blocklist", "quota", "viewbot"]
        [[target]]
        hosts = ["WWW.tiktok.com"]
        paths = ["/api/*"]
        [[target]]
        hosts = ["webcast.tiktok.com"]
        paths = ["/webcast/*"]
        [sessions]
        mode = "strip"
        [networks]
        table = "tables/networks.csv"
        [shedding]
        order = ["community"]
        [viewbot]
        mode = "shadow"
        known-age = "8m"
        evidence = { pool-chain = [1, 4.5] }
        ladder = { address = { ttl = "20m", max = "12h" } }
        "#,
    ),
    ("tables/networks.csv", "prefix,asn,kind\n203.0.113.0/24,64496,isp\n2001:db8::/32,64497\n"),
    ("feeds/x.netset", "# comment\r\n198.51.100.1 ; one\r\n\r\n2001:db8::/32#x\r\n"),
];

#[test]
fn one_of_everything_compiles_to_what_was_written() {
    let compiled = compile(&sources(&FULL), now()).unwrap_or_else(|wrong| panic!("{}", render(&wrong)));
    assert_eq!(render(&compiled.warnings), "");
    insta::assert_snapshot!(meaning(&compiled.set));
    let rule = &compiled.set.rules()[0];
    assert_eq!((rule.name.as_str(), &*rule.file, rule.line), ("agents", "policies/30.toml", 8));
}

/// A client polls its limits: a rule that names the operation must not make it cost.
#[test]
fn asking_for_limits_is_free_whatever_a_rule_says() {
    let base = std::fs::read_to_string(root().join("tests/policies/base.toml")).unwrap();
    let rule = "[[rate]]\nname = 'r'\nscope = 'proxy'\nrate = '1/s'\noperations = ['connect', 'limits']\n";
    let set = compile(&sources(&[("00.toml", &base), ("10.toml", rule)]), now()).unwrap().set;
    assert_eq!(set.applicable(set.anonymous(), Operation::Limits), [] as [u16; 0]);
    assert_eq!(set.applicable(set.anonymous(), Operation::Connect), [0]);
}

/// Other ones were seen than those that are counted now: they must not be taken for one another.
#[test]
fn a_distinct_quota_that_counts_something_else_starts_anew() {
    let family = |count: &str, limit: u32| {
        let base = std::fs::read_to_string(root().join("tests/policies/base.toml")).unwrap();
        let rule =
            format!("[[distinct]]\nname='r'\ncount='{count}'\nscope='proxy'\nlimits={{day={limit}}}\n");
        compile(&sources(&[("00.toml", &base), ("10.toml", &rule)]), now()).unwrap().set.counter(0).family
    };
    assert_eq!(family("room", 4), family("room", 5), "a raised limit keeps what was counted");
    assert_ne!(family("room", 4), family("library", 4));
}

#[test]
fn a_packed_feed_is_read() {
    use std::io::Write as _;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(b"203.0.113.0/24\n").unwrap();
    let packed = encoder.finish().unwrap();
    let base = std::fs::read_to_string(root().join("tests/policies/base.toml")).unwrap();
    let list = "[[blocklist]]\nname = 'b'\nfile = 'feeds/x.netset.gz'\n";
    let mut whole = sources(&[("00.toml", &base), ("10.toml", list)]);
    whole.insert("feeds/x.netset.gz", packed);
    let set = compile(&whole, now()).unwrap_or_else(|wrong| panic!("{}", render(&wrong))).set;
    assert_eq!(set.blocklists().of_address("203.0.113.7".parse().unwrap()), [RuleIndex(0)]);
}

/// Who is not listed goes after who is, the cheaper first.
#[test]
fn tiers_are_shed_by_class_unless_the_order_says_otherwise() {
    let order = |more: &str| -> Vec<String> {
        let base = std::fs::read_to_string(root().join("tests/policies/base.toml")).unwrap();
        let more = format!("[tier.a-paid]\nclass = 'paid'\n{more}");
        let set = compile(&sources(&[("00.toml", &base), ("10.toml", &more)]), now()).unwrap().set;
        set.shedding_order().iter().map(|tier| set.tier(*tier).name.to_string()).collect()
    };
    assert_eq!(order(""), ["anonymous", "community", "a-paid", "business"]);
    let listed = "[shedding]\norder = ['community', 'business']\n";
    assert_eq!(order(listed), ["community", "business", "anonymous", "a-paid"]);
}

#[test]
fn the_digest_is_of_names_and_bytes() {
    let of = |files: &[(&str, &str)]| sources(files).digest();
    assert_eq!(of(&[("a", "1"), ("b", "2")]), of(&[("b", "2"), ("a", "1")]));
    assert_ne!(of(&[("a", "1"), ("b", "2")]), of(&[("a", "2"), ("b", "1")]));
    assert_ne!(of(&[("a", "1b"), ("c", "")]), of(&[("a", "1"), ("bc", "")]));
    let mut elsewhere = Sources::new("/etc/signgate/policies/");
    elsewhere.insert("a", "1");
    assert_eq!(elsewhere.digest(), of(&[("a", "1")]));
    assert_eq!(&*elsewhere.display_name("a"), "/etc/signgate/policies/a");
}

#[test]
fn feeds_are_named_before_they_are_read() {
    let named = sources(&FULL[..3]).feeds_named();
    assert_eq!(named.into_iter().collect::<Vec<_>>(), ["feeds/x.netset", "tables/networks.csv"]);
    let escape = "[[blocklist]]\nname = 'x'\nfile = '../../etc/shadow'\n[[blocklist]]\nname = 'y'\nfile = '/etc/passwd'";
    assert!(sources(&[("a.toml", escape)]).feeds_named().is_empty());
}

#[test]
fn bounds_hold() {
    let long = " ".repeat(TOML_BYTES_MAX + 1);
    let wrong = compile(&sources(&[("a.toml", &long)]), now()).unwrap_err();
    insta::assert_snapshot!(render(&wrong), @r"
    error: the file has more than 1048576 bytes
     --> policies/a.toml
    help: spread its tables over several files
    ");

    let mut many = Sources::new("policies");
    for n in 0..=FILES_MAX {
        many.insert(format!("{n}.toml"), "format = 1");
    }
    let wrong = compile(&many, now()).unwrap_err();
    insta::assert_snapshot!(render(&wrong), @"error: 1025 files are too many: at most 1024 are possible");

    let mut latin = Sources::new("policies");
    latin.insert("a.toml", *b"format = 1\n# caf\xe9 \x1b[2J\n");
    insta::assert_snapshot!(render(&compile(&latin, now()).unwrap_err()), @r"
    error: the file is not UTF-8
     --> policies/a.toml:2:6
      |
    2 | # caf� \u{1b}[2J
      |      ^ expected text in UTF-8
    ");

    let rule = |n| format!("[[rate]]\nname='r{n}'\nscope='total'\nrate='1/s'\noperations=[]\n");
    let rules: Vec<_> = (0..=1000).map(rule).collect();
    let rules = rules.concat();
    let wrong = compile(&sources(&[("a.toml", &rules), FULL[0]]), now()).unwrap_err();
    assert!(
        render(&wrong).contains("1001 rules are too many: at most 1000 are possible"),
        "{}",
        render(&wrong)
    );

    let bad_feed = "nonsense\n".repeat(100_000);
    let wrong =
        compile(&sources(&[FULL[0], FULL[1], FULL[2], FULL[3], ("feeds/x.netset", &bad_feed)]), now())
            .unwrap_err();
    assert_eq!(wrong.len(), 9, "a handful, and how many more");
    assert!(
        render(&wrong).contains(
            "error: 99992 more lines are wrong, from this one on\n --> policies/feeds/x.netset:9:1\n"
        ),
        "{}",
        render(&wrong)
    );
}

/// A case of the corpus: files one after the other, each after a line `### NAME`. What stands before the first is
/// `20-case.toml`, beside a sound `00-base.toml`; a case whose first line is `### alone` comes without that.
fn corpus_case(text: &str) -> Sources {
    let mut sources = Sources::new("policies");
    sources.insert("00-base.toml", std::fs::read(root().join("tests/policies/base.toml")).unwrap());
    let mut name = "20-case.toml".to_owned();
    let mut body = String::new();
    for line in text.split_inclusive('\n') {
        match line.strip_prefix("### ").map(str::trim_end) {
            Some("alone") => sources = Sources::new("policies"),
            Some(next) => {
                let body = std::mem::take(&mut body);
                if !body.is_empty() {
                    sources.insert(name.as_str(), body);
                }
                next.clone_into(&mut name);
            }
            None => body.push_str(line),
        }
    }
    if !body.is_empty() {
        sources.insert(name.as_str(), body);
    }
    sources
}

fn corpus(directory: &str) -> Vec<(String, Vec<u8>)> {
    let mut cases = Vec::new();
    for entry in std::fs::read_dir(root().join(directory)).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            cases.push((name, std::fs::read(path).unwrap()));
        }
    }
    cases.sort();
    cases
}

fn snapshots(directory: &str) -> insta::Settings {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(Path::new(env!("CARGO_MANIFEST_DIR")).join(directory).join("snapshots"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings
}

/// Every broken set is refused, with the words that stand in its snapshot. A new case is a new file.
#[test]
fn the_broken_sets_are_refused_in_good_words() {
    const DIRECTORY: &str = "tests/policies/broken";
    let cases = corpus(DIRECTORY);
    assert!(cases.len() >= 200, "{}", cases.len());
    snapshots(DIRECTORY).bind(|| {
        for (name, text) in cases {
            let text = String::from_utf8(text).unwrap();
            let wrong = compile(&corpus_case(&text), now()).expect_err(&name);
            assert!(wrong.iter().any(|diagnostic| diagnostic.severity == Severity::Error), "{name}");
            insta::assert_snapshot!(name, render(&wrong));
        }
    });
}

/// Every doubtful set is compiled, with a warning.
#[test]
fn the_doubtful_sets_are_warned_of() {
    const DIRECTORY: &str = "tests/policies/doubtful";
    snapshots(DIRECTORY).bind(|| {
        for (name, text) in corpus(DIRECTORY) {
            let text = String::from_utf8(text).unwrap();
            let compiled = compile(&corpus_case(&text), now())
                .unwrap_or_else(|wrong| panic!("{name}: {}", render(&wrong)));
            assert!(!compiled.warnings.is_empty(), "{name}");
            insta::assert_snapshot!(name, render(&compiled.warnings));
        }
    });
}

/// The tables of a file, each with its header: what may stand in another order, or in another file.
fn tables(text: &str) -> Vec<String> {
    let mut tables: Vec<String> = Vec::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        match tables.last_mut() {
            Some(table) if !line.starts_with('[') => writeln!(table, "{line}").unwrap(),
            _ => tables.push(format!("{line}\n")),
        }
    }
    tables
}

proptest! {
    /// The order of tables, their spread over files and the files' names show in nothing that decides.
    #[test]
    fn the_order_of_files_and_rules_shows_in_nothing(
        order in Just((0..32).collect::<Vec<usize>>()).prop_shuffle(), homes in prop::collection::vec(0usize..4, 32),
    ) {
        // `format = 1` stands before every header, so it stays where it is.
        let all: Vec<_> =
            FULL[..3].iter().flat_map(|(_, text)| tables(&text.replace("format = 1", ""))).collect();
        prop_assert!(all.len() <= order.len());
        let mut files = vec![String::from("format = 1\n"), String::new(), String::new(), String::new()];
        for place in order.into_iter().filter(|place| *place < all.len()) {
            files[homes[place]] += &all[place];
        }
        let mut shuffled = sources(&FULL[3..]);
        for (name, text) in ["z.toml", "10.toml", "a.toml", "m.toml"].into_iter().zip(files) {
            shuffled.insert(name, text);
        }
        let compiled = compile(&shuffled, now()).map_err(|wrong| TestCaseError::fail(render(&wrong)))?;
        let written = compile(&sources(&FULL), now()).unwrap();
        prop_assert_eq!(meaning(&compiled.set), meaning(&written.set));
    }

    /// Bytes changed, inserted, removed, lines dropped: it may be refused, and it must not panic, nor print what a terminal obeys.
    #[test]
    fn no_change_of_bytes_makes_it_panic(
        ours in any::<bool>(), file in any::<Index>(), edits in prop::collection::vec((any::<Index>(), 0u8..4, any::<u8>()), 1..12),
    ) {
        let whole = if ours { shipped() } else { sources(&FULL) };
        let mut files: Vec<(String, Vec<u8>)> =
            whole.iter().map(|(name, bytes)| (name.to_owned(), bytes.to_vec())).collect();
        let place = file.index(files.len());
        let bytes = &mut files[place].1;
        for (at, edit, byte) in edits {
            if bytes.is_empty() {
                break;
            }
            let at = at.index(bytes.len());
            match edit {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                2 => drop(bytes.remove(at)),
                // What a person does: a word of the format in the wrong place.
                _ => {
                    let word = ["[[quota]]\n", "\"", "= ", "tiers", "2/s", "{", "]"][usize::from(byte) % 7];
                    drop(bytes.splice(at..at, word.bytes()));
                }
            }
        }
        let mut changed = Sources::new("policies");
        for (name, bytes) in files {
            changed.insert(name, bytes);
        }
        let text = match compile(&changed, now()) {
            Ok(compiled) => render(&compiled.warnings),
            Err(wrong) => render(&wrong),
        };
        prop_assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{:?}", text);
    }

    /// Any of the tables missing: whatever is left either compiles or says why not.
    #[test]
    fn any_part_of_a_policy_is_judged(kept in subsequence((0..24).collect::<Vec<usize>>(), 0..24)) {
        let all: Vec<_> = FULL[..3].iter().flat_map(|(_, text)| tables(text)).collect();
        let text: String = kept.into_iter().filter_map(|place| all.get(place).map(String::as_str)).collect();
        if let Err(wrong) = compile(&sources(&[("a.toml", &text), FULL[3], FULL[4]]), now()) {
            prop_assert!(wrong.iter().any(|diagnostic| diagnostic.severity == Severity::Error));
        }
    }
}
