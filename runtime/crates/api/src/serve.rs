//! The listener's life.

use std::io;

use axum::Router;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Answers on `listener` until `stop` is cancelled; then takes no more connections, finishes the requests that run
/// and returns. The caller bounds how long that may take.
pub async fn serve(listener: TcpListener, app: Router, stop: CancellationToken) -> io::Result<()> {
    axum::serve(listener, app).with_graceful_shutdown(stop.cancelled_owned()).await
}
