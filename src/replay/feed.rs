//! From files to records in the order of their decisions.

use std::collections::{BTreeMap, VecDeque};
use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Number;

use super::ending::Ending;
use super::input::{BytesRead, FILES_MAX, InputError, LINE_BYTES_MAX, Read1, Source};
use super::line::{Line, newer_format, worded};
use super::order::{Order, WINDOW};
use super::record::{Place, Record, shared_texts};
use super::scan::{Known, scan};
use super::shared::{Places, Shared};
use crate::base::time::Timestamp;
use crate::engine::order;
use crate::policy::PolicySet;
use crate::policy::diagnostic::quoted;
use crate::telemetry::access_log::{RECORD_FORMAT, START};

/// So many broken lines are told one by one; the others are counted.
const COMPLAINTS_MAX: usize = 20;

/// So many different words of events, and policies, are kept.
const WORDS_MAX: usize = 32;

/// So many reloads are told one by one; the others are counted.
const RELOADS_MAX: usize = 5;

/// So many lines are read together, where there is one file.
const TOGETHER: usize = 8;

/// A word is kept up to so many bytes.
const WORD_BYTES_MAX: usize = 64;

/// What to do about a broken line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnBroken {
    /// Count it, tell the first ones, go on.
    Skip,
    /// Stop.
    Stop,
}

/// What was noticed on the way.
#[derive(Debug, Default)]
pub struct Noticed {
    /// Lines read, of every kind.
    pub lines: u64,
    /// Lines that are no records.
    pub broken: u64,
    /// The first of them: file and line, and why.
    pub complaints: Vec<(String, String)>,
    /// Events by their word.
    pub events: BTreeMap<String, u64>,
    /// The policies that decided the records, by digest, with how many each; at most a few.
    pub policies: BTreeMap<String, u64>,
    /// Records whose address was cut: rules per address count whole networks.
    pub cut_addresses: u64,
    /// Records of a gateway that kept only a share of what it admitted.
    pub sampled: u64,
    /// Reloads and rollbacks that were recorded.
    pub reloads: u64,
    /// The first of them: when, by what event, and the digest of the policy that came into force.
    pub first_reloads: Vec<(Timestamp, String, String)>,
    /// The policy of the last record, and of how many before it without a break.
    policy: String,
    same_policy: u64,
    /// The policies that are looked for, by digest, and which of them that one is.
    looked_for: Vec<String>,
    found: Option<u8>,
}

/// The records of all inputs, in the order of their decisions.
pub struct Feed {
    sources: Vec<Option<Source>>,
    names: Vec<PathBuf>,
    /// What was read of the lines that come next, each with its time where it has one, and its record where it has that.
    fresh: VecDeque<(Option<Timestamp>, Option<Box<Record>>)>,
    /// Why reading ended behind those.
    failed: Option<InputError>,
    /// The same, while what was read before is still put into order.
    stopped: Option<InputError>,
    order: Order,
    /// Records whose turn it is, and why reading ended behind them.
    ready: VecDeque<Box<Record>>,
    ended: Option<Result<(), InputError>>,
    #[expect(clippy::vec_box, reason = "records go from here to the window and back in their boxes")]
    spare: Vec<Box<Record>>,
    scratch: Scratch,
    on_broken: OnBroken,
    wanted: Option<Wanted>,
    /// Why the line that is looked for is no record.
    unmet: Option<String>,
    ending: Option<Ending>,
    window: Duration,
    bytes: BytesRead,
    size: Option<u64>,
    /// What was noticed so far.
    pub noticed: Noticed,
}

/// What is kept from line to line.
#[derive(Debug, Default)]
struct Scratch {
    found: Vec<(Read1, Range<usize>)>,
    known: Known,
    shared: Shared,
}

/// The one record that is looked for.
#[derive(Debug, Clone)]
pub enum Wanted {
    /// By the id that its client was told.
    RequestId(String),
    /// By its line in the first input, from 0.
    Line(u64),
}

impl Feed {
    /// Opens all files.
    pub fn open<P: AsRef<Path>>(paths: &[P], on_broken: OnBroken) -> Result<Self, InputError> {
        if paths.len() > FILES_MAX {
            return Err(InputError::TooMany(paths.len()));
        }
        let mut feed = Self::empty(on_broken);
        for path in paths {
            let (source, length) = Source::open(path.as_ref(), &feed.bytes)?;
            feed.sources.push(Some(source));
            feed.names.push(path.as_ref().to_owned());
            feed.size = feed.size.zip(length).map(|(sum, length)| sum + length);
        }
        Ok(feed)
    }

    /// Of one reader, packed or not, which is called `name`.
    pub fn of(name: &Path, reader: impl Read + 'static, on_broken: OnBroken) -> Result<Self, InputError> {
        let mut feed = Self::empty(on_broken);
        feed.sources.push(Some(Source::of(name, reader, &feed.bytes)?));
        feed.names.push(name.to_owned());
        feed.size = None;
        Ok(feed)
    }

    fn empty(on_broken: OnBroken) -> Self {
        Self {
            sources: Vec::new(),
            names: Vec::new(),
            fresh: VecDeque::new(),
            failed: None,
            stopped: None,
            order: Order::default(),
            ready: VecDeque::new(),
            ended: None,
            spare: Vec::new(),
            scratch: Scratch::default(),
            on_broken,
            wanted: None,
            unmet: None,
            ending: None,
            window: WINDOW,
            bytes: BytesRead::default(),
            size: Some(0),
            noticed: Noticed::default(),
        }
    }

    /// Sorts all records, as many as can be held: for little traffic, written by hand.
    pub fn sort_all(&mut self) {
        self.window = Duration::MAX;
    }

    /// Marks one record as [wanted](Record::wanted).
    pub fn look_for(&mut self, wanted: Wanted) {
        self.wanted = Some(wanted);
    }

    /// Marks the records that one of these policies decided, by its [place](Record::decided_by) among them.
    pub fn look_for_policies<'p>(&mut self, policies: impl IntoIterator<Item = &'p PolicySet>) {
        let digests = policies.into_iter().map(|policy| policy.digest().to_string());
        self.noticed.looked_for = digests.collect();
    }

    /// Why the line that is looked for is no record, once it has been read.
    pub fn unmet(&self) -> Option<&str> {
        self.unmet.as_deref()
    }

    /// How the [wanted](Record::wanted) record says that its request ended, once it has been read.
    pub fn ending(&self) -> Option<&Ending> {
        self.ending.as_ref()
    }

    /// The files' names, by [`Place::file`].
    pub fn names(&self) -> &[PathBuf] {
        &self.names
    }

    /// How many bytes have been read, and of how many, where that is known.
    pub fn progress(&self) -> (u64, Option<u64>) {
        (self.bytes.count(), self.size)
    }

    /// How many records came too late to be decided in their place.
    pub fn too_late(&self) -> u64 {
        self.order.too_late
    }

    /// The next records, some at a time, into an empty list: none at the end. Give them [back](Self::give_back), to be used again.
    pub fn next_records(&mut self, records: &mut Vec<Box<Record>>) -> Result<(), InputError> {
        records.extend(self.next_record()?);
        records.extend(self.ready.drain(..));
        Ok(())
    }

    /// The next record. Give it [back](Self::give_back), to be used again.
    pub fn next_record(&mut self) -> Result<Option<Box<Record>>, InputError> {
        if self.ready.is_empty() && self.ended.is_none() {
            self.ended = self.read_ahead();
        }
        if let Some(record) = self.ready.pop_front() {
            return Ok(Some(record));
        }
        if let Some(Err(error)) = self.ended.replace(Ok(())) {
            return Err(error);
        }
        self.noticed.settle_policy();
        Ok(None)
    }

    /// Reads until some records' turn has come, and tells how reading ended where it did. Reading and deciding are each about
    /// as much code as the processor keeps at hand: by turns, record by record, it would fetch all of it again for each.
    fn read_ahead(&mut self) -> Option<Result<(), InputError>> {
        const AHEAD: usize = 32;
        loop {
            let behind = self.furthest_behind();
            let reached = behind.map(|(_, reached)| reached);
            while self.ready.len() < AHEAD {
                let Some(record) = self.order.pop(reached, self.window) else {
                    let Some((file, _)) = behind else {
                        return Some(self.stopped.take().map_or(Ok(()), Err));
                    };
                    if let Err(error) = self.read_line(file) {
                        // What was read before it has its turn all the same.
                        self.stopped = Some(error);
                        self.sources.fill_with(|| None);
                    }
                    break;
                };
                record.prefetch();
                self.ready.push_back(record);
            }
            if self.ready.len() >= AHEAD {
                return None;
            }
        }
    }

    /// Takes a record back.
    pub fn give_back(&mut self, mut record: Box<Record>) {
        const SPARE_MAX: usize = 1024;
        if self.spare.len() < SPARE_MAX {
            record.trim();
            self.spare.push(record);
        }
    }

    /// The file to be read next, and the time up to which all have been read.
    fn furthest_behind(&self) -> Option<(usize, Timestamp)> {
        let open = self.sources.iter().enumerate();
        let open = open.filter_map(|(place, source)| Some((place, source.as_ref()?.reached)));
        open.min_by_key(|(place, reached)| (*reached, *place))
    }

    /// Puts the next line of a file into its place.
    fn read_line(&mut self, file: usize) -> Result<(), InputError> {
        if self.fresh.is_empty() && self.failed.is_none() {
            self.read_lines(file)?;
        }
        // What stands before a line that ends the reading is put into its place first.
        if self.fresh.is_empty()
            && let Some(error) = self.failed.take()
        {
            return Err(error);
        }
        let (Some((time, record)), Some(source)) = (self.fresh.pop_front(), &mut self.sources[file]) else {
            return Ok(());
        };
        if let Some(time) = time {
            source.follow(time, self.window);
        }
        if let Some(record) = record {
            self.order.push(record);
        }
        Ok(())
    }

    /// Reads some lines of a file, in three steps for all of them: what a line shares with others lies in memory that has to be
    /// asked for, and waited for, twice.
    fn read_lines(&mut self, file: usize) -> Result<(), InputError> {
        let Some(mut source) = self.sources[file].take() else { return Ok(()) };
        // Of several files that one is read on that is furthest behind.
        let most = if self.sources.iter().flatten().next().is_none() { TOGETHER } else { 1 };
        let mut found = std::mem::take(&mut self.scratch.found);
        source.read_some(most, &mut found)?;
        let mut lines: [Line<'_>; TOGETHER] = Default::default();
        let mut read: [Result<Fields, Untaken>; TOGETHER] = std::array::from_fn(|_| Ok(Fields::Blank));
        for ((line, read), (became, part)) in lines.iter_mut().zip(&mut read).zip(&found) {
            if matches!(became, Read1::Line) {
                *read = self.scratch.read(&source.at_hand()[part.clone()], line);
            }
        }
        for read in &read {
            if let Ok(Fields::Line(places)) = read {
                self.scratch.shared.prefetch(*places);
            }
        }
        let before = source.number() + 1 - found.len() as u64;
        let mut is_at_end = false;
        for ((number, (became, part)), (line, read)) in (before..).zip(&found).zip(lines.iter().zip(read)) {
            let read = match became {
                Read1::End => {
                    is_at_end = true;
                    break;
                }
                Read1::TooLong => Err(format!("a line of more than {LINE_BYTES_MAX} bytes").into()),
                Read1::Line => read,
            };
            let place = Place { file: file as u16, line: number };
            match self.take_in(line, read, place, (&source.path, &source.at_hand()[part.clone()])) {
                Ok(taken) => self.fresh.push_back(taken),
                Err(error) => {
                    self.failed = Some(error);
                    break;
                }
            }
        }
        self.scratch.found = found;
        if !is_at_end {
            self.sources[file] = Some(source);
        }
        Ok(())
    }

    /// Takes in one line, of which there is this path and these bytes. Gives its time, and its record where it has one.
    fn take_in(
        &mut self,
        line: &Line<'_>,
        read: Result<Fields, Untaken>,
        place: Place,
        (path, bytes): (&Path, &[u8]),
    ) -> Result<(Option<Timestamp>, Option<Box<Record>>), InputError> {
        self.noticed.lines += 1;
        let mut record = self.spare.pop().unwrap_or_default();
        let with_names = self.wanted.is_some();
        let taken = read.and_then(|read| match read {
            Fields::Blank => Ok(Taken { time: None, is_held: false }),
            Fields::Line(places) => {
                self.noticed.take_in(line, &mut record, place, (&mut self.scratch.shared, places), with_names)
            }
        });
        let named = || format!("{}:{}", path.display(), place.line + 1);
        let is_wanted_line =
            matches!(self.wanted, Some(Wanted::Line(number)) if place == Place { file: 0, line: number });
        match taken {
            Ok(Taken { time, is_held }) => {
                if !is_held {
                    if is_wanted_line {
                        self.unmet = Some(match &line.event {
                            Some(event) => format!("it is the event {}", quoted(event)),
                            None => "it is empty".to_owned(),
                        });
                    }
                    self.give_back(record);
                    return Ok((time, None));
                }
                record.wanted = match &self.wanted {
                    None => false,
                    // Written in either case: people copy ids from tickets.
                    Some(Wanted::RequestId(id)) => record.request_id().eq_ignore_ascii_case(id),
                    Some(Wanted::Line(_)) => is_wanted_line,
                };
                if record.wanted {
                    self.ending = Some(Ending::read(bytes));
                }
                Ok((time, Some(record)))
            }
            Err(Untaken::Newer(format)) => Err(InputError::Newer { place: named(), format }),
            Err(Untaken::Broken(why)) => {
                self.give_back(record);
                if self.on_broken == OnBroken::Stop {
                    return Err(InputError::Broken { place: named(), why });
                }
                if is_wanted_line {
                    self.unmet = Some(why.clone());
                }
                self.noticed.broken += 1;
                if self.noticed.complaints.len() < COMPLAINTS_MAX {
                    self.noticed.complaints.push((named(), why));
                }
                Ok((None, None))
            }
        }
    }
}

/// Looks at one line after the other as a replay does, without deciding anything.
#[derive(Debug, Default)]
pub struct LineCheck(Scratch);

impl LineCheck {
    /// Whether a replay passes over this line, as it is no record.
    pub fn passes_over(&mut self, line: &[u8]) -> bool {
        let mut fields = Line::default();
        let read = self.0.read(line, &mut fields);
        let taken = read.and_then(|read| match read {
            Fields::Blank => Ok(()),
            Fields::Line(places) => {
                let mut record = Record::default();
                let shared = (&mut self.0.shared, places);
                Noticed::default().take_in(&fields, &mut record, Place::default(), shared, false).map(|_| ())
            }
        });
        line.trim_ascii_end().len() > LINE_BYTES_MAX || matches!(taken, Err(Untaken::Broken(_)))
    }
}

/// What was read of a line.
enum Fields {
    /// It is empty.
    Blank,
    /// Fields; and where what they share with others is held.
    Line(Places),
}

impl Scratch {
    /// Reads a line's fields into an empty one.
    fn read<'a>(&mut self, bytes: &'a [u8], line: &mut Line<'a>) -> Result<Fields, Untaken> {
        // Looked at once as text: no parser need look at each of its texts again.
        let text = std::str::from_utf8(bytes)
            .map_err(|error| format!("not UTF-8 from byte {} on", error.valid_up_to() + 1))?;
        if !scan(text, line, &mut self.known) {
            if text.trim_ascii().is_empty() {
                return Ok(Fields::Blank);
            }
            *line = serde_json::from_str(text).map_err(|error| match newer_format(text) {
                Some(format) => Untaken::Newer(format),
                None => Untaken::Broken(worded(&error)),
            })?;
        }
        if let Some(format) = line.format.filter(|format| *format > RECORD_FORMAT.into()) {
            return Err(Untaken::Newer(format.into()));
        }
        let (asked, key) = shared_texts(line);
        Ok(Fields::Line(self.shared.places(asked, key)))
    }
}

/// What became of a line that could be read.
struct Taken {
    /// Its time; `None` where it is empty.
    time: Option<Timestamp>,
    /// Whether there is a record of it to be held: a request, or an order.
    is_held: bool,
}

/// Why a line was not taken.
enum Untaken {
    /// It is of a later version.
    Newer(Number),
    /// It is no record.
    Broken(String),
}

impl From<String> for Untaken {
    fn from(why: String) -> Self {
        Self::Broken(why)
    }
}

impl Noticed {
    /// Takes in what a line says, into `record` where it is one.
    fn take_in(
        &mut self,
        line: &Line<'_>,
        record: &mut Record,
        place: Place,
        shared: (&mut Shared, Places),
        with_names: bool,
    ) -> Result<Taken, Untaken> {
        let time = line.time.0;
        let taken = |is_held| Ok(Taken { time: Some(time), is_held });
        if let Some(event) = &line.event {
            note(&mut self.events, event, 1);
            if **event == *START {
                record.fill_start(line, place);
                return taken(true);
            }
            let Some(order) = line.order.as_deref() else {
                self.note_reload(event, line.policy.as_deref(), time);
                return taken(false);
            };
            let order = order::Order::parse(event, order)
                .ok_or_else(|| "`order` is no order of an operator".to_owned())?;
            record.fill_order(line, order, place);
            return taken(true);
        }
        record.fill(line, place, shared, with_names).map_err(|why| why.to_string())?;
        if let Some(policy) = &line.policy {
            if *self.policy == **policy {
                self.same_policy += 1;
            } else {
                self.settle_policy();
                self.policy.clear();
                self.policy.push_str(policy);
                self.same_policy = 1;
                let found = self.looked_for.iter().position(|digest| *digest == self.policy);
                self.found = found.map(|place| place as u8);
            }
            // What the gateway refused by itself no policy decided.
            record.decided_by = self.found.filter(|_| !record.by_gateway);
        }
        self.cut_addresses += u64::from(line.client_prefix.is_some());
        self.sampled += u64::from(line.share.is_some());
        taken(true)
    }

    /// Whether there were lines, and none of them was of use; an empty input is no such one.
    pub fn is_nothing_but_broken(&self, records: u64) -> bool {
        records == 0 && self.broken > 0 && self.events.is_empty()
    }

    /// Counts what the policy of the last record decided without a break; for those who stop before the end.
    pub fn settle_policy(&mut self) {
        let count = std::mem::take(&mut self.same_policy);
        if count > 0 {
            note(&mut self.policies, &self.policy, count);
        }
    }

    fn note_reload(&mut self, event: &str, policy: Option<&str>, time: Timestamp) {
        if let ("reload" | "rollback", Some(policy)) = (event, policy) {
            self.reloads += 1;
            if self.first_reloads.len() < RELOADS_MAX {
                self.first_reloads.push((time, event.to_owned(), cut(policy).to_owned()));
            }
        }
    }
}

/// The first bytes of a word that strangers may have written.
fn cut(word: &str) -> &str {
    let end = word.len().min(WORD_BYTES_MAX);
    word.get(..end).unwrap_or_default()
}

/// Counts a word, as long as there are not too many.
fn note(words: &mut BTreeMap<String, u64>, word: &str, times: u64) {
    if let Some(count) = words.get_mut(word) {
        *count += times;
    } else if words.len() < WORDS_MAX && word.len() <= WORD_BYTES_MAX {
        words.insert(word.to_owned(), times);
    }
}
