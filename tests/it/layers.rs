//! A room uses only the rooms below it: reads the `use` lines and paths of every source file.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// For each room, those that it may use beside itself.
const BELOW: [(&str, &[&str]); 14] = [
    ("base", &[]),
    ("policy", &["base"]),
    ("engine", &["base", "policy"]),
    ("dialect", &["base", "policy", "engine"]),
    ("telemetry", &["base", "policy", "engine"]),
    ("replay", &["base", "policy", "engine", "dialect", "telemetry"]),
    ("generator", &["base", "policy", "engine", "dialect", "telemetry"]),
    ("gateway", &["base", "policy", "engine", "dialect", "telemetry", "generator"]),
    ("control", &["base", "policy", "engine", "dialect", "telemetry", "generator", "gateway"]),
    ("admin", &["base", "policy", "engine", "dialect", "telemetry", "generator", "gateway", "control"]),
    ("config", &["base", "policy"]),
    ("simulate", &["base"]),
    ("score", &["base"]),
    (
        "cli",
        &[
            "base",
            "policy",
            "engine",
            "dialect",
            "telemetry",
            "generator",
            "gateway",
            "control",
            "admin",
            "config",
            "replay",
            "simulate",
            "score",
        ],
    ),
];

fn sources(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The rooms that a file names after `crate::`, outside of comments.
fn rooms_used(text: &str) -> BTreeSet<String> {
    let code = text.lines().map(|line| line.split("//").next().unwrap_or_default());
    let code: Vec<&str> = code.collect();
    let code = code.join("\n");
    code.match_indices("crate::")
        .map(|(at, found)| {
            let rest = &code[at + found.len()..];
            rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default().to_owned()
        })
        .filter(|room| !room.is_empty())
        .collect()
}

#[test]
fn no_room_uses_one_above_it() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut wrong = Vec::new();
    for entry in fs::read_dir(&source).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if source.join(&name).is_file() {
            continue;
        }
        let (_, below) = BELOW
            .iter()
            .find(|(room, _)| *room == name)
            .unwrap_or_else(|| panic!("room `{name}` has no place"));
        let mut files = Vec::new();
        sources(&source.join(&name), &mut files);
        for file in files {
            for used in rooms_used(&fs::read_to_string(&file).unwrap()) {
                if used != name && !below.contains(&used.as_str()) {
                    wrong.push(format!("{} uses {used}", file.display()));
                }
            }
        }
    }
    assert_eq!(wrong, [] as [String; 0]);
}

#[test]
fn the_test_above_sees_what_it_should() {
    assert_eq!(
        rooms_used("use crate::engine::Engine; // crate::cli\n fn f() { crate::gateway::x() }").len(),
        2
    );
}
