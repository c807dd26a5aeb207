//! The pages: what is asked, what is answered.

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::{Value, json};

use super::{Shown, bans, generators, policies, record, viewbot};
use crate::telemetry::readiness::{self, Phase};

/// The text format of Prometheus.
const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// All of them. Each answers GET, and HEAD as RFC 9110 section 9.1 asks of every server; what changes something is a POST.
/// Requests carry where they came in, as [`Through`](super::door::Through).
pub(super) fn router(shown: Shown) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/policies", get(policies::overview))
        .route("/policies/reload", post(policies::reload).fallback(post_only))
        .route("/policies/rollback", post(policies::rollback).fallback(post_only))
        .route("/generators", get(generators::list))
        .route("/generators/promote", post(generators::promote).fallback(post_only))
        .route("/generators/rollback", post(generators::roll_back).fallback(post_only))
        .route("/generators/drain", post(generators::drain).fallback(post_only))
        .route("/generators/reset", post(generators::reset).fallback(post_only))
        .route("/bans", get(bans::list))
        .route("/bans/add", post(bans::add).fallback(post_only))
        .route("/bans/lift", post(bans::lift).fallback(post_only))
        .route("/bans/promote", post(bans::promote).fallback(post_only))
        .route("/viewbot/rooms", get(viewbot::rooms))
        .route("/viewbot/pardon", post(viewbot::pardon).fallback(post_only))
        .route("/record/rotate", post(record::rotate).fallback(post_only))
        .method_not_allowed_fallback(wrong_method)
        .fallback(unknown_path)
        .with_state(shown)
}

async fn metrics(State(shown): State<Shown>) -> Response {
    ([(header::CONTENT_TYPE, METRICS_TYPE), (header::CACHE_CONTROL, "no-store")], shown.metrics.text())
        .into_response()
}

/// The process is alive as long as this answers at all.
async fn healthz() -> Response {
    page(StatusCode::OK, &json!({ "status": "alive" }))
}

async fn readyz(State(shown): State<Shown>) -> Response {
    let state = shown.readiness.state();
    let status = if state.phase == Phase::Ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let mut body = readiness_json(&state);
    let conditions = generators::conditions(&shown);
    for generator in body["generators"].as_array_mut().into_iter().flatten() {
        generators::add_condition(generator, &conditions);
    }
    viewbot::add_readiness(&shown, &mut body);
    page(status, &body)
}

fn readiness_json(state: &readiness::State) -> Value {
    let reload_error = state
        .reload_error
        .as_ref()
        .map(|error| json!({ "at": error.at.to_string(), "message": error.message }));
    let generators = state.generators.iter().map(
        |generator| json!({ "name": generator.name, "kind": generator.kind, "in_use": generator.in_use }),
    );
    json!({
        "status": state.phase.word(),
        "policy": state.policy.map(policies::policy),
        "rolled_back": state.rolled_back,
        "reload_error": reload_error,
        "generators": generators.collect::<Value>(),
    })
}

async fn wrong_method() -> Response {
    let mut answer = error(StatusCode::METHOD_NOT_ALLOWED, "pages of the admin listener are read with GET");
    answer.headers_mut().insert(header::ALLOW, header::HeaderValue::from_static("GET, HEAD"));
    answer
}

async fn post_only() -> Response {
    let mut answer = error(StatusCode::METHOD_NOT_ALLOWED, "this changes something: send a POST");
    answer.headers_mut().insert(header::ALLOW, header::HeaderValue::from_static("POST"));
    answer
}

async fn unknown_path() -> Response {
    error(
        StatusCode::NOT_FOUND,
        "no such page; there are `/metrics`, `/healthz`, `/readyz`, `/policies`, `/generators`, `/bans`, `/viewbot/rooms`, and \
         `/policies/reload`, `/policies/rollback`, `/generators/promote`, `/generators/rollback`, `/generators/drain`, \
         `/generators/reset`, `/bans/add`, `/bans/lift`, `/bans/promote`, `/viewbot/pardon` and \
         `/record/rotate` to POST to",
    )
}

pub(super) fn error(status: StatusCode, message: &str) -> Response {
    page(status, &json!({ "code": status.as_u16(), "message": message, "error": message }))
}

pub(super) fn page(status: StatusCode, body: &Value) -> Response {
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
    (status, headers, format!("{body}\n")).into_response()
}
