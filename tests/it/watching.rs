//! What an operator watches: hostile requests make no series, and what is shipped for Prometheus and Grafana asks for series
//! that there are. That it shows the right values is tried on the real Prometheus, in `tests/monitoring`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;
use signgate::telemetry::metrics::series::{Kind, SERIES};

use crate::gateway::{OPEN, Setup};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy");

/// Everything that a stranger can choose, different each time: a million of them go through the engine in
/// `telemetry::metrics::tests`.
#[test]
fn thousands_of_hostile_requests_make_no_series() {
    let limit = "[[quota]]\nname = \"few\"\nscope = \"proxy+room\"\nlimits = { minute = 1 }\n";
    let gateway = Setup::new(OPEN).policy("20.toml", &format!("format = 1\n{limit}")).start();
    let names = |page: &str| -> BTreeSet<String> {
        let series =
            page.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.rsplit_once(' '));
        series.map(|(name, _)| name.to_owned()).collect()
    };
    let mut client = gateway.client();
    let ask = |client: &mut crate::gateway::Client, n: u32| {
        let agent = format!("User-Agent: agent-{n}/{n}.0");
        let key = format!("X-Api-Key: key-{n}");
        let room = format!("/webcast/fetch?room_id={n}&client=lib-{n}&device_id=d{n}");
        match n % 6 {
            0 => client.get(&room, &[&agent]).status,
            1 => client.get(&room, &[&agent, &key]).status,
            2 => client.get(&format!("/path-{n}/{n}?{n}={n}"), &[&agent]).status,
            3 => {
                client
                    .get(
                        &format!("/webcast/fetch?unique_id=user.{n}"),
                        &[&agent, &format!("X-Header-{n}: {n}")],
                    )
                    .status
            }
            4 => {
                client
                    .get(&format!("/webcast/sign_url?url=https%3A%2F%2Fhost-{n}.example%2F{n}"), &[&agent])
                    .status
            }
            _ => client.ask("PUT", &room, &[&agent], None).status,
        }
    };
    // Once each: from then on there is nothing new.
    let mut statuses: BTreeSet<u16> = (1..=12).map(|n| ask(&mut client, n)).collect();
    let before = names(&gateway.metrics());
    statuses.extend((13..5_000).map(|n| ask(&mut client, n)));
    let after = names(&gateway.metrics());
    let added: Vec<_> = after.difference(&before).collect();
    assert!(added.is_empty(), "{added:?}");
    for status in [200, 401, 403, 404, 405, 429] {
        assert!(statuses.contains(&status), "nobody got {status}: {statuses:?}");
    }
    for hostile in ["agent-", "key-1", "lib-", "host-", "user.", "path-", "Header"] {
        assert!(!after.iter().any(|name| name.contains(hostile)), "{hostile}");
    }
}

/// The series that `text` asks for: each with the words after it up to where its braces end.
fn asked(text: &str) -> Vec<(&str, &str)> {
    text.match_indices("signgate_")
        .map(|(at, _)| {
            let rest = &text[at..];
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
            let labels =
                rest[end..].strip_prefix('{').and_then(|labels| labels.split('}').next()).unwrap_or_default();
            (&rest[..end], labels)
        })
        .collect()
}

/// The family of the table that a series belongs to; a histogram's come with three endings.
fn family(series: &str) -> Option<&'static str> {
    SERIES.iter().find_map(|family| {
        let ending = series.strip_prefix(family.name)?;
        let right = match family.kind {
            Kind::Histogram(_) => matches!(ending, "_bucket" | "_sum" | "_count"),
            Kind::Counter | Kind::Gauge => ending.is_empty(),
        };
        right.then_some(family.name)
    })
}

/// Complains of series and labels that there are not; gives the families that `text` asks for.
fn families_of(place: &str, text: &str) -> BTreeSet<&'static str> {
    let known = |series: &str, labels: &str| {
        let name = family(series).unwrap_or_else(|| panic!("{place}: there is no `{series}`"));
        let table = SERIES.iter().find(|family| family.name == name).unwrap();
        for matcher in labels.split(", ").filter(|matcher| !matcher.is_empty()) {
            let label = matcher.split(['=', '!']).next().unwrap();
            let there = table.labels.iter().any(|known| known.name == label);
            assert!(
                there || ["job", "instance", "le"].contains(&label),
                "{place}: `{name}` has no label `{label}`"
            );
        }
        name
    };
    asked(text).into_iter().map(|(series, labels)| known(series, labels)).collect()
}

fn files(folder: &str, ending: &str) -> BTreeMap<String, String> {
    let folder = Path::new(FOLDER).join(folder);
    let names =
        std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let read = |name: String| (name.clone(), std::fs::read_to_string(folder.join(name)).unwrap());
    names.filter(|name| name.ends_with(ending)).map(read).collect()
}

fn recorded() -> BTreeSet<String> {
    let rules = &files("prometheus", ".yml")["recording.yml"];
    let names = rules.lines().filter_map(|line| line.trim().strip_prefix("- record: "));
    names.map(str::to_owned).collect()
}

fn panels() -> Vec<(String, Value)> {
    let boards = files("grafana/dashboards", ".json");
    assert_eq!(boards.len(), 5);
    let panels = boards.iter().flat_map(|(file, text)| {
        let board: Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{file}: {error}"));
        let panels = board["panels"].as_array().unwrap().clone();
        panels.into_iter().map(move |panel| (format!("{file}: {}", panel["title"]), panel))
    });
    panels.collect()
}

#[test]
fn every_panel_has_a_title_a_unit_and_what_to_do_when_it_looks_wrong() {
    let mut titles = BTreeSet::new();
    for (place, panel) in panels() {
        assert!(titles.insert(place.clone()), "{place} twice");
        assert!(panel["title"].as_str().is_some_and(|title| !title.is_empty()), "{place}");
        assert!(panel["fieldConfig"]["defaults"]["unit"].is_string(), "{place} has no unit");
        let description = panel["description"].as_str().unwrap_or_default();
        assert!(description.len() > 80 && description.ends_with(['.', '?']), "{place}: {description}");
        // A sentence with a condition, or with what to look at next: `if it …`, `Near 100 %: …`.
        let advice = ["f it", "f one", "f all", "f nearly", "f what", "f the", "f you", ": "];
        assert!(advice.iter().any(|word| description.contains(word)), "{place}: {description}");
        assert!(!panel["targets"].as_array().unwrap().is_empty(), "{place}");
        let size = &panel["gridPos"];
        assert!(size["x"].as_u64().unwrap() + size["w"].as_u64().unwrap() <= 24, "{place}");
    }
}

#[test]
fn panels_and_rules_ask_for_series_that_there_are_and_leave_none_unseen() {
    let recorded = recorded();
    let mut seen = BTreeSet::new();
    for (place, panel) in panels() {
        for target in panel["targets"].as_array().unwrap() {
            let expr = target["expr"].as_str().unwrap();
            assert!(expr.contains("signgate"), "{place}: {expr}");
            assert!(!expr.contains("vector(0)"), "{place}: made up where there is nothing");
            seen.extend(families_of(&place, expr));
            recorded_or_panic(&place, expr, &recorded);
        }
    }
    for (file, text) in files("grafana/dashboards", ".json") {
        let board: Value = serde_json::from_str(&text).unwrap();
        let annotations = board["annotations"]["list"].as_array().unwrap().iter().map(|one| &one["expr"]);
        let variables =
            board["templating"]["list"].as_array().unwrap().iter().map(|one| &one["query"]["query"]);
        let asked: Vec<_> = annotations.chain(variables).filter_map(Value::as_str).collect();
        assert!(asked.len() >= 2, "{file}");
        seen.extend(asked.into_iter().flat_map(|expr| families_of(&file, expr)));
    }
    for (file, text) in files("prometheus", "ing.yml").into_iter().chain(files("prometheus", "alerts.yml")) {
        // Only expressions: texts for people name other things.
        for line in text.lines().filter(|line| !line.contains(": \"") && !line.trim_start().starts_with('#'))
        {
            seen.extend(families_of(&file, line));
            recorded_or_panic(&file, line, &recorded);
        }
    }
    let unseen: Vec<_> =
        SERIES.iter().map(|family| family.name).filter(|name| !seen.contains(name)).collect();
    assert!(unseen.is_empty(), "on no dashboard and in no rule: {unseen:?}");
}

fn recorded_or_panic(place: &str, text: &str, recorded: &BTreeSet<String>) {
    for (at, _) in text.match_indices("signgate:") {
        let rest = &text[at..];
        let end =
            rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != ':').unwrap_or(rest.len());
        assert!(recorded.contains(&rest[..end]), "{place}: nobody records `{}`", &rest[..end]);
    }
}

#[test]
fn every_alert_says_what_it_means_and_what_to_do() {
    let alerts = &files("prometheus", ".yml")["alerts.yml"];
    let tests = &files("prometheus", ".yml")["alerts.test.yml"];
    let mut count = 0;
    for alert in alerts.split("- alert: ").skip(1) {
        let name = alert.lines().next().unwrap();
        let text = |field: &str| {
            let line = alert.lines().find_map(|line| line.trim().strip_prefix(&format!("{field}: ")[..]));
            line.unwrap_or_else(|| panic!("{name} has no {field}")).trim_matches('"')
        };
        assert!(
            text("summary").len() > 20 && text("description").len() > 40 && text("runbook").len() > 60,
            "{name}"
        );
        assert!(text("labels").contains("page") || text("labels").contains("ticket"), "{name}");
        assert!(tests.contains(&format!("alertname=\"{name}\"")), "{name} has no test");
        count += 1;
    }
    assert!(count > 20, "{count}");
}
