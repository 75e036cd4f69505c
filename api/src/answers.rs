//! Answers take up memory until their clients have taken them: so much in all and for each client. Room is made before the
//! database is asked, and whoever leaves answers unread loses the oldest of them.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use axum::{
    body::{Body, Bytes, HttpBody},
    extract::{FromRef, Request, State},
    http::{HeaderValue, Response, header},
    middleware::Next,
    response::IntoResponse,
};
use hyper::body::{Frame, SizeHint};
use serde::Serialize;
use server::HangUp;

use crate::{
    client::{Client, TrustedProxies},
    memory::{FairMemory, Full, Owner, Reservation},
    problem::Problem,
};

/// Far longer than a page of what people write, in bytes.
const LONG: usize = 1024 * 1024;
/// What an answer may take while it is being made, until its length is known, in bytes.
const ESTIMATE: usize = 64 * 1024;
/// Shorter answers are not counted: the kernel takes them in at once.
const SHORT: usize = 16 * 1024;
/// What is handed over at a time, in bytes, and kept by the connection until its client takes it.
const PIECE: usize = 16 * 1024;

#[derive(Clone, FromRef)]
pub(crate) struct AnswerState {
    pub(crate) memory: AnswerMemory,
    pub(crate) proxies: TrustedProxies,
}

/// Memory for all answers.
#[derive(Clone)]
pub(crate) struct AnswerMemory(pub(crate) FairMemory);

/// Memory for the answer of one request, in its extensions.
#[derive(Clone)]
pub(crate) struct AnswerRoom(Arc<Mutex<Reservation>>);

impl AnswerRoom {
    /// Makes room for an answer of a length that is not known yet.
    pub(crate) fn make(&self) -> Result<(), Problem> {
        self.resize(ESTIMATE)
    }

    /// The value as JSON, for which memory is taken before it is written.
    pub(crate) fn write<T: Serialize>(&self, value: &T) -> Result<WrittenJson, Problem> {
        let mut json = Measured { json: Vec::with_capacity(ESTIMATE), length: 0 };
        serde_json::to_writer(&mut json, value).map_err(|_| Problem::internal())?;
        let Measured { mut json, length } = json;
        if length > ESTIMATE {
            self.resize(length)?;
            json = Vec::with_capacity(length);
            serde_json::to_writer(&mut json, value).map_err(|_| Problem::internal())?;
        }
        json.shrink_to_fit();
        Ok(WrittenJson(json.into()))
    }

    fn resize(&self, bytes: usize) -> Result<(), Problem> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).resize(bytes).map_err(|full| match full {
            Full::Share => Problem::too_much_at_once(),
            Full::Everything => Problem::overloaded(),
        })
    }
}

/// An answer that is written already, in the memory that was taken for it.
pub(crate) struct WrittenJson(Bytes);

impl WrittenJson {
    /// Whether it is far longer than what people usually see.
    pub(crate) fn is_long(&self) -> bool {
        self.0.len() > LONG
    }
}

impl IntoResponse for WrittenJson {
    fn into_response(self) -> Response<Body> {
        ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], self.0).into_response()
    }
}

/// Keeps what is written for as long as it fits into the memory that was taken for any answer, and counts all of it.
struct Measured {
    json: Vec<u8>,
    length: usize,
}

impl io::Write for Measured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.length += bytes.len();
        if self.length <= ESTIMATE {
            self.json.extend_from_slice(bytes);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Counts the answer until its client has taken it.
pub(crate) async fn bounded(
    State(AnswerMemory(memory)): State<AnswerMemory>,
    client: Client,
    mut request: Request,
    next: Next,
) -> Response<Body> {
    let owner = request.extensions().get::<Owner>().cloned().unwrap_or(Owner::Address(client));
    let hang_up = request.extensions().get::<HangUp>().cloned();
    let room = AnswerRoom(Arc::new(Mutex::new(memory.reserve(owner, None))));
    request.extensions_mut().insert(room.clone());
    let (parts, body) = next.run(request).await.into_parts();
    let length = body.size_hint().exact().and_then(|length| usize::try_from(length).ok()).unwrap_or(ESTIMATE);
    if length <= SHORT {
        return Response::from_parts(parts, body);
    }
    if let Err(problem) = room.resize(length) {
        return problem.into_response();
    }
    room.0.lock().unwrap_or_else(PoisonError::into_inner).set_evict(hang_up);
    Response::from_parts(parts, Body::new(Counted { body, piece: Bytes::new(), _room: room }))
}

/// A body that is counted until its end, and handed over piece by piece: else the connection would take it whole and keep it
/// for its client.
struct Counted {
    body: Body,
    /// What is left of the last frame.
    piece: Bytes,
    _room: AnswerRoom,
}

impl HttpBody for Counted {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.piece.is_empty() {
            match Pin::new(&mut self.body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => self.piece = data,
                    Err(other) => return Poll::Ready(Some(Ok(other))),
                },
                other => return other,
            }
        }
        let next = self.piece.len().min(PIECE);
        // A copy, since a part of it would keep the whole.
        let piece = Bytes::copy_from_slice(&self.piece.split_to(next));
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.piece.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let left = u64::try_from(self.piece.len()).unwrap_or(u64::MAX);
        self.body.size_hint().exact().map_or_else(SizeHint::new, |rest| SizeHint::with_exact(rest + left))
    }
}
