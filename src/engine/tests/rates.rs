//! What only cells of rates do: refunds that drain, and rates that change under them.

use super::*;

fn paced(rate: &str, burst: u32) -> PolicySet {
    let limit = Limit::Rate { rate: Rate::parse(rate).unwrap(), burst, label: "r".into() };
    Draft::new().counter("r", "proxy", limit, Mode::Enforce).set()
}

fn after(millis: u64) -> Timestamp {
    START + Duration::from_millis(millis)
}

/// One request of one address: its receipt where it is admitted, its wait in milliseconds where it is not.
fn ask(engine: &Engine, policy: &PolicySet, now: Timestamp) -> Result<Receipt, u128> {
    let assessment = engine.assess(policy, &facts(v4(1), Credential::Absent), now);
    let (decision, receipt) = engine.decide(policy, assessment, now);
    receipt.ok_or_else(|| decision.refusal.unwrap().first().wait_left().unwrap().as_millis())
}

#[test]
fn whoever_makes_a_generator_fail_wins_no_unlimited_tries() {
    let engine = Engine::new(10_000, 1);
    let policy = paced("1/s", 5);
    let mut admitted = 0;
    for millis in 0..10_000 {
        if let Ok(receipt) = ask(&engine, &policy, after(millis)) {
            admitted += 1;
            engine.observe(&policy, &receipt, Ending::Refunded, after(millis));
        }
    }
    // Ten seconds are worth 5 + 10, and refunds as many again.
    assert!((25..=30).contains(&admitted), "{admitted} were admitted");
}

#[test]
fn what_has_drained_is_not_given_back_a_second_time() {
    let engine = Engine::new(10_000, 1);
    let policy = paced("1/s", 1);
    let first = ask(&engine, &policy, after(0)).unwrap();
    let _second = ask(&engine, &policy, after(1_500)).unwrap();
    assert!(!engine.observe(&policy, &first, Ending::Refunded, after(2_000)), "the first has drained");
    assert_eq!(ask(&engine, &policy, after(2_000)).unwrap_err(), 500, "and the second has not");
    let third = ask(&engine, &policy, after(2_500)).unwrap();
    assert!(engine.observe(&policy, &third, Ending::Refunded, after(2_600)));
    assert!(ask(&engine, &policy, after(2_600)).is_ok(), "what had not drained is there again");
}

#[test]
fn a_raised_rate_helps_at_once_and_a_lowered_one_makes_nobody_wait_longer_than_its_burst() {
    let (slow, fast) = (paced("1/h", 2), paced("10/s", 2));
    let engine = Engine::new(10_000, 1);
    for _ in 0..2 {
        ask(&engine, &slow, after(0)).unwrap();
    }
    assert_eq!(ask(&engine, &slow, after(1_000)).unwrap_err(), 3_599_000);
    assert_eq!(ask(&engine, &fast, after(50)).unwrap_err(), 50, "two were charged, at ten a second");
    assert!(ask(&engine, &fast, after(1_000)).is_ok());
    let engine = Engine::new(10_000, 1);
    let generous = paced("10/s", 50);
    for _ in 0..50 {
        ask(&engine, &generous, after(0)).unwrap();
    }
    assert_eq!(ask(&engine, &slow, after(0)).unwrap_err(), 3_600_000);
}
