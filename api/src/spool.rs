//! Bodies that may be long and come slowly: in memory as long as they are short, in a file without a name beyond that. As
//! many long ones are taken into memory at once as there is room for; the others wait in their files.

use std::{io, mem, sync::Arc, time::Duration};

use axum::body::{Body, Bytes};
use http_body_util::BodyExt;
use tokio::{
    fs::{File, OpenOptions},
    io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};
use uuid::Uuid;

use server::HangUp;

use crate::{
    client::Client,
    memory::{FairMemory, Full, Owner, Reservation},
    problem::Problem,
};

/// The longest body, in bytes: mails from Postmark have up to 35 MB of attachments, as base64.
const MAX: usize = 50 * 1024 * 1024;
/// Bytes of a body that are kept in memory while it arrives.
const IN_MEMORY: usize = 128 * 1024;
/// Bytes that are written to its file at a time.
const AT_A_TIME: usize = 64 * 1024;
/// How long one may take to arrive.
const TIME: Duration = Duration::from_mins(5);
/// Bodies that arrive at once.
const ARRIVING: usize = 128;
/// Of those, as many as one client's.
const ARRIVING_OF_CLIENT: usize = 64;
/// Mebibytes of long bodies that are in memory at once: one of the longest.
const ROOM: usize = MAX / (1024 * 1024);

/// Where long bodies are kept. Clones share it.
#[derive(Clone)]
pub(crate) struct Spool {
    /// For those that arrive: one client's leave places to others.
    arriving: FairMemory,
    whole: Arc<Semaphore>,
}

impl Spool {
    pub(crate) fn new() -> Self {
        let arriving = FairMemory::new(ARRIVING * IN_MEMORY, ARRIVING_OF_CLIENT * IN_MEMORY);
        Self { arriving, whole: Arc::new(Semaphore::new(ROOM)) }
    }

    /// Lets a body of this client's arrive.
    pub(crate) async fn take(&self, client: Client, body: Body) -> Result<SpooledBody, Problem> {
        let evict = HangUp::default();
        let mut place = self.arriving.reserve(Owner::Address(client), Some(evict.clone()));
        place.grow(IN_MEMORY).map_err(|full| match full {
            Full::Share => Problem::too_much_at_once(),
            Full::Everything => Problem::overloaded(),
        })?;
        let arrived = tokio::select! {
            biased;
            () = evict.wanted() => return Err(Problem::too_much_at_once()),
            arrived = timeout(TIME, SpooledBody::arrive(body)) => arrived.unwrap_or_else(|_| Err(Problem::too_slow(TIME))),
        };
        place.set_evict(None);
        Ok(SpooledBody { place: Some(place), ..arrived? })
    }

    /// Takes the whole into memory, once there is room.
    pub(crate) async fn whole(&self, body: SpooledBody) -> Result<Whole, Problem> {
        let SpooledBody { short, long, length, place: _place } = body;
        let Some(mut long) = long else { return Ok(Whole { bytes: short.into(), _room: None }) };
        let units = u32::try_from(length.div_ceil(1024 * 1024)).expect("a body is shorter");
        let room = Arc::clone(&self.whole).acquire_many_owned(units).await.map_err(|_| Problem::overloaded())?;
        let mut whole = Vec::with_capacity(length);
        let read = async {
            long.flush().await?;
            long.rewind().await?;
            long.read_to_end(&mut whole).await
        };
        read.await.map_err(|error| {
            tracing::error!(%error, "a long body cannot be read back");
            Problem::unavailable()
        })?;
        Ok(Whole { bytes: whole.into(), _room: Some(room) })
    }
}

/// A body that has arrived.
pub(crate) struct SpooledBody {
    /// All of it, as long as it is.
    short: Vec<u8>,
    long: Option<File>,
    length: usize,
    place: Option<Reservation>,
}

/// A body in memory, which is counted until this is dropped.
pub(crate) struct Whole {
    bytes: Bytes,
    _room: Option<OwnedSemaphorePermit>,
}

impl Whole {
    /// The same bytes, not a copy.
    pub(crate) fn bytes(&self) -> Bytes {
        self.bytes.clone()
    }
}

impl std::ops::Deref for Whole {
    type Target = Bytes;

    fn deref(&self) -> &Bytes {
        &self.bytes
    }
}

impl SpooledBody {
    async fn arrive(mut body: Body) -> Result<Self, Problem> {
        let mut spooled = Self { short: Vec::new(), long: None, length: 0, place: None };
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|_| Problem::unreadable("The body broke off."))?;
            let Ok(data) = frame.into_data() else { continue };
            spooled.length += data.len();
            if spooled.length > MAX {
                return Err(Problem::too_large(MAX));
            }
            spooled.push(&data).await.map_err(|error| {
                tracing::error!(%error, "a long body cannot be written to the directory for temporary files");
                Problem::unavailable()
            })?;
        }
        Ok(spooled)
    }

    async fn push(&mut self, data: &[u8]) -> io::Result<()> {
        if self.long.is_none() && self.short.len() + data.len() <= IN_MEMORY {
            self.short.extend_from_slice(data);
            return Ok(());
        }
        if self.long.is_none() {
            let mut file = nameless().await?;
            file.write_all(&mem::take(&mut self.short)).await?;
            self.long = Some(file);
        }
        self.long.as_mut().expect("it was just made").write_all(data).await
    }
}

/// A file that is gone as soon as it is closed, also with the process.
async fn nameless() -> io::Result<File> {
    let path = std::env::temp_dir().join(format!("norvalt-{}", Uuid::new_v4()));
    let mut file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path).await?;
    tokio::fs::remove_file(&path).await?;
    file.set_max_buf_size(AT_A_TIME);
    Ok(file)
}
