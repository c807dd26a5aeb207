//! What is shipped for deployments is read by the gateway itself, and works where it says that it does.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};

use signgate::config::{Flags, parse};

use crate::gateway::{OPEN, listening};

const SHIPPED: &str = include_str!("../../deploy/signgate.toml");
const UNIT: &str = include_str!("../../deploy/systemd/signgate.service");

/// The shipped file with every example in force.
fn uncommented() -> String {
    let line = |line: &str| match line.strip_prefix("# ") {
        Some(example) if example.starts_with('[') || example.contains(" = ") => format!("{example}\n"),
        _ => format!("{line}\n"),
    };
    SHIPPED.lines().map(line).collect()
}

#[test]
fn the_annotated_deployment_file_says_the_defaults() {
    // The paths are those of the unit; the header says what they are by default.
    let paths = [
        ("\"/etc/signgate/policies\"", "\"./policies\""),
        ("\"/run/signgate/admin.sock\"", "\"./data/admin.sock\""),
        ("\"/var/lib/signgate/data/signgate.db\"", "\"./data/signgate.db\""),
        ("\"/var/lib/signgate/data/access.jsonl\"", "\"./data/access.jsonl\""),
    ];
    let text = paths.iter().fold(SHIPPED.to_owned(), |text, (there, default)| {
        assert!(text.contains(there), "{there}");
        assert!(text.contains(&default.replace('"', "`")), "the header names {default}");
        text.replace(there, default)
    });
    let loaded = parse("deploy/signgate.toml", &text, &Flags::default()).unwrap();
    let plain = parse("signgate.toml", "", &Flags::default()).unwrap();
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
    let (listen, record) = (&loaded.settings.listen, &loaded.settings.record);
    assert_eq!((listen, record), (&plain.settings.listen, &plain.settings.record));
    assert_eq!(loaded.settings.store, plain.settings.store);
    assert_eq!(loaded.settings.policies.directory, plain.settings.policies.directory);
    let (admin, by_default) = (&loaded.settings.admin, &plain.settings.admin);
    assert_eq!((admin.address, &admin.tokens), (by_default.address, &by_default.tokens));
    let path = |admin: &signgate::config::Admin| admin.socket.as_ref().map(|socket| socket.path.clone());
    assert_eq!(path(admin), path(by_default));
    assert_eq!(loaded.settings.asking, plain.settings.asking);
}

#[test]
fn its_examples_are_right_too() {
    let directory = tempfile::tempdir().unwrap();
    let key = directory.path().join("key");
    std::fs::write(&key, "secret\n").unwrap();
    let uncommented = uncommented();
    let key = key.to_str().unwrap();
    let there = [
        "/run/secrets/sign-1",
        "/etc/signgate/ca.pem",
        "/etc/signgate/client.pem",
        "/run/secrets/client.key",
    ];
    let uncommented = there.iter().fold(uncommented, |text, file| text.replace(file, key));
    let loaded = parse("deploy/signgate.toml", &uncommented, &Flags::default());
    let loaded = loaded.unwrap_or_else(|error| panic!("{error:?}"));
    assert_eq!(loaded.settings.generators.len(), 2);
    assert_eq!(loaded.settings.generators[0].alias, "agent-1");
}

/// Every setting that is read stands in the shipped file, in its table.
#[test]
fn it_lists_every_setting() {
    let file = include_str!("../../src/config/file.rs");
    let fleet = include_str!("../../src/config/fleet.rs");
    let between = |text: &'static str, from: &str, to: &str| {
        let rest = text.split_once(from).unwrap_or_else(|| panic!("no {from}")).1;
        rest.split_once(to).unwrap_or_else(|| panic!("no {to} after {from}")).0
    };
    let fields = |text: &str| {
        // Long calls are broken over lines, wherever it suits.
        let joined =
            text.split_whitespace().collect::<Vec<_>>().join(" ").replace("( ", "(").replace(" .", ".");
        let reads = ["table.optional(\"", "table.required(\""];
        let field = |read: &str| {
            let rest = joined.split(read).skip(1);
            rest.map(|rest| rest.split('"').next().unwrap().to_owned()).collect::<Vec<_>>()
        };
        reads.into_iter().flat_map(field).collect::<BTreeSet<_>>()
    };
    let mut read: Vec<(&str, BTreeSet<String>)> = vec![
        ("judge", fields(between(file, "\nfn judge(", "\n}\n"))),
        ("generators", fields(between(fleet, "fn asking(", "\n}\n"))),
        ("generator", fields(between(file, "\nfn generator(", "\n}\n"))),
        ("token", fields(between(file, "\nfn token(", "\n}\n"))),
    ];
    let top = between(file, "pub(super) fn read(", "\n}\n");
    for section in top.split("section(top, \"").skip(1) {
        let name = section.split('"').next().unwrap();
        if !matches!(name, "judge" | "generators") {
            read.push((name, fields(section)));
        }
    }
    for (table, field) in [("listen", "trusted-proxies"), ("judge", "push-hosts")] {
        assert!(
            read.iter().any(|(name, fields)| *name == table && fields.contains(field)),
            "{field} is not seen"
        );
    }
    assert_eq!(read.len(), 9, "a table more or less: {read:?}");

    let listed: toml::Table = uncommented().parse().unwrap();
    let table_of = |name: &str| match name {
        "token" => listed["admin"]["token"][0].as_table().unwrap().clone(),
        "generator" => {
            let all = listed["generator"].as_array().unwrap().iter();
            all.flat_map(|one| one.as_table().unwrap().clone()).collect()
        }
        _ => listed[name].as_table().unwrap_or_else(|| panic!("no [{name}]")).clone(),
    };
    for (name, fields) in read {
        assert!(!fields.is_empty(), "[{name}]");
        let table = table_of(name);
        for field in fields {
            assert!(table.contains_key(&field), "deploy/signgate.toml does not list `{field}` of [{name}]");
        }
    }
    assert!(table_of("generator").contains_key("judge"));
}

/// As the unit's header says, below another root: started where the unit starts it, and asked from somewhere else.
#[test]
fn the_unit_starts_from_its_directory_with_the_shipped_file() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().to_owned();
    let at = |path: &str| root.join(path);
    let says = |field: &str| {
        let line = UNIT.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix('='));
        line.unwrap_or_else(|| panic!("no {field}="))
    };
    let made = [("StateDirectory", "var/lib"), ("RuntimeDirectory", "run")];
    for (field, parent) in made {
        std::fs::create_dir_all(at(parent).join(says(field))).unwrap();
    }
    let below = |text: &str| {
        ["/etc/signgate", "/var/lib/signgate", "/run/signgate"].iter().fold(text.to_owned(), |text, path| {
            text.replace(path, &root.join(&path[1..]).display().to_string())
        })
    };
    std::fs::create_dir_all(at("etc/signgate/policies")).unwrap();
    std::fs::write(at("etc/signgate/policies/10-all.toml"), OPEN).unwrap();
    let anywhere =
        |text: String| text.replace("127.0.0.1:8080", "127.0.0.1:0").replace("127.0.0.1:9091", "127.0.0.1:0");
    std::fs::write(at("etc/signgate/signgate.toml"), below(&anywhere(SHIPPED.to_owned()))).unwrap();

    let signgate = |words: &str, directory: &Path| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_signgate"));
        command.current_dir(directory).args(below(words).split(' ').skip(1)).stdin(Stdio::null());
        command
    };
    let start = signgate(says("ExecStart"), Path::new(&below(says("WorkingDirectory"))));
    let gateway = listening(start, directory).unwrap_or_else(|(status, said)| panic!("{status:?}:\n{said}"));
    let elsewhere = tempfile::tempdir().unwrap();
    let order = UNIT.lines().find_map(|line| line.strip_prefix("# signgate bans list")).unwrap();
    let listed = signgate(&format!("signgate bans list{order}"), elsewhere.path()).output().unwrap();
    let said = gateway.said();
    assert!(!said.contains("WARN") && !said.contains("warning: "), "{said}");
    assert!(listed.status.success(), "{listed:?}");
    assert!(at("var/lib/signgate/data/access.jsonl").is_file());
}
