//! Scores as a person reads them.

use std::fmt::Write as _;

use super::tally::{Score, Share};

/// One table of all; `names` say what each is.
pub fn text(scores: &[(String, Score)]) -> String {
    let width = scores.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0).clamp(8, 40);
    let mut text = format!(
        "{:width$}  {:>8} {:>8} {:>8} {:>8} {:>9} {:>9}  {:<24} {:>6} {:>6} {:>6}\n",
        "",
        "attack",
        "leak %",
        "sigs",
        "stop s",
        "deny ppm",
        "slow ppm",
        "worst persona",
        "req %",
        "room %",
        "proxy%"
    );
    for (name, score) in scores {
        // Writing into a text does not fail.
        let _ = writeln!(text, "{}", row(name, width, score));
    }
    text += "\nattack: signatures asked for; leak: share that got through; sigs, stop: what got through, and how long it took, \
             until 90 % of what follows was stopped\n(`-`: never). deny, slow: benign requests denied and throttled per million of the \
             trace; worst persona: whose own requests fared worst.\nreq, room, proxy: of what was denied, the share that \
             was the attack's.\n";
    for (name, score) in scores {
        details(&mut text, name, score);
    }
    text
}

fn row(name: &str, width: usize, score: &Score) -> String {
    let attack = score.attack.as_ref();
    let told = |value: Option<String>| value.unwrap_or_else(|| "-".into());
    let percent = |share: Option<Share>| {
        told(share.and_then(Share::value).map(|value| format!("{:.1}", value * 100.0)))
    };
    let precision = score.precision.as_ref();
    let worst = score.benign.personas.first().filter(|worst| worst.denied + worst.throttled > 0);
    format!(
        "{name:width$}  {:>8} {:>8} {:>8} {:>8} {:>9.0} {:>9.0}  {:<24} {:>6} {:>6} {:>6}",
        told(attack.map(|attack| attack.signatures.to_string())),
        told(attack.map(|attack| format!("{:.2}", attack.leak * 100.0))),
        told(attack.map(|attack| attack.leaked_before_stop.to_string())),
        told(attack.and_then(|attack| attack.seconds_to_stop).map(|seconds| format!("{seconds:.1}"))),
        score.benign.denied_ppm,
        score.benign.throttled_ppm,
        told(worst.map(|worst| format!(
            "{} {}",
            worst.persona,
            if worst.denied > 0 {
                share_of_own(worst.denied_ppm)
            } else {
                format!("~{}", share_of_own(worst.throttled_ppm))
            }
        ))),
        percent(precision.map(|precision| precision.requests)),
        percent(precision.map(|precision| precision.rooms)),
        percent(precision.map(|precision| precision.proxies)),
    )
}

fn share_of_own(ppm: f64) -> String {
    format!("{:.2}%", ppm / 1e4)
}

/// Who paid for it, what leaked where, and what bots did beforehand: only where there is something to tell.
fn details(text: &mut String, name: &str, score: &Score) {
    let hit: Vec<_> =
        score.benign.personas.iter().filter(|persona| persona.denied + persona.throttled > 0).collect();
    let has_rooms = (2..=6).contains(&score.rooms.len());
    if hit.is_empty() && !has_rooms && score.preparing.requests == 0 && score.attack.is_none() {
        return;
    }
    let _ = writeln!(
        text,
        "\n{name}: `{}` in population {}, {} requests",
        score.scenario, score.population, score.records
    );
    if let Some(attack) = &score.attack {
        let after = attack
            .leaked_a_minute_after
            .map_or_else(|| "it was never noticed".into(), |pace| format!("then {pace:.1} a minute"));
        let _ = writeln!(
            text,
            "  {} got through before anything was refused, {after}",
            attack.leaked_before_noticed
        );
    }
    if score.benign.bystanders.of > 0 {
        let Share { count, of } = score.benign.bystanders;
        let _ = writeln!(text, "  in the attacked rooms {count} of {of} benign requests were refused");
    }
    if score.preparing.requests > 0 {
        let preparing = &score.preparing;
        let _ = writeln!(
            text,
            "  bots prepared themselves: {} of {} such requests got through",
            preparing.allowed, preparing.requests
        );
    }
    for persona in hit {
        let _ = writeln!(
            text,
            "  {:<16} {:>8} requests: {:>6} denied ({}), {:>6} throttled ({})",
            persona.persona,
            persona.requests,
            persona.denied,
            share_of_own(persona.denied_ppm),
            persona.throttled,
            share_of_own(persona.throttled_ppm)
        );
    }
    if has_rooms {
        for room in &score.rooms {
            let leak = room.leaked as f64 * 100.0 / room.signatures as f64;
            let _ = writeln!(
                text,
                "  room {}: {} of {} got through ({leak:.1} %)",
                room.room, room.leaked, room.signatures
            );
        }
    }
}
