//! What a generator does with what it is asked.

/// A way of answering, or of failing to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mood {
    /// An answer that works, after 20 ms.
    Good,
    /// The machine is gone: nothing answers, not even to a connect.
    Dead,
    /// The process is gone: connects are refused, open connections are closed.
    Refused,
    /// An answer that works, after three seconds.
    Slow,
    /// Takes the request and says nothing.
    HangsBefore,
    /// Sends the head and half of the body, then nothing.
    HangsAmid,
    /// Bytes that are no HTTP.
    Garbage,
    /// Half of the body, then closes.
    CutShort,
    /// 200 with a page that says sorry.
    Html,
    /// 200 with no body: a soft block.
    Empty,
    /// A good body without `X-Set-TT-Cookie`.
    NoCookie,
    /// A well-formed stub that points at a fallback host.
    FallbackHost,
    /// Its own 429.
    OwnLimit,
    /// 400 with a page, whatever it is asked: as if the request were at fault.
    Blames,
    /// A header line of one mebibyte before a good body.
    HugeHead,
    /// A body that never ends, quickly.
    EndlessBody,
    /// A good answer, one byte each tenth of a second.
    Drip,
    /// Takes the request and resets the connection.
    Reset,
    /// Says that the body is ten bytes shorter than it is.
    WrongLength,
    /// In turns good for two seconds and gone ([`Mood::Refused`]) for two.
    Flapping,
}

impl Mood {
    /// All sick ones.
    pub const SICK: [Self; 19] = [
        Self::Dead,
        Self::Refused,
        Self::Slow,
        Self::HangsBefore,
        Self::HangsAmid,
        Self::Garbage,
        Self::CutShort,
        Self::Html,
        Self::Empty,
        Self::NoCookie,
        Self::FallbackHost,
        Self::OwnLimit,
        Self::Blames,
        Self::HugeHead,
        Self::EndlessBody,
        Self::Drip,
        Self::Reset,
        Self::WrongLength,
        Self::Flapping,
    ];

    /// As it is written on a command line and in a table.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Dead => "dead",
            Self::Refused => "refused",
            Self::Slow => "slow",
            Self::HangsBefore => "hangs-before",
            Self::HangsAmid => "hangs-amid",
            Self::Garbage => "garbage",
            Self::CutShort => "cut-short",
            Self::Html => "html",
            Self::Empty => "empty",
            Self::NoCookie => "no-cookie",
            Self::FallbackHost => "fallback-host",
            Self::OwnLimit => "own-429",
            Self::Blames => "blames",
            Self::HugeHead => "huge-head",
            Self::EndlessBody => "endless-body",
            Self::Drip => "drip",
            Self::Reset => "reset",
            Self::WrongLength => "wrong-length",
            Self::Flapping => "flapping",
        }
    }

    /// The mood of that word.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Good].into_iter().chain(Self::SICK).find(|mood| mood.word() == word)
    }
}
