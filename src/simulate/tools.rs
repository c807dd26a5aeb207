//! The client libraries and apps, and how each spells its requests (`contract.md` section 1).
//!
//! A tool here is a library at a version on a platform: what a gateway sees as `User-Agent` and `client=`. None sends a
//! device id by itself.

use super::random::Random;

/// How a tool asks to be connected to a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spelling {
    /// Generation A: `GET /webcast/fetch?room_id=`.
    Fetch,
    /// The same with a slash behind it: TikTokLive up to 6.6.5, gotiktoklive.
    FetchSlash,
    /// Generation B: `GET /webcast/rooms/{room_id}/connect`.
    RoomPath,
    /// Generation C: `GET /webcast/anchors/{unique_id}/connect`.
    AnchorPath,
    /// Generation 0: `GET /webcast/sign_url?url=`.
    UrlInQuery,
    /// `POST /webcast/sign_url` with the URL in its body.
    UrlInBody,
}

/// One library, or one app made with it, at one version.
#[derive(Debug, Clone)]
pub(super) struct Tool {
    pub user_agent: String,
    /// The word of `client=`.
    pub client: &'static str,
    pub spelling: Spelling,
    /// Its share among all people's tools, where nobody prefers anything.
    share: f64,
    /// The release that its users go over to: which, from when, over how long (milliseconds).
    successor: Option<(u16, u64, u64)>,
}

/// Where a tool stands in [`Tools`].
pub(super) type ToolId = u16;

const CHROME: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36";
const CHROME_OLD: &str =
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/115.0.0.0 Safari/537.36";
const EDGE: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/102.0.5005.63 Safari/537.36 Edg/102.0.1245.33";

/// Places of the tools that scenarios name.
pub(super) const PYTHON: ToolId = 0;
pub(super) const PYTHON_OLD: ToolId = 1;
pub(super) const NODE: ToolId = 2;
/// One that few still have.
pub(super) const PYTHON_RARE: ToolId = 7;
pub(super) const JAVA: ToolId = 8;
/// What hobby programs on a platform are made with.
pub(super) const NODE_PLATFORM: ToolId = 4;

/// The usual ones, by how many people use them. User agent, `client=`, spelling, share.
const USUAL: [(&str, &str, Spelling, f64); 14] = [
    ("TikTokLive.py/7.0.1", "ttlive-python", Spelling::Fetch, 0.20),
    ("TikTokLive.py/6.6.5", "ttlive-python", Spelling::FetchSlash, 0.12),
    ("tiktok-live-connector/2.5.0 linux", "ttlive-node", Spelling::RoomPath, 0.12),
    ("tiktok-live-connector/2.5.0 win32", "ttlive-node", Spelling::RoomPath, 0.14),
    ("tiktok-live-connector/2.4.4 linux", "ttlive-node", Spelling::RoomPath, 0.06),
    ("tiktok-live-connector/2.0.3 win32", "ttlive-node", Spelling::Fetch, 0.08),
    ("axios/0.27.2", "ttlive-node", Spelling::UrlInQuery, 0.06),
    ("TikTokLive.py/7.0.0", "ttlive-python", Spelling::Fetch, 0.05),
    (CHROME_OLD, "ttlive-java", Spelling::Fetch, 0.07),
    (EDGE, "ttlive-net", Spelling::Fetch, 0.05),
    ("Go-http-client/2.0", "gotiktok_live", Spelling::FetchSlash, 0.02),
    (CHROME, "ttlive-rust", Spelling::UrlInQuery, 0.01),
    ("EulerApiSdk/0.1.0", "ttlive-other", Spelling::AnchorPath, 0.01),
    (CHROME, "ttlive-other", Spelling::UrlInBody, 0.01),
];

/// The first so many of these are common enough to be a country's favourite.
const COMMON: usize = 9;

/// How much more a country's favourites are used there than elsewhere.
const FAVOURITE: f64 = 7.0;

/// All tools of a run.
#[derive(Debug, Clone)]
pub(super) struct Tools {
    all: Vec<Tool>,
}

impl Tools {
    /// The usual ones.
    pub fn usual() -> Self {
        let all = USUAL.map(|(user_agent, client, spelling, share)| Tool {
            user_agent: user_agent.to_owned(),
            client,
            spelling,
            share,
            successor: None,
        });
        Self { all: all.into() }
    }

    pub fn get(&self, id: ToolId) -> &Tool {
        &self.all[usize::from(id)]
    }

    /// Adds an app or release that is made with the library of another and speaks like it; nobody has it by chance.
    pub fn add(&mut self, user_agent: impl Into<String>, like: ToolId) -> ToolId {
        let tool =
            Tool { user_agent: user_agent.into(), share: 0.0, successor: None, ..self.get(like).clone() };
        self.all.push(tool);
        (self.all.len() - 1) as ToolId
    }

    /// From `from` on, over `length` milliseconds, the users of a tool go over to another.
    pub fn roll_out(&mut self, tool: ToolId, to: ToolId, from: u64, length: u64) {
        self.all[usize::from(tool)].successor = Some((to, from, length.max(1)));
    }

    /// What somebody who had this tool has now; `who` tells people apart.
    pub fn at(&self, tool: ToolId, who: u64, now: u64) -> ToolId {
        match self.get(tool).successor {
            Some((to, from, length))
                if now >= from + Random::numbered(u64::from(tool), who).below(length) =>
            {
                to
            }
            _ => tool,
        }
    }

    /// When somebody goes over to the next release of a tool.
    pub fn changes_at(&self, tool: ToolId, who: u64) -> Option<u64> {
        let (_, from, length) = self.get(tool).successor?;
        Some(from + Random::numbered(u64::from(tool), who).below(length))
    }

    /// What a person has, wherever they live.
    pub fn anybody(&self, random: &mut Random) -> ToolId {
        random.weighted(self.all.iter().map(|tool| tool.share)) as ToolId
    }

    /// What a person of this country has: two tools are far more common there, and for each country others.
    pub fn of_country(&self, country: u8, random: &mut Random) -> ToolId {
        let favourites = Self::favourites(country);
        let weight = |(place, tool): (usize, &Tool)| {
            let liked = favourites.contains(&(place as ToolId));
            tool.share * if liked { FAVOURITE } else { 1.0 }
        };
        random.weighted(self.all.iter().enumerate().map(weight)) as ToolId
    }

    /// What a country prefers, its most loved first.
    pub fn favourites(country: u8) -> [ToolId; 2] {
        let first = usize::from(country) * 5 % COMMON;
        [first as ToolId, ((first + 1 + usize::from(country) % 3) % COMMON) as ToolId]
    }
}
