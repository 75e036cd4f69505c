//! A TCP proxy in front of a test's PostgreSQL, which misbehaves on command as networks do.

use std::{
    future::Future,
    io,
    path::{Path, PathBuf},
    pin::pin,
};

use rustix::net::{Shutdown, shutdown};
use tokio::{
    io::{AsyncWriteExt, copy},
    net::{
        TcpListener, TcpStream, UnixStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::JoinSet,
};

/// What becomes of connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// All goes through.
    Pass,
    /// Nothing moves, in either direction, until the mode changes. New connections are accepted, and no more.
    Stall,
    /// Those that are open are reset, as are new ones.
    Cut,
    /// Those that are open hear no more from the server, which hears all that they say. New ones pass.
    HalfClose,
    /// Those that are open end for the server, and their clients are never told: so it is when its host loses power.
    /// New ones pass.
    Vanish,
}

/// The proxy. It ends, with all connections through it, when it is dropped.
#[derive(Debug)]
pub struct Proxy {
    url: String,
    mode: watch::Sender<Mode>,
    server: watch::Sender<PathBuf>,
    _accepting: JoinSet<()>,
}

impl Proxy {
    /// Starts one in front of the database with this URL, whose server listens on a Unix socket.
    pub async fn before(database_url: &str) -> Self {
        let (address, socket) = socket_of(database_url);
        let database = address.rsplit('/').next().expect("rsplit yields at least one part");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let port = listener.local_addr().expect("it is bound").port();
        let (mode, modes) = watch::channel(Mode::Pass);
        let mut accepting = JoinSet::new();
        let (server, servers) = watch::channel(socket);
        accepting.spawn(accept(listener, servers, modes));
        Self { url: format!("postgres://postgres@127.0.0.1:{port}/{database}"), mode, server, _accepting: accepting }
    }

    /// The database's URL, through the proxy.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// New connections lead to the server with this URL, as after a change in the DNS. Those that are open stay where they are.
    pub fn lead_to(&self, database_url: &str) {
        self.server.send_replace(socket_of(database_url).1);
    }

    /// Changes what becomes of connections.
    pub fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }
}

/// What stands before the socket in a URL, and the socket.
fn socket_of(database_url: &str) -> (&str, PathBuf) {
    let socket = "the tests' clusters listen on Unix sockets";
    let (address, directory) = database_url.split_once("?host=").expect(socket);
    (address, Path::new(directory).join(".s.PGSQL.5432"))
}

async fn accept(listener: TcpListener, servers: watch::Receiver<PathBuf>, modes: watch::Receiver<Mode>) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        let server = servers.borrow().clone();
        connections.spawn(connect(client, server, modes.clone()));
        while connections.try_join_next().is_some() {}
    }
}

/// What goes wrong ends the connection, and its client notices.
async fn connect(client: TcpStream, server: PathBuf, mut modes: watch::Receiver<Mode>) {
    let _ = client.set_nodelay(true);
    // An error means that the proxy is gone.
    let Ok(mode) = modes.wait_for(|mode| *mode != Mode::Stall).await.map(|mode| *mode) else { return };
    let (from_client, to_client) = client.into_split();
    if mode == Mode::Cut {
        reset(&to_client);
    } else if let Ok(server) = UnixStream::connect(server).await {
        carry(from_client, to_client, server, modes).await;
    }
}

async fn carry(
    mut from_client: OwnedReadHalf,
    mut to_client: OwnedWriteHalf,
    server: UnixStream,
    mut modes: watch::Receiver<Mode>,
) {
    let (mut from_server, mut to_server) = server.into_split();
    let mut up = pin!(copy(&mut from_client, &mut to_server));
    let broken = {
        let down = pin!(copy(&mut from_server, &mut to_client));
        until_broken(&mut modes, &mut up, down).await
    };
    match broken {
        Some(Mode::Cut) => reset(&to_client),
        Some(Mode::HalfClose) => {
            if to_client.shutdown().await.is_ok() {
                let _ = up.await;
            }
        }
        Some(Mode::Vanish) => {
            // Both halves: else the server would keep its end, and its locks.
            let _ = shutdown(from_server.as_ref(), Shutdown::Both);
            // Never polled again: what the client sends fills the buffers of the system.
            let _client = (up, to_client);
            std::future::pending::<()>().await;
        }
        Some(Mode::Pass | Mode::Stall) | None => {}
    }
}

/// Returns how the connection is to be broken, or nothing if one side has closed it.
async fn until_broken(
    modes: &mut watch::Receiver<Mode>,
    mut up: impl Future<Output = io::Result<u64>> + Unpin,
    mut down: impl Future<Output = io::Result<u64>> + Unpin,
) -> Option<Mode> {
    loop {
        let moving = *modes.borrow_and_update() != Mode::Stall;
        tokio::select! {
            biased;
            changed = modes.changed() => changed.ok()?,
            _ = &mut up, if moving => return None,
            _ = &mut down, if moving => return None,
        }
        let mode = *modes.borrow();
        if !matches!(mode, Mode::Pass | Mode::Stall) {
            return Some(mode);
        }
    }
}

/// Closing then says that something is wrong, instead of goodbye.
fn reset(to_client: &OwnedWriteHalf) {
    let _ = to_client.as_ref().set_zero_linger();
}
