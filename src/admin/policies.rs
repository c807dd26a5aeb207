//! `/policies`: what is in force and kept, and the two ways to change it.

use std::time::Duration;

use axum::extract::{Extension, RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::Shown;
use super::door::{Denied, Role, Through};
use super::pages::{error, page};
use crate::control::desk::{Answer, Done, Refused, Why};
use crate::control::history::disk::parse_digest;
use crate::telemetry::readiness::InForce;

/// A policy with the largest feeds is read and compiled within that; below the lifetime of a connection.
const PATIENCE: Duration = Duration::from_secs(50);

/// What is in force, what is kept, and why nothing newer was taken.
pub(super) async fn overview(
    State(shown): State<Shown>,
    Extension(through): Extension<Through>,
    headers: HeaderMap,
) -> Response {
    if let Err(denied) = shown.door.admit(through, &headers, Role::Viewer) {
        return denied.into_response();
    }
    let Ok(Some(overview)) = tokio::time::timeout(PATIENCE, shown.desk.overview()).await else {
        return busy();
    };
    let kept = overview.kept.iter().map(|set| {
        json!({ "digest": set.digest.to_string(), "since": set.since.to_string(), "in_force": set.in_force })
    });
    let body = json!({
        "policy": policy(overview.policy),
        "rolled_back": overview.rolled_back,
        "kept": kept.collect::<Value>(),
        "reload_error": overview.error,
    });
    page(StatusCode::OK, &body)
}

/// Reads the files again.
pub(super) async fn reload(
    State(shown): State<Shown>,
    Extension(through): Extension<Through>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let by = match shown.door.admit(through, &headers, Role::Operator) {
        Ok(by) => by,
        Err(denied) => return denied.into_response(),
    };
    let confirm_shrink = match query.as_deref() {
        None | Some("") => false,
        Some("confirm=shrink") => true,
        Some(_) => return error(StatusCode::BAD_REQUEST, "expected no query, or `confirm=shrink`"),
    };
    let answer = tokio::time::timeout(PATIENCE, shown.desk.reload(confirm_shrink, by.clone())).await;
    let Ok(answer) = answer else { return busy() };
    // The deployment file's generators, too, whatever came of the policies: each is taken or left by itself.
    let generators = shown.generators.reload(&by);
    match (answer, generators) {
        (Ok(mut done), Ok(changes)) => {
            done.changes.extend(changes);
            answered(Ok(done))
        }
        (Ok(done), Err(why)) => error(
            StatusCode::UNPROCESSABLE_ENTITY,
            &format!(
                "{why}\nthe generators before stay in force; policy {} is in force as the files say",
                done.policy.digest
            ),
        ),
        (Err(refused), _) => answered(Err(refused)),
    }
}

/// Brings an earlier set back.
pub(super) async fn rollback(
    State(shown): State<Shown>,
    Extension(through): Extension<Through>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let by = match shown.door.admit(through, &headers, Role::Operator) {
        Ok(by) => by,
        Err(denied) => return denied.into_response(),
    };
    let query = query.unwrap_or_default();
    let to = query.strip_prefix("to=").and_then(parse_digest);
    if to.is_none() && !query.is_empty() {
        let expected = "expected no query, or `to=` and the 16 hexadecimal digits of a policy";
        return error(StatusCode::BAD_REQUEST, expected);
    }
    let answer = tokio::time::timeout(PATIENCE, shown.desk.rollback(to, by)).await;
    answer.map_or_else(|_| busy(), answered)
}

fn answered(answer: Answer) -> Response {
    match answer {
        Ok(Done { policy: now, before, changes, start_anew, warnings }) => {
            let body = json!({
                "result": if now.digest == before { "unchanged" } else { "in force" },
                "policy": policy(now),
                "before": before.to_string(),
                "changes": changes,
                "counters_that_start_anew": start_anew,
                "warnings": (!warnings.is_empty()).then(|| warnings.trim_end()),
            });
            page(StatusCode::OK, &body)
        }
        Err(Refused { why, message }) => {
            let status = match why {
                Why::Unreadable | Why::Wrong => StatusCode::UNPROCESSABLE_ENTITY,
                Why::Shrunk | Why::Shipped => StatusCode::CONFLICT,
                Why::NotKept => StatusCode::NOT_FOUND,
                Why::Stopping => StatusCode::SERVICE_UNAVAILABLE,
            };
            error(status, &message)
        }
    }
}

fn busy() -> Response {
    error(
        StatusCode::SERVICE_UNAVAILABLE,
        "the policies are being read, or the gateway is stopping: try again",
    )
}

/// As every page shows it.
pub(super) fn policy(policy: InForce) -> Value {
    json!({
        "digest": policy.digest.to_string(),
        "generation": policy.generation,
        "since": policy.since.to_string(),
    })
}

impl IntoResponse for Denied {
    fn into_response(self) -> Response {
        let mut answer = error(self.status, &self.message);
        let headers = answer.headers_mut();
        if self.status == StatusCode::UNAUTHORIZED {
            // RFC 9110 section 11.6.1 wants a challenge beside every 401.
            headers.insert(header::WWW_AUTHENTICATE, header::HeaderValue::from_static("Bearer"));
        }
        if let Some(wait) = self.wait {
            headers.insert(header::RETRY_AFTER, wait.secs().into());
        }
        answer
    }
}
