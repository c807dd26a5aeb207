//! Letting the tasks of a thread that are ready go first.

use std::future::poll_fn;
use std::task::Poll;

/// Ends when every task of this thread that is ready now had its turn: a task that wakes itself goes to the end of the queue.
///
/// To be awaited right before bytes are sent. What is sent wakes who waits for it, and on the same machine that means to
/// interrupt another processor: as measured, a third of what the system does for a request. Where the requests that came together are all read
/// first, and then all sent one right after the other, the first wakes the receiver, and the others find it awake. Costs a
/// turn in the queue where nothing else is ready, and no system call.
pub async fn after_the_others() {
    let mut had_turn = false;
    poll_fn(|cx| {
        if had_turn {
            return Poll::Ready(());
        }
        had_turn = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;
    use std::rc::Rc;
    use tokio::task::{LocalSet, spawn_local};

    #[tokio::test]
    async fn who_waits_comes_after_all_that_are_ready() {
        let order = Rc::new(RefCell::new(Vec::new()));
        LocalSet::new()
            .run_until(async {
                let tasks: Vec<_> = (0..3)
                    .map(|task| {
                        let order = Rc::clone(&order);
                        spawn_local(async move {
                            order.borrow_mut().push(("reads", task));
                            after_the_others().await;
                            order.borrow_mut().push(("sends", task));
                        })
                    })
                    .collect();
                for task in tasks {
                    task.await.unwrap();
                }
            })
            .await;
        let expected = [("reads", 0), ("reads", 1), ("reads", 2), ("sends", 0), ("sends", 1), ("sends", 2)];
        assert_eq!(*order.borrow(), expected);
    }
}
