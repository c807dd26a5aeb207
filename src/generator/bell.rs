//! Wakes requests whose generator takes long, with one timer for a whole thread.
//!
//! Nearly every request is answered before its hedge is due. A timer entry for each, made and taken back, would cost more
//! than all of the choosing. So what is due lies in a queue, entries of finished requests are left in it, and one task
//! ([`Bell::keep_time`]) sleeps until the earliest that still stands. What is due before the last of the queue lies in a heap
//! beside it: few do, as one generator's hedges are due after the same time for a while. Where nobody runs that task nothing rings, and requests
//! do without hedges.

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::task::{Context, Poll, Waker};

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

/// One thread's.
#[derive(Debug, Default)]
pub struct Bell {
    entries: RefCell<Entries>,
    nearer: Notify,
}

#[derive(Debug, Default)]
struct Entries {
    slots: Vec<Slot>,
    free: Vec<u32>,
    /// In the order in which they are due.
    due: VecDeque<Entry>,
    /// What came out of that order.
    sooner: BinaryHeap<Reverse<Entry>>,
    /// When the task wakes next.
    armed: Option<Instant>,
}

/// When, which slot, and which of its uses.
type Entry = (Instant, u32, u32);

impl Entries {
    /// What is due first, and whether it lies in the heap.
    fn first(&self) -> Option<(Entry, bool)> {
        match (self.due.front(), self.sooner.peek()) {
            (Some(due), Some(Reverse(sooner))) if sooner < due => Some((*sooner, true)),
            (Some(due), _) => Some((*due, false)),
            (None, sooner) => sooner.map(|Reverse(entry)| (*entry, true)),
        }
    }
}

#[derive(Debug, Default)]
struct Slot {
    uses: u32,
    /// There from the first poll until it has rung.
    waker: Option<Waker>,
}

/// A ring that one request waits for. Taken back when dropped.
#[derive(Debug)]
pub struct Ring<'b> {
    bell: &'b Bell,
    at: Instant,
    slot: Option<u32>,
}

impl Bell {
    /// To ring at that time. Nothing is entered before it is polled.
    pub const fn ring_at(&self, at: Instant) -> Ring<'_> {
        Ring { bell: self, at, slot: None }
    }

    /// Rings, for ever.
    pub async fn keep_time(&self) -> ! {
        loop {
            let next = self.ring(Instant::now());
            tokio::select! {
                () = self.nearer.notified() => {}
                () = async { if let Some(at) = next { sleep_until(at).await } else { std::future::pending().await } } => {}
            }
        }
    }

    /// Rings all that is due, and says when to come again.
    fn ring(&self, now: Instant) -> Option<Instant> {
        let mut rung = Vec::new();
        let mut entries = self.entries.borrow_mut();
        let entries = &mut *entries;
        entries.armed = loop {
            let Some(((at, slot, uses), is_sooner)) = entries.first() else { break None };
            let slot = &mut entries.slots[slot as usize];
            let stands = slot.uses == uses && slot.waker.is_some();
            if stands && at > now {
                break Some(at);
            }
            if stands {
                rung.extend(slot.waker.take());
            }
            if is_sooner {
                entries.sooner.pop();
            } else {
                entries.due.pop_front();
            }
        };
        rung.into_iter().for_each(Waker::wake);
        entries.armed
    }

    fn enter(&self, at: Instant, waker: Waker) -> u32 {
        let mut entries = self.entries.borrow_mut();
        let entries = &mut *entries;
        let slot = entries.free.pop().unwrap_or_else(|| {
            entries.slots.push(Slot::default());
            (entries.slots.len() - 1) as u32
        });
        let uses = entries.slots[slot as usize].uses;
        entries.slots[slot as usize].waker = Some(waker);
        if entries.due.back().is_none_or(|(last, ..)| *last <= at) {
            entries.due.push_back((at, slot, uses));
        } else {
            entries.sooner.push(Reverse((at, slot, uses)));
        }
        if entries.armed.is_none_or(|armed| at < armed) {
            // Until the task has run, further ones need not wake it.
            entries.armed = Some(at);
            self.nearer.notify_one();
        }
        slot
    }
}

impl Ring<'_> {
    /// Ready once it has rung.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(slot) = self.slot else {
            self.slot = Some(self.bell.enter(self.at, cx.waker().clone()));
            return Poll::Pending;
        };
        match &mut self.bell.entries.borrow_mut().slots[slot as usize].waker {
            None => Poll::Ready(()),
            Some(waker) => {
                waker.clone_from(cx.waker());
                Poll::Pending
            }
        }
    }
}

impl Drop for Ring<'_> {
    fn drop(&mut self) {
        if let Some(slot) = self.slot {
            let mut entries = self.bell.entries.borrow_mut();
            let used = &mut entries.slots[slot as usize];
            used.uses = used.uses.wrapping_add(1);
            used.waker = None;
            entries.free.push(slot);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Duration;

    use super::*;

    async fn rings(bell: &Bell, after: u64) -> Duration {
        let start = Instant::now();
        let mut ring = bell.ring_at(start + Duration::from_millis(after));
        poll_fn(|cx| ring.poll(cx)).await;
        start.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn each_rings_in_its_time_whatever_the_order() {
        let bell = Bell::default();
        let all =
            async { tokio::join!(rings(&bell, 40), rings(&bell, 5), rings(&bell, 300), rings(&bell, 40)) };
        let (a, b, c, d) = tokio::select! { all = all => all, _ = bell.keep_time() => unreachable!() };
        assert_eq!([a, b, c, d].map(|took| took.as_millis()), [40, 5, 300, 40]);
        assert!(bell.entries.borrow().due.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_taken_back_does_not_ring_and_is_forgotten() {
        let bell = Bell::default();
        let run = async {
            for _ in 0..1_000 {
                let mut ring = bell.ring_at(Instant::now() + Duration::from_millis(25));
                let first = poll_fn(|cx| Poll::Ready(ring.poll(cx))).await;
                assert!(first.is_pending());
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            // A slot that is used again does not hear what its former user waited for.
            rings(&bell, 60).await
        };
        let took = tokio::select! { took = run => took, _ = bell.keep_time() => unreachable!() };
        assert_eq!(took.as_millis(), 60);
        let entries = bell.entries.borrow();
        assert_eq!(entries.slots.len(), 1);
        assert!(entries.due.len() < 30, "{}", entries.due.len());
    }
}
