//! Clients who mean harm, for tests and measurements of what they do to others. All that they do they do over and over,
//! from one address each, until they are dropped.

use std::{
    collections::VecDeque,
    io,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    task::JoinSet,
    time::{sleep, timeout},
};

/// Between two attempts, so that the attack is on the server and not on the machine that both share.
const PAUSE: Duration = Duration::from_millis(20);
/// How long something is kept up that the server ought to end.
const PERSISTENCE: Duration = Duration::from_secs(3);
const BODY: usize = 1024 * 1024;
/// Connections of each kind at once.
const SLOW: usize = 32;
const FLOODING: usize = 4;
const FLOOD: usize = 128;
const SELLERS: usize = 12;

/// Somebody who means harm.
#[derive(Debug)]
pub struct Hostile {
    _doing: JoinSet<()>,
}

#[derive(Debug, Clone, Copy)]
struct Route {
    from: IpAddr,
    to: SocketAddr,
}

impl Hostile {
    /// Somebody without a token: bodies and heads that never end, floods of connections, bad tokens.
    pub fn stranger(from: IpAddr, to: SocketAddr) -> Self {
        let route = Route { from, to };
        let mut doing = JoinSet::new();
        for n in 0..SLOW {
            let path = ["POST /api/v1/leads", "POST /webhooks/clerk", "GET /health"][n % 3];
            doing.spawn(again(move || route.slow_body(path)));
            doing.spawn(again(move || route.slow_head()));
            doing.spawn(again(move || route.ask("/api/v1/leads".to_owned(), "x.y.z".to_owned())));
        }
        for _ in 0..FLOODING {
            doing.spawn(route.flood());
        }
        Self { _doing: doing }
    }

    /// Somebody with a valid token: searches that cost much, floods of pages, long answers that are never read. `words` is
    /// what is searched for.
    pub fn seller(from: IpAddr, to: SocketAddr, token: &str, words: &str) -> Self {
        let route = Route { from, to };
        let mut doing = JoinSet::new();
        let (page, search) = ("/api/v1/leads?limit=100", format!("/api/v1/leads?limit=100&search={words}"));
        for _ in 0..SELLERS {
            let ask = |path: &str| {
                let (path, token) = (path.to_owned(), token.to_owned());
                again(move || route.ask(path.clone(), token.clone()))
            };
            doing.spawn(ask(&search));
            doing.spawn(ask(page));
            let token = token.to_owned();
            doing.spawn(again(move || route.leave_unread(page, token.clone())));
        }
        Self { _doing: doing }
    }
}

async fn again<F: Future<Output = io::Result<()>>>(mut attempt: impl FnMut() -> F) {
    loop {
        // Whatever comes of it, there is a next time.
        let _ = timeout(PERSISTENCE, attempt()).await;
        sleep(PAUSE).await;
    }
}

impl Route {
    async fn connect(self) -> io::Result<TcpStream> {
        self.socket()?.connect(self.to).await
    }

    fn socket(self) -> io::Result<TcpSocket> {
        let socket = TcpSocket::new_v4()?;
        socket.bind((self.from, 0).into())?;
        Ok(socket)
    }

    /// All but the last byte.
    async fn slow_body(self, path: &str) -> io::Result<()> {
        let mut stream = self.connect().await?;
        let head =
            format!("{path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer x.y.z\r\nContent-Length: {BODY}\r\n\r\n");
        stream.write_all(head.as_bytes()).await?;
        stream.write_all(&vec![b'x'; BODY - 1]).await?;
        until_closed(stream).await
    }

    async fn slow_head(self) -> io::Result<()> {
        let mut stream = self.connect().await?;
        stream.write_all(b"GET /health HTTP/1.1\r\nHost: ").await?;
        loop {
            stream.write_all(b"x").await?;
            sleep(PAUSE * 5).await;
        }
    }

    async fn flood(self) {
        let mut open = VecDeque::new();
        loop {
            if let Ok(stream) = self.connect().await {
                open.push_back(stream);
            }
            if open.len() > FLOOD {
                open.pop_front();
            }
            sleep(PAUSE).await;
        }
    }

    /// Asks once, and reads the answer.
    async fn ask(self, path: String, token: String) -> io::Result<()> {
        let mut stream = self.connect().await?;
        stream.write_all(get(&path, &token).as_bytes()).await?;
        until_closed(stream).await
    }

    async fn leave_unread(self, path: &str, token: String) -> io::Result<()> {
        let socket = self.socket()?;
        socket.set_recv_buffer_size(4096)?;
        let mut stream = socket.connect(self.to).await?;
        stream.write_all(get(path, &token).as_bytes()).await?;
        std::future::pending().await
    }
}

/// A request after which the connection ends.
fn get(path: &str, token: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\r\n")
}

async fn until_closed(mut stream: TcpStream) -> io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    while stream.read(&mut buffer).await? > 0 {}
    Ok(())
}
