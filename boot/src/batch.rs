//! The writer that groups commits.
//!
//! Requests go to a channel; one task takes all that is there, has it committed as one
//! transaction, and only then answers everybody. While a commit runs, the next batch gathers by
//! itself, so batches grow with the load and a lone request waits for nothing. Before it begins,
//! others that are ready have their turn: what they send goes along.
//!
//! What a batch does is a [`Commit`]. An item that fails a check of its own gets its own answer
//! (`Commit::Answer` may be a `Result`); `Commit::Error` is for the batch as a whole and is told
//! to every item of it.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures::FutureExt;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};

use crate::Shutdown;

/// How often a batch is committed again when [`Commit::is_retryable`] says so.
const RETRIES: u32 = 5;

/// One transaction over many items.
pub trait Commit: Send + 'static {
    type Item: Send + Sync + 'static;
    type Answer: Send + 'static;
    type Error: Clone + std::fmt::Display + Send + Sync + 'static;

    /// Commits `items` as one transaction and answers each, in their order. It is called again
    /// with the same items after a retryable error, so it must leave nothing behind when it fails.
    fn commit(
        &mut self,
        items: &[Self::Item],
    ) -> impl Future<Output = Result<Vec<Self::Answer>, Self::Error>> + Send;

    /// Whether the whole batch may succeed if it is tried again at once: a deadlock or a
    /// serialization failure.
    fn is_retryable(&self, error: &Self::Error) -> bool;
}

/// How a writer gathers its batches.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Items that may wait; more make [`Writer::try_send`] refuse and [`Writer::send`] wait.
    pub capacity: usize,
    /// Items in one transaction, at most.
    pub max_batch: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            capacity: 4096,
            max_batch: 256,
        }
    }
}

/// Why an item has no answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error<E> {
    /// The queue is full: nothing was written, and a later attempt may succeed.
    #[error("too much is waiting to be written")]
    Busy,
    /// The writer has stopped, or its commit panicked: whether the item was written is unknown.
    #[error("the writer has stopped")]
    Stopped,
    /// The batch as a whole was not committed, or, if the connection broke at the wrong moment,
    /// may have been.
    #[error("the batch was not committed")]
    Commit(#[source] E),
}

type Reply<C> = Result<<C as Commit>::Answer, Error<<C as Commit>::Error>>;

struct Request<C: Commit> {
    item: C::Item,
    reply: oneshot::Sender<Reply<C>>,
}

/// A handle on the writing task. The task ends when the last handle is gone and everything that
/// was sent is answered.
pub struct Writer<C: Commit> {
    requests: mpsc::Sender<Request<C>>,
}

impl<C: Commit> Clone for Writer<C> {
    fn clone(&self) -> Self {
        Self {
            requests: self.requests.clone(),
        }
    }
}

/// The answer to come. Dropping it does not take the item back.
pub struct Pending<C: Commit>(oneshot::Receiver<Reply<C>>);

impl<C: Commit> Future for Pending<C> {
    type Output = Reply<C>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(ready!(self.0.poll_unpin(context)).unwrap_or(Err(Error::Stopped)))
    }
}

impl<C: Commit> Writer<C> {
    /// Starts the writing task.
    pub fn spawn(commit: C, options: Options, shutdown: &Shutdown) -> Self {
        let (requests, queue) = mpsc::channel(options.capacity);
        shutdown.spawn(run(commit, queue, options, Others::Tasks));
        Self { requests }
    }

    /// Starts the writing task on `thread`, a runtime of one thread, where there is little else.
    pub(crate) fn spawn_on(
        thread: &Handle,
        commit: C,
        options: Options,
        shutdown: &Shutdown,
    ) -> Self {
        let (requests, queue) = mpsc::channel(options.capacity);
        shutdown.spawn_on(thread, run(commit, queue, options, Others::Threads));
        Self { requests }
    }

    /// Queues `item`, waiting for room, and gives the answer to come.
    pub async fn send(&self, item: C::Item) -> Result<Pending<C>, Error<C::Error>> {
        let (reply, answer) = oneshot::channel();
        self.requests
            .send(Request { item, reply })
            .await
            .map_err(|_| Error::Stopped)?;
        Ok(Pending(answer))
    }

    /// Queues `item` if there is room, and gives the answer to come.
    pub fn try_send(&self, item: C::Item) -> Result<Pending<C>, Error<C::Error>> {
        let (reply, answer) = oneshot::channel();
        self.requests
            .try_send(Request { item, reply })
            .map_err(|refused| match refused {
                mpsc::error::TrySendError::Full(_) => Error::Busy,
                mpsc::error::TrySendError::Closed(_) => Error::Stopped,
            })?;
        Ok(Pending(answer))
    }

    /// Queues `item`, waiting for room, and waits for its answer.
    pub async fn submit(&self, item: C::Item) -> Reply<C> {
        self.send(item).await?.await
    }
}

/// Who may have something to say before a batch begins.
#[derive(Clone, Copy, Debug)]
enum Others {
    /// The tasks beside the writing one.
    Tasks,
    /// Those of other threads, which may wait for this one's processor.
    Threads,
}

impl Others {
    /// Lets those have their turn who are ready to run.
    async fn have_their_turn(self) {
        match self {
            Self::Tasks => tokio::task::yield_now().await,
            Self::Threads => std::thread::yield_now(),
        }
    }
}

async fn run<C: Commit>(
    mut commit: C,
    mut queue: mpsc::Receiver<Request<C>>,
    options: Options,
    others: Others,
) {
    let mut requests = Vec::with_capacity(options.max_batch);
    while queue.recv_many(&mut requests, options.max_batch).await > 0 {
        others.have_their_turn().await;
        while requests.len() < options.max_batch
            && let Ok(request) = queue.try_recv()
        {
            requests.push(request);
        }
        let (items, replies): (Vec<_>, Vec<_>) = requests
            .drain(..)
            .map(|request| (request.item, request.reply))
            .unzip();
        answer::<C>(commit_whole(&mut commit, &items).await, replies);
    }
}

async fn commit_whole<C: Commit>(
    commit: &mut C,
    items: &[C::Item],
) -> Result<Vec<C::Answer>, Error<C::Error>> {
    let mut attempt = 0;
    loop {
        // A panic must not take the task along: everybody who comes later would be refused.
        let result = AssertUnwindSafe(commit.commit(items)).catch_unwind().await;
        match result {
            Ok(Ok(answers)) if answers.len() == items.len() => return Ok(answers),
            Ok(Ok(answers)) => {
                tracing::error!(
                    items = items.len(),
                    answers = answers.len(),
                    "answers are missing"
                );
                return Err(Error::Stopped);
            }
            Ok(Err(error)) if attempt < RETRIES && commit.is_retryable(&error) => {
                attempt += 1;
                tracing::debug!(%error, attempt, "committing the batch again");
            }
            Ok(Err(error)) => return Err(Error::Commit(error)),
            Err(_) => {
                tracing::error!(items = items.len(), "committing a batch panicked");
                return Err(Error::Stopped);
            }
        }
    }
}

/// Nobody listens to the answer of an item whose sender has gone; it is written all the same.
fn answer<C: Commit>(
    result: Result<Vec<C::Answer>, Error<C::Error>>,
    replies: Vec<oneshot::Sender<Reply<C>>>,
) {
    match result {
        Ok(answers) => {
            for (reply, answer) in replies.into_iter().zip(answers) {
                let _ = reply.send(Ok(answer));
            }
        }
        Err(error) => {
            for reply in replies {
                let _ = reply.send(Err(error.clone()));
            }
        }
    }
}

#[cfg(test)]
mod tests;
