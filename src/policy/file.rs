//! The collected form: what the tables of all files say, each value with its place, nothing compared with anything yet.
//!
//! A table that lacks something that it must have is complained of and left out; tiers and accounts are kept by their names,
//! so that one mistake in them is not told again by everything that names them. The forms are looked at across files by
//! [`check`](super::check), and become a [`PolicySet`](super::PolicySet) in [`compile`](mod@super::compile).
//!
//! Read [`Forms`] first; `tables` reads each kind of table, `words` the words in them.

mod docs;
mod tables;
mod viewbot;
mod words;

use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

pub use docs::TABLES;
pub use viewbot::ViewbotForm;
pub use words::{PrefixError, RULE_NAMES_RESERVED, prefix};

use super::diagnostic::Diagnostic;
use super::lists::{LibraryRange, Pattern};
use super::reader::{At, Report, Spot, Table};
use super::set::{Exemptions, Mode, SessionMode, TierClass};
use super::target::PathPattern;
use crate::base::id::{AccountId, KeyId, RuleName, TierName};
use crate::base::operation::Operation;
use crate::base::rate::Rate;
use crate::base::room::Room;
use crate::base::secret::KeyHash;
use crate::base::subject::{Scope, Scopes};
use crate::base::time::Timestamp;

/// The only format so far.
pub const FORMAT: u32 = 1;

/// Tables of the deployment file: what people write here instead.
const OF_DEPLOYMENT: [&str; 9] =
    ["listen", "admin", "policies", "store", "record", "judge", "generators", "generator", "shared"];

/// One list in one table may hold at most so many items; more belong in a feed.
pub const ITEMS_MAX: usize = 10_000;

/// All tables of all files, in the order of the files' names and of their places.
#[derive(Debug, Default)]
pub struct Forms {
    /// Where `format = 1` stands.
    pub formats: Vec<Spot>,
    /// `[tier.NAME]`.
    pub tiers: Vec<TierForm>,
    /// `[[account]]`.
    pub accounts: Vec<AccountForm>,
    /// `[[key]]`.
    pub keys: Vec<KeyForm>,
    /// `[[quota]]`, `[[distinct]]`, `[[rate]]`, `[[concurrency]]`.
    pub counted: Vec<CountedForm>,
    /// `[[blocklist]]`, `[[allowlist]]`.
    pub lists: Vec<ListForm>,
    /// `[[target]]`.
    pub targets: Vec<TargetForm>,
    /// `[networks]`.
    pub networks: Vec<NetworksForm>,
    /// `[sessions]`.
    pub sessions: Vec<At<SessionMode>>,
    /// `[shedding]`.
    pub shedding: Vec<SheddingForm>,
    /// `[viewbot]`.
    pub viewbot: Vec<ViewbotForm>,
    /// Whether a file says a format, known or not.
    pub names_format: bool,
    /// Whether a file has a `[[target]]`, sound or not.
    pub names_targets: bool,
    /// Whether a file is no TOML, so that what it would have said is missing.
    pub incomplete: bool,
}

/// `[tier.NAME]`.
#[derive(Debug)]
pub struct TierForm {
    /// Its name.
    pub name: At<TierName>,
    /// `None` where it was wrong.
    pub class: Option<TierClass>,
}

/// `[[account]]`.
#[derive(Debug)]
pub struct AccountForm {
    /// Its name.
    pub id: At<AccountId>,
    /// `None` where it was wrong.
    pub tier: Option<At<TierName>>,
}

/// `[[key]]`.
#[derive(Debug)]
pub struct KeyForm {
    /// Its public id.
    pub id: At<KeyId>,
    /// Of its text.
    pub hash: At<KeyHash>,
    /// Whose it is.
    pub account: At<AccountId>,
    /// When it stops being valid.
    pub expires: Option<At<Timestamp>>,
    /// Whether it is switched off.
    pub disabled: bool,
    /// From where it may be used; empty: from everywhere.
    pub proxies: Vec<IpNet>,
    /// For which rooms; empty: for all.
    pub rooms: Vec<Room>,
}

/// What every rule has.
#[derive(Debug)]
pub struct Head {
    /// Its name.
    pub name: At<RuleName>,
    /// Whether it acts.
    pub mode: Mode,
    /// Where its table begins.
    pub spot: Spot,
}

/// A rule that counts.
#[derive(Debug)]
pub struct CountedForm {
    /// Its name and mode.
    pub head: Head,
    /// Per what it counts.
    pub scopes: At<Scopes>,
    /// For which tiers; `None`: for all.
    pub tiers: Option<At<Vec<At<TierName>>>>,
    /// For which operations; `None`: for all that cost quota.
    pub operations: Option<At<Vec<At<Operation>>>>,
    /// How much it admits.
    pub limit: LimitForm,
}

/// How much a rule admits.
#[derive(Debug)]
pub enum LimitForm {
    /// `[[quota]]`: windows of different lengths, the shortest first.
    Windows(Vec<WindowForm>),
    /// `[[distinct]]`: so many different ones in each window, the shortest first.
    Distinct {
        /// Of what.
        count: At<Scope>,
        /// Each admits at least 1, at most [`DISTINCT_MAX`](super::counter::DISTINCT_MAX).
        windows: Vec<WindowForm>,
    },
    /// `[[rate]]`.
    Rate {
        /// The sustained rate.
        rate: Rate,
        /// How many at once after a pause.
        burst: u32,
    },
    /// `[[concurrency]]`.
    Concurrency {
        /// How many at a time.
        max: u32,
    },
}

/// So many in one window.
#[derive(Debug)]
pub struct WindowForm {
    /// From the first charge on.
    pub length: At<Duration>,
    /// How many; 0 admits none.
    pub max: At<u32>,
}

/// `[[blocklist]]` or `[[allowlist]]`.
#[derive(Debug)]
pub struct ListForm {
    /// Its name and mode.
    pub head: Head,
    /// Which of the two.
    pub kind: ListKind,
    /// When it ends by itself.
    pub expires: Option<At<Timestamp>>,
    /// What it lists.
    pub matchers: Matchers,
}

/// What a list is for.
#[derive(Debug)]
pub enum ListKind {
    /// Refuses, and says this.
    Block(Option<Arc<str>>),
    /// Exempts from these.
    Allow(Exemptions),
}

/// What a list matches.
#[derive(Debug, Default)]
pub struct Matchers {
    /// Addresses.
    pub prefixes: Vec<At<IpNet>>,
    /// Autonomous systems.
    pub asns: Vec<At<u32>>,
    /// Rooms.
    pub rooms: Vec<At<Room>>,
    /// Accounts.
    pub accounts: Vec<At<AccountId>>,
    /// Keys.
    pub keys: Vec<At<KeyId>>,
    /// User agents.
    pub user_agents: Vec<At<Pattern>>,
    /// Libraries.
    pub libraries: Vec<At<LibraryRange>>,
    /// A feed of addresses, by its name below the policy directory.
    pub file: Option<At<String>>,
}

impl Matchers {
    /// How many things it lists, a feed not counted.
    pub fn count(&self) -> usize {
        self.prefixes.len()
            + self.asns.len()
            + self.rooms.len()
            + self.accounts.len()
            + self.keys.len()
            + self.user_agents.len()
            + self.libraries.len()
    }
}

/// `[networks]`.
#[derive(Debug)]
pub struct NetworksForm {
    /// The table's name below the policy directory; `None` where it was wrong.
    pub table: Option<At<String>>,
    /// Where the header stands.
    pub spot: Spot,
}

/// `[shedding]`.
#[derive(Debug)]
pub struct SheddingForm {
    /// The first goes first.
    pub order: Vec<At<TierName>>,
    /// Where the header stands.
    pub spot: Spot,
}

/// `[[target]]`.
#[derive(Debug)]
pub struct TargetForm {
    /// In lower case.
    pub hosts: Vec<Box<str>>,
    /// On each of them.
    pub paths: Vec<PathPattern>,
}

/// Reads the tables of all files; what is wrong with them is in the report then.
pub fn read(report: &Report<'_>) -> Forms {
    let mut forms = Forms::default();
    for file in 0..report.texts().len() {
        let read = report.read(file as u16, "a policy file", |top| read_file(top, &mut forms));
        forms.incomplete |= read.is_none();
    }
    forms
}

fn read_file(top: &mut Table<'_>, forms: &mut Forms) {
    top.follow(&docs::FILE);
    top.elsewhere(&OF_DEPLOYMENT, "in the deployment file, `signgate.toml`");
    // What is there and wrong is complained of once, and not told as missing beside it.
    forms.names_format |= top.has("format");
    forms.names_targets |= top.has("target");
    if let Some(format) = top.optional("format", |value| {
        let format = value.whole(0..=u32::MAX)?;
        if format == FORMAT {
            return Some(format);
        }
        value.refuse(|| {
            Diagnostic::error(format!("format {format} is not known to this version"))
                .label(format!("expected {FORMAT}"))
        })
    }) {
        forms.formats.push(format.spot);
    }
    top.named("tier", |name, table| forms.tiers.extend(tables::tier(name, table)));
    top.many("account", |table| forms.accounts.extend(tables::account(table)));
    top.many("key", |table| forms.keys.extend(tables::key(table)));
    top.many("quota", |table| forms.counted.extend(tables::quota(table)));
    top.many("distinct", |table| forms.counted.extend(tables::distinct(table)));
    top.many("rate", |table| forms.counted.extend(tables::rate(table)));
    top.many("concurrency", |table| forms.counted.extend(tables::concurrency(table)));
    top.many("blocklist", |table| forms.lists.extend(tables::blocklist(table)));
    top.many("allowlist", |table| forms.lists.extend(tables::allowlist(table)));
    top.many("target", |table| forms.targets.extend(tables::target(table)));
    top.single("sessions", &docs::SESSIONS, |table| {
        let spot = table.spot();
        forms.sessions.extend(tables::sessions(table).map(|value| At { value, spot }));
    });
    top.single("networks", &docs::NETWORKS, |table| forms.networks.push(tables::networks(table)));
    top.single("shedding", &docs::SHEDDING, |table| forms.shedding.push(tables::shedding(table)));
    top.single("viewbot", &docs::VIEWBOT, |table| forms.viewbot.push(viewbot::viewbot(table)));
}
