use super::*;
use crate::base::time::Timestamp;
use crate::policy::compile;
use crate::policy::file::TABLES;
use crate::policy::reader::{FieldDoc, LeftOut};

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

const BEFORE: &str = r#"
format = 1
[tier.anonymous]
class = "none"
[tier.community]
class = "free"
[tier.business]
class = "paid"
[[account]]
id = "overlay"
tier = "business"
[[account]]
id = "gone"
tier = "community"
[[key]]
id = "k_1"
account = "overlay"
hash = "blake3:1111111111111111111111111111111111111111111111111111111111111111"
[[key]]
id = "k_2"
account = "overlay"
hash = "blake3:2222222222222222222222222222222222222222222222222222222222222222"
proxies = ["203.0.113.0/24"]
[[key]]
id = "k_3"
account = "gone"
hash = "blake3:3333333333333333333333333333333333333333333333333333333333333333"
[[quota]]
name = "anonymous"
scope = "proxy"
tiers = ["anonymous"]
limits = { minute = 5, hour = 30 }
[[quota]]
name = "community"
scope = "account"
tiers = ["community"]
limits = { day = 2500 }
[[quota]]
name = "rooms"
scope = "room"
limits = { day = 5000 }
[[rate]]
name = "pace"
scope = "proxy"
rate = "1/s"
burst = 5
[[concurrency]]
name = "in-flight"
scope = "account"
max = 10
[[blocklist]]
name = "proxies"
prefixes = ["198.51.100.0/24", "192.0.2.0/24"]
reason = "known proxies"
[[allowlist]]
name = "partners"
accounts = ["overlay"]
exempt = ["blocklist"]
[[target]]
hosts = ["webcast.tiktok.com"]
paths = ["/webcast/*"]
"#;

fn side(text: &str) -> (Sources, PolicySet) {
    let mut sources = Sources::new("policies");
    sources.insert("10.toml", text);
    let compiled = compile(&sources, NOW);
    let set = compiled.unwrap_or_else(|wrong| panic!("{}", crate::policy::diagnostic::render(&wrong))).set;
    (sources, set)
}

fn changes(before: &str, after: &str) -> Vec<Change> {
    let (before, after) = (side(before), side(after));
    diff(Side { set: &before.1, sources: &before.0 }, Side { set: &after.1, sources: &after.0 })
}

fn lines(changes: &[Change]) -> Vec<String> {
    let line = |change: &Change| {
        format!("{}: {} `{}`: {}", change.weight.word(), change.kind, change.name, change.text)
    };
    changes.iter().map(line).collect()
}

/// Each edit of the policy above, and all that it changes.
#[test]
fn each_change_is_told_with_its_weight() {
    let k_2 = "[[key]]\nid = \"k_2\"\naccount = \"overlay\"\nhash = \"blake3:2222222222222222222222222222222222222222222222222222222222222222\"\nproxies = [\"203.0.113.0/24\"]\n";
    let cases: &[(&str, &str, &[&str])] = &[
        ("minute = 5", "minute = 9", &["loosens: quota `anonymous`: minute: raised from 5 to 9"]),
        ("minute = 5", "minute = 1", &["tightens: quota `anonymous`: minute: lowered from 5 to 1"]),
        ("minute = 5", "minute = 0", &["loses-access: quota `anonymous`: minute: lowered from 5 to 0"]),
        (
            "minute = 5, hour = 30",
            "minute = 5, hour = 30, day = 0",
            &[
                "loses-access: quota `anonymous`: day: a new limit of 0",
                "counts-anew: quota `anonymous`: its windows changed, so its counters start anew",
            ],
        ),
        (
            "hour = 30",
            "day = 30",
            &[
                "lets-in: quota `anonymous`: hour: the limit of 30 is gone",
                "counts-anew: quota `anonymous`: its windows changed, so its counters start anew",
                "tightens: quota `anonymous`: day: a new limit of 30",
            ],
        ),
        (
            "scope = \"room\"",
            "scope = \"proxy+room\"",
            &[
                "counts-anew: quota `rooms`: it counted per room, and counts per proxy+room: its counters start anew",
            ],
        ),
        (
            "name = \"rooms\"",
            "name = \"rooms-day\"",
            &["counts-anew: quota `rooms-day`: was named `rooms`: its counters start anew"],
        ),
        (
            "[[quota]]\nname = \"rooms\"\nscope = \"room\"\nlimits = { day = 5000 }\n",
            "",
            &["lets-in: quota `rooms`: is gone: it was enforce, per room, day 5000"],
        ),
        (
            "name = \"rooms\"\n",
            "name = \"rooms\"\nmode = \"shadow\"\n",
            &["lets-in: quota `rooms`: its mode was `enforce`, is `shadow`"],
        ),
        (
            "name = \"rooms\"\n",
            "name = \"rooms\"\ntiers = [\"business\"]\n",
            &["lets-in: quota `rooms`: was for all tiers, is for `business`"],
        ),
        (
            "name = \"rooms\"\n",
            "name = \"rooms\"\noperations = [\"connect\", \"sign-url\", \"chat\"]\n",
            &["lets-in: quota `rooms`: does not count `room-id` any more"],
        ),
        ("rate = \"1/s\"", "rate = \"100/m\"", &["loosens: rate `pace`: rate: raised from 1/1s to 100/1m"]),
        ("max = 10", "max = 3", &["tightens: concurrency `in-flight`: at a time: lowered from 10 to 3"]),
        (", \"192.0.2.0/24\"", "", &["lets-in: blocklist `proxies`: lists 1 fewer, 1 now: `192.0.2.0/24`"]),
        (
            "\"192.0.2.0/24\"",
            "\"192.0.2.0/24\", \"10.0.0.0/8\"",
            &["loses-access: blocklist `proxies`: lists 1 more, 3 now: `10.0.0.0/8`"],
        ),
        (
            "\"192.0.2.0/24\"",
            "\"192.0.3.0/24\"",
            &[
                "loses-access: blocklist `proxies`: lists 1 more, 2 now: `192.0.3.0/24`",
                "lets-in: blocklist `proxies`: lists 1 fewer, 2 now: `192.0.2.0/24`",
            ],
        ),
        ("known proxies", "bad proxies", &["other: blocklist `proxies`: its reason has other words"]),
        (
            "accounts = [\"overlay\"]",
            "accounts = [\"gone\"]",
            &[
                "loses-access: allowlist `partners`: lists 1 fewer, 1 now: `account overlay`",
                "lets-in: allowlist `partners`: lists 1 more, 1 now: `account gone`",
            ],
        ),
        (
            "exempt = [\"blocklist\"]",
            "exempt = [\"blocklist\", \"quota\"]",
            &["lets-in: allowlist `partners`: exempts from `quota` too"],
        ),
        (
            "paths = [\"/webcast/*\"]",
            "paths = [\"/*\"]",
            &[
                "loses-access: target `webcast.tiktok.com/webcast/*`: is not signed any more",
                "lets-in: target `webcast.tiktok.com/*`: may be signed",
            ],
        ),
        (
            "[[target]]",
            "[sessions]\nmode = \"refuse\"\n[[target]]",
            &["loses-access: sessions ``: their mode was `pass`, is `refuse`"],
        ),
        (
            "[tier.community]\nclass = \"free\"",
            "[tier.community]\nclass = \"paid\"",
            &[
                "tightens: shedding ``: its order was `anonymous`, `community`, `business`, is `anonymous`, `business`, `community`",
                "loosens: tier `community`: its class was `free`, is `paid`",
            ],
        ),
        (
            "[[target]]",
            "[[blocklist]]\nname = \"b\"\nrooms = [\"73\"]\n[[target]]",
            &["loses-access: blocklist `b`: is new: enforce, lists `room 73`"],
        ),
        (
            "[[target]]",
            "[[quota]]\nname = \"q\"\nscope = \"room\"\nlimits = { day = 0 }\n[[target]]",
            &["loses-access: quota `q`: is new: enforce, per room, day 0"],
        ),
        (
            "reason = \"known proxies\"",
            "reason = \"known proxies\"\nexpires = 2030-01-01T00:00:00Z",
            &["lets-in: blocklist `proxies`: its end was never, is 2030-01-01T00:00:00.000Z"],
        ),
        (k_2, "", &["loses-access: key `k_2`: is gone: it will be unknown"]),
        ("proxies = [\"203.0.113.0/24\"]", "disabled = true", &["loses-access: key `k_2`: is switched off"]),
        (
            "proxies = [\"203.0.113.0/24\"]",
            "proxies = [\"203.0.113.0/25\"]",
            &[
                "loses-access: key `k_2`: may not be used any more for the proxies `203.0.113.0/24`",
                "lets-in: key `k_2`: may be used for the proxies `203.0.113.0/25` too",
            ],
        ),
        (
            "proxies = [\"203.0.113.0/24\"]",
            "proxies = [\"203.0.113.0/24\"]\nexpires = 2030-01-01T00:00:00Z",
            &["loses-access: key `k_2`: ends at 2030-01-01T00:00:00.000Z (it had no end)"],
        ),
        (
            "blake3:11",
            "blake3:44",
            &["loses-access: key `k_1`: its hash changed: the key that its owner holds will be unknown"],
        ),
        (
            "id = \"overlay\"\ntier = \"business\"",
            "id = \"overlay\"\ntier = \"community\"",
            &["tightens: account `overlay`: its tier was `business`, is `community`"],
        ),
        (
            "[tier.business]\nclass = \"paid\"",
            "[tier.business]\nclass = \"free\"",
            &[
                "tightens: shedding ``: its order was `anonymous`, `community`, `business`, is `anonymous`, `business`, `community`",
                "tightens: tier `business`: its class was `paid`, is `free`",
            ],
        ),
        (
            "[[rate]]\nname = \"pace\"\nscope = \"proxy\"\nrate = \"1/s\"\nburst = 5",
            "[[concurrency]]\nname = \"pace\"\nscope = \"proxy\"\nmax = 1",
            &[
                "counts-anew: concurrency `pace`: was a rate; its counters start anew: enforce, per proxy, at a time 1",
            ],
        ),
    ];
    for (from, to, expected) in cases {
        assert_eq!(BEFORE.matches(from).count(), 1, "{from}");
        let found = changes(BEFORE, &BEFORE.replace(from, to));
        assert_eq!(lines(&found), *expected, "{from} -> {to}");
    }
}

#[test]
fn a_new_customer_and_a_gone_one() {
    let after = BEFORE
        .replace("id = \"gone\"", "id = \"new\"")
        .replace("account = \"gone\"", "account = \"new\"")
        .replace("k_3", "k_4");
    assert_eq!(
        lines(&changes(BEFORE, &after)),
        [
            "loses-access: account `gone`: is gone, and its keys with it",
            "loses-access: key `k_3`: is gone: it will be unknown",
            "lets-in: key `k_4`: is new, of account `new`",
            "other: account `new`: is new, of tier `community`",
        ]
    );
}

#[test]
fn nothing_changes_where_only_words_or_places_do() {
    assert_eq!(changes(BEFORE, BEFORE), []);
    let moved =
        BEFORE.replace("limits = { minute = 5, hour = 30 }", "# why\nlimits = { hour = 30, \"60s\" = 5 }");
    assert_eq!(changes(BEFORE, &moved), []);
}

/// A list or a limit that is enforced only now, or not any more, changes by its mode; what else of it changes decides
/// nothing by itself.
#[test]
fn what_changes_in_a_rule_weighs_where_it_is_enforced() {
    let shadow = |name: &str| {
        BEFORE.replace(&format!("name = \"{name}\"\n"), &format!("name = \"{name}\"\nmode = \"shadow\"\n"))
    };
    let quota = shadow("anonymous");
    for (from, to) in [
        ("minute = 5, ", ""),
        ("minute = 5, ", "minute = 9, "),
        ("minute = 5, ", "minute = 0, "),
        ("minute = 5, ", "minute = 5, day = 9, "),
        ("tiers = [\"anonymous\"]", "tiers = [\"business\"]"),
        ("tiers = [\"anonymous\"]", "operations = [\"connect\"]\ntiers = [\"anonymous\"]"),
    ] {
        let found = changes(&quota, &quota.replace(from, to));
        let weights: BTreeSet<Weight> = found.iter().map(|change| change.weight).collect();
        let may: BTreeSet<Weight> = [Weight::Other, Weight::CountsAnew].into();
        assert!(!found.is_empty() && weights.is_subset(&may), "{from} -> {to}: {:?}", lines(&found));
    }
    let raised = BEFORE.replace("minute = 5", "minute = 9");
    assert_eq!(
        lines(&changes(&quota, &raised)),
        [
            "tightens: quota `anonymous`: its mode was `shadow`, is `enforce`",
            "other: quota `anonymous`: minute: raised from 5 to 9",
        ]
    );
    let exempt = shadow("partners");
    let more = exempt.replace("exempt = [\"blocklist\"]", "exempt = [\"quota\"]");
    assert!(changes(&exempt, &more).iter().all(|change| change.weight == Weight::Other));
    let fewer = BEFORE.replace(", \"192.0.2.0/24\"", "");
    assert_eq!(
        lines(&changes(&shadow("proxies"), &fewer)),
        [
            "loses-access: blocklist `proxies`: its mode was `shadow`, is `enforce`",
            "other: blocklist `proxies`: lists 1 fewer, 1 now: `192.0.2.0/24`",
        ]
    );
}

#[test]
fn a_key_that_is_off_loses_nothing_and_lets_nobody_in() {
    let off = BEFORE.replace("proxies = [\"203.0.113.0/24\"]", "disabled = true");
    let k_2 = &off[off.find("[[key]]\nid = \"k_2\"").unwrap()..off.find("[[key]]\nid = \"k_3\"").unwrap()];
    let without = off.replace(k_2, "");
    assert_eq!(lines(&changes(&off, &without)), ["other: key `k_2`: is gone; it was switched off"]);
    assert_eq!(
        lines(&changes(&without, &off)),
        ["other: key `k_2`: is new, of account `overlay`, and switched off"]
    );
    let rehashed = off.replace("blake3:22", "blake3:29");
    assert_eq!(lines(&changes(&off, &rehashed)), ["other: key `k_2`: its hash changed; it was switched off"]);
    let on = rehashed.replace("disabled = true", "");
    assert_eq!(
        lines(&changes(&off, &on)),
        [
            "lets-in: key `k_2`: is switched on again",
            "other: key `k_2`: its hash changed; it was switched off",
        ]
    );
}

/// What the gateway says where nothing is told must be true: two policies of which nothing is told hold the same keys,
/// hashes and rules.
mod told {
    use proptest::prelude::*;

    use super::*;

    /// A table in one of a few forms, or none at all.
    type Forms = [Option<(u8, bool, bool)>; 5];

    fn text(forms: &Forms) -> String {
        let mut text = String::from(
            "format = 1\n[tier.anonymous]\nclass = \"none\"\n[tier.community]\nclass = \"free\"\n\
             [[account]]\nid = \"suite\"\ntier = \"community\"\n",
        );
        for (number, form) in forms.iter().enumerate() {
            let Some((kind, first, second)) = *form else { continue };
            let mode = ["enforce", "shadow", "off"][usize::from(kind)];
            let table = match number {
                0..=2 => format!(
                    "[[key]]\nid = \"k_{number}\"\naccount = \"suite\"\nhash = \"blake3:{}\"\ndisabled = {first}\n{}",
                    format!("{number}{kind}").repeat(32),
                    if second { "rooms = [\"73\"]\n" } else { "" },
                ),
                3 => format!(
                    "[[quota]]\nname = \"q\"\nmode = \"{mode}\"\nscope = \"{}\"\nlimits = {{ day = {} }}\n",
                    if first { "proxy" } else { "room" },
                    if second { 0 } else { 9 },
                ),
                _ => format!(
                    "[[blocklist]]\nname = \"b\"\nmode = \"{mode}\"\nrooms = [\"{}\"]\n{}",
                    if first { "73" } else { "74" },
                    if second { "expires = 2030-01-01T00:00:00Z\n" } else { "" },
                ),
            };
            text.push_str(&table);
        }
        text
    }

    proptest! {
        #[test]
        fn nothing_only_where_nothing_differs(
            one: Forms,
            place in 0..5_usize,
            form: Option<(u8, bool, bool)>,
        ) {
            let few = |form: Option<(u8, bool, bool)>| form.map(|(kind, one, other)| (kind % 3, one, other));
            let one = one.map(few);
            let mut other = one;
            other[place] = few(form);
            let told = changes(&text(&one), &text(&other));
            prop_assert_eq!(told.is_empty(), one == other, "{:?}", lines(&told));
        }
    }
}

#[test]
fn a_rule_in_shadow_hurts_nobody() {
    let shadow = BEFORE.replace("name = \"proxies\"", "name = \"proxies\"\nmode = \"shadow\"");
    let gone = shadow.replace(", \"192.0.2.0/24\"", "");
    assert!(changes(&shadow, &gone).iter().all(|change| change.weight == Weight::Other));
}

/// A policy in which each table of the reference stands, and each of its fields can be changed alone.
const WHOLE: &str = r#"
[networks]
table = "networks.csv"
[shedding]
order = ["anonymous", "community"]
[sessions]
mode = "strip"
[viewbot]
mode = "shadow"
[[rate]]
name = "daily"
scope = "proxy"
rate = "3/d"
"#;

const NETWORKS: &str = "203.0.113.0/24,64496,isp\n198.51.100.0/24,64497,hosting\n";

fn whole(text: &str, files: &[(&str, &str)]) -> (Sources, PolicySet) {
    let mut sources = Sources::new("policies");
    sources.insert("10.toml", text);
    sources.insert("networks.csv", NETWORKS);
    sources.insert("a.netset", "192.0.2.1\n");
    sources.insert("b.netset", "192.0.2.2\n");
    for (name, text) in files {
        sources.insert(*name, *text);
    }
    let compiled = compile(&sources, NOW);
    let set = compiled.unwrap_or_else(|wrong| panic!("{}", crate::policy::diagnostic::render(&wrong))).set;
    (sources, set)
}

/// For each field of each table of the reference, one edit of it alone is told: a field that is added to the reference
/// fails here until there is an edit for it, and that until it is compared.
#[test]
fn no_field_of_the_reference_is_left_out() {
    let before = format!("{BEFORE}{WHOLE}");
    let replaced = |from: &str, to: &str| {
        assert_eq!(before.matches(from).count(), 1, "{from}");
        before.replace(from, to)
    };
    let added = |text: &str| format!("{before}{text}");
    // A rule whose table has the field, against the same without it or with another value.
    let pair = |head: &str, one: &str, other: &str| {
        (added(&format!("{head}{one}\n")), added(&format!("{head}{other}\n")))
    };
    let block = "[[blocklist]]\nname = \"b\"\nrooms = [\"73\"]\n";
    let allow = "[[allowlist]]\nname = \"a\"\nkeys = [\"k_3\"]\n";
    let exempt = format!("{allow}exempt = [\"blocklist\"]\n");
    let mut edits: Vec<(String, String, (String, String))> = Vec::new();
    let mut edit = |header: &str, field: &str, sides: (String, String)| {
        edits.push((header.to_owned(), field.to_owned(), sides));
    };
    let mut replace = |header: &str, field: &str, from: &str, to: &str| {
        edit(header, field, (before.clone(), replaced(from, to)));
    };
    replace("[tier.NAME]", "class", "[tier.business]\nclass = \"paid\"", "[tier.business]\nclass = \"free\"");
    replace(
        "[[account]]",
        "id",
        "id = \"gone\"\n",
        "id = \"gone\"\ntier = \"business\"\n[[account]]\nid = \"more\"\n",
    );
    replace(
        "[[account]]",
        "tier",
        "id = \"gone\"\ntier = \"community\"",
        "id = \"gone\"\ntier = \"business\"",
    );
    replace("[[key]]", "id", "\"k_2\"", "\"k_9\"");
    replace("[[key]]", "hash", "blake3:22", "blake3:29");
    replace("[[key]]", "account", "account = \"gone\"", "account = \"overlay\"");
    let key = "proxies = [\"203.0.113.0/24\"]";
    replace("[[key]]", "expires", key, &format!("{key}\nexpires = 2030-01-01T00:00:00Z"));
    replace("[[key]]", "disabled", key, &format!("{key}\ndisabled = true"));
    replace("[[key]]", "proxies", key, "");
    replace("[[key]]", "rooms", key, &format!("{key}\nrooms = [\"73\"]"));
    replace("[[target]]", "hosts", "webcast.tiktok.com", "www.tiktok.com");
    replace("[[target]]", "paths", "/webcast/*", "/webcast/x");
    replace("[sessions]", "mode", "\"strip\"", "\"pass\"");
    replace("[networks]", "table", "[networks]\ntable = \"networks.csv\"\n", "");
    replace("[shedding]", "order", "\"anonymous\", \"community\"", "\"community\", \"anonymous\"");
    let rules = [
        ("quota", "limits = { minute = 5 }", "limits", "limits = { minute = 6 }"),
        (
            "distinct",
            "count = \"room\"\nlimits = { minute = 5 }",
            "limits",
            "count = \"room\"\nlimits = { minute = 6 }",
        ),
        ("rate", "rate = \"1/d\"", "rate", "rate = \"2/d\""),
        ("concurrency", "max = 5", "max", "max = 6"),
    ];
    for (table, body, field, other) in rules {
        let header = format!("[[{table}]]");
        let head = format!("{header}\nname = \"r\"\nscope = \"proxy\"\n{body}\n");
        let other_head = format!("{header}\nname = \"r\"\nscope = \"proxy\"\n{other}\n");
        edit(&header, field, (added(&head), added(&other_head)));
        edit(&header, "name", (added(&head), added(&head.replace("\"r\"", "\"s\""))));
        edit(&header, "scope", (added(&head), added(&head.replace("\"proxy\"", "\"subnet\""))));
        edit(&header, "mode", pair(&head, "", "mode = \"off\""));
        edit(&header, "tiers", pair(&head, "", "tiers = [\"anonymous\"]"));
        edit(&header, "operations", pair(&head, "", "operations = [\"connect\"]"));
        if table == "distinct" {
            edit(&header, "count", (added(&head), added(&head.replace("\"room\"", "\"library\""))));
        }
        if table == "rate" {
            edit(&header, "burst", pair(&head, "", "burst = 2"));
        }
    }
    for (header, head) in [("[[blocklist]]", block), ("[[allowlist]]", exempt.as_str())] {
        let rooms = if header == "[[blocklist]]" { "rooms = [\"73\"]" } else { "keys = [\"k_3\"]" };
        let name = if header == "[[blocklist]]" { "\"b\"" } else { "\"a\"" };
        edit(header, "name", (added(head), added(&head.replace(name, "\"s\""))));
        edit(header, "mode", pair(head, "", "mode = \"shadow\""));
        edit(header, "expires", pair(head, "", "expires = 2030-01-01T00:00:00Z"));
        edit(header, "prefixes", pair(head, "", "prefixes = [\"192.0.2.9\"]"));
        edit(header, "asns", pair(head, "", "asns = [64496]"));
        edit(header, "accounts", pair(head, "", "accounts = [\"overlay\"]"));
        edit(header, "user-agents", pair(head, "", "user-agents = [\"curl/*\"]"));
        edit(header, "libraries", pair(head, "", "libraries = [\"ttlive-python\"]"));
        edit(header, "file", pair(head, "file = \"a.netset\"", "file = \"b.netset\""));
        let (field, other, value) = match header {
            "[[blocklist]]" => ("rooms", "keys", "keys = [\"k_1\"]"),
            _ => ("keys", "rooms", "rooms = [\"73\"]"),
        };
        let more = rooms.replace("73", "74").replace("k_3", "k_2");
        edit(header, field, (added(head), added(&head.replace(rooms, &more))));
        edit(header, other, pair(head, "", value));
    }
    edit("[[blocklist]]", "reason", pair(block, "", "reason = \"why\""));
    edit("[[allowlist]]", "exempt", pair(allow, "exempt = [\"blocklist\"]", "exempt = [\"quota\"]"));
    edit("[viewbot]", "mode", (before.clone(), replaced("\"shadow\"", "\"enforce\"")));
    // Each number, at another value than its default, which the reference tells.
    for table in TABLES.iter().filter(|table| table.header.starts_with("[viewbot")) {
        for field in table.fields {
            let LeftOut::Is(default) = field.left_out else { continue };
            let other = match (field.name, default.trim_matches('`')) {
                ("known-viewer", _) => "-1.25".to_owned(),
                ("pool-chain", _) => "[1.25, 4]".to_owned(),
                (_, text) if text.contains('/') => "\"7/h\"".to_owned(),
                ("max", _) => "\"36h\"".to_owned(),
                (_, text) if text.starts_with('"') => "\"29m\"".to_owned(),
                ("deny-bits", _) => "3.25".to_owned(),
                (_, text) if text.contains("0.") => "0.25".to_owned(),
                ("factor" | "burst" | "addresses" | "min-excess", _) => "7".to_owned(),
                _ => "1.25".to_owned(),
            };
            let header =
                if table.header == "[viewbot]" { String::new() } else { format!("{}\n", table.header) };
            let with = format!("mode = \"shadow\"\n{header}{} = {other}\n", field.name);
            edit(table.header, field.name, (before.clone(), replaced("mode = \"shadow\"\n", &with)));
        }
    }
    let mut open: BTreeSet<(String, String)> = BTreeSet::new();
    // The tables of a file and of `[viewbot]` are looked at by their own fields.
    for table in TABLES.iter().filter(|table| table.header != "a policy file") {
        let is_table = |field: &FieldDoc| {
            TABLES.iter().any(|inner| {
                inner.header == format!("{}.{}]", table.header.trim_end_matches(']'), field.name)
            })
        };
        for field in table.fields.iter().filter(|field| !is_table(field)) {
            open.insert((table.header.to_owned(), field.name.to_owned()));
        }
    }
    for (header, field, (one, other)) in edits {
        let (one, other) = (whole(&one, &[]), whole(&other, &[]));
        let side = |(sources, set): &'_ (Sources, PolicySet)| {
            diff(Side { set: &one.1, sources: &one.0 }, Side { set, sources })
        };
        assert_eq!(side(&one), [], "{header} {field}");
        assert!(!side(&other).is_empty(), "{header} {field} is not compared");
        open.remove(&(header, field));
    }
    assert!(open.is_empty(), "no edit of: {open:?}");
}

#[test]
fn a_mode_of_viewbot_detection_stands_before_all_else_of_its_weight() {
    let (from, to) = ("[viewbot]\nmode = \"shadow\"", "[viewbot]\nmode = \"enforce\"\nmin-excess = 1000");
    let before = format!("{BEFORE}{WHOLE}");
    let after = before.replace(from, to).replace("proxies = [\"203.0.113.0/24\"]", "disabled = true");
    let (one, other) = (whole(&before, &[]), whole(&after, &[]));
    let (one, other) = (Side { set: &one.1, sources: &one.0 }, Side { set: &other.1, sources: &other.0 });
    assert_eq!(
        lines(&diff(one, other)),
        [
            "loses-access: viewbot ``: its mode was `shadow`, is `enforce`",
            "loses-access: key `k_2`: is switched off",
            "loosens: viewbot `min-excess`: was 10, is 1000",
        ]
    );
    let back = lines(&diff(other, one));
    assert_eq!(
        back.iter().find(|line| line.starts_with("lets-in")).map(String::as_str),
        Some("lets-in: viewbot ``: its mode was `enforce`, is `shadow`")
    );
}

#[test]
fn a_table_of_networks_is_compared_by_what_it_says() {
    let text = format!("{BEFORE}{WHOLE}");
    let before = whole(&text, &[]);
    let told = |csv: &str| {
        let after = whole(&text, &[("networks.csv", csv)]);
        let side = |(sources, set): &'_ (Sources, PolicySet)| {
            lines(&diff(Side { set: &before.1, sources: &before.0 }, Side { set, sources }))
        };
        side(&after)
    };
    let turned =
        NETWORKS.lines().rev().fold(String::from("# turned\n"), |text, line| format!("{text}{line}\n"));
    assert_eq!(told(&turned), [] as [String; 0]);
    assert_eq!(
        told(&NETWORKS.replace("isp", "mobile")),
        [
            "tightens: networks ``: the table holds other addresses, or other kinds: it knew 2 networks, knows 2"
        ]
    );
}

#[test]
fn what_is_off_is_told_where_it_changes() {
    let rule = BEFORE.replace("name = \"rooms\"\n", "name = \"rooms\"\nmode = \"off\"\n");
    let told = lines(&changes(&rule, &rule.replace("day = 5000", "day = 5")));
    assert_eq!(told, ["other: quota `rooms`: says something else, and stays off"]);
    let key = BEFORE.replace("proxies = [\"203.0.113.0/24\"]", "disabled = true");
    let told = lines(&changes(&key, &key.replace("disabled = true", "disabled = true\nrooms = [\"73\"]")));
    assert_eq!(told, ["other: key `k_2`: says something else, and stays off"]);
}
