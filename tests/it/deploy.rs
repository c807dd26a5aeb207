//! What is shipped for deployments is read by the gateway itself.

use signgate::config::{Flags, parse};

#[test]
fn the_annotated_deployment_file_says_the_defaults() {
    let text = include_str!("../../deploy/signgate.toml");
    let loaded = parse("deploy/signgate.toml", text, &Flags::default()).unwrap();
    let plain = parse("signgate.toml", "", &Flags::default()).unwrap();
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
    let (listen, record) = (&loaded.settings.listen, &loaded.settings.record);
    assert_eq!((listen, record), (&plain.settings.listen, &plain.settings.record));
    assert_eq!(loaded.settings.admin, plain.settings.admin);
    assert_eq!(loaded.settings.asking, plain.settings.asking);
}

#[test]
fn its_examples_are_right_too() {
    let text = include_str!("../../deploy/signgate.toml");
    let directory = tempfile::tempdir().unwrap();
    let key = directory.path().join("key");
    std::fs::write(&key, "secret\n").unwrap();
    let uncommented: String = text
        .lines()
        .map(|line| match line.strip_prefix("# ") {
            Some(example) if example.starts_with('[') || example.contains(" = ") => format!("{example}\n"),
            _ => format!("{line}\n"),
        })
        .collect();
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
