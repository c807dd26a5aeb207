//! Who is denied, why, on whose word and until when: the book of bans, and the strikes that lead to them.
//!
//! Bans lie by the address that they are about, so that a request looks at one file. Two books of one kind exist: what was
//! convicted while the mode was `enforce`, and what would have been. The second acts on nobody, and a change of mode does not
//! move an entry from one to the other; [promoting](super::Viewbot::promote) does.

mod ban;
mod room_files;

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use ban::{Ban, RUNGS, Target};
pub(super) use room_files::Place;

use room_files::{ADDRESSES_MAX, RoomFile, RoomFiles};

use super::bounded::Bounded;
use super::evidence::Evidence;
use super::sighting::{Address, KeyNumber, Label, Profile, Subnet, Viewer};
use crate::base::room::Room;
use crate::base::time::Timestamp;

/// What is on file of an address.
#[derive(Debug, Default)]
struct File {
    bans: Vec<Arc<Ban>>,
    /// Viewers convicted, each with the room.
    bad: u32,
    bad_by_profile: Vec<(u64, u32)>,
    rooms: Vec<Room>,
    since: u32,
    last: u32,
    probation_until: u32,
}

/// An address holds at most so many bans; by then the narrow ones have led to wide ones.
const BANS_OF_AN_ADDRESS_MAX: usize = 64;

/// Strikes are forgotten so long after the last.
const STRIKES_SECS: u32 = 24 * 3_600;

/// During it, after a ban was lifted, the same evidence only throttles.
pub(super) const PROBATION_SECS: u32 = 3_600;

const SHARDS: usize = 64;

/// What a conviction goes by.
#[derive(Debug, Clone, Copy)]
pub(super) struct Conviction<'c> {
    pub(super) viewer: Viewer,
    pub(super) profile: Profile,
    pub(super) room: Room,
    pub(super) evidence: &'c Arc<Evidence>,
    pub(super) label: Label,
}

/// A book of bans.
pub struct Book {
    shards: Box<[Mutex<Bounded<Address, File>>]>,
    rooms: Mutex<RoomFiles>,
    bans: AtomicUsize,
    room_bans: AtomicUsize,
    /// When the last probation of an address ends, in seconds since 1970; and of a subnet or key in a room.
    probations_until: AtomicU64,
    room_probations_until: AtomicU64,
    next: AtomicU64,
}

impl std::fmt::Debug for Book {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Book")
            .field("bans", &self.bans)
            .field("room_bans", &self.room_bans)
            .finish_non_exhaustive()
    }
}

impl Book {
    /// An empty one of at most `addresses` files.
    pub(super) fn new(addresses: usize, seed: u64) -> Self {
        let shard = || Mutex::new(Bounded::new(addresses / SHARDS, seed));
        Self {
            shards: (0..SHARDS).map(|_| shard()).collect(),
            rooms: Mutex::default(),
            bans: AtomicUsize::new(0),
            room_bans: AtomicUsize::new(0),
            probations_until: AtomicU64::new(0),
            room_probations_until: AtomicU64::new(0),
            next: AtomicU64::new(1),
        }
    }

    fn shard(&self, address: Address) -> MutexGuard<'_, Bounded<Address, File>> {
        let place = super::arith::mix(address.number(), 0) as usize % SHARDS;
        self.shards[place].lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn rooms(&self) -> MutexGuard<'_, RoomFiles> {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there is nothing to look up.
    pub fn is_empty(&self) -> bool {
        self.bans.load(Ordering::Relaxed) == 0 && self.room_bans.load(Ordering::Relaxed) == 0
    }

    /// The ban that stands against a viewer, the narrowest first. `first` tells when the viewer was first seen: asked only
    /// where it matters.
    pub(super) fn standing(
        &self,
        viewer: Viewer,
        profile: Profile,
        key: Option<KeyNumber>,
        room: Room,
        first: impl Fn() -> u32,
        now: Timestamp,
    ) -> Option<Arc<Ban>> {
        if self.bans.load(Ordering::Relaxed) > 0 {
            let shard = self.shard(viewer.address);
            let bans: Vec<Arc<Ban>> = shard.get(&viewer.address).map_or(Vec::new(), |file| {
                let applies = |target: &Target| match target {
                    Target::ViewerInRoom(other, place) => *other == viewer && *place == room,
                    Target::ProfileInRoom(_, other, place) => *other == profile && *place == room,
                    Target::Profile(_, other) => *other == profile,
                    Target::Address(_) => true,
                    Target::SubnetInRoom(..) | Target::KeyInRoom(..) => false,
                };
                file.bans.iter().filter(|ban| ban.until > now && applies(&ban.target)).cloned().collect()
            });
            drop(shard);
            let narrowest = bans
                .iter()
                .filter(|ban| matches!(ban.target, Target::ViewerInRoom(..)) || first() >= ban.spares_before);
            if let Some(ban) = narrowest.min_by_key(|ban| (ban.target.place(), ban.id)) {
                return Some(ban.clone());
            }
        }
        if self.room_bans.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let places = [Some(Place::Subnet(viewer.address.subnet())), key.map(Place::Key)];
        let found = {
            let rooms = self.rooms();
            let of = |place: Place| rooms.get(&(room, place)).and_then(|file| file.ban.clone());
            places.into_iter().flatten().filter_map(of).find(|ban| ban.until > now)
        };
        let found = found.filter(|ban| first() >= ban.spares_before)?;
        // Whoever was freed since is not denied for what its neighbours did.
        let freed_at = self.shard(viewer.address).get(&viewer.address).map_or(0, |file| {
            if u64::from(file.probation_until) > now.as_secs() {
                file.probation_until - PROBATION_SECS
            } else {
                0
            }
        });
        (freed_at == 0 || found.made.as_secs() < u64::from(freed_at)).then_some(found)
    }

    /// Whether the same evidence only throttles: the address was freed a while ago.
    pub(super) fn is_on_probation(&self, address: Address, now: u32) -> bool {
        if self.probations_until.load(Ordering::Relaxed) <= u64::from(now) {
            return false;
        }
        self.shard(address).get(&address).is_some_and(|file| file.probation_until > now)
    }

    /// The same for the viewer's subnet and key in a room.
    pub(super) fn is_on_probation_in(
        &self,
        room: Room,
        subnet: Subnet,
        key: Option<KeyNumber>,
        now: u32,
    ) -> bool {
        if self.room_probations_until.load(Ordering::Relaxed) <= u64::from(now) {
            return false;
        }
        let rooms = self.rooms();
        let freed = |place| rooms.get(&(room, place)).is_some_and(|file| file.probation_until > now);
        freed(Place::Subnet(subnet)) || key.is_some_and(|key| freed(Place::Key(key)))
    }

    /// Adds a strike, and a ban of the viewer in the room; tells how the address stands now. `None` where that viewer was
    /// convicted already.
    pub(super) fn convict(
        &self,
        conviction: &Conviction<'_>,
        ttl: std::time::Duration,
        now: Timestamp,
    ) -> Option<Standing> {
        let secs = now.as_secs() as u32;
        let Conviction { viewer, profile, room, .. } = *conviction;
        let mut shard = self.shard(viewer.address);
        let (file, _) = shard.entry(viewer.address, File::default, |_, file| u64::from(file.last));
        self.forget_over(file, now);
        if secs.saturating_sub(file.last) > STRIKES_SECS {
            (file.bad, file.since) = (0, 0);
            file.bad_by_profile.clear();
            file.rooms.clear();
        }
        file.last = secs;
        let target = Target::ViewerInRoom(viewer, room);
        if file.bans.iter().any(|ban| ban.target == target) {
            return None;
        }
        file.bad += 1;
        if file.since == 0 {
            file.since = secs;
        }
        let number = profile.number();
        if let Some((_, bad)) = file.bad_by_profile.iter_mut().find(|(other, _)| *other == number) {
            *bad += 1;
        } else if file.bad_by_profile.len() < BANS_OF_AN_ADDRESS_MAX {
            file.bad_by_profile.push((number, 1));
        }
        if !file.rooms.contains(&room) && file.rooms.len() < 16 {
            file.rooms.push(room);
        }
        let standing = Standing {
            bad: file.bad,
            bad_of_profile: file
                .bad_by_profile
                .iter()
                .find(|(other, _)| *other == number)
                .map_or(1, |(_, bad)| *bad),
            rooms: file.rooms.len() as u32,
        };
        self.add(file, conviction, target, now + ttl, secs, now);
        Some(standing)
    }

    /// Bans more of an address than one viewer; or for longer, where it is banned already.
    pub(super) fn widen(
        &self,
        conviction: &Conviction<'_>,
        target: Target,
        until: Timestamp,
        now: Timestamp,
    ) -> bool {
        let mut shard = self.shard(conviction.viewer.address);
        let Some(file) = shard.get_mut(&conviction.viewer.address) else { return false };
        let before = file.bans.iter().position(|ban| ban.target == target);
        if let Some(place) = before {
            if file.bans[place].until < until {
                let longer = Ban { until, ..(*file.bans[place]).clone() };
                file.bans[place] = Arc::new(longer);
            }
            return false;
        }
        // Whoever was here before the address's first conviction stays.
        let since = file.since;
        self.add(file, conviction, target, until, since, now);
        true
    }

    fn add(
        &self,
        file: &mut File,
        conviction: &Conviction<'_>,
        target: Target,
        until: Timestamp,
        spares_before: u32,
        now: Timestamp,
    ) {
        if file.bans.len() >= BANS_OF_AN_ADDRESS_MAX {
            let soonest =
                (0..file.bans.len()).min_by_key(|place| (file.bans[*place].until, *place)).unwrap_or(0);
            file.bans.remove(soonest);
            self.bans.fetch_sub(1, Ordering::Relaxed);
        }
        file.bans.push(Arc::new(self.ban(conviction, target, until, spares_before, now)));
        self.bans.fetch_add(1, Ordering::Relaxed);
    }

    fn ban(
        &self,
        conviction: &Conviction<'_>,
        target: Target,
        until: Timestamp,
        spares_before: u32,
        now: Timestamp,
    ) -> Ban {
        Ban {
            id: self.next.fetch_add(1, Ordering::Relaxed),
            target,
            made: now,
            spares_before,
            until,
            evidence: conviction.evidence.clone(),
            room: conviction.room,
            label: conviction.label,
        }
    }

    fn forget_over(&self, file: &mut File, now: Timestamp) {
        let before = file.bans.len();
        file.bans.retain(|ban| ban.until > now);
        self.bans.fetch_sub(before - file.bans.len(), Ordering::Relaxed);
    }

    /// Notes a convicted address of a subnet or key in a room; how many there are.
    pub(super) fn convict_in(&self, room: Room, place: Place, address: Address, now: u32) -> usize {
        let mut rooms = self.rooms();
        if !rooms.contains_key(&(room, place)) && !rooms.make_room(now) {
            return 0;
        }
        let file = rooms.entry((room, place)).or_default();
        file.last = now;
        if let Err(at) = file.addresses.binary_search(&address)
            && file.addresses.len() < ADDRESSES_MAX
        {
            file.addresses.insert(at, address);
        }
        file.addresses.len()
    }

    /// Bans a subnet or key in a room. `since` spares who was seen before.
    pub(super) fn ban_in(
        &self,
        conviction: &Conviction<'_>,
        place: Place,
        until: Timestamp,
        since: u32,
        now: Timestamp,
    ) -> bool {
        let mut rooms = self.rooms();
        let Some(file) = rooms.get_mut(&(conviction.room, place)) else { return false };
        let target = match place {
            Place::Subnet(subnet) => Target::SubnetInRoom(subnet, conviction.room),
            Place::Key(key) => Target::KeyInRoom(key, conviction.room),
        };
        match &file.ban {
            Some(ban) if ban.until > now => {
                let longer = Ban { until: until.max(ban.until), ..(**ban).clone() };
                file.ban = Some(Arc::new(longer));
                false
            }
            before => {
                if before.is_none() {
                    self.room_bans.fetch_add(1, Ordering::Relaxed);
                }
                file.ban = Some(Arc::new(self.ban(conviction, target, until, since, now)));
                true
            }
        }
    }

    /// All bans that stand, by id.
    pub fn list(&self, now: Timestamp) -> Vec<Arc<Ban>> {
        let mut bans: Vec<Arc<Ban>> = Vec::new();
        for shard in &self.shards {
            let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            bans.extend(shard.iter().flat_map(|(_, file)| file.bans.iter().cloned()));
        }
        bans.extend(self.rooms().values().filter_map(|file| file.ban.clone()));
        bans.retain(|ban| ban.until > now);
        bans.sort_by_key(|ban| ban.id);
        bans
    }

    /// How many stand. Looks at each.
    pub fn standing_count(&self, now: Timestamp) -> usize {
        let mut count = 0;
        if self.bans.load(Ordering::Relaxed) > 0 {
            for shard in &self.shards {
                let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
                count += shard.iter().flat_map(|(_, file)| &file.bans).filter(|ban| ban.until > now).count();
            }
        }
        let of_rooms = |file: &&RoomFile| file.ban.as_ref().is_some_and(|ban| ban.until > now);
        count + self.rooms().values().filter(of_rooms).count()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.bans.load(Ordering::Relaxed) + self.room_bans.load(Ordering::Relaxed)
    }

    /// The ban of that number.
    pub(super) fn find(&self, id: u64, now: Timestamp) -> Option<Arc<Ban>> {
        self.list(now).into_iter().find(|ban| ban.id == id)
    }

    /// Lifts a ban: with it go the strikes that led to it, and its address, subnet or key is on probation for a while.
    /// Gives what was lifted.
    pub(super) fn lift(&self, id: u64, now: Timestamp) -> Option<Arc<Ban>> {
        let ban = self.find(id, now)?;
        self.drop_where(&ban.target, now, |other| other.id == id, true);
        Some(ban)
    }

    /// Clears the strikes against whom another book's ban was about, for that was lifted; bans of this book stay.
    pub(super) fn put_on_probation(&self, target: &Target, now: Timestamp) {
        self.drop_where(target, now, |_| false, true);
    }

    /// Drops all bans that go back to a room, and the strikes that it gave; nobody is on probation for it. How many.
    pub(super) fn pardon(&self, room: Room, now: Timestamp) -> usize {
        let bans: Vec<Arc<Ban>> = self.list(now).into_iter().filter(|ban| ban.room == room).collect();
        for ban in &bans {
            self.drop_where(&ban.target, now, |other| other.room == room, false);
        }
        self.rooms().retain(|(other, _), file| {
            if *other == room && file.ban.is_some() {
                self.room_bans.fetch_sub(1, Ordering::Relaxed);
            }
            *other != room
        });
        bans.len()
    }

    fn drop_where(&self, target: &Target, now: Timestamp, goes: impl Fn(&Ban) -> bool, probation: bool) {
        let secs = now.as_secs() as u32;
        let Some(address) = target.address() else {
            let Some(place) = target.room_file() else { return };
            let mut rooms = self.rooms();
            if probation {
                rooms.entry(place).or_default().last = secs;
            }
            let Some(file) = rooms.get_mut(&place) else { return };
            if file.ban.as_ref().is_some_and(|ban| goes(ban)) {
                file.ban = None;
                self.room_bans.fetch_sub(1, Ordering::Relaxed);
            }
            file.addresses.clear();
            if probation {
                file.probation_until = secs + PROBATION_SECS;
                self.room_probations_until.fetch_max(file.probation_until.into(), Ordering::Relaxed);
            }
            return;
        };
        let mut shard = self.shard(address);
        if probation {
            // Also where nothing is on file yet: it must not be convicted here for what it was freed of elsewhere.
            shard.entry(address, File::default, |_, file| u64::from(file.last)).0.last = secs;
        }
        let Some(file) = shard.get_mut(&address) else { return };
        let before = file.bans.len();
        file.bans.retain(|ban| !goes(ban));
        self.bans.fetch_sub(before - file.bans.len(), Ordering::Relaxed);
        (file.bad, file.since) = (0, 0);
        file.bad_by_profile.clear();
        file.rooms.clear();
        if probation {
            file.probation_until = secs + PROBATION_SECS;
            self.probations_until.fetch_max(file.probation_until.into(), Ordering::Relaxed);
        }
    }

    /// Puts a ban in as it was made elsewhere: by another mode's book, or before a restart.
    pub(super) fn adopt(&self, ban: &Ban, now: Timestamp) {
        let conviction = Conviction {
            viewer: Viewer { address: ban.target.address().unwrap_or(Address::NONE), who: 0 },
            profile: Profile::NONE,
            room: ban.room,
            evidence: &ban.evidence,
            label: ban.label,
        };
        match ban.target {
            Target::SubnetInRoom(subnet, room) => {
                self.adopt_in(&conviction, room, Place::Subnet(subnet), ban, now);
            }
            Target::KeyInRoom(key, room) => {
                self.adopt_in(&conviction, room, Place::Key(key), ban, now);
            }
            target => {
                let mut shard = self.shard(conviction.viewer.address);
                let (file, _) =
                    shard.entry(conviction.viewer.address, File::default, |_, file| u64::from(file.last));
                file.last = now.as_secs() as u32;
                self.forget_over(file, now);
                if !file.bans.iter().any(|other| other.target == target) {
                    self.add(file, &conviction, target, ban.until, ban.spares_before, now);
                }
            }
        }
    }

    fn adopt_in(&self, conviction: &Conviction<'_>, room: Room, place: Place, ban: &Ban, now: Timestamp) {
        self.rooms().entry((room, place)).or_default().last = now.as_secs() as u32;
        self.ban_in(conviction, place, ban.until, ban.spares_before, now);
    }
}

/// How an address stands after a conviction.
#[derive(Debug, Clone, Copy)]
pub(super) struct Standing {
    pub(super) bad: u32,
    pub(super) bad_of_profile: u32,
    pub(super) rooms: u32,
}
