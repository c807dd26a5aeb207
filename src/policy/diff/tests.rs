use super::*;
use crate::base::time::Timestamp;
use crate::policy::compile;

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
        (
            "rate = \"1/s\"",
            "rate = \"100/m\"",
            &["loosens: rate `pace`: rate an hour: raised from 3600 to 6000"],
        ),
        ("max = 10", "max = 3", &["tightens: concurrency `in-flight`: at a time: lowered from 10 to 3"]),
        (", \"192.0.2.0/24\"", "", &["lets-in: blocklist `proxies`: lists 1 fewer, 1 now: `192.0.2.0/24`"]),
        (
            "\"192.0.2.0/24\"",
            "\"192.0.2.0/24\", \"10.0.0.0/8\"",
            &["tightens: blocklist `proxies`: lists 1 more, 3 now: `10.0.0.0/8`"],
        ),
        (
            "\"192.0.2.0/24\"",
            "\"192.0.3.0/24\"",
            &[
                "lets-in: blocklist `proxies`: lists 1 fewer, 2 now: `192.0.2.0/24`",
                "tightens: blocklist `proxies`: lists 1 more, 2 now: `192.0.3.0/24`",
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
            &["other: tier `business`: its class was `paid`, is `free`"],
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

#[test]
fn a_rule_in_shadow_hurts_nobody() {
    let shadow = BEFORE.replace("name = \"proxies\"", "name = \"proxies\"\nmode = \"shadow\"");
    let gone = shadow.replace(", \"192.0.2.0/24\"", "");
    assert!(changes(&shadow, &gone).iter().all(|change| change.weight == Weight::Other));
}
