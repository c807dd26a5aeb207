//! Who asks: people as functions of their number, so that a million of them take no memory.

use std::net::IpAddr;

use super::networks::{Kind, Plan};
use super::random::Random;
use super::tools::{ToolId, Tools};

/// What a key costs its owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Tier {
    Community,
    Business,
    Enterprise,
}

impl Tier {
    /// As in the shipped policies.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Community => "community",
            Self::Business => "business",
            Self::Enterprise => "enterprise",
        }
    }
}

/// A key. Its number tells nothing of its owner: ids are drawn from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Key {
    pub number: u64,
    pub tier: Tier,
}

/// One program of one person, as a gateway sees it, and what it is in truth.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Client {
    pub address: IpAddr,
    pub key: Option<Key>,
    pub tool: ToolId,
    pub device: Option<u64>,
    pub session: Option<u128>,
    /// Who it is in truth: one number for each party.
    pub viewer: u64,
    pub persona: Persona,
}

/// What somebody is in truth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Persona {
    /// Watches, at home.
    Audience,
    /// Watches, on a telephone whose address hundreds share.
    Cgnat,
    /// Streams, with one to five tools at one address.
    Creator,
    /// Asks at a fixed interval, all day.
    Poller,
    /// A hobby program on a platform where hundreds share few addresses.
    SharedHosting,
    /// An app with one paid key in every copy.
    EmbeddedApp,
    /// An app with one free key in every copy.
    HobbyApp,
    /// Counts what happens in hundreds of rooms, under one paid key.
    Analytics,
    /// Looks after many creators from one office.
    Agency,
    /// Moved from one room to another with everybody else.
    Raid,
    /// A client that is broken and asks again and again.
    Loop,
    /// Part of an honest crowd.
    Crowd,
    /// Came back after an outage or an update.
    Reconnect,
    /// Whose key was stolen.
    KeyOwner,
    /// A bot that prepares itself elsewhere: nobody's loss, and no benign request either.
    Preparing,
    /// A bot.
    Bot,
    /// Asks for rooms by the thousand. No view-bot, but not wanted.
    Harvester,
}

impl Persona {
    /// The word in labels.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Audience => "audience",
            Self::Cgnat => "cgnat",
            Self::Creator => "creator",
            Self::Poller => "poller",
            Self::SharedHosting => "shared-hosting",
            Self::EmbeddedApp => "embedded-app",
            Self::HobbyApp => "hobby-app",
            Self::Analytics => "analytics",
            Self::Agency => "agency",
            Self::Raid => "raid",
            Self::Loop => "loop",
            Self::Crowd => "crowd",
            Self::Reconnect => "reconnect",
            Self::KeyOwner => "key-owner",
            Self::Preparing => "preparing",
            Self::Bot => "bot",
            Self::Harvester => "harvester",
        }
    }

    /// Whether each of its signatures is one too many.
    pub const fn is_attack(self) -> bool {
        matches!(self, Self::Bot | Self::Harvester)
    }
}

/// Of a hundred people so many have no key, a free one, a paid one.
const KEYS: [f64; 3] = [0.62, 0.32, 0.06];

/// Which share of programs send a device id: today's libraries send none, some apps add one.
const DEVICES: f64 = 0.02;

/// Which share act for a logged-in user.
const SESSIONS: f64 = 0.03;

/// Everybody there could be. A function of the seed: nobody is stored.
#[derive(Debug, Clone)]
pub(super) struct People {
    seed: u64,
    /// Whether each country has tools of its own, or everybody draws from the same.
    national: bool,
}

impl People {
    pub const fn new(seed: u64, national: bool) -> Self {
        Self { seed, national }
    }

    /// The person of this number in this country.
    pub fn person(&self, country: u8, number: u64, plan: &Plan, tools: &Tools) -> Client {
        let mut random = Random::numbered(self.seed, number << 4 | u64::from(country));
        let network = plan.network_of_person(country, &mut random);
        let address = network.address(&mut random);
        let persona = if network.kind() == Kind::Mobile { Persona::Cgnat } else { Persona::Audience };
        let tool =
            if self.national { tools.of_country(country, &mut random) } else { tools.anybody(&mut random) };
        let viewer = random.next();
        let key = self.key_of(viewer, &mut random);
        Client {
            address,
            key,
            tool,
            device: random.chance(DEVICES).then(|| random.next()),
            session: random
                .chance(SESSIONS)
                .then(|| u128::from(random.next()) << 64 | u128::from(random.next())),
            viewer,
            persona,
        }
    }

    /// The key that a person has, by chance.
    pub fn key_of(&self, owner: u64, random: &mut Random) -> Option<Key> {
        let tier = match random.weighted(KEYS.into_iter()) {
            0 => return None,
            1 => Tier::Community,
            _ => Tier::Business,
        };
        Some(self.own_key(owner, tier))
    }

    /// The key of an owner.
    pub fn own_key(&self, owner: u64, tier: Tier) -> Key {
        Key { number: Random::numbered(self.seed ^ 0x6b65_7973, owner).next(), tier }
    }
}
