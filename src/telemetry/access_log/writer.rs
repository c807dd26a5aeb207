//! The writer: one thread, one file, and a bounded queue before it.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::base::time::Clock;
use crate::telemetry::logging::LineLimit;
use crate::telemetry::metrics::RecordCounts;

use super::Event;
use super::recorder::{Recorder, Share};
use super::rotation::RotatingFile;

/// At most so many bytes wait for the writer.
const QUEUE_BYTES_MAX: usize = 8 << 20;

/// So many buffers are kept to be filled again.
const SPARES_MAX: usize = 16;

/// How often the writer looks whether a file has become too old, where no lines come.
const HOUSEKEEPING: Duration = Duration::from_secs(60);

/// Where the record goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// Into a file, which is rotated.
    File(PathBuf),
    /// To stdout.
    Stdout,
    /// Nowhere.
    None,
}

/// Where the record goes, how much of it there is, and for how long it is kept.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordSettings {
    /// Where to.
    pub destination: Destination,
    /// A file of so many bytes is rotated; so is one that is a day old, so that `keep` holds for quiet gateways too.
    pub rotate_bytes: u64,
    /// A rotated file is removed after that.
    pub keep: Duration,
    /// No whole address of a client is kept longer than this: then it is cut to its subnet. At least an hour.
    pub cut_addresses_after: Option<Duration>,
    /// The share of admitted, well answered requests that is recorded.
    pub allowed_share: Share,
}

impl Default for RecordSettings {
    fn default() -> Self {
        Self {
            destination: Destination::File("./data/access.jsonl".into()),
            rotate_bytes: 1 << 30,
            keep: Duration::from_secs(7 * 86_400),
            cut_addresses_after: None,
            allowed_share: Share::ALL,
        }
    }
}

/// Why there is no record.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The file cannot be made or opened.
    #[error("cannot open the access record `{}`", path.display())]
    Open {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// There is no thread for it.
    #[error("cannot start the thread that writes the access record")]
    Thread(#[source] std::io::Error),
}

/// Some whole lines.
#[derive(Debug)]
pub(super) struct Chunk {
    pub(super) bytes: Vec<u8>,
    pub(super) lines: u64,
}

pub(super) enum Message {
    Lines(Chunk),
    Reopen,
    /// Answered with why not, where it cannot be done.
    Rotate(tokio::sync::oneshot::Sender<Result<(), String>>),
    /// Answered when everything before it is on its way to the disk.
    Stop(Sender<()>),
}

/// The way to the writer, bounded by bytes: what waits is memory.
#[derive(Debug)]
pub(super) struct Queue {
    sender: Sender<Message>,
    waiting_bytes: AtomicUsize,
    /// Buffers that were written, to be filled again: their memory is warm.
    spares: Mutex<Vec<Vec<u8>>>,
    stopped: AtomicBool,
    counts: RecordCounts,
}

impl Queue {
    pub(super) fn new(counts: RecordCounts) -> (Self, Receiver<Message>) {
        let (sender, receiver) = channel();
        let (waiting_bytes, stopped) = (AtomicUsize::new(0), AtomicBool::new(false));
        (Self { sender, waiting_bytes, spares: Mutex::default(), stopped, counts }, receiver)
    }

    /// An empty buffer that had lines in it, where there is one.
    pub(super) fn spare(&self) -> Option<Vec<u8>> {
        self.spares.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    fn keep(&self, mut buffer: Vec<u8>) {
        buffer.clear();
        let mut spares = self.spares.lock().unwrap_or_else(PoisonError::into_inner);
        if spares.len() < SPARES_MAX {
            spares.push(buffer);
        }
    }

    /// Takes the lines, or loses and counts them where too much waits already. Never waits.
    pub(super) fn push(&self, chunk: Chunk) {
        let (bytes, lines) = (chunk.bytes.len(), chunk.lines);
        // Added first: two threads that looked first could both find room.
        let before = self.waiting_bytes.fetch_add(bytes, Ordering::Relaxed);
        let fits = before + bytes <= QUEUE_BYTES_MAX && !self.stopped.load(Ordering::Relaxed);
        if !fits || self.sender.send(Message::Lines(chunk)).is_err() {
            self.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
            self.counts.queue_full.inc_by(lines);
        }
    }
}

/// The access record of the process.
#[derive(Debug)]
pub struct RecordLog {
    queue: Option<Arc<Queue>>,
    share: Share,
}

impl RecordLog {
    /// Opens the file, with its directory where that is missing, and starts the writer. A line that a killed process left
    /// half-written at the file's end is cut off.
    pub fn open(settings: &RecordSettings, clock: Clock, counts: RecordCounts) -> Result<Self, RecordError> {
        let file = match &settings.destination {
            Destination::None => return Ok(Self { queue: None, share: settings.allowed_share }),
            Destination::Stdout => Output::Stdout { torn: false },
            Destination::File(path) => {
                let file = RotatingFile::open(path.clone(), settings, clock.now());
                Output::File(Box::new(
                    file.map_err(|source| RecordError::Open { path: path.clone(), source })?,
                ))
            }
        };
        let (queue, receiver) = Queue::new(counts);
        let queue = Arc::new(queue);
        let writer =
            Writer { queue: Arc::clone(&queue), clock, output: file, complaints: LineLimit::per_minute(2) };
        let thread = std::thread::Builder::new().name("record".into());
        thread.spawn(move || writer.run(&receiver)).map_err(RecordError::Thread)?;
        Ok(Self { queue: Some(queue), share: settings.allowed_share })
    }

    /// A recorder for one worker thread.
    pub fn recorder(&self) -> Recorder {
        Recorder::new(self.queue.clone(), self.share)
    }

    /// Records an event at once: for threads that have no recorder.
    pub fn event(&self, event: &Event<'_>) {
        self.recorder().event(event);
    }

    /// Closes the file and opens what has its name now: for an operator who rotates files with tools of her own.
    pub fn reopen(&self) {
        if let Some(queue) = &self.queue {
            // Fails where the writer is gone, and then there is nothing to reopen.
            let _ = queue.sender.send(Message::Reopen);
        }
    }

    /// Sets the file aside and begins a new one: what was recorded before is in files that nobody writes to any more. Or why
    /// not.
    pub async fn rotate(&self) -> Result<(), String> {
        let Some(queue) = &self.queue else { return Err("no access record is kept".into()) };
        let (reply, answer) = tokio::sync::oneshot::channel();
        let stopping = || "the gateway is stopping".to_owned();
        queue.sender.send(Message::Rotate(reply)).map_err(|_| stopping())?;
        answer.await.unwrap_or_else(|_| Err(stopping()))
    }

    /// Writes what has been handed over, and ends the writer. To be called when the recorders are flushed or dropped;
    /// what comes later is lost and counted. Waits at most `patience`, and is `false` where that was not enough: a disk
    /// that hangs must not keep the process from stopping.
    pub fn close(&self, patience: Duration) -> bool {
        let Some(queue) = &self.queue else { return true };
        let (done, wait) = channel();
        if queue.sender.send(Message::Stop(done)).is_err() {
            return true;
        }
        wait.recv_timeout(patience).is_ok()
    }
}

enum Output {
    File(Box<RotatingFile>),
    /// `torn` where a line was cut short: what comes next begins on a new one.
    Stdout {
        torn: bool,
    },
}

struct Writer {
    queue: Arc<Queue>,
    clock: Clock,
    output: Output,
    complaints: LineLimit,
}

impl Writer {
    fn run(mut self, receiver: &Receiver<Message>) {
        loop {
            match receiver.recv_timeout(HOUSEKEEPING) {
                Ok(Message::Lines(chunk)) => self.write(chunk),
                Ok(Message::Reopen) => self.reopen(),
                Ok(Message::Rotate(reply)) => {
                    // Whoever asked may have gone.
                    let _ = reply.send(self.rotate());
                }
                Ok(Message::Stop(done)) => {
                    self.queue.stopped.store(true, Ordering::Relaxed);
                    for message in receiver.try_iter() {
                        if let Message::Lines(chunk) = message {
                            self.write(chunk);
                        }
                    }
                    // The closer may have lost its patience.
                    let _ = done.send(());
                    return;
                }
                Err(RecvTimeoutError::Timeout) => self.housekeep(),
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn write(&mut self, chunk: Chunk) {
        let now = self.clock.now();
        let written = match &mut self.output {
            Output::File(file) => file.append(&chunk.bytes, now),
            Output::Stdout { torn } => write_to_stdout(&chunk.bytes, torn),
        };
        self.queue.waiting_bytes.fetch_sub(chunk.bytes.len(), Ordering::Relaxed);
        match written {
            Ok(()) => self.queue.counts.written.inc_by(chunk.lines),
            Err(error) => {
                self.queue.counts.write_failed.inc_by(chunk.lines);
                self.complain(&error, "lines of the access record are lost: they cannot be written");
            }
        }
        self.queue.keep(chunk.bytes);
        self.housekeep();
    }

    fn housekeep(&mut self) {
        let now = self.clock.now();
        if let Output::File(file) = &mut self.output
            && let Err(error) = file.housekeep(now)
        {
            self.complain(&error, "the access record cannot be rotated; it grows on");
        }
    }

    fn reopen(&mut self) {
        let now = self.clock.now();
        if let Output::File(file) = &mut self.output
            && let Err(error) = file.reopen(now)
        {
            self.complain(&error, "the access record cannot be opened again");
        }
    }

    fn rotate(&mut self) -> Result<(), String> {
        let now = self.clock.now();
        match &mut self.output {
            Output::File(file) => file
                .rotate_now(now)
                .map_err(|error| format!("the access record cannot be set aside: {error}")),
            Output::Stdout { .. } => Err("the access record goes to stdout, not into a file".into()),
        }
    }

    fn complain(&self, error: &std::io::Error, what: &'static str) {
        if let Some(left_out) = self.complaints.pass() {
            tracing::error!(%error, left_out, "{what}");
        }
    }
}

fn write_to_stdout(bytes: &[u8], torn: &mut bool) -> std::io::Result<()> {
    use std::io::Write;
    let mut stdout = std::io::stdout().lock();
    if *torn {
        stdout.write_all(b"\n")?;
    }
    *torn = true;
    stdout.write_all(bytes)?;
    stdout.flush()?;
    *torn = false;
    Ok(())
}
