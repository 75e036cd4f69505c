//! What cannot be read as a request never reaches the application: hyper answers it by itself, with a status alone. Such an
//! answer is completed by the application's words on the way out.

use std::{
    fmt, io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use axum::{
    body::Bytes,
    http::{Response, StatusCode},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Makes the answer to what cannot be read as a request, from its status.
#[derive(Clone)]
pub struct Explain(Arc<dyn Fn(StatusCode) -> Response<Bytes> + Send + Sync>);

impl Explain {
    /// The status of what is answered is the one that was given.
    pub fn new(explain: impl Fn(StatusCode) -> Response<Bytes> + Send + Sync + 'static) -> Self {
        Self(Arc::new(explain))
    }
}

impl fmt::Debug for Explain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Explain")
    }
}

/// The stream of a connection, with the application's words in place of hyper's.
#[derive(Debug)]
pub(crate) struct Explained<S> {
    stream: S,
    explain: Option<Explain>,
    /// What is written in place of an answer of hyper's, and how much of it has been.
    words: Vec<u8>,
    written: usize,
}

/// What hyper answers of its own accord. <https://docs.rs/hyper/latest/hyper/struct.Error.html#method.is_parse>
const BARE: [(&[u8], StatusCode); 3] = [
    (b"HTTP/1.1 400 Bad Request\r\n", StatusCode::BAD_REQUEST),
    (b"HTTP/1.1 414 URI Too Long\r\n", StatusCode::URI_TOO_LONG),
    (b"HTTP/1.1 431 Request Header Fields Too Large\r\n", StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE),
];
const END: &[u8] = b"\r\n\r\n";

impl<S> Explained<S> {
    pub(crate) fn new(stream: S, explain: Option<Explain>) -> Self {
        Self { stream, explain, words: Vec::new(), written: 0 }
    }

    fn replacement(&self, answer: &[u8]) -> Option<Vec<u8>> {
        let explain = self.explain.as_ref()?;
        let (line, status) = BARE.into_iter().find(|(line, _)| answer.starts_with(line))?;
        let head = answer.strip_suffix(END).filter(|head| !head.windows(END.len()).any(|window| window == END))?;
        let headers = str::from_utf8(&head[line.len()..]).ok()?.split("\r\n");
        // The application's own answers have more of them.
        let is_bare = |header: &str| ["content-length: 0", "connection: close"].contains(&header) || is_date(header);
        if !headers.clone().all(is_bare) {
            return None;
        }
        let (parts, body) = explain.0(status).into_parts();
        let mut words = line.to_vec();
        for date in headers.filter(|header| is_date(header)) {
            words.extend([date.as_bytes(), b"\r\n"].concat());
        }
        for (name, value) in &parts.headers {
            words.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
        }
        words.extend(format!("content-length: {}\r\nconnection: close\r\n\r\n", body.len()).into_bytes());
        words.extend(&body);
        Some(words)
    }
}

fn is_date(header: &str) -> bool {
    header.starts_with("date: ")
}

impl<S: AsyncRead + Unpin> AsyncRead for Explained<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Explained<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, answer: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.words.is_empty() {
            match this.replacement(answer) {
                Some(words) => this.words = words,
                None => return Pin::new(&mut this.stream).poll_write(cx, answer),
            }
        }
        while let Some(left @ [_, ..]) = this.words.get(this.written..) {
            match ready!(Pin::new(&mut this.stream).poll_write(cx, left))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => this.written += written,
            }
        }
        // Nothing follows: the connection ends with it.
        Poll::Ready(Ok(answer.len()))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match parts {
            // hyper's own have one part.
            [only] => self.poll_write(cx, only),
            _ => Pin::new(&mut self.stream).poll_write_vectored(cx, parts),
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
