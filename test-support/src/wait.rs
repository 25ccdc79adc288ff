use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, sleep};

/// Asks `condition` again and again until it holds, and fails the test if it does not within
/// `deadline`.
///
/// For what another process or task brings about; what this task can await, it should await.
///
/// # Panics
///
/// When the deadline passes first.
#[track_caller]
pub fn until<C, F>(deadline: Duration, mut condition: C) -> impl Future<Output = ()>
where
    C: FnMut() -> F,
    F: Future<Output = bool>,
{
    let caller = std::panic::Location::caller();
    async move {
        let end = Instant::now() + deadline;
        let mut pause = Duration::from_millis(1);
        while !condition().await {
            assert!(
                Instant::now() < end,
                "{caller}: still not so after {deadline:?}"
            );
            sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(50));
        }
    }
}
