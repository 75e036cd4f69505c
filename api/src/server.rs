//! Connections: accepted, bounded in number and in what a slow client may make of one, and ended without losing a
//! request.

use std::{
    convert::Infallible,
    io::{self, ErrorKind},
    net::SocketAddr,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::{ConnectInfo, Request},
    http::{HeaderValue, Response, header},
};
use common::config::ClientLimits;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncWriteExt, copy, sink},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::{sleep, timeout},
};
use tokio_io_timeout::TimeoutStream;
use tower::ServiceExt;

use crate::phase::{Phase, reached};

/// Largest head of a request, in bytes: a token of 8 kB, and whatever cookies the frontend's domain has.
const HEAD: usize = 32 * 1024;
/// What one connection buffers of bodies that nobody has taken yet, in bytes.
const BUFFER: usize = 64 * 1024;
/// Connections that are told at once that there are too many. Those beyond are closed without a word.
const REFUSALS: usize = 64;
const REFUSED: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 2\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
/// For a client who is refused to take note.
const FAREWELL: Duration = Duration::from_secs(1);
/// After a failure that trying again at once would only repeat, such as running out of file descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves until the process closes, and returns when the last connection has ended.
pub(crate) async fn serve(listener: TcpListener, app: Router, limits: ClientLimits, phase: watch::Receiver<Phase>) {
    let places = Arc::new(Semaphore::new(limits.connections));
    let refusals = Arc::new(Semaphore::new(REFUSALS));
    let mut closing = pin!(reached(phase.clone(), Phase::Closing));
    loop {
        let (stream, peer) = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    pause_after(&error).await;
                    continue;
                }
            },
            () = &mut closing => break,
        };
        if let Ok(place) = Arc::clone(&places).try_acquire_owned() {
            let connection = Connection { app: app.clone(), limits, phase: phase.clone(), places: Arc::clone(&places) };
            tokio::spawn(connection.converse(stream, peer, place));
        } else if let Ok(refusal) = Arc::clone(&refusals).try_acquire_owned() {
            tokio::spawn(refuse(stream, refusal));
        }
    }
    drop(listener);
    let everyone = u32::try_from(limits.connections).expect("no system has so many file descriptors");
    // An error would mean that somebody closed the semaphore, which nobody does.
    let _ = places.acquire_many(everyone).await;
}

async fn pause_after(error: &io::Error) {
    // The client's doing, and no reason to keep others waiting.
    if matches!(error.kind(), ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset | ErrorKind::ConnectionRefused)
    {
        return;
    }
    tracing::error!(%error, "cannot accept a connection");
    sleep(PAUSE).await;
}

async fn refuse(mut stream: TcpStream, _refusal: OwnedSemaphorePermit) {
    // A connection that is closed before its request was read is reset, and the answer with it.
    let farewell = async {
        stream.write_all(REFUSED).await?;
        stream.shutdown().await?;
        copy(&mut stream, &mut sink()).await
    };
    let _ = timeout(FAREWELL, farewell).await;
}

#[derive(Clone)]
struct Connection {
    app: Router,
    limits: ClientLimits,
    phase: watch::Receiver<Phase>,
    places: Arc<Semaphore>,
}

impl Connection {
    async fn converse(self, stream: TcpStream, peer: SocketAddr, _place: OwnedSemaphorePermit) {
        // Without it, small answers on a kept-alive connection can wait 40 ms for an acknowledgement.
        let _ = stream.set_nodelay(true);
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(self.limits.stall));

        let asked = Arc::new(AtomicBool::new(false));
        let service = service_fn(|request| {
            asked.store(true, Ordering::Relaxed);
            self.clone().answer(request, peer)
        });
        let http = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.limits.next_head)
            .max_header_size(HEAD)
            .max_buf_size(BUFFER)
            .serve_connection(TokioIo::new(Box::pin(stream)), service);

        let (mut http, mut closing) = (pin!(http), pin!(reached(self.phase.clone(), Phase::Closing)));
        let (mut first_head, mut in_time, mut told) = (pin!(sleep(self.limits.first_head)), false, false);
        loop {
            tokio::select! {
                // Whatever a client did to its connection, there is nobody left to tell.
                _ = &mut http => return,
                () = &mut first_head, if !in_time => {
                    in_time = asked.load(Ordering::Relaxed);
                    if !in_time {
                        return;
                    }
                }
                () = &mut closing, if !told => {
                    told = true;
                    http.as_mut().graceful_shutdown();
                }
            }
        }
    }

    async fn answer(self, request: Request<Incoming>, peer: SocketAddr) -> Result<Response<Body>, Infallible> {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(ConnectInfo(peer));
        let mut response = self.app.oneshot(request).await?;
        // Whoever reuses connections learns in time to open the next one elsewhere; and when places are few, none is
        // kept for somebody who asks nothing.
        let few = self.places.available_permits() < self.limits.connections / 2;
        if few || *self.phase.borrow() != Phase::Serving {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        Ok(response)
    }
}
