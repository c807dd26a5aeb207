//! Whether a target names a room: any target at all, also one that was refused because it could not be read.

use percent_encoding::percent_decode;

use super::param::Param;
use crate::base::room::Room;

/// Whether a room is named where one can stand: behind `@`, `rooms/` or `anchors/`, or as the value of a parameter that is read
/// for a room, in the target itself or in the URL that it holds, escaped or not. Elsewhere the same word is another's: a path
/// has a `webcast`, and streamers may be called so.
pub fn mentions(target: &str, room: Room) -> bool {
    // Twice: of the URL to be signed the values are escaped once more.
    let once: Vec<u8> = percent_decode(target.as_bytes()).collect();
    let decoded = percent_decode(&once).decode_utf8_lossy().to_lowercase();
    let word = match room {
        Room::Id(id) => id.to_string(),
        Room::Anchor(name) => name.as_str().to_owned(),
    };
    decoded.match_indices(&word).any(|(at, found)| {
        may_begin_behind(&decoded[..at], room) && may_end_before(&decoded[at + found.len()..])
    })
}

/// A handle may have digits alone, and then it is another's than the room of that number: each is where it can stand alone.
fn may_begin_behind(before: &str, room: Room) -> bool {
    let (may_be_id, may_be_handle) = match room {
        Room::Id(_) => (true, false),
        Room::Anchor(name) => (!name.as_str().bytes().all(|byte| byte.is_ascii_digit()), true),
    };
    let segment = before.trim_end_matches('/');
    let is_behind = |of| segment.len() < before.len() && segment.ends_with(of);
    let pair = before.rsplit(['?', '&']).next().unwrap_or_default();
    let name = pair.strip_suffix('=').filter(|name| !name.contains('='));
    let is_value_of = |param| name.is_some_and(|name| Param::of(name) == param);
    may_be_id && (is_behind("/rooms") || is_value_of(Param::RoomId))
        || may_be_handle && (before.ends_with('@') || is_behind("/anchors") || is_value_of(Param::UniqueId))
}

fn may_end_before(after: &str) -> bool {
    after.is_empty() || after.starts_with(['/', '?', '&', '#'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_room_is_named_only_where_one_can_stand() {
        for (target, room) in [
            ("/webcast/fetch?room_id=71", "71"),
            ("/webcast/fetch?roomId[]=71&x=1", "71"),
            ("/webcast/rooms/71/connect", "71"),
            ("//webcast//rooms//71", "71"),
            ("/webcast/room_id?uniqueId=Some.Name&x=1", "@some.name"),
            ("/webcast/room_id?UNIQUE-ID=%40some.name", "@some.name"),
            ("/webcast/anchors/Some.Name/restart?x=1", "@some.name"),
            ("/webcast/anchors/%40Some.Name", "@some.name"),
            ("/webcast/sign_url?url=https%3A%2F%2Fh%2Fp%3Faid%3D1%26room_id%3D71", "71"),
            ("/webcast/sign_url?url=https%3A%2F%2Fh%2Fp%3Funique_id%3D%2540some.name%26a%3Db", "@some.name"),
            ("/webcast/sign_url?url=https%3A%2F%2Fwww.tiktok.com%2F%40Some.Name%2Flive", "@some.name"),
            ("/webcast/fetch?room_id=fetch", "@fetch"),
            ("/webcast/anchors/71/connect", "@71"),
            ("/webcast/room_id?uniqueId=71", "@71"),
        ] {
            assert!(mentions(target, Room::parse(room).unwrap()), "{target} {room}");
        }
        let usual =
            "/webcast/fetch?client=ttlive-node&platform=web&room_id=71&cursor=72&user_agent=a/73&room=74";
        for room in ["@webcast", "@fetch", "@web", "@node", "@ttlive", "@room_id", "7", "1", "72", "73", "74"]
        {
            assert!(!mentions(usual, Room::parse(room).unwrap()), "{room}");
        }
        for (target, room) in [
            ("/webcast/fetch?room_id=71-2", "71"),
            ("/webcast/fetch?room_id=0071", "71"),
            ("/webcast/anchors/some.name", "@some"),
            ("/webcast/anchors/some.name", "@name"),
            ("/webcast/chatrooms/71/connect", "71"),
            (
                "/webcast/sign_url?url=https%3A%2F%2Fwebcast.tiktok.com%2Fwebcast%2F%3Froom_id%3D71",
                "@webcast",
            ),
            ("/webcast/fetch?x=room_id=71", "71"),
            ("/webcast/anchors/71/connect", "71"),
            ("/webcast/room_id?uniqueId=71", "71"),
            ("/webcast/rooms/71/connect", "@71"),
            ("/webcast/fetch?room_id=71", "@71"),
        ] {
            assert!(!mentions(target, Room::parse(room).unwrap()), "{target} {room}");
        }
    }
}
