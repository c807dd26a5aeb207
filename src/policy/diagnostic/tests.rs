use proptest::prelude::*;

use super::*;

fn at(text: &str, bytes: Range<usize>) -> Diagnostic {
    let source = SourceText::new("policies/a.toml".into(), text);
    Diagnostic::error("wrong").at(&source, bytes).label("expected right")
}

#[test]
fn prints_as_the_house_style_says() {
    let text = format!("{}scope = \"proxies\"\n", "\n".repeat(13));
    let source = SourceText::new("policies/20-quotas.toml".into(), &text);
    let diagnostic = Diagnostic::error("unknown scope `proxies`")
        .at(&source, 21..30)
        .label("expected `account`, `key`, `proxy`")
        .help("a scope with a similar name exists: `proxy`");
    insta::assert_snapshot!(diagnostic, @r#"
    error: unknown scope `proxies`
      --> policies/20-quotas.toml:14:9
       |
    14 | scope = "proxies"
       |         ^^^^^^^^^ expected `account`, `key`, `proxy`
       |
    help: a scope with a similar name exists: `proxy`
    "#);
}

#[test]
fn a_terminal_is_not_obeyed_and_the_caret_stays_under_its_place() {
    insta::assert_snapshot!(at("\tx = '\u{1b}[31m\u{202e}' # über\r\n", 1..2), @r"
    error: wrong
     --> policies/a.toml:1:2
      |
    1 |  x = '\u{1b}[31m\u{202e}' # über
      |  ^ expected right
    ");
    insta::assert_snapshot!(at("a\u{1b} = x", 5..6), @r"
    error: wrong
     --> policies/a.toml:1:6
      |
    1 | a\u{1b} = x
      |           ^ expected right
    ");
}

#[test]
fn a_long_line_is_cut_around_the_place() {
    let text = format!("{}HERE{}", "a".repeat(5000), "b".repeat(5000));
    insta::assert_snapshot!(at(&text, 5000..5004), @r"
    error: wrong
     --> policies/a.toml:1:5001
      |
    1 | …aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaHEREbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb…
      |                                ^^^^ expected right
    ");
}

#[test]
fn a_key_is_masked_wherever_it_stands() {
    let key = crate::base::secret::key_text(&[9; 25]);
    let text = format!("key = \"{}\"", key.reveal());
    let shown = at(&text, 6..10).to_string() + &quoted(&text) + &quoted(&format!("{}{text}", " ".repeat(40)));
    assert!(!shown.contains(&key.reveal()[3..11]), "{shown}");
    assert!(shown.contains("sg_****"), "{shown}");
    assert_eq!(masked("sg_short and sg_"), "sg_short and sg_");
}

#[test]
fn the_closest_word() {
    assert_eq!(closest("proxies", ["room", "proxy", "account"]), Some("proxy"));
    assert_eq!(closest("Enforced", ["shadow", "enforce", "off"]), Some("enforce"));
    assert_eq!(closest("zebra", ["shadow", "enforce", "off"]), None);
}

#[test]
fn only_so_many_are_kept() {
    let mut all = Diagnostics::default();
    for n in 0..250 {
        all.add(Severity::Error, || Diagnostic::error(format!("{n:03}")));
    }
    all.push(Diagnostic::warning("w"));
    let all = all.into_sorted();
    assert_eq!(all.len(), 102);
    assert_eq!(all.last().unwrap().message, "150 more errors not shown");
}

proptest! {
    #[test]
    fn no_text_and_no_range_makes_it_panic_or_long(
        text in "\\PC{0,20}|[\\x00-\\x7f]{0,300}|(a\r?\n|ü){0,60}", from in 0usize..400, length in 0usize..400,
    ) {
        let shown = at(&text, from..from + length).to_string();
        prop_assert!(shown.chars().count() < 1500);
        prop_assert!(!shown.chars().any(|c| c.is_control() && c != '\n'));
        prop_assert!(shown.lines().count() <= 6);
    }
}
