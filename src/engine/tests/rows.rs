//! What the rows above the quotas find: of recorded keys as of live ones, and in shadow.

use super::*;

fn recorded(id: &'static str, account: &'static str) -> Credential<'static> {
    Credential::Recorded { id, account, tier: "free", subjects: None }
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

#[test]
fn an_allowlist_in_shadow_shows_whom_it_would_free() {
    let exempting = |quota, blocklist| {
        let draft = Draft::new().quota("q", "proxy", &[(60, 1)]);
        let (mut draft, blocked) = block(draft, Mode::Enforce);
        draft.0.blocklists.add_prefix("0.0.0.9/32".parse().unwrap(), blocked);
        let (mut draft, allowed) = block(draft, Mode::Shadow);
        let exempt = crate::policy::set::Exemptions { quota, blocklist, viewbot: false };
        draft.0.rules[usize::from(allowed.0)].kind = RuleKind::Allowlist { exempt, expires: None };
        draft.0.allowlists.add_prefix("0.0.0.0/8".parse().unwrap(), allowed);
        draft.set()
    };
    let say = |engine: &Engine, policy: &PolicySet, address| {
        let decision = decide(engine, policy, &facts(v4(address), Credential::Absent), START);
        (decision.verdict(), decision.shadow_verdict())
    };
    let (quota, lists) = (exempting(true, false), exempting(false, true));
    for (policy, spent, blocked) in
        [(&quota, Verdict::Allow, Verdict::Deny), (&lists, Verdict::Throttle, Verdict::Allow)]
    {
        let engine = Engine::new(10_000, 1);
        assert_eq!(say(&engine, policy, 1), (Verdict::Allow, Verdict::Allow));
        assert_eq!(say(&engine, policy, 1), (Verdict::Throttle, spent));
        assert_eq!(say(&engine, policy, 9), (Verdict::Deny, blocked));
        let unknown = facts(v4(1), Credential::Presented(KeyHash::of(b"unknown")));
        let decision = decide(&engine, policy, &unknown, START);
        assert_eq!(decision.shadow_verdict(), Verdict::Deny, "no list exempts from keys");
    }
}
