//! `/viewbot`: rooms under attack with what is held against them, whether enough has been learned, and the pardon.

use std::time::Duration;

use axum::extract::{Extension, RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::Shown;
use super::bans::{Fields, Refused, bad, misunderstood, obey};
use super::door::{Role, Through};
use super::pages::page;
use crate::base::rate::LengthText;
use crate::base::time::Timestamp;
use crate::engine::order::{Obeyed, Order};
use crate::engine::viewbot::view::{AlarmedRoom, Warmth};
use crate::policy::viewbot::ViewbotMode;

/// So many rooms are shown, those with the greatest excess.
const ROOMS_MAX: usize = 200;

/// So long a room is looked away from where the operator does not say.
pub(super) const PARDON: Duration = Duration::from_secs(3_600);

/// The alarmed rooms.
pub(super) async fn rooms(
    State(shown): State<Shown>,
    Extension(through): Extension<Through>,
    headers: HeaderMap,
) -> Response {
    if let Err(denied) = shown.door.admit(through, &headers, Role::Viewer) {
        return denied.into_response();
    }
    let now = shown.clock.now();
    let live = shown.gateway.live.load();
    let (viewbot, settings) = (shown.gateway.engine.viewbot(), live.policy.viewbot());
    let rooms = viewbot.alarmed_rooms(settings, now);
    let bans = viewbot.bans().list(now);
    let shadow = viewbot.shadow_bans().list(now);
    let shown_rooms = rooms.iter().take(ROOMS_MAX).map(|room| {
        // What was held against the last ones, strongest first; each sentence once.
        let mut evidence: Vec<(f64, String)> = Vec::new();
        let of_room = bans.iter().chain(&shadow).filter(|ban| ban.room == room.room);
        for ban in of_room.rev().take(200) {
            let text = ban.evidence.to_string();
            if evidence.len() < 5 && !evidence.iter().any(|(_, known)| *known == text) {
                evidence.push((ban.evidence.score(), text));
            }
        }
        evidence.sort_by(|one, other| other.0.total_cmp(&one.0));
        let banned = bans.iter().filter(|ban| ban.room == room.room).count();
        let in_shadow = shadow.iter().filter(|ban| ban.room == room.room).count();
        let evidence: Vec<String> = evidence.into_iter().map(|(_, text)| text).collect();
        room_json(room, &evidence, banned, in_shadow)
    });
    let body = json!({
        "mode": settings.mode.word(),
        "learning": learning(settings.mode, viewbot.warmth(now)),
        "rooms": shown_rooms.collect::<Value>(),
        "left_out": rooms.len().saturating_sub(ROOMS_MAX),
    });
    page(StatusCode::OK, &body)
}

fn room_json(room: &AlarmedRoom, evidence: &[String], banned: usize, in_shadow: usize) -> Value {
    let named = |name: &str, list: Vec<(String, f64)>| -> Value {
        list.into_iter().map(|(what, count)| json!({ name: what, "count": rounded(count) })).collect()
    };
    json!({
        "room": room.room.to_string(),
        "since": room.since.to_string(),
        "sum": rounded(room.sum),
        "usual_per_minute": rounded(room.usual_per_minute),
        "curve": room.curve.iter().map(|(at, sum)| json!([at.to_string(), rounded(*sum)])).collect::<Value>(),
        "newcomers": {
            "known": rounded(room.known),
            "strangers": rounded(room.strangers),
            "ordinary_strangers": rounded(room.crowd),
            "excess": rounded(room.excess),
        },
        "throttled": room.throttled,
        "denied": room.denied,
        "verdict": if banned + in_shadow > 0 { "convicted in part" } else { "crowd, not convicted" },
        "bans": banned,
        "shadow_bans": in_shadow,
        "evidence": evidence,
        "cohorts": named("profile", room.cohorts.clone()),
        "proxies": named("proxy", room.addresses.iter().map(|(address, count)| (address.to_string(), *count)).collect()),
        "subnets": named("subnet", room.subnets.iter().map(|(subnet, count)| (subnet.to_string(), *count)).collect()),
    })
}

/// Two places: the rest is noise.
fn rounded(number: f64) -> f64 {
    (number * 100.0).round() / 100.0
}

fn learning(mode: ViewbotMode, warmth: Warmth) -> Value {
    let detail = match (mode, warmth.is_cold) {
        (ViewbotMode::Off, _) => "off: nothing is looked at, and nothing is learned".to_owned(),
        (_, false) => "warm: it knows what an ordinary crowd looks like".to_owned(),
        (_, true) => format!(
            "cold: it throttles at most and convicts nobody until it has seen {} ordinary strangers ({:.0} so far) for {} \
             ({} so far)",
            warmth.strangers_needed,
            warmth.strangers,
            LengthText(warmth.time_needed),
            LengthText(Duration::from_secs(warmth.learning_for.as_secs())),
        ),
    };
    json!({ "is_cold": warmth.is_cold && mode != ViewbotMode::Off, "detail": detail })
}

/// For `/readyz`, where detection is not off. A cold gateway serves, so it is ready.
pub(super) fn add_readiness(shown: &Shown, body: &mut Value) {
    let mode = shown.gateway.live.load().policy.viewbot().mode;
    if mode == ViewbotMode::Off {
        return;
    }
    let told = learning(mode, shown.gateway.engine.viewbot().warmth(shown.clock.now()));
    for (name, value) in told.as_object().into_iter().flatten() {
        body["viewbot"][name.as_str()] = value.clone();
    }
    body["viewbot"]["mode"] = mode.word().into();
}

/// Pardons a room.
pub(super) async fn pardon(
    State(shown): State<Shown>,
    Extension(through): Extension<Through>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let by = match shown.door.admit(through, &headers, Role::Operator) {
        Ok(by) => by,
        Err(denied) => return denied.into_response(),
    };
    let now = shown.clock.now();
    pardoned(&shown, query.as_deref(), &by, now).unwrap_or_else(Refused::into_response)
}

fn pardoned(shown: &Shown, query: Option<&str>, by: &str, now: Timestamp) -> Result<Response, Refused> {
    let fields = Fields::read(query, &["room", "for"])?;
    let room =
        fields.room()?.ok_or_else(|| bad("expected a `room`: its number, or `@` and its unique id"))?;
    let length = fields.length("for")?.unwrap_or(PARDON);
    match obey(shown, &Order::Pardon { room, length }, by, now)? {
        Obeyed::Pardoned(bans) => {
            let body = json!({
                "result": "pardoned",
                "room": room.to_string(),
                "bans_dropped": bans,
                "until": (now + length).to_string(),
            });
            Ok(page(StatusCode::OK, &body))
        }
        _ => Ok(misunderstood()),
    }
}
