//! What the rows above the quotas find: of recorded keys as of live ones, and in shadow.

use super::*;

fn recorded(id: &'static str, account: &'static str) -> Credential<'static> {
    Credential::Recorded { id, account, tier: "free" }
}

fn verdict(policy: &PolicySet, who: &Facts<'_>) -> (Verdict, Verdict) {
    let decision = decide(&Engine::new(10_000, 1), policy, who, START);
    (decision.verdict(), decision.shadow_verdict())
}

fn block(mut draft: Draft, mode: Mode) -> (Draft, RuleIndex) {
    let rule = RuleIndex(draft.0.rules.len() as u16);
    draft.0.rules.push(Rule {
        name: rule_name(&format!("list-{}", rule.0)),
        mode,
        kind: RuleKind::Blocklist { reason: None, expires: None },
        file: "test.toml".into(),
        line: 1,
    });
    (draft, rule)
}

#[test]
fn what_the_policy_says_of_a_recorded_key_counts_as_of_a_live_one() {
    let (mut draft, rule) = block(Draft::new(), Mode::Enforce);
    draft.0.blocklists.add_account(AccountIndex(0), rule);
    draft.0.blocklists.add_key(KeyId::new("k1").unwrap(), rule);
    draft
        .0
        .keys
        .iter_mut()
        .filter(|(_, key)| key.id.as_str() == "k2")
        .for_each(|(_, key)| key.disabled = true);
    let policy = draft.set();
    for (account, refused) in [(0, true), (1, true), (2, true), (3, false)] {
        let (id, name): (&'static str, &'static str) =
            [("k0", "a0"), ("k1", "a1"), ("k2", "a2"), ("k3", "a3")][account as usize];
        let expected = if refused { Verdict::Deny } else { Verdict::Allow };
        assert_eq!(verdict(&policy, &facts(v4(1), key_of(account))).0, expected, "{id} live");
        assert_eq!(verdict(&policy, &facts(v4(1), recorded(id, name))).0, expected, "{id} recorded");
    }
    let gone = verdict(&policy, &facts(v4(1), recorded("k_gone", "gone"))).0;
    assert_eq!(gone, Verdict::Allow, "a key that the policy lacks was good when it was recorded");
}

#[test]
fn what_a_shadow_list_refuses_is_charged_to_no_shadow_counter() {
    let draft = Draft::new().quota("q", "proxy", &[(60, 5)]).counter(
        "s",
        "proxy",
        windows_of("proxy", &[(60, 1)]),
        Mode::Shadow,
    );
    let (mut draft, rule) = block(draft, Mode::Shadow);
    draft.0.blocklists.add_user_agent(crate::policy::lists::Pattern::new("bot").unwrap(), rule);
    let policy = draft.set();
    let engine = Engine::new(10_000, 1);
    let person = facts(v4(1), Credential::Absent);
    let bot = Facts { user_agent: "bot", ..person };
    for _ in 0..3 {
        let decision = decide(&engine, &policy, &bot, START);
        assert_eq!((decision.verdict(), decision.shadow_verdict()), (Verdict::Allow, Verdict::Deny));
    }
    let decision = decide(&engine, &policy, &person, START);
    assert_eq!((decision.verdict(), decision.shadow_verdict()), (Verdict::Allow, Verdict::Allow));
    let standings = engine.standings(&policy, &person, START);
    assert_eq!(standings[0].remaining, 1, "the enforced quota counts what was admitted in truth");
}
