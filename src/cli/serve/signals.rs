//! SIGTERM and SIGINT end the gateway, SIGHUP has it read again.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::control::desk::Desk;
use crate::control::generators::Generators;
use crate::telemetry::access_log::RecordLog;

/// The signals that are listened for; before, each of them ends the process.
pub(super) struct Signals {
    runtime: tokio::runtime::Runtime,
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    pub(super) fn listen() -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let entered = runtime.enter();
        let terminate = signal(SignalKind::terminate())?;
        let interrupt = signal(SignalKind::interrupt())?;
        let hang_up = signal(SignalKind::hangup())?;
        drop(entered);
        Ok(Self { runtime, terminate, interrupt, hang_up })
    }

    /// Until SIGTERM or SIGINT. SIGHUP reads policies and generators again and reopens the record.
    pub(super) fn wait(mut self, desk: &Desk, record: &RecordLog, generators: &Generators) {
        self.runtime.block_on(async {
            loop {
                tokio::select! {
                    _ = self.terminate.recv() => return,
                    _ = self.interrupt.recv() => return,
                    _ = self.hang_up.recv() => {
                        record.reopen();
                        desk.again();
                        // What is wrong with them stands in the log; those before stay.
                        let _ = generators.reload("signal");
                    }
                }
            }
        });
    }
}
