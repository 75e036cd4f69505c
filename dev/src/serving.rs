//! What each stand-in is: a server on this host that ends when it is dropped.

use std::{io, net::SocketAddr};

use axum::Router;
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};

pub struct Serving {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<io::Result<()>>,
}

impl Serving {
    /// Serves on `listener` until [`Serving::stop`].
    #[expect(clippy::unused_async, reason = "it needs a Tokio runtime, and `await` is the proof that there is one")]
    pub async fn start(listener: TcpListener, router: Router) -> Self {
        let address = address(&listener);
        let (stop, stopped) = oneshot::channel();
        let server = axum::serve(listener, router).with_graceful_shutdown(async {
            // A sender that was dropped means the same.
            let _ = stopped.await;
        });
        Self { address, stop: Some(stop), task: tokio::spawn(async move { server.await }) }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Finishes the requests under way and ends.
    pub async fn stop(mut self) {
        drop(self.stop.take());
        // Its only error is a listener that broke, which makes no difference any more.
        let _ = (&mut self.task).await;
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub fn address(listener: &TcpListener) -> SocketAddr {
    listener.local_addr().expect("a listener that was bound has an address")
}
