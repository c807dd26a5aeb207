//! `/generators`: which are asked, which are on trial, and the operator's word in it.

use std::sync::Arc;

use axum::extract::{Extension, RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::Shown;
use super::bans::Fields;
use super::door::{Role, Through};
use super::pages::{error, page};
use crate::control::generators::{Disobeyed, Listed, Order};
use crate::generator::condition::{Known, Trouble};
use crate::generator::member::Generator;

/// All of them.
pub(super) async fn list(
    State(shown): State<Shown>,
    Extension(through): Extension<Through>,
    headers: HeaderMap,
) -> Response {
    if let Err(denied) = shown.door.admit(through, &headers, Role::Viewer) {
        return denied.into_response();
    }
    let conditions = conditions(&shown);
    let mut generators: Vec<Value> = shown.generators.list().iter().map(listed).collect();
    for one in &mut generators {
        add_condition(one, &conditions);
    }
    page(StatusCode::OK, &json!({ "generators": generators }))
}

/// How each generator is, by its name.
pub(super) type Conditions = Vec<(Arc<str>, Condition)>;

/// Whether it is in service, and what is known of that.
pub(super) struct Condition {
    healthy: bool,
    known: Option<Known>,
}

/// Of all generators in force.
pub(super) fn conditions(shown: &Shown) -> Conditions {
    let roster = shown.generators.stage().roster();
    let serving = roster.serving();
    let condition = |(place, generator): (usize, &Arc<Generator>)| {
        let known = generator.condition.known();
        (Arc::clone(&generator.name), Condition { healthy: serving.contains(place), known })
    };
    roster.all().iter().enumerate().map(condition).collect()
}

/// Adds to the object of a generator whether it works, since when, why not, and all of it in words.
pub(super) fn add_condition(one: &mut Value, conditions: &Conditions) {
    let found = conditions.iter().find(|(name, _)| one["name"] == **name);
    let Some((_, Condition { healthy, known })) = found else { return };
    // Between the two readings it may have changed: then nothing is said of the other state.
    let known = known.as_ref().filter(|known| known.trouble.is_none() == *healthy);
    let since = known.map(|known| known.since.to_string());
    let why_not = known.and_then(|known| known.trouble.as_ref()).map(Trouble::words);
    let mut words = vec![if *healthy { "works" } else { "does not work" }];
    if let Some(since) = &since {
        words.extend([", since ", since]);
    }
    if let Some(why) = &why_not {
        words.extend([": ", why]);
    }
    let words = words.concat();
    one["healthy"] = (*healthy).into();
    one["since"] = since.into();
    one["why_not"] = why_not.into();
    one["condition"] = words.into();
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
