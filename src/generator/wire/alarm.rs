//! A deadline that costs no timer entry per request.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use tokio::time::{Instant, Sleep, sleep_until};

/// One connection's deadline, moved on with each request.
///
/// Registering a timer and taking it back for every request, though hardly any fires, costs more than the timer is
/// worth. So the entry stays where it was: if it fires before the present deadline, it is moved and nothing else
/// happens. It is moved at once only where the deadline comes nearer.
pub(super) struct Alarm {
    // INVARIANT: armed no later than `deadline`.
    sleep: Pin<Box<Sleep>>,
    deadline: Instant,
}

/// The deadline passed first.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Elapsed;

impl Alarm {
    pub(super) fn new(deadline: Instant) -> Self {
        Self { sleep: Box::pin(sleep_until(deadline)), deadline }
    }

    pub(super) fn set(&mut self, deadline: Instant) {
        if self.sleep.deadline() > deadline {
            self.sleep.as_mut().reset(deadline);
        }
        self.deadline = deadline;
    }

    /// Runs `future` until the deadline. What is ready at once is given even if the deadline has passed.
    pub(super) async fn bound<F: Future>(&mut self, future: F) -> Result<F::Output, Elapsed> {
        let mut future = pin!(future);
        poll_fn(|cx| match future.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(Ok(output)),
            Poll::Pending => self.poll(cx).map(|()| Err(Elapsed)),
        })
        .await
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            ready!(self.sleep.as_mut().poll(cx));
            if self.sleep.deadline() >= self.deadline {
                return Poll::Ready(());
            }
            self.sleep.as_mut().reset(self.deadline);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn rings_at_the_deadline_wherever_it_was_armed() {
        let start = Instant::now();
        let mut alarm = Alarm::new(start + Duration::from_secs(2));
        // Later than armed: the first ring is not the deadline's.
        alarm.set(start + Duration::from_secs(5));
        assert_eq!(alarm.bound(pending::<()>()).await, Err(Elapsed));
        assert_eq!(start.elapsed().as_secs(), 5);
        // Moved on while its entry is long past.
        alarm.set(start + Duration::from_secs(60));
        assert_eq!(alarm.bound(tokio::task::yield_now()).await, Ok(()), "armed anew");
        // And nearer again.
        alarm.set(start + Duration::from_secs(7));
        assert_eq!(alarm.bound(pending::<()>()).await, Err(Elapsed));
        assert_eq!(start.elapsed().as_secs(), 7);
        assert_eq!(alarm.bound(async { 1 }).await, Ok(1), "what is ready is given");
    }
}
