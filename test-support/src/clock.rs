use std::sync::mpsc;
use std::time::Duration;

/// By another clock; no test takes so long.
const LONGEST: Duration = Duration::from_mins(1);

/// As long as it lives, [`tokio::time::advance`] alone moves tokio's clock.
#[derive(Debug)]
pub struct StoppedClock {
    _stopped: mpsc::Sender<()>,
}

/// Stops the clock of a current-thread runtime.
///
/// A clock that is only paused jumps to the next timer whenever no task is ready, also while one waits for a
/// database or a socket; this one stands still until it is told to go on. After a minute it jumps as well, so that the
/// timeout of a test that waits in vain passes.
///
/// # Panics
///
/// On a runtime with several threads, or where the clock stands already.
pub fn stop_clock() -> StoppedClock {
    let (stopped, goes_on) = mpsc::channel::<()>();
    // The clock does not jump while blocking work is under way.
    tokio::task::spawn_blocking(move || goes_on.recv_timeout(LONGEST));
    tokio::time::pause();
    StoppedClock { _stopped: stopped }
}
