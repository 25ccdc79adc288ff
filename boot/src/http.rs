//! Serving HTTP.

use axum::Router;
use tokio::net::TcpListener;

use crate::Shutdown;
use crate::connection;

/// Serves `router` on `listener` until the shutdown: HTTP/1.1 with upgrades, and HTTP/2 by prior
/// knowledge. Handlers may ask for [`ConnectInfo`](axum::extract::ConnectInfo)`<SocketAddr>`.
///
/// Returns when nothing more is accepted. Requests in progress go on as tasks of `shutdown`, for
/// up to ten seconds; what waits for longer on purpose has to watch `shutdown` itself.
pub async fn serve(listener: TcpListener, router: Router, shutdown: Shutdown) {
    connection::serve(listener, router, shutdown).await;
}
