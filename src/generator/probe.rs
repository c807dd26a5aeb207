//! What a generator is asked to see whether it works: a real signature, judged like any other.
//!
//! A probe costs a signature, so only generators that are out, got nothing for a while, or failed and are not asked again, are
//! probed, by one task for the whole process, and what they cost is counted apart.
//!
//! Where no `probe-room` is set, the room of a probe is that of some client's last good answer, and it may have ended since,
//! also on purpose. So a generator in service that fails at it has not failed its probe before another is seen to do well
//! at the same room, or before it fails at what every generator can do: to sign the operator's own URL.

use std::time::Duration;

use tokio::time::Instant;

use super::Question;
use super::attempt::{Cause, Mark};
use super::balance::Places;
use super::fleet::Fleet;
use super::judge::Judgement;
use super::roster::{Permit, Roster};
use super::wire::{Method, Phase, WireError};
use crate::base::operation::Operation;
use crate::base::room::Room;

/// No probe takes longer: clients have given up by then.
pub const PROBE_TIME: Duration = Duration::from_secs(3);

/// Somebody who failed at once has so long for what is asked next.
const HASTE: Duration = Duration::from_millis(250);

/// What a probe found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// A good answer.
    Good,
    /// A good answer, and far later than others give one.
    Slow,
    /// None.
    Failed(Mark),
    /// It says that what the probe asks for is not to be had, and no other says otherwise: whether for its fault cannot be told.
    Inconclusive,
}

impl Found {
    /// The words of all, as metrics have them.
    pub const WORDS: [&'static str; 4] = ["good", "slow", "failed", "inconclusive"];

    /// Its place among them.
    pub const fn index(self) -> usize {
        match self {
            Self::Good => 0,
            Self::Slow => 1,
            Self::Failed(_) => 2,
            Self::Inconclusive => 3,
        }
    }
}

/// Probes one generator; `None` where it has no room for a probe.
pub async fn probe(fleet: &Fleet, place: usize) -> Option<Found> {
    let roster = &**fleet.roster();
    let permit = roster.permit_of(place)?;
    let generator = permit.generator();
    let settings = &roster.settings().probe;
    let serves = roster.serving().contains(place);
    let suspect = serves && roster.is_suspect(place);
    let until = Instant::now() + if suspect { patience(roster, place) } else { PROBE_TIME };
    let connects = generator.kind.can(Operation::Connect);
    let room = settings.room.or(roster.good_room()).filter(|_| connects);
    let began = Instant::now();
    // What it blames is refuted by those alone that can do all that it can: a URL that it does not sign need not keep it from
    // connecting.
    let peers = roster.peers().get(place).copied().unwrap_or_default();
    let mut found = Found::Inconclusive;
    let mut in_doubt = suspect && connects;
    if let Some(room) = room {
        let target = format!("/webcast/fetch?client=ttlive-other&room_id={room}");
        let connect = question(Operation::Connect, Some(room), None, &target, None);
        found = ask(fleet, &permit, &connect, until).await;
        let is_learned = settings.room.is_none();
        in_doubt = match found {
            Found::Good | Found::Slow => false,
            // A room of a client's may have ended: it must be seen to work somewhere.
            Found::Failed(_) => {
                let all = Places::first(roster.all().len());
                serves && is_learned && elsewhere(fleet, place, all, &connect).await != Elsewhere::Works
            }
            Found::Inconclusive => in_doubt,
        };
        if found == Found::Inconclusive {
            match elsewhere(fleet, place, peers, &connect).await {
                Elsewhere::Works => (found, in_doubt) = (Found::Failed(Mark::BLAMES), false),
                Elsewhere::Unasked if !serves => return None,
                Elsewhere::Fails | Elsewhere::Unasked => {}
            }
        }
    }
    // A room that has ended says nothing of a generator.
    if (found == Found::Inconclusive || in_doubt) && generator.kind.can(Operation::SignUrl) {
        let body = serde_json::json!({"url": settings.url, "method": "GET"}).to_string();
        let target = "/webcast/sign_url?client=ttlive-other";
        let question = question(Operation::SignUrl, None, Some(&settings.url), target, Some(body.as_bytes()));
        let signed = ask(fleet, &permit, &question, until.max(Instant::now() + HASTE)).await;
        let refuted = match signed {
            Found::Inconclusive => elsewhere(fleet, place, peers, &question).await,
            Found::Good | Found::Slow | Found::Failed(_) => Elsewhere::Fails,
        };
        let signed = match refuted {
            Elsewhere::Works => Found::Failed(Mark::BLAMES),
            Elsewhere::Unasked if !serves => return None,
            Elsewhere::Fails | Elsewhere::Unasked => signed,
        };
        // Whether it can connect is as open as before.
        found = if in_doubt && !matches!(signed, Found::Failed(_)) { Found::Inconclusive } else { signed };
    }
    if matches!(found, Found::Failed(_)) {
        generator.latency.failed(began.elapsed(), roster.now());
    }
    Some(found)
}

/// How long one that is suspect has for a probe: by then its clients' requests would be taken to hang.
fn patience(roster: &Roster, place: usize) -> Duration {
    let is_alone = roster.serving().without(place).is_empty();
    roster.all()[place].hangs_after(is_alone).min(PROBE_TIME)
}

/// What came of asking another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Elsewhere {
    Works,
    Fails,
    /// Others are in service, and none has room.
    Unasked,
}

/// Asks another generator of `among` that is in service, and not in doubt itself.
async fn elsewhere(fleet: &Fleet, place: usize, among: Places, question: &Question<'_>) -> Elsewhere {
    let roster = &**fleet.roster();
    let others = roster.serving().and(roster.able(question.operation)).and(among).without(place);
    let sound = others.iter().filter(|other| !roster.is_suspect(*other));
    let sound = sound.fold(Places::NONE, Places::with);
    let Some(permit) = roster.permit(sound, &fleet.draws, roster.now()) else {
        return if sound.is_empty() { Elsewhere::Fails } else { Elsewhere::Unasked };
    };
    let until = Instant::now() + patience(roster, permit.place);
    match ask(fleet, &permit, question, until).await {
        Found::Good | Found::Slow => Elsewhere::Works,
        Found::Failed(_) | Found::Inconclusive => Elsewhere::Fails,
    }
}

async fn ask(fleet: &Fleet, permit: &Permit<'_>, question: &Question<'_>, until: Instant) -> Found {
    let roster = &**fleet.roster();
    let generator = permit.generator();
    generator.asked(Cause::Probe);
    let began = Instant::now();
    let judged = tokio::time::timeout_at(until, fleet.ask_one(permit, question, until)).await;
    let judged = judged.unwrap_or(Err(WireError::TimedOut(Phase::Head)));
    let (now, took) = (roster.now(), began.elapsed());
    match &judged {
        Ok(Judgement::Good(_)) => {
            generator.latency.answered(took, now);
            if took > generator.slow() { Found::Slow } else { Found::Good }
        }
        Ok(Judgement::BlamesRequest(_)) => Found::Inconclusive,
        Ok(Judgement::Bad(_)) | Err(_) => Found::Failed(Mark::of(&judged)),
    }
}

fn question<'q>(
    operation: Operation,
    room: Option<u64>,
    url: Option<&'q str>,
    target: &'q str,
    body: Option<&'q [u8]>,
) -> Question<'q> {
    Question {
        operation,
        room: room.map(Room::Id),
        url,
        browser_user_agent: &|| None,
        method: if body.is_some() { Method::Post } else { Method::Get },
        target,
        headers: if body.is_some() { &[("content-type", "application/json")] } else { &[("accept", "*/*")] },
        body,
    }
}
