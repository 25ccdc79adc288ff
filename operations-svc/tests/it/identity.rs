//! Who the worker says it is.

use binnacle_boot::Context;
use operations_svc::Error;

use crate::peers::{LEASE, Mesh, listener};

#[tokio::test]
async fn a_restarted_worker_is_the_same_instance_in_another_session() {
    let mut mesh = Mesh::start().await;
    let mut work = mesh.work(LEASE).await;
    let first = work.hello.clone();
    work.capacity().await;
    mesh.context.shutdown.trigger();
    assert!(work.goodbye().await);
    drop(work);
    let mut mesh = mesh.restarted().await;
    let second = mesh.work(LEASE).await.hello;
    assert_eq!(first.instance_id, second.instance_id);
    assert_ne!(first.session_id, second.session_id);
    assert_eq!(second.held_operation_ids, Vec::<String>::new());
}

#[tokio::test]
async fn a_data_directory_has_one_worker() {
    let mut mesh = Mesh::start().await;
    let _work = mesh.work(LEASE).await;
    let second = operations_svc::run(mesh.config.clone(), listener().await, Context::new());
    assert!(matches!(second.await, Err(Error::Identity(_))));
}
