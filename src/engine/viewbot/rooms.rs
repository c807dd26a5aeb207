//! Rooms, and who sits in them: one of many locked shards.
//!
//! A calm room is its [gate](super::gate), some hundred bytes. What comes while its sum is above 0 goes into the shard's log, a
//! ring that all its rooms share, so that a room that is alarmed knows who came before the alarm, and a room that is not has
//! cost nothing. Only an alarmed room has [cohorts](super::cohort).

use super::arith::halved;
use super::bounded::{Bounded, Likely, LookUp};
use super::cohort::{Alarm, HALF_LIFE, HALF_LIFE_SECS, Newcomer};
use super::gate::Gate;
use super::lockstep::{self, Traces};
use super::log::Log;
use super::people::Met;
use super::repeats::{AGAIN, INSISTS, LOOP, Repeaters, TOOLS_MAX, WINDOW_SECS};
use super::sighting::{Sighting, Viewer};
use crate::base::prefetch::prefetch;
use crate::base::room::Room;
use crate::base::subject::Subject;
use crate::policy::viewbot::ViewbotSettings;

/// So many rooms of a shard are alarmed at a time; then the one with the least excess gives way.
const ALARMS_MAX: usize = 256;

/// The alarmed rooms of a shard count at most so many things together, but for the sums of those already counted.
const ENTRIES_MAX: usize = 131_072;

/// Whoever was refused counts as new again after so long: it still wants to get in.
const REFUSED_AGAIN_SECS: u32 = 45;

/// Whoever was admitted so long before the excess began is established.
const ESTABLISHED_SECS: u32 = 30;

/// In a room with fewer viewers nothing is learned of how many are usually known.
const AUDIENCE_MIN: u32 = 5;

/// One in so many newcomers to calm rooms is asked: it costs a look at each of those.
const COMPANY_SAMPLE: u64 = 4;

/// What is usual these minutes, and since when the gateway has been looking.
#[derive(Debug, Clone, Copy)]
pub(super) struct Usual {
    /// Which share of those who come to calm rooms is known.
    pub(super) known: f64,
    /// In milliseconds since 1970.
    pub(super) started_ms: u64,
}

/// A viewer in a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seat {
    /// In which [room](RoomState::number): one that was forgotten and comes again has no seats.
    room: u32,
    first: u32,
    window_at: u32,
    counted_at: u32,
    /// When it was counted among the newcomers last.
    newcomer_at: u32,
    times: u8,
    /// One bit for each eighth of all fingerprints that asked in the window.
    tools: u8,
    is_admitted: bool,
}

/// One room.
#[derive(Debug)]
pub(super) struct RoomState {
    number: u32,
    pub(super) gate: Gate,
    viewers: u32,
    logged: u64,
    traces: Traces,
    repeaters: Option<Box<Repeaters>>,
    pardoned_until: u32,
    pub(super) alarm: Option<Box<Alarm>>,
}

/// How a request found its room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arrival {
    /// The room is calm, or the viewer was there before the excess.
    Admitted,
    /// One client repeats itself, so many times.
    Loops(u8),
    /// The room is calm, but what the viewer carries from others is too much.
    Suspect,
    /// The room is alarmed: the request is to be weighed.
    Alarmed,
}

/// What one request changed in its room: to be taken back if it gets no good answer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Booked {
    number: u32,
    /// Where its room lay.
    state: Likely,
    seat_before: Option<Seat>,
    /// It counted as a new viewer.
    pub(super) is_new: bool,
    /// It counted in the gate: as a new viewer, or because many of the room's newcomers come again and again.
    is_counted: bool,
    logged: u64,
    newcomer: Option<Newcomer>,
    /// Its repeats in the last five minutes.
    pub(super) repeats: u8,
    pub(super) is_stranger: bool,
    /// The room is calm, and by a margin.
    pub(super) is_quiet: bool,
    /// What came here may teach what is usual.
    pub(super) has_audience: bool,
    /// How many newcomers it met in other rooms, too.
    pub(super) companions: u8,
    /// It repeats itself more than one client does, and is no fault of one client either.
    pub(super) is_loop: bool,
    /// A stranger of a calm room, and whether its address has another viewer there. Not all are asked.
    pub(super) has_company: Option<bool>,
}

/// Where the room and the seat of a request are likely to lie.
#[derive(Debug, Clone, Copy)]
pub(super) struct Foreseen {
    state: Likely,
    seat: Likely,
}

pub(super) struct Rooms {
    states: Bounded<Subject, RoomState>,
    /// By the room's short name: it need not be found first to look for a seat in it.
    seats: Bounded<(u32, Viewer), Seat>,
    log: Log,
    numbers: u32,
    alarmed: Vec<Subject>,
    entries: usize,
    /// Who came with an excess that was noticed just now.
    unearned: Vec<Viewer>,
}

impl Rooms {
    /// With at most so many rooms; the other tables go by it.
    pub(super) fn new(rooms: usize, seats: usize, seed: u64) -> Self {
        Self {
            states: Bounded::new(rooms, seed),
            seats: Bounded::new(seats, seed),
            log: Log::new((rooms / 3).max(1_024)),
            numbers: 0,
            alarmed: Vec::new(),
            entries: 0,
            unearned: Vec::new(),
        }
    }

    /// Asks for the memory that taking in a request begins with.
    pub(super) fn prefetch(&self, room: Subject, seat: (u32, Viewer)) -> Foreseen {
        Foreseen { state: self.states.prefetch(&room), seat: self.seats.prefetch(&seat) }
    }

    /// Asks for the entries that those lead to.
    pub(super) fn prefetch_entries(&self, foreseen: &mut Foreseen) {
        if let Some(at) = self.states.prefetch_entry(&mut foreseen.state) {
            // It is as long as two lines, and may lie on three.
            prefetch(&self.states.at(at).traces);
        }
        self.seats.prefetch_entry(&mut foreseen.seat);
    }

    /// Asks for what the room's entry leads to: who came last.
    pub(super) fn prefetch_behind(&self, foreseen: Foreseen) {
        if let Some(at) = foreseen.state.place() {
            self.log.prefetch(self.states.at(at).logged);
        }
    }

    /// Whoever came before an alarm that was raised just now, with its excess: what they did here is to earn them nothing.
    pub(super) fn take_unearned(&mut self) -> Vec<Viewer> {
        std::mem::take(&mut self.unearned)
    }

    /// How many rooms are remembered.
    pub(super) fn len(&self) -> usize {
        self.states.len()
    }

    pub(super) fn state_mut(&mut self, room: Subject) -> Option<&mut RoomState> {
        self.states.get_mut(&room)
    }

    /// Takes a request in: drains the gate, finds the seat, counts a new viewer, and alarms the room where those are too many.
    /// `foreseen` is where these were seen to lie, if anybody has looked ahead.
    pub(super) fn arrive(
        &mut self,
        sighting: &Sighting,
        foreseen: Option<Foreseen>,
        met: &Met,
        usual: Usual,
        settings: &ViewbotSettings,
        now_ms: u64,
    ) -> (Arrival, Booked) {
        let now = (now_ms / 1_000) as u32;
        // What is waited for is memory: for both at once.
        let seat_key = (sighting.short, sighting.viewer);
        let foreseen = foreseen.unwrap_or_else(|| self.prefetch(sighting.subject, seat_key));
        let looked_up = self.seats.look_up_likely(seat_key, foreseen.seat);
        if met.is_first {
            self.seats.foresee();
        }
        let room = self.states.look_up_likely(sighting.subject, foreseen.state);
        let at = self.enter(&room, Gate::new(now_ms, usual.started_ms));
        let state = self.states.at_mut(at);
        if state.gate.drain(&settings.gate, now_ms) {
            state.repeaters = None;
            if let Some(alarm) = state.alarm.take() {
                self.entries = self.entries.saturating_sub(alarm.entries());
                self.alarmed.retain(|room| *room != sighting.subject);
            }
        }
        let is_pardoned = state.pardoned_until > now;
        let onset = state.gate.onset();

        // The seat.
        let tool = 1u8 << (sighting.profile.fingerprint.0 % 8);
        let seat_at = self.seats.found(&looked_up);
        let place = (seat_at, &looked_up);
        let seat_before = seat_at.map(|at| *self.seats.at(at)).filter(|seat| seat.room == state.number);
        let fresh = Seat {
            room: state.number,
            first: now,
            window_at: now,
            counted_at: now,
            newcomer_at: now,
            times: 1,
            tools: tool,
            is_admitted: false,
        };
        let (mut is_new, mut repeats, mut seat) = (true, 0, fresh);
        let (mut loops, mut insists, mut is_loop) = (false, false, false);
        let is_established = seat_before
            .is_some_and(|seat| seat.is_admitted && seat.first.saturating_add(ESTABLISHED_SECS) < onset);
        if let Some(before) = seat_before {
            seat = before;
            if now.saturating_sub(seat.window_at) > WINDOW_SECS {
                (seat.times, seat.tools, seat.window_at) = (0, 0, now);
            }
            seat.times = seat.times.saturating_add(1);
            seat.tools |= tool;
            // Several tools of one creator share a key, and each reconnects for itself.
            let tools = (seat.tools.count_ones() as u8).min(TOOLS_MAX);
            is_loop = seat.times > LOOP * tools;
            repeats = (seat.times - 1) / tools;
            // Whoever was here before the excess is no part of it, however often it asks.
            let is_farm = !is_established
                && match &mut state.repeaters {
                    _ if is_loop && sighting.has_device => true,
                    Some(repeaters) if repeaters.is_farm() && seat.times > AGAIN * tools => true,
                    repeaters if seat.times > INSISTS * tools => {
                        repeaters.get_or_insert_default().note(sighting.viewer.address)
                    }
                    _ => false,
                };
            insists = is_farm;
            is_new = is_loop && is_farm;
            is_loop |= is_farm;
            if is_loop && !is_new {
                loops = !is_farm;
                repeats = if is_farm { repeats } else { 0 };
            }
        }
        let mut booked = Booked {
            number: state.number,
            state: room.likely().put_at(at),
            seat_before,
            is_new: false,
            is_counted: false,
            logged: 0,
            newcomer: None,
            repeats,
            is_stranger: !met.is_known || repeats >= LOOP,
            is_quiet: false,
            has_audience: state.viewers >= AUDIENCE_MIN && met.tells_age,
            companions: 0,
            is_loop: is_loop && !is_pardoned,
            has_company: None,
        };
        let mut is_newcomer = false;
        if loops && !is_pardoned {
            self.sit(place, seat);
            return (Arrival::Loops(seat.times), booked);
        }
        if seat_before.is_some()
            && !seat.is_admitted
            && now.saturating_sub(seat.counted_at) > REFUSED_AGAIN_SECS
        {
            // It still wants in: that keeps the excess up. It is no further viewer, until what it counted for has faded.
            is_newcomer |= is_new || now.saturating_sub(seat.newcomer_at) > HALF_LIFE;
            (is_new, seat.counted_at) = (true, now);
        } else {
            is_newcomer |= is_new;
        }
        if is_newcomer {
            seat.newcomer_at = now;
        }
        if is_established && !is_new {
            self.sit(place, seat);
            return (Arrival::Admitted, booked);
        }

        // The gate.
        booked.is_new = is_new;
        if seat_before.is_none() {
            state.viewers = state.viewers.saturating_add(1);
        }
        // Whoever waited as it was told, and asks again, is no company to itself: a part of it was counted in this excess.
        let counted = match seat_before {
            _ if repeats > 0 => 1.0,
            Some(before) if before.newcomer_at >= onset => {
                halved(f64::from(now.saturating_sub(before.newcomer_at)), HALF_LIFE_SECS)
            }
            _ => 0.0,
        };
        let newcomer = Newcomer::of(sighting, met, (booked.is_stranger, counted), usual.known, now);
        let mut too_many = false;
        if (is_new || insists) && !is_pardoned {
            booked.is_counted = true;
            too_many = state.gate.count(&settings.gate);
            booked.newcomer = is_newcomer.then_some(newcomer);
        }
        let is_calm = is_pardoned || state.alarm.is_none() && !too_many;
        let logged = state.logged;
        if booked.newcomer.is_some() && booked.is_stranger && state.traces.may_hold_companions(&met.meetings)
        {
            booked.companions = self.log.companions(logged, &newcomer);
        }
        let state = self.states.at_mut(at);
        if is_calm {
            let marches = met.marches || booked.companions >= lockstep::COMPANIONS_MIN;
            let is_suspect = is_new && booked.is_stranger && !is_pardoned && (met.is_suspect || marches);
            seat.is_admitted = !is_suspect && (seat.is_admitted || !booked.is_loop);
            // A pardoned room is not looked at, so nothing is known of what comes there: it teaches nobody.
            booked.is_quiet = !is_pardoned && state.gate.sum() < 0.5 * f64::from(settings.gate.burst);
            let is_asked = !met.is_shared
                && sighting
                    .viewer
                    .address
                    .number()
                    .wrapping_add(sighting.viewer.who)
                    .is_multiple_of(COMPANY_SAMPLE);
            if booked.newcomer.is_some() && booked.is_stranger && booked.is_quiet && is_asked {
                let may_have = state.traces.may_hold(sighting.viewer.address);
                booked.has_company = Some(may_have && self.log.has_company(logged, &newcomer));
            }
            self.log_newcomer(at, &mut booked);
            self.sit(place, seat);
            let arrival = match () {
                () if is_suspect => Arrival::Suspect,
                () if booked.is_loop => Arrival::Loops(seat.times),
                () => Arrival::Admitted,
            };
            return (arrival, booked);
        }
        self.sit(place, seat);
        if self.states.at(at).alarm.is_none() {
            self.alarm(sighting.subject, sighting.room, settings, now_ms);
        }
        self.log_newcomer(at, &mut booked);
        if let Some(newcomer) = booked.newcomer {
            let state = self.states.at_mut(at);
            let sum = state.gate.sum();
            if let Some(alarm) = &mut state.alarm {
                let before = alarm.entries();
                alarm.decay(now);
                alarm.add(&newcomer, now, self.entries < ENTRIES_MAX);
                alarm.note_sum(sum, now);
                self.entries = (self.entries + alarm.entries()).saturating_sub(before);
            }
        }
        (Arrival::Alarmed, booked)
    }

    /// Notes a newcomer in the log.
    fn log_newcomer(&mut self, at: usize, booked: &mut Booked) {
        if let Some(newcomer) = booked.newcomer {
            let state = self.states.at_mut(at);
            state.traces.note(newcomer.viewer.address, &newcomer.meetings);
            state.logged = self.log.note(newcomer, state.logged);
            booked.logged = state.logged;
        }
    }

    /// Makes a room's state where there is none. Rooms are never taken out: where it lies holds until another is made.
    fn enter(&mut self, room: &LookUp<Subject>, gate: Gate) -> usize {
        let numbers = &mut self.numbers;
        let make = || {
            *numbers = numbers.wrapping_add(1);
            RoomState {
                number: *numbers,
                gate,
                viewers: 0,
                logged: 0,
                traces: Traces::default(),
                repeaters: None,
                pardoned_until: 0,
                alarm: None,
            }
        };
        let worth = |_: &Subject, state: &RoomState| match state.alarm {
            Some(_) => u64::MAX,
            None => state.gate.worth(),
        };
        let (at, is_new) = self.states.enter_looked_up(room, make, worth);
        if is_new && !self.alarmed.is_empty() {
            // What was alarmed in its place is gone, and counts no more.
            let rooms = &self.states;
            self.alarmed.retain(|room| rooms.get(room).is_some_and(|state| state.alarm.is_some()));
        }
        at
    }

    /// What is usual for its rooms.
    pub(super) fn baselines(&self) -> impl Iterator<Item = (Subject, [u32; 2], f64)> {
        self.states.iter().map(|(room, state)| {
            let (times, learned) = state.gate.baseline();
            (*room, times, learned)
        })
    }

    /// Puts a room's baseline back.
    pub(super) fn recall(&mut self, room: Subject, born: u32, at: u32, learned: f64, now_ms: u64) {
        self.enter(&self.states.look_up(room), Gate::recalled(now_ms, [born, at], learned));
    }

    /// Puts a viewer into its seat: where it sat before, or a new one.
    fn sit(&mut self, (before, looked_up): (Option<usize>, &LookUp<(u32, Viewer)>), seat: Seat) {
        match before {
            Some(at) => *self.seats.at_mut(at) = seat,
            None => {
                self.seats.enter_looked_up(looked_up, || seat, |_, seat| u64::from(seat.window_at));
            }
        }
    }

    /// Alarms a room: takes in who came since its excess began.
    fn alarm(&mut self, room: Subject, shown: Room, settings: &ViewbotSettings, now_ms: u64) {
        let now = (now_ms / 1_000) as u32;
        self.make_room_for_alarm(settings, now_ms);
        let (logged, onset, usual_then) = self.states.get(&room).map_or((0, now, 0.0), |state| {
            (state.logged, state.gate.onset(), state.gate.usual(&settings.gate, now))
        });
        let newcomers = self.log.newcomers_since(logged, onset);
        let mut alarm = Box::new(Alarm::new(shown, usual_then, now));
        for newcomer in newcomers.iter().rev() {
            alarm.add(newcomer, now, true);
        }
        self.entries += alarm.entries();
        // They came with the excess, and earned what they did before it was noticed.
        let lately = |newcomer: &&Newcomer| now.saturating_sub(newcomer.at) <= HALF_LIFE;
        self.unearned.extend(newcomers.iter().filter(lately).map(|newcomer| newcomer.viewer));
        if let Some(state) = self.states.get_mut(&room) {
            state.alarm = Some(alarm);
            self.alarmed.push(room);
        }
    }

    fn make_room_for_alarm(&mut self, settings: &ViewbotSettings, now_ms: u64) {
        if self.alarmed.len() < ALARMS_MAX {
            return;
        }
        let mut least: Option<(f64, Subject)> = None;
        for room in &self.alarmed {
            if let Some(state) = self.states.get_mut(room) {
                state.gate.drain(&settings.gate, now_ms);
                let sum = state.gate.sum();
                if least.is_none_or(|(other, _)| sum < other) {
                    least = Some((sum, *room));
                }
            }
        }
        if let Some((_, room)) = least {
            self.close(room);
        }
    }

    fn close(&mut self, room: Subject) {
        self.alarmed.retain(|other| *other != room);
        if let Some(alarm) = self.states.get_mut(&room).and_then(|state| state.alarm.take()) {
            self.entries = self.entries.saturating_sub(alarm.entries());
        }
    }

    /// The viewer gets in.
    pub(super) fn seat(&mut self, sighting: &Sighting, booked: &Booked) {
        let seat = self.seats.get_mut(&(sighting.short, sighting.viewer));
        if let Some(seat) = seat.filter(|seat| seat.room == booked.number) {
            seat.is_admitted = true;
        }
    }

    /// The room learns from a viewer that was admitted without suspicion.
    pub(super) fn learn(
        &mut self,
        room: Subject,
        booked: &Booked,
        settings: &ViewbotSettings,
        now: u32,
        is_cold: impl FnOnce() -> bool,
    ) {
        if let Some(state) = self.states.get_mut_likely(room, booked.state) {
            let learns_in = |alarm: &Alarm| {
                state.gate.learns_in_alarm(&settings.gate, alarm.since, alarm.usual_then, now) || is_cold()
            };
            if state.alarm.as_deref().is_none_or(learns_in) {
                state.gate.learn(&settings.gate, now);
            }
        }
    }

    /// Takes back what a request counted that got no good answer.
    pub(super) fn take_back(&mut self, sighting: &Sighting, booked: &Booked) {
        let key = (sighting.short, sighting.viewer);
        // By one, and not to what it was before: others of the same viewer may have come since.
        if let Some(seat) = self.seats.get_mut(&key).filter(|seat| seat.room == booked.number) {
            seat.times = seat.times.saturating_sub(1);
            // Whoever waited in it for longer than a window keeps it.
            let is_of_now = |before: Seat| !before.is_admitted && before.window_at == seat.window_at;
            if seat.times == 0 && booked.seat_before.is_none_or(is_of_now) {
                self.seats.remove(&key);
            }
        }
        self.log.void(booked.logged);
        let Some(state) =
            self.states.get_mut(&sighting.subject).filter(|state| state.number == booked.number)
        else {
            return;
        };
        if booked.seat_before.is_none() {
            state.viewers = state.viewers.saturating_sub(1);
        }
        if booked.is_counted {
            state.gate.uncount();
        }
        if let (Some(newcomer), Some(alarm)) = (booked.newcomer, &mut state.alarm) {
            let before = alarm.entries();
            alarm.remove(&newcomer);
            self.entries = self.entries.saturating_sub(before - alarm.entries());
        }
    }

    /// Drops the room's excess and all that was counted of it, and looks away until `until`.
    pub(super) fn pardon(&mut self, room: Subject, until: u32) {
        self.close(room);
        if let Some(state) = self.states.get_mut(&room) {
            state.gate.pardon();
            state.logged = 0;
            state.repeaters = None;
            state.pardoned_until = until;
        }
    }

    /// The alarmed rooms.
    pub(super) fn alarms(
        &mut self,
        settings: &ViewbotSettings,
        now_ms: u64,
        mut each: impl FnMut(&Gate, &Alarm),
    ) {
        for room in &self.alarmed {
            if let Some(state) = self.states.get_mut(room) {
                let is_over = state.gate.drain(&settings.gate, now_ms);
                if let Some(alarm) = state.alarm.as_ref().filter(|_| !is_over) {
                    each(&state.gate, alarm);
                }
            }
        }
    }
}
