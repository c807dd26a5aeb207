//! What is wrong with a request that is not even looked at: row 1 of the order of checks (design 3).
//!
//! The texts are for the developer of the client. They quote nothing that the request holds: a key may stand anywhere
//! in it.

use crate::base::room::RoomError;

/// A request that cannot be read, or that says two things at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The target is not `/path?query`, or holds bytes that have no place in one (RFC 9112 section 3.2.1).
    #[error("the request target is not a path and a query; send it as `/webcast/fetch?room_id=…`")]
    BadTarget,
    /// The target is longer than [`TARGET_BYTES_MAX`](super::request::TARGET_BYTES_MAX).
    #[error("the request target is too long; at most 32768 bytes are read")]
    TargetTooLong,
    /// The path holds dot segments, parameters, or escapes of anything but unreserved characters.
    #[error(
        "the path holds escaped slashes, dot segments or characters that no path of this sign service has"
    )]
    BadPath,
    /// No such path.
    #[error(
        "there is no such path here; this sign service knows `/webcast/fetch`, `/webcast/sign_url`, `/webcast/rate_limits`, \
             `/webcast/room_id`, `/webcast/chat` and their newer spellings"
    )]
    UnknownPath,
    /// The path is known with other methods.
    #[error("this path takes other methods: {allow}")]
    MethodNotAllowed {
        /// The list for the `Allow` header (RFC 9110 section 10.2.1).
        allow: &'static str,
    },
    /// More parameters than are read.
    #[error("the query has too many parameters")]
    TooManyParameters,
    /// A `%` that is not followed by two hexadecimal digits.
    #[error(
        "the query holds a `%` that is not followed by two hexadecimal digits; percent-encode `%` itself as `%25`"
    )]
    BadEscape,
    /// Decoded, a parameter is not UTF-8, or holds control characters.
    #[error("the query holds control characters or bytes that are not UTF-8")]
    BadText,
    /// A header whose value cannot be used.
    #[error("the header `{name}` holds characters that it may not hold, or is too long")]
    BadHeader {
        /// Its name.
        name: &'static str,
    },
    /// A header that stands twice with two values.
    #[error("the header `{name}` stands twice with different values; send it once")]
    ConflictingHeader {
        /// Its name.
        name: &'static str,
    },
    /// Two different keys.
    #[error("two different API keys came with one request; send one, in the header `X-Api-Key`")]
    ConflictingKey,
    /// A key beyond [`KEY_BYTES_MAX`](super::request::KEY_BYTES_MAX).
    #[error("the API key is too long; a key has at most 512 bytes")]
    KeyTooLong,
    /// A key inside the URL to be signed: the platform would see it.
    #[error(
        "the `url` to be signed holds an API key; send the key in the header `X-Api-Key` and never inside the `url`"
    )]
    KeyInUrl,
    /// A room that is none.
    #[error("the room cannot be read: {0}")]
    BadRoom(RoomError),
    /// Two different rooms.
    #[error(
        "the request names two different rooms; name one, and name it the same in path, query, `url` and body"
    )]
    ConflictingRoom,
    /// No room where the operation is about one.
    #[error("the request names no room; send `room_id`, or `unique_id` where the id is not known")]
    MissingRoom,
    /// A URL to be signed that is not one.
    #[error("the `url` to be signed cannot be taken: {why}")]
    BadUrl {
        /// What is wrong with it.
        why: &'static str,
    },
    /// Two different URLs to be signed.
    #[error("the request holds two different URLs to be signed; send one `url`")]
    ConflictingUrl,
    /// No URL to be signed.
    #[error("there is nothing to sign; send the URL as `url`")]
    MissingUrl,
    /// A body beyond [`BODY_BYTES_MAX`](super::request::BODY_BYTES_MAX).
    #[error("the body is too large; at most 65536 bytes are read")]
    BodyTooLarge,
    /// A body that is no JSON object, or whose known fields are of the wrong kind.
    #[error(
        "the body is not a JSON object whose known fields are text, such as {{\"url\":\"https://…\",\"method\":\"GET\"}}"
    )]
    BadBody,
    /// A field of the body that stands twice with two values.
    #[error("the field `{name}` stands twice in the body with different values")]
    ConflictingField {
        /// Its name.
        name: &'static str,
    },
}

impl Fault {
    /// The status that answers it.
    pub const fn status(self) -> u16 {
        match self {
            Self::UnknownPath => 404,
            Self::MethodNotAllowed { .. } => 405,
            Self::BodyTooLarge => 413,
            Self::TargetTooLong => 414,
            Self::BadTarget
            | Self::BadPath
            | Self::TooManyParameters
            | Self::BadEscape
            | Self::BadText
            | Self::BadHeader { .. }
            | Self::ConflictingHeader { .. }
            | Self::ConflictingKey
            | Self::KeyTooLong
            | Self::KeyInUrl
            | Self::BadRoom(_)
            | Self::ConflictingRoom
            | Self::MissingRoom
            | Self::BadUrl { .. }
            | Self::ConflictingUrl
            | Self::MissingUrl
            | Self::BadBody
            | Self::ConflictingField { .. } => 400,
        }
    }

    /// The word in answers (`limit_label`), metrics and records.
    pub const fn label(self) -> &'static str {
        match self {
            Self::BadTarget => "bad_target",
            Self::TargetTooLong => "target_too_long",
            Self::BadPath => "bad_path",
            Self::UnknownPath => "unknown_path",
            Self::MethodNotAllowed { .. } => "method_not_allowed",
            Self::TooManyParameters => "too_many_parameters",
            Self::BadEscape => "bad_escape",
            Self::BadText => "bad_text",
            Self::BadHeader { .. } => "bad_header",
            Self::ConflictingHeader { .. } => "conflicting_header",
            Self::ConflictingKey => "conflicting_key",
            Self::KeyTooLong => "key_too_long",
            Self::KeyInUrl => "key_in_url",
            Self::BadRoom(_) => "bad_room",
            Self::ConflictingRoom => "conflicting_room",
            Self::MissingRoom => "missing_room",
            Self::BadUrl { .. } => "bad_url",
            Self::ConflictingUrl => "conflicting_url",
            Self::MissingUrl => "missing_url",
            Self::BodyTooLarge => "body_too_large",
            Self::BadBody => "bad_body",
            Self::ConflictingField { .. } => "conflicting_field",
        }
    }

    /// The list for the `Allow` header of a 405.
    pub const fn allow(self) -> Option<&'static str> {
        match self {
            Self::MethodNotAllowed { allow } => Some(allow),
            _ => None,
        }
    }
}

impl From<RoomError> for Fault {
    fn from(error: RoomError) -> Self {
        Self::BadRoom(error)
    }
}
