//! A trivial balancer in front of several processes of the API. It never sends a request twice, so whatever a process
//! loses shows.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use http_body_util::{BodyExt, Full};
use hyper::{
    Request, StatusCode,
    body::Bytes,
    client::conn::http1::{SendRequest, handshake},
    header,
};
use hyper_util::rt::TokioIo;
use tokio::{
    net::TcpStream,
    task::JoinHandle,
    time::{sleep, timeout},
};

/// How often each process is asked whether it is ready.
const INTERVAL: Duration = Duration::from_millis(50);
const BACKEND_TIMEOUT: Duration = Duration::from_secs(20);

/// Why a request has no answer.
pub type Lost = Box<dyn std::error::Error + Send + Sync>;
/// A connection to one process.
pub type Connection = SendRequest<Full<Bytes>>;

/// Connects to the process at this address.
pub async fn connect(address: &str) -> Result<Connection, Lost> {
    let stream = TcpStream::connect(address).await?;
    let (mut connection, driver) = handshake(TokioIo::new(stream)).await?;
    tokio::spawn(driver);
    connection.ready().await?;
    Ok(connection)
}

/// Sends each request to a process that says it is ready, over connections that it keeps.
#[derive(Default)]
pub struct Balancer {
    backends: Mutex<Vec<Arc<Backend>>>,
    next: AtomicUsize,
}

struct Backend {
    address: String,
    ready: AtomicBool,
    idle: Mutex<Vec<Connection>>,
    watch: Mutex<Option<JoinHandle<()>>>,
}

impl Balancer {
    /// Puts a process into service once it is ready.
    pub async fn add(&self, url: &str) {
        let address = url.strip_prefix("http://").expect("an address").to_owned();
        let backend = Backend { address, ready: false.into(), idle: Mutex::default(), watch: Mutex::default() };
        let backend = Arc::new(backend);
        let watched = Arc::clone(&backend);
        let watch = tokio::spawn(async move {
            loop {
                watched.ready.store(watched.is_ready().await, Ordering::SeqCst);
                sleep(INTERVAL).await;
            }
        });
        *backend.watch.lock().expect("nobody panics with it") = Some(watch);
        self.backends.lock().expect("nobody panics with it").push(Arc::clone(&backend));
        let is_ready = async {
            while !backend.ready.load(Ordering::SeqCst) {
                sleep(INTERVAL).await;
            }
        };
        timeout(BACKEND_TIMEOUT, is_ready).await.expect("it is ready soon");
    }

    /// Sends a request without its own address, once.
    pub async fn send(&self, mut request: Request<Full<Bytes>>) -> Result<(StatusCode, Bytes), Lost> {
        let backend = self.choose().ok_or("no process is ready")?;
        request.headers_mut().insert(header::HOST, backend.address.parse()?);
        timeout(BACKEND_TIMEOUT, backend.exchange(request)).await?
    }

    fn choose(&self) -> Option<Arc<Backend>> {
        let backends = self.backends.lock().expect("nobody panics with it");
        let ready: Vec<_> = backends.iter().filter(|backend| backend.ready.load(Ordering::SeqCst)).collect();
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        ready.get(turn.checked_rem(ready.len())?).map(|backend| Arc::clone(backend))
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        for backend in self.backends.get_mut().expect("nobody panics with it") {
            backend.watch.lock().expect("nobody panics with it").take().inspect(JoinHandle::abort);
        }
    }
}

impl Backend {
    async fn is_ready(&self) -> bool {
        let request = Request::get("/health/ready").header(header::HOST, &self.address).body(Full::default());
        let answer = self.exchange(request.expect("a valid request"));
        matches!(timeout(BACKEND_TIMEOUT, answer).await, Ok(Ok((StatusCode::OK, _))))
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<(StatusCode, Bytes), Lost> {
        let mut connection = match self.kept() {
            Some(connection) => connection,
            None => connect(&self.address).await?,
        };
        let answer = connection.send_request(request).await?;
        let closes = answer.headers().get(header::CONNECTION).is_some_and(|value| value == "close");
        let (head, body) = answer.into_parts();
        let body = body.collect().await?.to_bytes();
        if !closes {
            self.idle.lock().expect("nobody panics with it").push(connection);
        }
        Ok((head.status, body))
    }

    /// A connection that has not been closed, as far as is known.
    fn kept(&self) -> Option<Connection> {
        let mut idle = self.idle.lock().expect("nobody panics with it");
        idle.retain(|connection| !connection.is_closed());
        idle.pop()
    }
}
