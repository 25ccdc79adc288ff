//! Named moments at which a test can have the process die or freeze.
//!
//! Compiled in only with the feature `failpoints`; without it [`reach`] is nothing. The environment variable
//! `BINNACLE_FAILPOINT` says `NAME=ACTION`, or `NAME=ACTION@N` for the N-th time the moment is reached (from 1).
//! `abort` ends the process as `kill -9` does, with no clean-up; `stop` freezes it as `kill -STOP` does.

/// Acts if the process was told to at this moment.
#[cfg(not(feature = "failpoints"))]
#[inline]
pub fn reach(_name: &'static str) {}

#[cfg(feature = "failpoints")]
pub use armed::reach;

#[cfg(feature = "failpoints")]
mod armed {
    use std::sync::{
        LazyLock,
        atomic::{AtomicU32, Ordering},
    };
    use std::time::Duration;

    /// More than any kernel takes to stop all threads.
    const UNTIL_FROZEN: Duration = Duration::from_millis(100);

    struct Failpoint {
        name: String,
        action: String,
        at: u32,
        reached: AtomicU32,
    }

    static FAILPOINT: LazyLock<Option<Failpoint>> = LazyLock::new(|| {
        #[expect(clippy::disallowed_methods, reason = "compiled into tests only")]
        let text = std::env::var("BINNACLE_FAILPOINT").ok()?;
        let (name, rest) = text.split_once('=')?;
        let (action, at) = rest.split_once('@').unwrap_or((rest, "1"));
        Some(Failpoint {
            name: name.to_owned(),
            action: action.to_owned(),
            at: at.parse().ok()?,
            reached: AtomicU32::new(0),
        })
    });

    /// Acts if the process was told to at this moment.
    pub fn reach(name: &'static str) {
        let Some(failpoint) = FAILPOINT
            .as_ref()
            .filter(|failpoint| failpoint.name == name)
        else {
            return;
        };
        if failpoint.reached.fetch_add(1, Ordering::SeqCst) + 1 != failpoint.at {
            return;
        }
        match failpoint.action.as_str() {
            "abort" => std::process::abort(),
            "stop" => {
                let pid = rustix::process::getpid();
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::STOP);
                // Another thread may take the signal; until it has, this one must not go on.
                std::thread::sleep(UNTIL_FROZEN);
            }
            other => tracing::error!(name, action = other, "unknown failpoint action"),
        }
    }
}
