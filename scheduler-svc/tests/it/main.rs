//! What the service promises, over its contract, on both databases.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod lease;
mod reading;
mod recording;
mod setting;
mod watching;

/// Runs each test on SQLite and on PostgreSQL.
macro_rules! on_both {
    ($($name:ident),+ $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name(crate::setting::Db::sqlite()).await;
            })+
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name(crate::setting::Db::postgres()).await;
            })+
        }
    };
}
pub(crate) use on_both;
