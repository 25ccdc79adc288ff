//! What is to go out on a stream, gathered into frames.
//!
//! Whoever has something to say pushes it and goes on; the stream takes all that is there as one
//! frame whenever the connection can take one. So frames grow with the load by themselves, and a
//! slow peer holds up nobody.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::Stream;
use tokio::sync::Notify;

/// Items on their way to one stream. Clones share them. It has no limit of its own: what is
/// pushed must answer or belong to something that was let in under a limit.
#[derive(Debug)]
pub struct Outbox<T>(Arc<Shared<T>>);

#[derive(Debug)]
struct Shared<T> {
    queue: Mutex<Queue<T>>,
    filled: Notify,
}

#[derive(Debug)]
struct Queue<T> {
    items: VecDeque<T>,
    closed: bool,
}

impl<T> Clone for Outbox<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Default for Outbox<T> {
    fn default() -> Self {
        Self(Arc::new(Shared {
            queue: Mutex::new(Queue {
                items: VecDeque::new(),
                closed: false,
            }),
            filled: Notify::new(),
        }))
    }
}

impl<T: Send + 'static> Outbox<T> {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn push(&self, item: T) {
        self.extend([item]);
    }

    /// Pushes all of `items` at once, so that they leave together.
    pub fn extend(&self, items: impl IntoIterator<Item = T>) {
        self.lock().items.extend(items);
        self.0.filled.notify_one();
    }

    /// Ends the stream after what is already there.
    pub fn close(&self) {
        self.lock().closed = true;
        self.0.filled.notify_one();
    }

    /// Frames of at most `max` items each, for the one stream that this outbox belongs to.
    pub fn frames(&self, max: usize) -> impl Stream<Item = Vec<T>> + Send + 'static {
        futures::stream::unfold(self.clone(), move |outbox| async move {
            let frame = outbox.next(max).await?;
            Some((frame, outbox))
        })
    }

    async fn next(&self, max: usize) -> Option<Vec<T>> {
        loop {
            {
                let mut queue = self.lock();
                if !queue.items.is_empty() {
                    let count = queue.items.len().min(max);
                    return Some(queue.items.drain(..count).collect());
                }
                if queue.closed {
                    return None;
                }
            }
            self.0.filled.notified().await;
            // Those who are ready to run may have something to add.
            tokio::task::yield_now().await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue<T>> {
        self.0.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use futures::StreamExt;

    use super::*;

    #[tokio::test]
    async fn what_gathers_leaves_as_one_frame_and_large_ones_are_split() {
        let outbox = Outbox::new();
        outbox.extend([1, 2]);
        outbox.push(3);
        outbox.close();
        let frames: Vec<_> = outbox.frames(2).collect().await;
        assert_eq!(frames, [vec![1, 2], vec![3]]);
    }

    #[tokio::test]
    async fn the_stream_waits_for_what_comes_later() {
        let outbox = Outbox::new();
        let mut frames = Box::pin(outbox.frames(8));
        let (frame, ()) = tokio::join!(frames.next(), async {
            tokio::task::yield_now().await;
            outbox.push('a');
        });
        assert_eq!(frame, Some(vec!['a']));
        outbox.close();
        assert_eq!(frames.next().await, None);
    }
}
