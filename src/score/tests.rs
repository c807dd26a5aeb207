//! A table small enough to be worked out by hand.

use super::*;

/// Line by line: seconds, client, persona, attack, room, verdict, shadow verdict.
type Row = (u64, &'static str, &'static str, bool, &'static str, &'static str, &'static str);

const ROWS: [Row; 14] = [
    (0, "192.0.2.1", "audience", false, "1", "allow", "allow"),
    (1, "192.0.2.2", "creator", false, "2", "deny", "deny"),
    (2, "192.0.2.3", "preparing", false, "3", "throttle", "throttle"),
    (10, "198.51.100.1", "bot", true, "1", "allow", "deny"),
    (11, "198.51.100.2", "bot", true, "1", "allow", "deny"),
    (12, "198.51.100.3", "bot", true, "1", "throttle", "deny"),
    (13, "198.51.100.1", "bot", true, "1", "allow", "deny"),
    (20, "198.51.100.2", "bot", true, "1", "deny", "deny"),
    (20, "192.0.2.1", "audience", false, "1", "throttle", "allow"),
    (21, "198.51.100.3", "bot", true, "1", "deny", "deny"),
    (22, "198.51.100.4", "bot", true, "4", "deny", "deny"),
    (70, "198.51.100.4", "bot", true, "4", "deny", "deny"),
    (71, "192.0.2.2", "creator", false, "2", "allow", "deny"),
    (72, "2001:db8::1", "audience", false, "1", "allow", "allow"),
];

fn traffic() -> String {
    let lines = ROWS.iter().map(|(at, client, persona, attack, room, _, _)| {
        format!(
            r#"{{"time":{},"client":"{client}","method":"GET","target":"/","label":{{"population":2,"scenario":"tiny","persona":"{persona}","attack":{attack},"room":"{room}","viewer":"v"}}}}"#,
            1_800_000_000_000 + at * 1000
        )
    });
    // An event is a line, too, and has no label.
    let event = r#"{"time":1800000000000,"event":"start"}"#.to_owned();
    std::iter::once(event).chain(lines).collect::<Vec<_>>().join("\n")
}

fn decisions() -> String {
    let lines = ROWS.iter().enumerate().map(|(place, (.., verdict, shadow))| {
        format!(
            r#"{{"line":{},"verdict":"{verdict}","shadow":"{shadow}","rule":null,"reasons":[]}}"#,
            place + 1
        )
    });
    // Replay writes them in the order of its decisions.
    lines.rev().collect::<Vec<_>>().join("\n")
}

fn score(traffic: &[u8], decisions: &[u8], which: Which) -> Result<Score, ScoreError> {
    whole_score(traffic, decisions, which).map(|scored| scored.score)
}

/// A line that is no JSON is no record.
fn whole_score(traffic: &[u8], decisions: &[u8], which: Which) -> Result<Scored, ScoreError> {
    super::score(traffic, decisions, which, |line| {
        serde_json::from_slice::<serde::de::IgnoredAny>(line).is_err()
    })
}

fn scored(which: Which) -> Score {
    score(traffic().as_bytes(), decisions().as_bytes(), which).unwrap()
}

#[test]
fn the_figures_are_those_worked_out_by_hand() {
    let score = scored(Which::Enforced);
    assert_eq!((score.scenario.as_str(), score.population, score.records), ("tiny", 2, 14));
    // Of eight, the first, second and fourth got through. From the third on 5 of 6 are refused: not enough; from the
    // fifth on all are.
    let attack = score.attack.as_ref().unwrap();
    assert_eq!((attack.signatures, attack.leaked, attack.leaked_before_stop), (8, 3, 3));
    assert!((attack.leak - 0.375).abs() < 1e-9);
    assert_eq!(attack.seconds_to_stop, Some(10.0));
    assert_eq!(attack.leaked_before_noticed, 2);
    // One more in the 58 seconds after the first refusal, which count as a minute.
    assert_eq!(attack.leaked_a_minute_after, Some(1.0));
    assert_eq!(score.preparing, Preparing { requests: 1, allowed: 0 });

    let benign = &score.benign;
    assert_eq!((benign.requests, benign.denied, benign.throttled), (5, 1, 1));
    assert!((benign.denied_ppm - 1e6 / 14.0).abs() < 1e-6);
    assert_eq!(benign.bystanders, Share { count: 1, of: 3 });
    let worst = &benign.personas[0];
    assert_eq!((worst.persona.as_str(), worst.requests, worst.denied), ("creator", 2, 1));
    assert!((worst.denied_ppm - 500_000.0).abs() < 1e-6);
    assert_eq!(benign.personas[1].throttled, 1);

    // Denied: four of the attack's and one creator's; rooms 1, 2 and 4; three bots' addresses and one creator's.
    let precision = score.precision.as_ref().unwrap();
    assert_eq!(precision.requests, Share { count: 4, of: 5 });
    assert_eq!(precision.rooms, Share { count: 2, of: 3 });
    assert_eq!(precision.proxies, Share { count: 3, of: 4 });
    let rooms: Vec<_> =
        score.rooms.iter().map(|room| (room.room.as_str(), room.signatures, room.leaked)).collect();
    assert_eq!(rooms, [("1", 6, 3), ("4", 2, 0)], "by when they were first attacked");
}

#[test]
fn the_shadow_verdicts_are_judged_on_request() {
    let score = scored(Which::Shadow);
    let attack = score.attack.as_ref().unwrap();
    assert_eq!((attack.leaked, attack.seconds_to_stop, attack.leaked_before_noticed), (0, Some(0.0), 0));
    assert_eq!((score.benign.denied, score.benign.throttled), (2, 0));
}

#[test]
fn what_was_never_stopped_says_so() {
    let all = decisions().replace("deny", "allow").replace("throttle", "allow");
    let score = score(traffic().as_bytes(), all.as_bytes(), Which::Enforced).unwrap();
    let attack = score.attack.as_ref().unwrap();
    assert_eq!((attack.leaked, attack.leaked_before_stop, attack.seconds_to_stop), (8, 8, None));
    assert_eq!(attack.leaked_a_minute_after, None);
    assert_eq!(score.precision, None);
}

#[test]
fn both_forms_are_printed() {
    let score = scored(Which::Enforced);
    insta::assert_snapshot!(text(&[("tiny".into(), score.clone())]));
    insta::assert_snapshot!(serde_json::to_string_pretty(&score).unwrap());
}

#[test]
fn what_does_not_belong_together_is_told() {
    let told = |traffic: &str, decisions: &str| {
        score(traffic.as_bytes(), decisions.as_bytes(), Which::Enforced).unwrap_err().to_string()
    };
    let short: Vec<String> = decisions().lines().skip(3).map(ToOwned::to_owned).collect();
    assert!(told(&traffic(), &short.join("\n")).starts_with("nothing was decided of line 13"));
    assert!(told(r#"{"time":1,"client":"192.0.2.1"}"#, "").contains("`label`"));
    assert!(told("{", "").contains("`label`"), "what is no record says nothing");
    assert!(told("{", r#"{"line":0,"verdict":"allow"}"#).starts_with("line 1 of the traffic: "));
    assert!(told(&traffic(), "\n[]").starts_with("line 2 of the decisions: "));
    assert!(told(&traffic(), r#"{"line":99999999999,"verdict":"allow"}"#).starts_with("there are more than"));
    assert!(told("", &"x".repeat(2 << 20)).contains("is longer than"));
}

/// Lines are counted in each file: those of several cannot be told apart in one trace.
#[test]
fn decisions_about_several_files_are_not_scored() {
    let of = |file: &str| decisions().replace("{\"line\"", &format!("{{\"file\":\"{file}\",\"line\"")) + "\n";
    let scored = |decisions: &str| score(traffic().as_bytes(), decisions.as_bytes(), Which::Enforced);
    assert_eq!(scored(&of("a")).unwrap(), self::scored(Which::Enforced));
    for (first, second) in [(of("a"), of("b")), (decisions() + "\n", of("b"))] {
        let error = scored(&(first + &second)).unwrap_err().to_string();
        let told = "line 15 of the decisions is about another file than the first (`b`): replay each file by itself, ";
        assert!(error.starts_with(told), "{error}");
    }
}

/// A file that holds several traces, or one whose lines were mixed: no figure would mean anything.
#[test]
fn several_traces_at_once_are_not_scored() {
    let scored = |traffic: &str| {
        let lines = (0..).zip(traffic.lines());
        let decisions: Vec<String> =
            lines.map(|(line, _)| format!(r#"{{"line":{line},"verdict":"allow"}}"#)).collect();
        score(traffic.as_bytes(), decisions.join("\n").as_bytes(), Which::Enforced)
            .map_err(|error| error.to_string())
    };
    let one = traffic();
    // The event is the first line of each, and has no label: the seventeenth is the first that tells.
    let told = "line 17 of the traffic is of another scenario (`other` in population 2) than the first line (`tiny` in \
                population 2): score each trace by itself, with its own decisions";
    let other = one.replace("\"tiny\"", "\"other\"");
    assert_eq!(scored(&format!("{one}\n{other}")).unwrap_err(), told);
    let other = one.replace("\"population\":2", "\"population\":1");
    let error = scored(&format!("{one}\n{other}")).unwrap_err();
    assert!(
        error.starts_with("line 17 of the traffic is of another scenario (`tiny` in population 1)"),
        "{error}"
    );
    // The same again, which begins where time began, but later than records may be.
    let late = one.replace("18000000", "18000009");
    let error = scored(&format!("{late}\n{one}")).unwrap_err();
    assert!(
        error.starts_with("line 17 of the traffic is 972 s earlier than a line before it: score each"),
        "{error}"
    );
}

/// Records stand in the order in which requests ended.
#[test]
fn lines_that_are_a_little_out_of_order_change_nothing() {
    let mut places: Vec<usize> = (0..ROWS.len()).collect();
    places.reverse();
    let (traffic, decisions) = (traffic(), decisions());
    let lines: Vec<&str> = traffic.lines().skip(1).collect();
    let mut said: Vec<&str> = decisions.lines().collect();
    said.reverse();
    let turned: Vec<&str> = places.iter().map(|place| lines[*place]).collect();
    let renumbered: Vec<String> = (0..)
        .zip(&places)
        .map(|(line, place)| {
            said[*place].replace(&format!("\"line\":{},", place + 1), &format!("\"line\":{line},"))
        })
        .collect();
    let turned =
        score(turned.join("\n").as_bytes(), renumbered.join("\n").as_bytes(), Which::Enforced).unwrap();
    let straight = scored(Which::Enforced);
    let stop = |score: &Score| score.attack.as_ref().map(|attack| (attack.leaked, attack.seconds_to_stop));
    assert_eq!(stop(&turned), stop(&straight));
    assert_eq!(turned.rooms, straight.rooms);
}

#[test]
fn what_is_not_judged_is_counted() {
    let scored = |traffic: &str, decisions: &str| {
        let scored = whole_score(traffic.as_bytes(), decisions.as_bytes(), Which::Enforced).unwrap();
        assert_eq!(scored.score, self::scored(Which::Enforced));
        (scored.unlabelled, scored.passed_over)
    };
    assert_eq!(scored(&traffic(), &decisions()), (0, 0), "an event is no request");
    // A request without a label; one that the gateway refused by itself; what is no record, once of any length.
    let long = "x".repeat(3 << 20);
    let more = ["{\"time\":1,\"client\":\"192.0.2.1\"}", "{\"time\":1}", "torn", &long].join("\n");
    let decided = "\n{\"line\":15,\"verdict\":\"deny\"}\n{\"line\":16,\"verdict\":\"deny\"}\n";
    let traffic = format!("{}\n{more}\n\n", traffic());
    assert_eq!(scored(&traffic, &(decisions() + decided)), (2, 2));
}

#[test]
fn verdicts_are_kept_by_line() {
    let mut verdicts = Verdicts::default();
    verdicts.set(9, Said::Deny);
    verdicts.set(1, Said::Throttle);
    verdicts.set(0, Said::Allow);
    verdicts.set(9, Said::Allow);
    let kept: Vec<_> = (0..12).map(|line| verdicts.get(line)).collect();
    assert_eq!(kept[..2], [Some(Said::Allow), Some(Said::Throttle)]);
    assert!(kept[2..9].iter().all(Option::is_none) && kept[9] == Some(Said::Allow) && kept[11].is_none());
}

#[test]
fn decisions_about_another_traffic_are_not_scored() {
    let more = format!("{}\n{}", decisions(), r#"{"line":15,"verdict":"allow"}"#);
    let error = score(traffic().as_bytes(), more.as_bytes(), Which::Enforced).unwrap_err().to_string();
    assert!(
        error.starts_with("the decisions tell of lines that the traffic does not have: 1, and it has 15;"),
        "{error}"
    );
    let fewer = decisions().lines().skip(1).collect::<Vec<_>>().join("\n");
    let error = score(traffic().as_bytes(), fewer.as_bytes(), Which::Enforced).unwrap_err().to_string();
    assert!(error.starts_with("nothing was decided of line 15"), "{error}");
    // As long, but of another time; without times nothing can be said.
    let timed = |second: u64| -> String {
        let decisions = decisions();
        let timed = decisions.lines().map(|line| {
            let number: usize = line[8..].split(',').next().unwrap().parse().unwrap();
            let time = 1_800_000_000_000 + (ROWS[number - 1].0 + second) * 1000;
            line.replacen('{', &format!("{{\"time\":{time},"), 1) + "\n"
        });
        timed.collect()
    };
    let scored = |decisions: &str| score(traffic().as_bytes(), decisions.as_bytes(), Which::Enforced);
    let error = scored(&timed(1)).unwrap_err().to_string();
    assert!(error.starts_with("the decisions are about records of other times"), "{error}");
    assert!(scored(&timed(0)).is_ok() && scored(&format!("{}{}", timed(0), timed(0))).is_ok());
    let again = format!("{}\n{}", decisions(), decisions());
    assert!(
        score(traffic().as_bytes(), again.as_bytes(), Which::Enforced).is_ok(),
        "said twice is one decision"
    );
}
