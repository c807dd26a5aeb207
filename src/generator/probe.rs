//! What a generator is asked to see whether it works: a real signature, judged like any other.
//!
//! A probe costs a signature, so only generators that are out, or got nothing for a while, are probed, by one task for the
//! whole process, and what they cost is counted apart.

use std::time::Duration;

use tokio::time::Instant;

use super::Question;
use super::attempt::{Cause, Mark};
use super::fleet::Fleet;
use super::judge::Judgement;
use super::wire::{Method, Phase, WireError};
use crate::base::operation::Operation;
use crate::base::room::Room;

/// No probe takes longer: clients have given up by then.
pub const PROBE_TIME: Duration = Duration::from_secs(3);

/// What a probe found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// A good answer.
    Good,
    /// A good answer, and far later than others give one.
    Slow,
    /// None.
    Failed(Mark),
    /// It works, and says that what the probe asks for is not to be had, however one asks.
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
    let room = settings.room.or(roster.good_room()).filter(|_| generator.kind.can(Operation::Connect));
    let until = Instant::now() + PROBE_TIME;
    let mut found = Found::Inconclusive;
    if let Some(room) = room {
        let target = format!("/webcast/fetch?client=ttlive-other&room_id={room}");
        found =
            ask(fleet, place, &question(Operation::Connect, Some(room), None, &target, None), until).await;
    }
    // A room that has ended says nothing of a generator.
    if found == Found::Inconclusive && generator.kind.can(Operation::SignUrl) {
        let body = serde_json::json!({"url": settings.url, "method": "GET"}).to_string();
        let target = "/webcast/sign_url?client=ttlive-other";
        let question = question(Operation::SignUrl, None, Some(&settings.url), target, Some(body.as_bytes()));
        found = ask(fleet, place, &question, until).await;
    }
    Some(found)
}

async fn ask(fleet: &Fleet, place: usize, question: &Question<'_>, until: Instant) -> Found {
    let roster = &**fleet.roster();
    let generator = &roster.all()[place];
    generator.asked(Cause::Probe);
    let began = Instant::now();
    let judged = tokio::time::timeout_at(until, fleet.ask_one(place, question, until)).await;
    let judged = judged.unwrap_or(Err(WireError::TimedOut(Phase::Head)));
    let (now, took) = (roster.now(), began.elapsed());
    match &judged {
        Ok(Judgement::Good(_)) => {
            generator.latency.answered(took, now);
            if took > roster.slow() { Found::Slow } else { Found::Good }
        }
        Ok(Judgement::BlamesRequest(_)) => Found::Inconclusive,
        Ok(Judgement::Bad(_)) | Err(_) => {
            generator.latency.failed(took, now);
            Found::Failed(Mark::of(&judged))
        }
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
