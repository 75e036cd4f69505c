use std::{
    convert::Infallible,
    io::{self, ErrorKind},
    net::SocketAddr,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes, HttpBody},
    extract::{ConnectInfo, Request},
    http::{HeaderValue, Response, header},
};
use hyper::{
    body::{Frame, Incoming, SizeHint},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncWriteExt, copy, sink},
    net::{TcpListener, TcpStream},
    runtime::Handle,
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::{sleep, timeout},
};
use tokio_io_timeout::TimeoutStream;
use tower::ServiceExt;

use crate::{
    Explain, Limits, Phase,
    connections::{Connections, Registered},
    explained::Explained,
    network, reached,
};

/// Largest head of a request, in bytes: a token of 8 kB, and whatever cookies the frontend's domain has.
const HEAD: usize = 32 * 1024;
/// What one connection buffers of bodies that nobody has taken yet, in bytes.
const BUFFER: usize = 64 * 1024;
/// Connections that are told at once that there are too many, in relation to those that there may be, and at most. Those
/// beyond are closed without a word.
const REFUSALS: usize = 64;
const REFUSED: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 2\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
/// For a client who is refused to take note.
const FAREWELL: Duration = Duration::from_secs(1);
/// After a failure that trying again at once would only repeat, such as running out of file descriptors.
const PAUSE: Duration = Duration::from_millis(100);
/// What is read of a body that nobody wants, in bytes and for so long: a client that is still sending would see a broken
/// connection instead of the answer.
const DISCARDED: usize = 16 * 1024 * 1024;
const DISCARDING: Duration = Duration::from_secs(5);

#[derive(Debug, Clone)]
pub struct App {
    router: Router,
    explain: Option<Explain>,
}

impl App {
    /// Answers in the application's words also what is not readable as a request, and never reaches its routes.
    pub fn explaining(router: Router, explain: Explain) -> Self {
        Self { router, explain: Some(explain) }
    }
}

impl From<Router> for App {
    fn from(router: Router) -> Self {
        Self { router, explain: None }
    }
}

/// Serves until the process closes, and returns when the last connection has ended.
pub async fn serve(listener: TcpListener, app: impl Into<App>, limits: Limits, phase: watch::Receiver<Phase>) {
    let app = app.into();
    let connections = Connections::new(limits);
    let refusals = Arc::new(Semaphore::new(REFUSALS.min(limits.connections / 4)));
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
        if let Some(registered) = connections.register(network(peer.ip())) {
            let connection =
                Connection { app: app.clone(), limits, phase: phase.clone(), connections: connections.clone() };
            tokio::spawn(connection.converse(stream, peer, Arc::new(registered)));
        } else if let Ok(refusal) = Arc::clone(&refusals).try_acquire_owned() {
            tokio::spawn(refuse(stream, refusal));
        }
    }
    drop(listener);
    connections.all_ended().await;
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
    app: App,
    limits: Limits,
    phase: watch::Receiver<Phase>,
    connections: Arc<Connections>,
}

impl Connection {
    async fn converse(self, stream: TcpStream, peer: SocketAddr, registered: Arc<Registered>) {
        // Without it, small answers on a kept-alive connection can wait 40 ms for an acknowledgement.
        let _ = stream.set_nodelay(true);
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(self.limits.stall));
        let stream = Explained::new(Box::pin(stream), self.app.explain.clone());

        let service = service_fn(|request| {
            registered.asked();
            self.clone().answer(request, peer, registered.clone())
        });
        let http = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.limits.next_head)
            .max_header_size(HEAD)
            .max_buf_size(BUFFER)
            .serve_connection(TokioIo::new(stream), service);

        let (mut http, mut closing) = (pin!(http), pin!(reached(self.phase.clone(), Phase::Closing)));
        let (mut first_head, mut in_time, mut closes) = (pin!(sleep(self.limits.first_head)), false, false);
        loop {
            tokio::select! {
                // Whatever a client did to its connection, there is nobody left to tell.
                _ = &mut http => return,
                () = registered.hang_up.wanted() => return,
                () = &mut first_head, if !in_time => {
                    in_time = registered.has_asked();
                    if !in_time {
                        return;
                    }
                }
                () = &mut closing, if !closes => {
                    closes = true;
                    http.as_mut().graceful_shutdown();
                }
            }
        }
    }

    async fn answer(
        self,
        request: Request<Incoming>,
        peer: SocketAddr,
        registered: Arc<Registered>,
    ) -> Result<Response<Body>, Infallible> {
        let mut request = request.map(|body| Body::new(RequestBody(Some(body))));
        request.extensions_mut().insert(ConnectInfo(peer));
        request.extensions_mut().insert(registered.hang_up.clone());
        let mut response = self.app.router.oneshot(request).await?;
        // Whoever reuses connections learns in time to open the next one elsewhere; and when few are left, none is kept for
        // somebody who asks nothing.
        if self.connections.are_few_left() || *self.phase.borrow() != Phase::Serving {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        Ok(response.map(|body| Body::new(ResponseBody { body, registered })))
    }
}

/// The body of a request. What nobody has read by the end is read and thrown away, within bounds, while the answer is being
/// sent.
struct RequestBody(Option<Incoming>);

impl HttpBody for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match &mut self.0 {
            Some(body) => Pin::new(body).poll_frame(cx),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.0.as_ref().map_or_else(|| SizeHint::with_exact(0), HttpBody::size_hint)
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        if let Some(body) = self.0.take().filter(|body| !body.is_end_stream())
            && let Ok(runtime) = Handle::try_current()
        {
            runtime.spawn(timeout(DISCARDING, discard(body)));
        }
    }
}

async fn discard(mut body: Incoming) {
    let mut left = DISCARDED;
    while left > 0 {
        let frame = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await;
        let Some(Ok(frame)) = frame else { return };
        left = left.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
    }
}

/// The body of an answer: when it has been handed over, its connection is idle.
struct ResponseBody {
    body: Body,
    registered: Arc<Registered>,
}

impl HttpBody for ResponseBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for ResponseBody {
    fn drop(&mut self) {
        self.registered.answered();
    }
}
