//! How a request ended, in one word: for the record, for the metrics, and for replay.

/// How a request ended. In a record, a line without an outcome had a good answer (design 7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// A generator answered well, or the gateway answered by itself (limits).
    Good,
    /// The policy refused it.
    Refused,
    /// The request itself was wrong: framing, path, method, sizes, contradicting parameters.
    Invalid,
    /// The generator said that the request is to blame: its answer was passed on, and it is charged.
    RequestBlamed,
    /// Every attempt failed, and the generators are to blame: no answer, cut, rubbish, soft block, 5xx, its own limits.
    GeneratorFailed,
    /// No generator could be asked: all ejected, or none with room for it.
    NoCapacity,
    /// Time ran out before an answer was there.
    TimedOut,
    /// The client hung up first.
    ClientGone,
    /// The gateway failed by itself. Somebody should look.
    GatewayFailed,
}

impl Outcome {
    /// How many there are.
    pub const COUNT: usize = Self::ALL.len();

    /// All of them, in the order of their [`index`](Self::index).
    pub const ALL: [Self; 9] = [
        Self::Good,
        Self::Refused,
        Self::Invalid,
        Self::RequestBlamed,
        Self::GeneratorFailed,
        Self::NoCapacity,
        Self::TimedOut,
        Self::ClientGone,
        Self::GatewayFailed,
    ];

    /// The word in records and metrics.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Refused => "refused",
            Self::Invalid => "invalid",
            Self::RequestBlamed => "request-blamed",
            Self::GeneratorFailed => "generator-failed",
            Self::NoCapacity => "no-capacity",
            Self::TimedOut => "timed-out",
            Self::ClientGone => "client-gone",
            Self::GatewayFailed => "gateway-failed",
        }
    }

    /// The outcome of that [`word`](Self::word).
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.word() == word)
    }

    /// Its place in tables, from 0.
    pub const fn index(self) -> usize {
        self as usize
    }
}
