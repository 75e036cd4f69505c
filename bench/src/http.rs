use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::Outcome;

/// A kept-alive HTTP/1.1 connection that asks for nothing but what our API answers: a body whose length is told.
pub(crate) struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
}

/// What came back. Borrows from the connection.
pub(crate) struct Answer<'a> {
    pub(crate) status: u16,
    pub(crate) body: &'a [u8],
}

impl Connection {
    pub(crate) async fn open(address: SocketAddr) -> Outcome<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, received: Vec::with_capacity(64 * 1024) })
    }

    /// Sends a whole request and waits for its answer.
    pub(crate) async fn exchange(&mut self, request: &[u8]) -> Outcome<Answer<'_>> {
        self.stream.write_all(request).await?;
        self.received.clear();
        let (status, head, length) = loop {
            self.receive().await?;
            if let Some(head) = self.received.windows(4).position(|window| window == b"\r\n\r\n") {
                let text = str::from_utf8(&self.received[..head])?;
                let status = text.get(9..12).and_then(|status| status.parse().ok()).ok_or("no HTTP status")?;
                break (status, head + 4, content_length(text).ok_or("no Content-Length")?);
            }
        };
        while self.received.len() < head + length {
            self.receive().await?;
        }
        Ok(Answer { status, body: &self.received[head..head + length] })
    }

    async fn receive(&mut self) -> Outcome<()> {
        match self.stream.read_buf(&mut self.received).await? {
            0 => Err("the connection was closed".into()),
            _ => Ok(()),
        }
    }
}

fn content_length(head: &str) -> Option<usize> {
    let mut fields = head.split("\r\n").skip(1).filter_map(|line| line.split_once(':'));
    let (_, length) = fields.find(|(name, _)| name.eq_ignore_ascii_case("content-length"))?;
    length.trim().parse().ok()
}
