//! What is held against a request, in numbers that compare and in words that an operator reads.

use std::fmt;

use super::arith::whole_of;
use super::people::CarriedKinds;

/// The kinds of evidence, each a heuristic of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// More of a profile than an ordinary crowd has ([`profile`](super::profile)).
    Profile,
    /// More addresses of a network than an ordinary crowd has ([`network`](super::network)).
    Network,
    /// Many viewers at one address ([`churn`](super::churn)).
    IdentityChurn,
    /// One key at many addresses ([`fan_in`](super::fan_in)).
    KeyFanIn,
    /// A free key at several addresses ([`free_key`](super::free_key)).
    SharedFreeKey,
    /// Newcomers who moved together ([`chain`](super::chain)).
    PoolChain,
    /// Bits from other rooms ([`carried`](super::carried)).
    Carried,
    /// Being known weighs against it ([`known`](super::known)).
    Known,
    /// Fewer known viewers than is usual ([`strangers`](super::strangers)): puts strangers on a budget.
    Strangers,
    /// One client that repeats itself ([`repeats`](super::repeats)).
    Repeats,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Profile,
        Self::Network,
        Self::IdentityChurn,
        Self::KeyFanIn,
        Self::SharedFreeKey,
        Self::PoolChain,
        Self::Carried,
        Self::Known,
        Self::Strangers,
        Self::Repeats,
    ];

    /// The word in policies, metrics and views.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Profile => "profile",
            Self::Network => "network",
            Self::IdentityChurn => "identity-churn",
            Self::KeyFanIn => "key-fan-in",
            Self::SharedFreeKey => "shared-free-key",
            Self::PoolChain => "pool-chain",
            Self::Carried => "carried",
            Self::Known => "known-viewer",
            Self::Strangers => "strangers",
            Self::Repeats => "repeats",
        }
    }
}

/// What one heuristic found. Numbers are rounded: they are compared and shown, not counted with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Finding {
    /// Which heuristic.
    pub kind: Kind,
    /// Bits, in hundredths; below 0 where it speaks for the request.
    pub centibits: i16,
    /// How many there are.
    pub seen: u32,
    /// How many an ordinary crowd would have, in tenths; 0 where the heuristic compares with none.
    pub expected_tenths: u32,
}

impl Finding {
    pub(super) fn new(kind: Kind, bits: f64, seen: f64, expected: f64) -> Self {
        Self {
            kind,
            centibits: (bits * 100.0).round().clamp(-10_000.0, 10_000.0) as i16,
            seen: whole_of(seen),
            expected_tenths: whole_of(expected * 10.0),
        }
    }

    /// From so many bits on, in hundredths, it can be a second kind of evidence: less than twice what is expected is an odd evening.
    /// How many share an address hangs on the carriers of a country, beside what is usual everywhere: three times as many.
    fn second_from(&self) -> i16 {
        if self.is_of_all() { 150 } else { 100 }
    }

    /// Whether it is about how many of the room share addresses, and not about this one.
    fn is_of_all(&self) -> bool {
        self.kind == Kind::IdentityChurn && self.expected_tenths == 0
    }

    /// In bits.
    pub fn bits(&self) -> f64 {
        f64::from(self.centibits) / 100.0
    }
}

/// What is told apart by more than the findings themselves, where kinds of evidence are counted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Beside {
    /// What two moves weigh.
    pub(super) twice: f64,
    /// What was carried from other rooms was found there as evidence of these kinds.
    pub(super) carried: CarriedKinds,
    /// The others of the room share addresses as often as those with the viewer's profile.
    pub(super) company_is_everybodys: bool,
}

/// Everything that was found for or against a request.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Evidence {
    findings: Vec<Finding>,
    /// How many strangers an ordinary crowd in this room would have.
    pub crowd: u32,
    /// How many newcomers the room had, and how many of them are known: halved every ten minutes.
    pub newcomers: u32,
    /// Of these.
    pub known: u32,
    /// Whether the crowd is one of known viewers.
    is_of_known: bool,
}

impl Evidence {
    pub(super) fn of_crowd(size: f64, newcomers: f64, known: f64) -> Self {
        Self {
            findings: Vec::new(),
            crowd: whole_of(size),
            newcomers: whole_of(newcomers),
            known: whole_of(known),
            is_of_known: false,
        }
    }

    /// What is said of an ordinary crowd is said of its known viewers.
    pub(super) fn of_known(&mut self, size: f64) {
        self.crowd = whole_of(size);
        self.is_of_known = true;
    }

    pub(super) fn add(&mut self, finding: Option<Finding>) {
        self.findings.extend(finding.filter(|finding| finding.centibits != 0));
    }

    /// Notes what throttles without bits.
    pub(super) fn note(&mut self, finding: Finding) {
        self.findings.push(finding);
    }

    /// What was found, kind by kind.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// The bits of one kind.
    pub fn bits_of(&self, kind: Kind) -> f64 {
        self.findings.iter().filter(|finding| finding.kind == kind).map(Finding::bits).sum()
    }

    /// Whether one kind says enough to be a second.
    pub(super) fn may_be_second(&self, kind: Kind) -> bool {
        self.findings.iter().any(|finding| finding.kind == kind && finding.centibits >= finding.second_from())
    }

    /// All bits together.
    pub fn score(&self) -> f64 {
        self.findings.iter().map(Finding::bits).sum()
    }

    /// Whether two kinds of evidence and more speak against it, each with [bits enough](Finding::second_from).
    ///
    /// What both keys tell is one kind, and so is what network and churn tell of where they come from: people with all sorts of
    /// programs at the few addresses of one network are what a VPN is. A move that was made once is none, for raids make it. Nor
    /// is what `is_of_its_own` says no to. What is carried from other rooms is of the kinds that it was found as there: rented
    /// machines that meet in one room meet in the next. And where all sorts of programs share addresses as often as this one,
    /// whole families came to the room, each on devices of their own: that more than usual have the program is an odd evening
    /// then, and no second kind.
    pub(super) fn has_second(&self, beside: &Beside, is_of_its_own: impl Fn(Kind) -> bool) -> bool {
        let speaks =
            |finding: &&Finding| finding.centibits >= finding.second_from() && is_of_its_own(finding.kind);
        let (mut kinds, mut of_others) = ([false; 5], CarriedKinds::default());
        for finding in self.findings.iter().filter(speaks) {
            let place = match finding.kind {
                Kind::Profile => 0,
                Kind::IdentityChurn if finding.is_of_all() && beside.company_is_everybodys => 4,
                Kind::Network | Kind::IdentityChurn => 1,
                Kind::KeyFanIn | Kind::SharedFreeKey => 2,
                Kind::PoolChain if finding.bits() >= beside.twice - 0.01 => 3,
                // Whoever watches one other room that is attacked has met one.
                Kind::Carried if finding.seen >= 2 => {
                    of_others = beside.carried;
                    continue;
                }
                Kind::Carried | Kind::PoolChain | Kind::Known | Kind::Strangers | Kind::Repeats => continue,
            };
            kinds[place] = true;
        }
        if !kinds.contains(&true) {
            return false;
        }
        kinds[0] |= of_others.profile;
        kinds[1] |= of_others.network && is_of_its_own(Kind::Network);
        // What is everybody's tells where they come from, as the network does, and nothing beside a profile.
        let [profile, network, key, moves, company] = kinds;
        let sorts = [profile, network || company && !profile, key, moves];
        sorts.into_iter().filter(|spoke| *spoke).count() >= 2
    }
}

/// `profile: 212 seen, 6 expected of an ordinary crowd of 430 (+4.0); 31 viewers from this address (+2.9)`.
impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for finding in &self.findings {
            f.write_str(separator)?;
            separator = "; ";
            let Finding { seen, .. } = finding;
            let expected = f64::from(finding.expected_tenths) / 10.0;
            match finding.kind {
                Kind::Profile if self.is_of_known => write!(
                    f,
                    "profile: {seen} known viewers have it, {expected:.0} expected of an ordinary crowd of {}",
                    self.crowd
                ),
                Kind::Profile => write!(
                    f,
                    "profile: {seen} seen, {expected:.0} expected of an ordinary crowd of {}",
                    self.crowd
                ),
                Kind::Network => {
                    write!(f, "network: {seen} addresses of it, {expected:.1} expected of an ordinary crowd")
                }
                Kind::IdentityChurn if finding.expected_tenths == 0 => {
                    write!(f, "{seen} viewers share an address with others")
                }
                Kind::IdentityChurn => write!(f, "{seen} viewers from this address"),
                Kind::KeyFanIn => write!(f, "this key at {seen} addresses, {expected:.1} expected"),
                Kind::SharedFreeKey => write!(f, "one free key at {seen} addresses"),
                Kind::PoolChain => write!(f, "{seen} newcomers made the same move between rooms"),
                Kind::Carried => write!(f, "evidence from {seen} other rooms"),
                Kind::Known => f.write_str("known from other rooms"),
                Kind::Strangers => {
                    write!(f, "{} of {} newcomers are known, fewer than is usual", self.known, self.newcomers)
                }
                Kind::Repeats => write!(f, "one client repeats itself, {seen} times in 5 minutes"),
            }?;
            if finding.centibits != 0 {
                write!(f, " ({:+.1})", finding.bits())?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BESIDE: Beside = Beside {
        twice: 4.0,
        carried: CarriedKinds { profile: false, network: false },
        company_is_everybodys: false,
    };

    #[test]
    fn it_reads_as_a_person_says_it() {
        let mut evidence = Evidence { crowd: 430, ..Evidence::default() };
        evidence.add(Some(Finding::new(Kind::Profile, 4.0, 212.0, 6.1)));
        evidence.add(Some(Finding::new(Kind::Network, 0.0, 3.0, 2.0)));
        evidence.add(Some(Finding::new(Kind::IdentityChurn, 2.94, 31.0, 4.0)));
        assert_eq!(
            evidence.to_string(),
            "profile: 212 seen, 6 expected of an ordinary crowd of 430 (+4.0); 31 viewers from this address (+2.9)"
        );
        assert!((evidence.score() - 6.94).abs() < 1e-9);
        assert!(evidence.has_second(&BESIDE, |_| true));
        assert!(!evidence.has_second(&BESIDE, |kind| kind != Kind::IdentityChurn));
    }

    #[test]
    fn what_is_carried_is_of_the_kinds_that_it_was_elsewhere() {
        let has_second = |here: &[Kind], profile, network| {
            let mut evidence = Evidence::default();
            for kind in here {
                evidence.add(Some(Finding::new(*kind, 2.0, 30.0, 3.0)));
            }
            evidence.add(Some(Finding::new(Kind::Carried, 3.0, 2.0, 0.0)));
            let beside = Beside { carried: CarriedKinds { profile, network }, ..BESIDE };
            evidence.has_second(&beside, |_| true)
        };
        assert!(!has_second(&[Kind::Network], false, true) && has_second(&[Kind::Network], true, false));
        assert!(!has_second(&[Kind::Profile], true, false) && has_second(&[Kind::Profile], true, true));
        assert!(
            !has_second(&[Kind::IdentityChurn], false, true)
                && has_second(&[Kind::SharedFreeKey], false, true)
        );
        assert!(!has_second(&[], true, true), "nothing was found here");
    }

    #[test]
    fn those_who_share_addresses_are_a_second_kind_from_three_times_as_many_on() {
        let is_second = |bits: f64, expected: f64| {
            let mut evidence = Evidence::default();
            evidence.add(Some(Finding::new(Kind::Profile, 4.0, 120.0, 5.0)));
            evidence.add(Some(Finding::new(Kind::IdentityChurn, bits, 55.0, expected)));
            evidence.has_second(&BESIDE, |_| true)
        };
        assert!(!is_second(1.4, 0.0) && is_second(1.5, 0.0), "that others of the room share theirs, too");
        assert!(!is_second(0.9, 4.0) && is_second(1.0, 4.0), "that so many are at this one");
    }
}
