//! `/record/rotate`: sets the access record's file aside, so that somebody may rewrite what was recorded.

use std::time::Duration;

use axum::extract::{Extension, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::Shown;
use super::door::{Role, Through};
use super::pages::{error, page};
use crate::telemetry::access_log::Event;

/// Workers hand their lines on four times a second: what was answered before somebody asked is in the file then.
const LINES_ON_THEIR_WAY: Duration = Duration::from_millis(300);

/// A writer that is behind answers within that.
const PATIENCE: Duration = Duration::from_secs(30);

/// Sets the file aside and begins a new one.
pub(super) async fn rotate(
    State(shown): State<Shown>,
    Extension(through): Extension<Through>,
    headers: HeaderMap,
) -> Response {
    let by = match shown.door.admit(through, &headers, Role::Operator) {
        Ok(by) => by,
        Err(denied) => return denied.into_response(),
    };
    tokio::time::sleep(LINES_ON_THEIR_WAY).await;
    match tokio::time::timeout(PATIENCE, shown.record.rotate()).await {
        Ok(Ok(())) => {
            let time = shown.clock.now();
            shown.record.event(&Event {
                time,
                seq: 0,
                event: "record-rotated",
                policy: None,
                order: None,
                detail: Some(&by),
            });
            page(StatusCode::OK, &json!({ "result": "rotated" }))
        }
        Ok(Err(why)) => error(StatusCode::CONFLICT, &why),
        Err(_) => error(StatusCode::SERVICE_UNAVAILABLE, "the access record's writer is behind: try again"),
    }
}
