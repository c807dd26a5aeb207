//! `/generators`: which are asked, which are on trial, and the operator's word in it.

use axum::extract::{Extension, RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::Shown;
use super::bans::Fields;
use super::door::{Role, Through};
use super::pages::{error, page};
use crate::control::generators::{Disobeyed, Listed, Order};

/// All of them.
pub(super) async fn list(
    State(shown): State<Shown>,
    Extension(through): Extension<Through>,
    headers: HeaderMap,
) -> Response {
    if let Err(denied) = shown.door.admit(through, &headers, Role::Viewer) {
        return denied.into_response();
    }
    let generators: Value = shown.generators.list().iter().map(listed).collect();
    page(StatusCode::OK, &json!({ "generators": generators }))
}

fn listed(one: &Listed) -> Value {
    json!({
        "name": &*one.name,
        "kind": one.kind,
        "duty": one.duty.word(),
        "healthy": one.healthy,
        "canary_of": one.canary.as_ref().map(|(of, _)| &**of),
        "canary_share": one.canary.as_ref().map(|(_, share)| share),
        "in_flight": one.in_flight,
        "in_flight_max": one.in_flight_max,
        "answer_bytes": one.answer_bytes,
    })
}

pub(super) async fn promote(
    shown: State<Shown>,
    through: Extension<Through>,
    query: RawQuery,
    headers: HeaderMap,
) -> Response {
    obey(Order::Promote, &shown, through, query, &headers)
}

pub(super) async fn roll_back(
    shown: State<Shown>,
    through: Extension<Through>,
    query: RawQuery,
    headers: HeaderMap,
) -> Response {
    obey(Order::RollBack, &shown, through, query, &headers)
}

pub(super) async fn drain(
    shown: State<Shown>,
    through: Extension<Through>,
    query: RawQuery,
    headers: HeaderMap,
) -> Response {
    obey(Order::Drain, &shown, through, query, &headers)
}

pub(super) async fn reset(
    shown: State<Shown>,
    through: Extension<Through>,
    query: RawQuery,
    headers: HeaderMap,
) -> Response {
    obey(Order::Reset, &shown, through, query, &headers)
}

fn obey(
    order: Order,
    shown: &Shown,
    Extension(through): Extension<Through>,
    RawQuery(query): RawQuery,
    headers: &HeaderMap,
) -> Response {
    let by = match shown.door.admit(through, headers, Role::Operator) {
        Ok(by) => by,
        Err(denied) => return denied.into_response(),
    };
    let fields = match Fields::read(query.as_deref(), &["name"]) {
        Ok(fields) => fields,
        Err(refused) => return refused.into_response(),
    };
    let Some(name) = fields.get("name") else {
        return error(StatusCode::BAD_REQUEST, "expected `name=` and the generator's name in the query");
    };
    match shown.generators.obey(order, name, &by) {
        Ok((before, now)) => {
            page(StatusCode::OK, &json!({ "name": name, "before": before.word(), "duty": now.word() }))
        }
        Err(why) => {
            let status = match why {
                Disobeyed::Unknown(_) => StatusCode::NOT_FOUND,
                Disobeyed::Unchanged(..) => StatusCode::CONFLICT,
            };
            error(status, &why.to_string())
        }
    }
}
