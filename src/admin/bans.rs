//! `/bans`: who is denied, why and until when; and the operator's word in it.
//!
//! A ban is named by a letter and a number: `b` for what was convicted, `s` for what would have been (shadow), `p` for what an
//! operator promoted out of it, `o` for the operator's own. Numbers count from the start of the gateway.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Extension, RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use ipnet::IpNet;
use serde_json::{Value, json};

use super::Shown;
use super::door::{Role, Through};
use super::pages::{error, page};
use crate::base::net::Prefix;
use crate::base::rate::parse_length;
use crate::base::room::Room;
use crate::base::time::Timestamp;
use crate::engine::operator::{BanTarget, OperatorBan};
use crate::engine::order::{Disobeyed, Obeyed, Order};
use crate::engine::viewbot::bans::{Ban, Target};
use crate::engine::viewbot::sighting::{Address, KeyNumber};
use crate::engine::viewbot::{PROBATION, Shelf};
use crate::policy::PolicySet;
use crate::policy::diagnostic::{closest, quoted};
use crate::policy::viewbot::ViewbotMode;
use crate::telemetry::access_log::Event;

#[cfg(test)]
mod tests;

/// So many are listed at most; filters find the rest.
const LISTED_MAX: usize = 5_000;

/// Said wherever something is banned: nobody should learn it by a restart.
pub(super) const IN_MEMORY: &str = "in memory alone: it ends with the gateway, if not before; what must outlast it belongs into a blocklist of a policy file";

/// The fields of a query, decoded.
pub(super) struct Fields(Vec<(String, String)>);

impl Fields {
    /// Reads a query; every field must be one of `known`, and stand once.
    pub(super) fn read(query: Option<&str>, known: &[&str]) -> Result<Self, Refused> {
        let mut fields: Vec<(String, String)> = Vec::new();
        for (name, value) in url::form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            if !known.contains(&&*name) {
                let expected: Vec<String> = known.iter().map(|name| format!("`{name}`")).collect();
                return Err(bad(&format!("expected nothing but {} in the query", expected.join(", "))));
            }
            if fields.iter().any(|(other, _)| *other == name) {
                return Err(bad(&format!("`{name}` stands twice in the query")));
            }
            fields.push((name.into_owned(), value.into_owned()));
        }
        Ok(Self(fields))
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn room(&self) -> Result<Option<Room>, Refused> {
        let read = |text: &str| {
            Room::parse(text).map_err(|error| {
                bad(&format!("`{text}`: {error}; a streamer's unique id is written with its `@`"))
            })
        };
        self.get("room").map(read).transpose()
    }

    fn proxy(&self) -> Result<Option<IpAddr>, Refused> {
        let read = |text: &str| {
            let bare = text.split_once('/').map_or(text, |(address, _)| address);
            bare.parse().map_err(|_| bad(&format!("`{text}` is no address, such as `203.0.113.7`")))
        };
        self.get("proxy").map(read).transpose()
    }

    /// A length of time of more than nothing.
    pub(super) fn length(&self, name: &str) -> Result<Option<Duration>, Refused> {
        let read = |text: &str| {
            parse_length(text).map_err(|error| bad(&format!("`{name}` is {}: {error}", quoted(text))))
        };
        self.get(name).map(read).transpose()
    }
}

/// Why an order is not obeyed.
#[derive(Debug)]
pub(super) struct Refused {
    status: StatusCode,
    message: String,
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        error(self.status, &self.message)
    }
}

pub(super) fn bad(message: &str) -> Refused {
    Refused { status: StatusCode::BAD_REQUEST, message: message.to_owned() }
}

fn no_such_ban() -> Refused {
    Refused { status: StatusCode::NOT_FOUND, message: NO_SUCH_BAN.to_owned() }
}

/// The engine obeyed, but not this: a fault of ours.
pub(super) fn misunderstood() -> Response {
    error(StatusCode::INTERNAL_SERVER_ERROR, "another order was obeyed")
}

/// Who is denied.
pub(super) async fn list(
    State(shown): State<Shown>,
    Extension(through): Extension<Through>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    if let Err(denied) = shown.door.admit(through, &headers, Role::Viewer) {
        return denied.into_response();
    }
    listed(&shown, query.as_deref()).unwrap_or_else(Refused::into_response)
}

fn listed(shown: &Shown, query: Option<&str>) -> Result<Response, Refused> {
    let fields = Fields::read(query, &["room", "proxy"])?;
    let (room, proxy) = (fields.room()?, fields.proxy()?);
    let (engine, now) = (&shown.gateway.engine, shown.clock.now());
    let live = shown.gateway.live.load();
    let room = room.map(|room| [room, engine.viewbot().canonical(room, now)]);
    let is_asked =
        |other: Option<Room>| room.is_none_or(|rooms| other.is_some_and(|other| rooms.contains(&other)));
    let mut bans: Vec<Value> = Vec::new();
    let mut count = 0;
    let mut take = |ban: &dyn Fn() -> Value| {
        count += 1;
        if bans.len() < LISTED_MAX {
            bans.push(ban());
        }
    };
    for ban in engine.operator_bans().list(now) {
        let of_room = match &ban.target {
            BanTarget::Room(room) => Some(*room),
            _ => None,
        };
        let holds =
            |proxy: IpAddr| matches!(&ban.target, BanTarget::Prefix(prefix) if prefix.contains(&proxy));
        if is_asked(of_room) && proxy.is_none_or(holds) {
            take(&|| of_operator(&ban));
        }
    }
    for shelf in [Shelf::Promoted, Shelf::Enforced, Shelf::Shadow] {
        for ban in engine.viewbot().shelf(shelf).list(now) {
            let holds = |proxy: IpAddr| ban.target.holds(Address::of(Prefix::proxy(proxy)));
            if is_asked(Some(ban.room)) && proxy.is_none_or(holds) {
                take(&|| of_viewbot(shelf, &ban, &live.policy));
            }
        }
    }
    let body = json!({
        "mode": live.policy.viewbot().mode.word(),
        "bans": bans,
        "left_out": count - bans.len(),
    });
    Ok(page(StatusCode::OK, &body))
}

/// As an operator reads it.
fn of_operator(ban: &OperatorBan) -> Value {
    json!({
        "id": format!("o{}", ban.id),
        "kind": ban.target.word(),
        "whom": ban.target.to_string(),
        "room": match &ban.target { BanTarget::Room(room) => Some(room.to_string()), _ => None },
        "origin": "operator",
        "evidence": &*ban.reason,
        "since": ban.made.to_string(),
        "until": ban.until.to_string(),
        "state": "enforced",
    })
}

fn of_viewbot(shelf: Shelf, ban: &Ban, policy: &PolicySet) -> Value {
    json!({
        "id": format!("{}{}", letter(shelf), ban.id),
        "kind": ban.target.word(),
        "whom": whom(ban, policy),
        "room": ban.room.to_string(),
        "origin": if shelf == Shelf::Promoted { "heuristics, promoted by the operator" } else { "heuristics" },
        "evidence": ban.evidence.to_string(),
        "since": ban.made.to_string(),
        "until": ban.until.to_string(),
        "state": state(shelf, policy.viewbot().mode),
    })
}

/// What it does as things stand: what was convicted in earnest rests while the mode is another.
fn state(shelf: Shelf, mode: ViewbotMode) -> &'static str {
    match (shelf, mode) {
        (Shelf::Enforced, ViewbotMode::Enforce) => "enforced",
        (Shelf::Promoted, mode) if mode != ViewbotMode::Off => "enforced",
        (Shelf::Shadow, ViewbotMode::Throttle) => "throttled",
        (Shelf::Shadow, _) => "shadow",
        (Shelf::Enforced | Shelf::Promoted, _) => "at rest",
    }
}

const fn letter(shelf: Shelf) -> char {
    match shelf {
        Shelf::Enforced => 'b',
        Shelf::Shadow => 's',
        Shelf::Promoted => 'p',
    }
}

fn whom(ban: &Ban, policy: &PolicySet) -> String {
    let agent = ban.label.as_str();
    match &ban.target {
        Target::ViewerInRoom(viewer, room) => {
            format!("{} with {agent}, one viewer of {room}", viewer.address)
        }
        Target::ProfileInRoom(address, _, room) => format!("new ones with {agent} at {address}, in {room}"),
        Target::Profile(address, _) => format!("new ones with {agent} at {address}"),
        Target::Address(address) => format!("new ones at {address}"),
        Target::SubnetInRoom(subnet, room) => format!("new ones of {subnet}, in {room}"),
        Target::KeyInRoom(number, room) => {
            let key = policy.keys().find(|key| KeyNumber::of(key.subject) == *number);
            let key = key.map_or("a key of an earlier policy", |key| key.id.as_str());
            format!("new ones with key {key}, in {room}")
        }
    }
}

/// Bans, in the operator's name.
pub(super) async fn add(
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
    let order = match ban_order(query.as_deref(), now) {
        Ok(order) => order,
        Err(refused) => return refused.into_response(),
    };
    match obey(&shown, &order, &by, now) {
        Ok(Obeyed::Banned(ban, replaced)) => {
            let note = finds_nobody(&ban.target, &shown.gateway.live.load().policy);
            page(
                StatusCode::OK,
                &json!({
                    "result": "banned",
                    "ban": of_operator(&ban),
                    "replaced": replaced.map(|ban| format!("o{}", ban.id)),
                    "kept": IN_MEMORY,
                    "note": note,
                }),
            )
        }
        Ok(_) => misunderstood(),
        Err(refused) => refused.into_response(),
    }
}

/// Why a ban holds nobody as things stand, where that can be told: most likely a slip of the pen.
fn finds_nobody(target: &BanTarget, policy: &PolicySet) -> Option<String> {
    let unknown = |kind: &str, id: &str, known: &mut dyn Iterator<Item = &str>| {
        let similar = closest(id, known).map(|similar| format!("; a similar one is {}", quoted(similar)));
        let similar = similar.unwrap_or_default();
        format!("the policy in force has no {kind} {}, so this ban finds nobody{similar}", quoted(id))
    };
    match target {
        BanTarget::Asn(_) if policy.networks().is_empty() => Some(
            "no request has an autonomous system: the policy has no `[networks]` with a table, so this ban finds nobody"
                .into(),
        ),
        BanTarget::Asn(asn) if !policy.networks().has_asn(*asn) => {
            Some(format!("the table in `[networks]` has no address of AS{asn}, so this ban finds nobody"))
        }
        BanTarget::Account(id) if policy.account_named(id.as_str()).is_none() => {
            let mut known = policy.accounts().iter().map(|account| account.id.as_str());
            Some(unknown("account", id.as_str(), &mut known))
        }
        BanTarget::Key(id) if policy.key_named(id.as_str()).is_none() => {
            Some(unknown("key", id.as_str(), &mut policy.keys().map(|key| key.id.as_str())))
        }
        _ => None,
    }
}

/// A prefix wider than what one network has: a /8 is the widest that anybody holds of IPv4, and of IPv6 a /16 is wider
/// than that. Up to everybody is one digit away.
fn is_wider_than_a_network(target: &BanTarget) -> bool {
    match target {
        BanTarget::Prefix(IpNet::V4(prefix)) => prefix.prefix_len() < 8,
        BanTarget::Prefix(IpNet::V6(prefix)) => prefix.prefix_len() < 16,
        _ => false,
    }
}

fn is_everybody(target: &BanTarget) -> bool {
    matches!(target, BanTarget::Prefix(prefix) if prefix.prefix_len() == 0)
}

fn ban_order(query: Option<&str>, now: Timestamp) -> Result<Order, Refused> {
    const KINDS: [&str; 5] = ["prefix", "asn", "account", "key", "room"];
    let fields =
        Fields::read(query, &["prefix", "asn", "account", "key", "room", "reason", "for", "confirm"])?;
    let mut targets = KINDS.iter().filter_map(|kind| Some((*kind, fields.get(kind)?)));
    let (Some((kind, text)), None) = (targets.next(), targets.next()) else {
        return Err(bad("expected one of `prefix`, `asn`, `account`, `key`, `room`: whom to ban"));
    };
    let target = BanTarget::parse(kind, text).map_err(|why| bad(&why))?;
    let (Some(reason), Some(length)) = (fields.get("reason"), fields.length("for")?) else {
        return Err(bad("expected a `reason`, which the caller is told, and `for` how long"));
    };
    let confirmed = match fields.get("confirm") {
        None => false,
        Some("wide") => true,
        Some(_) => return Err(bad("`confirm` is `wide`, or is left out")),
    };
    if is_wider_than_a_network(&target) && !confirmed {
        let message = format!(
            "`{target}` is wider than any network: it holds {}\nhelp: if that is meant, `--confirm`, or `confirm=wide` in the query",
            if is_everybody(&target) { "everybody" } else { "whole parts of the internet" }
        );
        return Err(Refused { status: StatusCode::CONFLICT, message });
    }
    Ok(Order::Ban { target, until: now + length, reason: reason.trim().to_owned() })
}

/// Lifts bans: one by its id, or all about a proxy.
pub(super) async fn lift(
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
    let (orders, proxy) = match lift_orders(&shown, query.as_deref(), now) {
        Ok(orders) => orders,
        Err(refused) => return refused.into_response(),
    };
    let policy = shown.gateway.live.load();
    let mut lifted = Vec::new();
    for order in orders {
        match obey(&shown, &order, &by, now) {
            Ok(Obeyed::Lifted(ban)) => lifted.push(of_operator(&ban)),
            Ok(Obeyed::Freed(ban)) => {
                let shelf = if let Order::Free(shelf, _) = order { shelf } else { Shelf::Enforced };
                lifted.push(of_viewbot(shelf, &ban, &policy.policy));
            }
            // Of several, one may have ended meanwhile.
            Ok(_) | Err(_) => {}
        }
    }
    if lifted.is_empty() {
        return no_such_ban().into_response();
    }
    page(
        StatusCode::OK,
        &json!({
            "result": "lifted",
            "bans": lifted,
            "probation_secs": PROBATION.as_secs(),
            "note": proxy.and_then(|proxy| own(&shown, proxy, now)),
        }),
    )
}

const NO_SUCH_BAN: &str =
    "there is no such ban: it has ended, or was lifted; `signgate bans list` tells those that stand";

/// What is to be lifted, and of which proxy, where one was named.
fn lift_orders(
    shown: &Shown,
    query: Option<&str>,
    now: Timestamp,
) -> Result<(Vec<Order>, Option<IpAddr>), Refused> {
    let fields = Fields::read(query, &["id", "proxy"])?;
    let engine = &shown.gateway.engine;
    match (fields.get("id"), fields.proxy()?) {
        (Some(id), None) => {
            let (letter, number) = name(id)?;
            if letter == 'o' {
                let bans = engine.operator_bans().list(now);
                let ban = bans.iter().find(|ban| ban.id == number);
                return ban.map(|ban| (vec![Order::Lift(ban.target.clone())], None)).ok_or_else(no_such_ban);
            }
            let shelf = shelf_of(letter);
            let ban = find(shown, shelf, number, now)?;
            Ok((vec![Order::Free(shelf, ban.target)], None))
        }
        (None, Some(proxy)) => {
            let address = Address::of(Prefix::proxy(proxy));
            let of_shelf = |shelf: Shelf| {
                let bans = engine.viewbot().shelf(shelf).list(now).into_iter();
                let about = bans.filter(move |ban| ban.target.holds(address));
                about.map(move |ban| Order::Free(shelf, ban.target))
            };
            let orders: Vec<Order> = Shelf::ALL.into_iter().flat_map(of_shelf).collect();
            if orders.is_empty() {
                let own = own(shown, proxy, now);
                let own = own.unwrap_or_else(|| "`signgate bans list` tells what stands".into());
                let message = format!("view-bot detection has nothing about {proxy}; {own}");
                return Err(Refused { status: StatusCode::NOT_FOUND, message });
            }
            Ok((orders, Some(proxy)))
        }
        _ => Err(bad("expected an `id`, such as `b12`, or a `proxy`")),
    }
}

/// What the operator banned stays, and is named: it is lifted by its id alone. `None` where nothing is.
fn own(shown: &Shown, proxy: IpAddr, now: Timestamp) -> Option<String> {
    const NAMED_MAX: usize = 5;
    let bans = shown.gateway.engine.operator_bans().list(now);
    let holds = |ban: &&Arc<OperatorBan>| matches!(&ban.target, BanTarget::Prefix(prefix) if prefix.contains(&proxy.to_canonical()));
    let ids: Vec<String> = bans.iter().filter(holds).map(|ban| format!("o{}", ban.id)).collect();
    if ids.is_empty() {
        return None;
    }
    let more = if ids.len() > NAMED_MAX { ", and more" } else { "" };
    let ids = ids[..ids.len().min(NAMED_MAX)].join(" ");
    Some(format!("your own bans stand: `signgate bans lift {ids}`{more}"))
}

/// Makes a conviction in shadow real.
pub(super) async fn promote(
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
    let order = Fields::read(query.as_deref(), &["id"]).and_then(|fields| {
        let id = fields.get("id").ok_or_else(|| bad("expected an `id`, such as `s12`"))?;
        let (letter, number) = name(id)?;
        if letter != 's' {
            return Err(bad(&format!("`{id}` is not in shadow: only what begins with `s` can be promoted")));
        }
        Ok(Order::Promote(find(&shown, Shelf::Shadow, number, now)?.target))
    });
    let obeyed = order.and_then(|order| obey(&shown, &order, &by, now));
    match obeyed {
        Ok(Obeyed::Promoted(ban)) => {
            let live = shown.gateway.live.load();
            let ban = of_viewbot(Shelf::Promoted, &ban, &live.policy);
            page(StatusCode::OK, &json!({ "result": "promoted", "ban": ban, "kept": IN_MEMORY }))
        }
        Ok(_) => misunderstood(),
        Err(refused) => refused.into_response(),
    }
}

/// A letter and a number.
fn name(id: &str) -> Result<(char, u64), Refused> {
    let mut letters = id.chars();
    let named = letters.next().filter(|letter| "bspo".contains(*letter));
    named.and_then(|letter| Some((letter, letters.as_str().parse().ok()?))).ok_or_else(|| {
        bad(&format!("`{id}` names no ban: expected an id such as `b12`, as `signgate bans list` shows it"))
    })
}

const fn shelf_of(letter: char) -> Shelf {
    match letter {
        's' => Shelf::Shadow,
        'p' => Shelf::Promoted,
        _ => Shelf::Enforced,
    }
}

fn find(shown: &Shown, shelf: Shelf, number: u64, now: Timestamp) -> Result<Arc<Ban>, Refused> {
    let bans = shown.gateway.engine.viewbot().shelf(shelf).list(now);
    bans.into_iter().find(|ban| ban.id == number).ok_or_else(no_such_ban)
}

/// Does what is ordered, and says so in log and record.
pub(super) fn obey(shown: &Shown, order: &Order, by: &str, now: Timestamp) -> Result<Obeyed, Refused> {
    let obeyed = shown.gateway.engine.obey(order, now).map_err(|why| match why {
        Disobeyed::NoSuchBan => no_such_ban(),
        Disobeyed::Untaken(why) => {
            Refused { status: StatusCode::UNPROCESSABLE_ENTITY, message: why.to_string() }
        }
    })?;
    let text = order.to_string();
    tracing::info!(by, order = %text, "the operator's {}", order.word());
    shown.record.event(&Event {
        time: now,
        seq: 0,
        event: order.word(),
        policy: None,
        order: Some(&text),
        detail: Some(by),
    });
    Ok(obeyed)
}
