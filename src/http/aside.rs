//! What a connection listens for beside its own bytes: the server's end, its own age, somebody who wants its place.
//!
//! Each of these happens once, if at all, and is woken for. A request wakes the same task, so that looking at all of them on each wake costs every
//! request something for what hardly ever happens. So what lies aside has a waker of its own, and is looked at only when that was called.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

/// A future that is polled only when it was woken itself. Where a task's waker cannot be told to be the same one it is polled each time.
pub(super) struct Aside<F> {
    future: Pin<Box<F>>,
    bell: Arc<Bell>,
    waker: Waker,
}

/// Notes that it was rung, and wakes the task.
struct Bell {
    rung: AtomicBool,
    task: Waker,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.rung.store(true, Ordering::Release);
        self.task.wake_by_ref();
    }
}

fn bell(task: Waker) -> (Arc<Bell>, Waker) {
    let bell = Arc::new(Bell { rung: AtomicBool::new(true), task });
    (Arc::clone(&bell), Waker::from(bell))
}

impl<F: Future> Aside<F> {
    pub(super) fn new(future: F) -> Self {
        let (bell, waker) = bell(Waker::noop().clone());
        Self { future: Box::pin(future), bell, waker }
    }
}

impl<F: Future> Future for Aside<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        if !self.bell.task.will_wake(context.waker()) {
            (self.bell, self.waker) = bell(context.waker().clone());
        }
        if !self.bell.rung.load(Ordering::Acquire) {
            return Poll::Pending;
        }
        // before it is polled: what rings meanwhile rings for the next time
        self.bell.rung.store(false, Ordering::Release);
        let this = &mut *self;
        this.future.as_mut().poll(&mut Context::from_waker(&this.waker))
    }
}

/// The first of two to end. The second lies aside.
pub(super) async fn first<A: Future, B: Future>(one: A, other: B) -> Result<A::Output, B::Output> {
    let (mut one, mut other) = (std::pin::pin!(one), Aside::new(other));
    std::future::poll_fn(|context| match one.as_mut().poll(context) {
        Poll::Ready(ended) => Poll::Ready(Ok(ended)),
        Poll::Pending => Pin::new(&mut other).poll(context).map(Err),
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::time::Duration;

    use tokio::sync::Notify;

    use super::*;

    #[tokio::test]
    async fn what_lies_aside_is_polled_when_it_was_woken_and_not_with_the_task() {
        // a task, as connections are: what `block_on` runs itself has a waker that is another one each time
        let connection = tokio::spawn(async {
            let (polled, told) = (AtomicUsize::new(0), Notify::new());
            let mut notified = Box::pin(told.notified());
            let aside = std::future::poll_fn(|context| {
                polled.fetch_add(1, Ordering::Relaxed);
                notified.as_mut().poll(context)
            });
            let busy = async {
                for _ in 0..50 {
                    tokio::task::yield_now().await;
                }
                assert_eq!(polled.load(Ordering::Relaxed), 1);
                told.notify_one();
                tokio::time::sleep(Duration::from_secs(60)).await;
            };
            assert_eq!(first(busy, aside).await, Err(()));
            assert_eq!(polled.load(Ordering::Relaxed), 2);
        });
        connection.await.unwrap();
    }

    #[tokio::test]
    async fn it_follows_its_task_to_another() {
        let told = Arc::new(Notify::new());
        let mut aside = Aside::new({
            let told = Arc::clone(&told);
            async move { told.notified().await }
        });
        assert!(tokio::time::timeout(Duration::from_millis(1), &mut aside).await.is_err());
        let moved = tokio::spawn(aside);
        tokio::task::yield_now().await;
        told.notify_one();
        moved.await.unwrap();
    }
}
