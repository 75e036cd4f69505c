//! Bodies are read after the check of who sends them, and before anything is opened on their behalf: a transaction must
//! not wait for a client who sends slowly, or never. A few of those would hold every connection to the database.

use std::time::Duration;

use axum::{
    body::{Body, Bytes, HttpBody},
    extract::{Request, State},
    http::{HeaderMap, Method, Response, header},
    middleware::Next,
    response::IntoResponse,
};
use http_body_util::BodyExt;
use server::HangUp;
use tokio::time::timeout;

use crate::{
    memory::{FairMemory, Full, Owner, Reservation},
    problem::Problem,
};

/// The first step in which memory is taken for a body whose length is not declared, in bytes. Each further one doubles.
const FIRST_STEP: usize = 16 * 1024;
/// Bytes of a short body: those of forms, of Clerk's events and of reports are shorter.
const SHORT: u64 = 64 * 1024;
/// The largest JSON that is taken, in bytes. Svix sends up to 350 kB.
pub(crate) const JSON: usize = 1024 * 1024;
/// How long it may take to arrive.
pub(crate) const JSON_TIME: Duration = Duration::from_secs(10);

/// What a route takes.
#[derive(Debug, Clone)]
pub(crate) struct BodyLimits {
    /// In bytes.
    pub(crate) bytes: usize,
    /// How long it may take to arrive.
    pub(crate) time: Duration,
    /// Where it is kept meanwhile.
    pub(crate) memory: FairMemory,
}

/// What became of a body. In the request's extensions, so that a handler's other arguments are judged first.
#[derive(Clone)]
pub(crate) struct BufferedBody(pub(crate) Result<Bytes, Problem>);

/// Whether a body says that it is so short that it costs little to read, whoever sends it.
pub(crate) fn is_short(headers: &HeaderMap) -> bool {
    let length = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    length.is_some_and(|length: u64| length <= SHORT)
}

/// Reads the whole body of a request whose [`Owner`] a layer before has noted.
pub(crate) async fn buffer(State(limits): State<BodyLimits>, mut request: Request, next: Next) -> Response<Body> {
    if !matches!(*request.method(), Method::POST | Method::PATCH | Method::PUT) {
        return next.run(request).await;
    }
    let owner = request.extensions().get::<Owner>().cloned().expect("a layer before this one notes it");
    let evict = HangUp::default();
    let mut reservation = limits.memory.reserve(owner, Some(evict.clone()));
    let body = std::mem::take(request.body_mut());
    let buffered = match timeout(limits.time, read(body, limits.bytes, &mut reservation, &evict)).await {
        Ok(Err(NotRead::Full(Full::Share))) => return Problem::too_much_at_once().into_response(),
        Ok(Err(NotRead::Full(Full::Everything))) => return Problem::overloaded().into_response(),
        Ok(Err(NotRead::Problem(problem))) => Err(problem),
        Ok(Ok(whole)) => Ok(whole),
        Err(_) => Err(Problem::too_slow(limits.time)),
    };
    match &buffered {
        Ok(_) => reservation.set_evict(None),
        Err(_) => drop(reservation),
    }
    request.extensions_mut().insert(BufferedBody(buffered));
    next.run(request).await
}

enum NotRead {
    Full(Full),
    Problem(Problem),
}

/// Takes memory for what has come, not for what was announced: who sends nothing takes none.
async fn read(mut body: Body, limit: usize, reservation: &mut Reservation, evict: &HangUp) -> Result<Bytes, NotRead> {
    let declared = body.size_hint().exact().map_or(limit, |length| usize::try_from(length).unwrap_or(usize::MAX));
    if declared > limit {
        return Err(NotRead::Problem(Problem::too_large(limit)));
    }
    let mut whole = Vec::new();
    loop {
        let frame = tokio::select! {
            biased;
            () = evict.wanted() => return Err(NotRead::Full(Full::Share)),
            frame = body.frame() => frame,
        };
        let Some(frame) = frame else { return Ok(whole.into()) };
        let frame = frame.map_err(|_| NotRead::Problem(Problem::unreadable("The body broke off.")))?;
        let Ok(data) = frame.into_data() else { continue };
        let needed = whole.len() + data.len();
        if needed > limit {
            return Err(NotRead::Problem(Problem::too_large(limit)));
        }
        if needed > whole.capacity() {
            let capacity = needed.max(whole.capacity() * 2).max(FIRST_STEP).min(declared).max(needed);
            reservation.grow(capacity - whole.capacity()).map_err(NotRead::Full)?;
            whole.reserve_exact(capacity - whole.len());
        }
        whole.extend_from_slice(&data);
    }
}
