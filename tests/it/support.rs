//! What the whole-mesh tests share: real processes that can be killed and frozen, an external system that answers
//! as it is told, and clients of every door.

mod client;
mod external;
pub(crate) mod load;
mod mesh;
mod process;
pub(crate) mod witness;

use std::time::Duration;

pub(crate) use client::{Accepted, Gateway};
pub(crate) use external::{Answer, External, Received};
pub(crate) use mesh::{Mesh, Replicas, Storage};
pub(crate) use process::{Process, binnacle, run};

/// How long anything may take on a machine that is busy with other tests.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// Makes one test per database of each of these functions, which take the [`Storage`].
macro_rules! on_both_databases {
    ($($name:ident),* $(,)?) => {
        mod sqlite {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    Box::pin(super::$name(crate::support::Storage::Sqlite)).await;
                }
            )*
        }
        mod postgres {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    Box::pin(super::$name(crate::support::Storage::Postgres)).await;
                }
            )*
        }
    };
}
pub(crate) use on_both_databases;
