use proptest::prelude::*;

use super::*;
use crate::base::secret::key_text;
use crate::policy::compile;

const ACCOUNTS: &str = r#"format = 1
[tier.anonymous]
class = "none"
[tier.business]
class = "paid"
[[account]]
id = "overlay-suite"
tier = "business"
[[target]]
hosts = ["webcast.tiktok.com"]
paths = ["/webcast/*"]
"#;

/// Comments in every place where one can stand, odd spacing, two keys, and another table after them.
const KEYS: &str = r#"# our keys
[[key]]   # the first customer
id   = "k_first"  # said on the phone
hash = "blake3:0000000000000000000000000000000000000000000000000000000000000001"
    account = "overlay-suite"     # last field

# between two keys

[[key]]
id = 'k_second'
disabled = false # for now
hash = "blake3:0000000000000000000000000000000000000000000000000000000000000002"
account = "overlay-suite"
expires = 2027-06-01T00:00:00Z # contract
proxies = [
  "203.0.113.0/24", # office
]
# before another table
[[account]]
id = "other" # comment
tier = "business"
# the end"#;

fn now() -> Timestamp {
    Timestamp::parse_rfc3339("2026-11-22T10:00:00Z").unwrap()
}

fn at(text: &str) -> Timestamp {
    Timestamp::parse_rfc3339(text).unwrap()
}

fn sources(keys: &str) -> Sources {
    let mut sources = Sources::new("policies");
    sources.insert("10.toml", ACCOUNTS);
    sources.insert("60-customers.toml", keys);
    sources
}

fn new_key(secret: &[u8]) -> NewKey {
    NewKey {
        id: key_id([1, 2, 3, 4, 5]),
        hash: KeyHash::of(secret),
        account: AccountId::new("overlay-suite").unwrap(),
        expires: Some(at("2027-01-01T00:00:00Z")),
        proxies: vec!["203.0.113.0/24".parse().unwrap(), "2001:db8::/32".parse().unwrap()],
        rooms: vec![Room::parse("7300000000000000001").unwrap(), Room::parse("@someone").unwrap()],
    }
}

fn compiles(mut sources: Sources, edit: &Edit) -> crate::policy::PolicySet {
    sources.insert(edit.file.as_str(), edit.text.as_str());
    compile(&sources, now()).unwrap_or_else(|wrong| panic!("{}", render(&wrong))).set
}

/// The lines that an edit put in; everything else must be there as before.
fn added(before: &str, after: &str) -> String {
    let mut rest = before.split('\n').peekable();
    let new = after.split('\n').filter(|line| rest.next_if_eq(line).is_none());
    let new: Vec<_> = new.map(|line| format!("+{line}")).collect();
    assert_eq!(rest.next(), None, "a line is gone or changed");
    new.join("\n")
}

#[test]
fn a_new_key_goes_where_keys_are_and_nothing_else_changes() {
    let secret = key_text(&[7; 25]);
    let edit = add(&sources(KEYS), &new_key(secret.reveal().as_bytes())).unwrap();
    assert_eq!(edit.file, "60-customers.toml");
    assert!(edit.text.starts_with(KEYS), "every byte of before is there");
    assert!(!edit.text.contains(secret.reveal()) && !edit.text.contains("sg_"));
    insta::assert_snapshot!(&edit.text[KEYS.len()..]);
    let set = compiles(sources(KEYS), &edit);
    let key = set.key(&KeyHash::of(secret.reveal().as_bytes())).unwrap();
    assert_eq!(set.account(key.account).id.as_str(), "overlay-suite");
    assert_eq!((key.proxies().len(), key.rooms().len()), (2, 2));
    assert_eq!(key.expires(), Some(at("2027-01-01T00:00:00Z")));
}

#[test]
fn the_first_key_gets_a_file_of_its_own() {
    let mut sources = Sources::new("policies");
    sources.insert("10.toml", ACCOUNTS);
    let edit = add(&sources, &NewKey { expires: None, ..new_key(b"x") }).unwrap();
    assert_eq!(edit.file, "keys.toml");
    assert!(edit.text.starts_with(KEYS_FILE_HEAD));
    compiles(sources.clone(), &edit);

    // A full file is left alone, and the next one is begun.
    let full = format!("{}\n{}", edit.text, "#".repeat(TOML_BYTES_MAX - edit.text.len() - 1));
    sources.insert("keys.toml", full);
    assert_eq!(home(&sources), "keys-2.toml");
}

#[test]
fn disabling_puts_in_one_line() {
    let edit = disable(&sources(KEYS), "k_first").unwrap();
    insta::assert_snapshot!(added(KEYS, &edit.text), @"+    disabled = true");
    let set = compiles(sources(KEYS), &edit);
    assert!(set.keys().find(|key| key.id.as_str() == "k_first").unwrap().disabled);

    let edit = disable(&sources(KEYS), "k_second").unwrap();
    assert_eq!(edit.text, KEYS.replace("disabled = false #", "disabled = true #"));
}

#[test]
fn rotating_ends_the_old_key_and_appends_its_successor() {
    let rotated = |id| {
        rotate(&sources(KEYS), id, &key_id([9; 5]), KeyHash::of(b"new"), now(), at("2026-11-29T10:00:00.5Z"))
            .unwrap()
    };
    let edit = rotated("k_first");
    insta::assert_snapshot!(added(KEYS, &edit.text));
    let set = compiles(sources(KEYS), &edit);
    let key = set.key(&KeyHash::of(b"new")).unwrap();
    assert_eq!((key.id.as_str(), key.expires(), key.disabled), ("k_beeqscij", None, false));

    // An end that was set already is moved forward only, and the limits of use go over to the successor.
    let edit = rotated("k_second");
    assert!(edit.text.contains("expires = 2026-11-29T10:00:00Z # contract"), "{}", edit.text);
    let set = compiles(sources(KEYS), &edit);
    assert_eq!(set.key(&KeyHash::of(b"new")).unwrap().proxies().len(), 1);
    let later = rotate(
        &sources(KEYS),
        "k_second",
        &key_id([9; 5]),
        KeyHash::of(b"new"),
        now(),
        at("2030-01-01T00:00:00Z"),
    );
    assert!(later.unwrap().text.contains("expires = 2027-06-01T00:00:00Z # contract"));
}

#[test]
fn line_ends_and_inline_tables_are_kept() {
    let windows = KEYS.replace('\n', "\r\n");
    for edit in [
        disable(&sources(&windows), "k_first").unwrap(),
        add(&sources(&windows), &new_key(b"x")).unwrap(),
        rotate(&sources(&windows), "k_second", &key_id([9; 5]), KeyHash::of(b"new"), now(), now()).unwrap(),
    ] {
        assert_eq!(edit.text.matches('\n').count(), edit.text.matches("\r\n").count());
        compiles(sources(&windows), &edit);
    }
    let inline = format!(
        "key = [{{ id = 'k_1', hash = '{}', account = 'other' }}]\n[[account]]\nid = 'other'\ntier = 'business'\n",
        KeyHash::of(b"1")
    );
    let edit = disable(&sources(&inline), "k_1").unwrap();
    assert_eq!(edit.text, inline.replace("[{ id", "[{ disabled = true, id"));
    compiles(sources(&inline), &edit);
    // No `[[key]]` can follow `key = [`: new keys go elsewhere.
    assert_eq!(add(&sources(&inline), &new_key(b"x")).unwrap().file, "keys.toml");
    let rotated = rotate(&sources(&inline), "k_1", &key_id([9; 5]), KeyHash::of(b"new"), now(), now());
    assert_eq!(rotated, Err(KeysError::Layout("60-customers.toml".into())));
}

#[test]
fn what_cannot_be_done_is_said_in_words() {
    let all = sources(KEYS);
    let said = |result: Result<Edit, KeysError>| result.unwrap_err().to_string();
    let id = |text: &str| KeyId::new(text).unwrap();
    let mut lines = vec![
        said(disable(&all, "k_frist")),
        said(disable(&all, "zebra")),
        said(add(&all, &NewKey { account: AccountId::new("overlay").unwrap(), ..new_key(b"x") })),
        said(add(&all, &NewKey { id: id("k_first"), ..new_key(b"x") })),
    ];
    let disabled = sources(&disable(&all, "k_first").unwrap().text);
    lines.push(said(disable(&disabled, "k_first")));
    lines.push(said(rotate(&disabled, "k_first", &id("k_n"), KeyHash::of(b"n"), now(), now())));
    let late = at("2028-01-01T00:00:00Z");
    lines.push(said(rotate(&all, "k_second", &id("k_n"), KeyHash::of(b"n"), late, late)));
    lines.push(said(rotate(&disabled, "k_second", &id("k_first"), KeyHash::of(b"n"), now(), now())));
    let known = sources(&add(&all, &new_key(b"x")).unwrap().text);
    lines.push(said(add(&known, &NewKey { id: id("k_n"), ..new_key(b"x") })));
    lines.push(said(disable(&sources("[[key]\n"), "k_first")));
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn keys_are_listed_with_their_places() {
    let listed = list(&sources(KEYS)).unwrap();
    let shown: Vec<_> =
        listed.iter().map(|key| format!("{} {} {:?}", key.id, key.place, key.expires)).collect();
    assert_eq!(
        shown,
        [
            "k_first policies/60-customers.toml:3 None",
            "k_second policies/60-customers.toml:10 Some(2027-06-01T00:00:00.000Z)"
        ]
    );
}

#[test]
fn ids_are_made_of_random_bytes() {
    assert_eq!(key_id([0; 5]).as_str(), "k_aaaaaaaa");
    assert_eq!(key_id([255; 5]).as_str(), "k_77777777");
}

proptest! {
    /// Whatever a file looks like, an edit either is refused or changes nothing but what was asked for.
    #[test]
    fn odd_files_are_edited_right_or_not_at_all(
        cut in 0usize..KEYS.len(), with in prop::sample::select(vec!["", "\n", "[", "\"", "#", "'''", "key.x = 1\n", "{", "\r"]),
    ) {
        let mut odd = KEYS.to_owned();
        odd.insert_str(cut, with);
        let all = sources(&odd);
        if let Ok(edit) = disable(&all, "k_first") {
            prop_assert!(edit.text.len() > odd.len());
            let listed = |text: &str| list(&sources(text)).ok();
            if let (Some(before), Some(after)) = (listed(&odd), listed(&edit.text)) {
                let on: Vec<_> = before.iter().zip(&after).filter(|(one, other)| one.disabled != other.disabled).collect();
                prop_assert_eq!(on.len(), 1);
                prop_assert_eq!(on[0].0.id.as_str(), "k_first");
            }
        }
        if let Ok(edit) = add(&all, &new_key(b"x")) {
            prop_assert!(edit.file != "60-customers.toml" || edit.text.starts_with(&odd));
        }
    }
}
