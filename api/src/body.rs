//! Bodies are buffered before anything is opened on their behalf.

use std::{sync::Arc, time::Duration};

use axum::{
    body::{Body, Bytes},
    extract::{Request, State},
    http::Response,
    middleware::Next,
    response::IntoResponse,
};
use http_body_util::BodyExt;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use crate::problem::Problem;

/// Largest body that is read, in bytes. Svix sends up to 350 kB.
const LIMIT: usize = 1024 * 1024;
/// All bodies that this process holds at once, in bytes.
const ALL: usize = 64 * LIMIT;
/// How long a body may take to arrive.
const PATIENCE: Duration = Duration::from_secs(10);

/// Room for bodies, one permit a byte.
#[derive(Clone)]
pub(crate) struct Bodies(Arc<Semaphore>);

impl Default for Bodies {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(ALL)))
    }
}

/// What became of a body. In the request's extensions, so that whoever has no token hears of that first.
#[derive(Clone)]
pub(crate) struct BufferedBody(pub(crate) Result<Bytes, Problem>);

/// Takes the whole body. A handler's transaction must not wait for a client who sends slowly, or never: a few of those
/// would hold every connection to the database.
pub(crate) async fn buffer(State(bodies): State<Bodies>, request: Request, next: Next) -> Response<Body> {
    let (mut parts, body) = request.into_parts();
    let mut room = None;
    let arrived = match timeout(PATIENCE, bodies.take(body, &mut room)).await {
        Ok(Err(NotTaken::NoRoom)) => return Problem::overloaded().into_response(),
        Ok(Err(NotTaken::Problem(problem))) => Err(problem),
        Ok(Ok(whole)) => Ok(whole),
        Err(_) => Err(Problem::too_slow()),
    };
    parts.extensions.insert(BufferedBody(arrived));
    next.run(Request::from_parts(parts, Body::empty())).await
}

enum NotTaken {
    NoRoom,
    Problem(Problem),
}

impl Bodies {
    /// Takes room for what has come, not for what was announced: who sends nothing takes none.
    async fn take(&self, mut body: Body, room: &mut Option<OwnedSemaphorePermit>) -> Result<Bytes, NotTaken> {
        let mut whole = Vec::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|_| NotTaken::Problem(Problem::unreadable("The body broke off.")))?;
            let Ok(data) = frame.into_data() else { continue };
            if whole.len() + data.len() > LIMIT {
                return Err(NotTaken::Problem(Problem::too_large()));
            }
            let length = u32::try_from(data.len()).expect("no more than the limit");
            let more = Arc::clone(&self.0).try_acquire_many_owned(length).map_err(|_| NotTaken::NoRoom)?;
            match room {
                None => *room = Some(more),
                Some(room) => room.merge(more),
            }
            whole.extend_from_slice(&data);
        }
        Ok(whole.into())
    }
}
