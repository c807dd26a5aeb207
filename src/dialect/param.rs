//! Which names mean something here, in queries, in URLs to be signed and in bodies.

/// What a parameter is, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Param {
    /// `apiKey`: the client's key. Never forwarded.
    Key,
    /// `url`: what is to be signed.
    Url,
    /// `room_id`.
    RoomId,
    /// `unique_id`, `uniqueId`.
    UniqueId,
    /// `session_id`: a session credential.
    Session,
    /// `tt_target_idc`: goes with a session, but is sent without one too.
    SessionPlace,
    /// `client`: the library's own name.
    Client,
    /// `device_id`.
    Device,
    /// Anything else: forwarded as it is.
    Other,
}

impl Param {
    /// Of a decoded name. In either case, with or without `_` and `-`, and as the first of an array (`room_id[]`,
    /// `room_id[0]`): generators differ in how forgiving they read names, so everything that one of them might take
    /// for a room is one.
    pub fn of(name: &str) -> Self {
        const LONGEST: usize = 18;
        // What clients send, at the price of a comparison.
        match name {
            "room_id" => return Self::RoomId,
            "client" => return Self::Client,
            "tt_target_idc" => return Self::SessionPlace,
            "apiKey" => return Self::Key,
            "url" => return Self::Url,
            "user_agent" | "client_enter" | "cursor" | "platform" | "uuc" | "country" => return Self::Other,
            _ => {}
        }
        let bytes = name.as_bytes();
        // Most parameters are a browser's, and their first letter says so.
        if !matches!(
            bytes.first(),
            Some(
                b'a' | b'A'
                    | b'c'
                    | b'C'
                    | b'd'
                    | b'D'
                    | b'j'
                    | b'J'
                    | b'o'
                    | b'O'
                    | b'r'
                    | b'R'
                    | b's'
                    | b'S'
                    | b't'
                    | b'T'
                    | b'u'
                    | b'U'
                    | b'x'
                    | b'X'
                    | b'_'
                    | b'-'
            )
        ) {
            return Self::Other;
        }
        let mut folded = [0; LONGEST];
        let mut length = 0;
        for byte in bytes {
            match byte {
                b'[' => break,
                b'_' | b'-' => {}
                _ if length == LONGEST => return Self::Other,
                other => {
                    folded[length] = other.to_ascii_lowercase();
                    length += 1;
                }
            }
        }
        match &folded[..length] {
            b"apikey" | b"xapikey" | b"jwtkey" | b"xjwtkey" => Self::Key,
            b"url" => Self::Url,
            b"roomid" | b"targetroomid" => Self::RoomId,
            b"uniqueid" | b"targetuniqueid" => Self::UniqueId,
            b"sessionid" | b"sessionidss" | b"sidtt" | b"sidguard" | b"xcookieheader" | b"oauthtoken"
            | b"xoauthtoken" => Self::Session,
            b"tttargetidc" => Self::SessionPlace,
            b"client" => Self::Client,
            b"deviceid" => Self::Device,
            _ => Self::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_that_a_generator_might_take() {
        for (param, names) in [
            (
                Param::RoomId,
                &["room_id", "roomId", "ROOM-ID", "room_id[]", "room_id[0]", "targetRoomId", "_room_id"][..],
            ),
            (Param::UniqueId, &["unique_id", "uniqueId", "targetUniqueId"]),
            (Param::Key, &["apiKey", "apikey", "api_key", "x-api-key", "jwtKey"]),
            (Param::Url, &["url", "URL", "url[]"]),
            (Param::Session, &["session_id", "sessionId", "sessionid_ss", "sid_tt", "x-oauth-token"]),
            (Param::SessionPlace, &["tt_target_idc", "tt-target-idc", "ttTargetIdc"]),
            (Param::Client, &["client"]),
            (Param::Device, &["device_id"]),
            (
                Param::Other,
                &[
                    "",
                    "room",
                    "rooms_id",
                    "urls",
                    "client_enter",
                    "user_agent",
                    "cursor",
                    "uuc",
                    "[]",
                    "root_referer",
                ],
            ),
        ] {
            for name in names {
                assert_eq!(Param::of(name), param, "{name}");
            }
        }
    }
}
