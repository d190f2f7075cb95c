//! One connection after its handshake: frames out of an outbox, frames into a handler, and the
//! signs of life in between. Both sides use it; each runs its halves in one task, so that the end
//! of one half ends the other.

use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Buf;
use futures_util::FutureExt;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, timeout};

use super::arriving::{Pace, Place, Room};
use super::frame::{Batch, Decoder, Frame, FrameError, PING_ID};
use super::options::NetOptions;
use super::outbox::Outbox;
use super::pending_requests::PendingRequests;
use super::stats::Counters;

/// A silent peer is looked at this many times before it is given up: once to ping it, and then so
/// often that a pause of our own process does not count as its silence.
const STALL_LOOKS: u32 = 4;

/// Why a connection ended.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(super) enum Ending {
    #[error("closed by the other side")]
    Eof,
    #[error("closed here")]
    Here,
    #[error("replaced by a newer connection of the same member")]
    Replaced,
    #[error("no sign of life")]
    Stalled,
    #[error("{0}")]
    Frame(#[from] FrameError),
    #[error("{0}")]
    Io(String),
}

impl From<std::io::Error> for Ending {
    fn from(error: std::io::Error) -> Ending {
        Ending::Io(error.to_string())
    }
}

/// What a connection has seen of its peer, and the traffic counters it adds to.
#[derive(Debug)]
pub(super) struct Traffic<'a> {
    counters: &'a Counters,
    signs_of_life: AtomicU64,
    written_frames: AtomicU64,
}

impl<'a> Traffic<'a> {
    pub fn new(counters: &'a Counters) -> Traffic<'a> {
        Traffic { counters, signs_of_life: AtomicU64::new(0), written_frames: AtomicU64::new(0) }
    }

    fn sign_of_life(&self) {
        self.signs_of_life.fetch_add(1, Ordering::Relaxed);
    }
}

/// Writes what the outbox holds and `keep` wants, many frames a time, until closed or broken.
pub(super) async fn write_frames<W, K>(
    mut stream: W,
    outbox: &Outbox,
    traffic: &Traffic<'_>,
    keep: K,
) -> Result<(), Ending>
where
    W: AsyncWrite + Unpin,
    K: Fn(u64) -> bool,
{
    let mut batch = Batch::default();
    while let Some(frames) = outbox.fill(&mut batch, &keep).await {
        traffic.written_frames.fetch_add(frames, Ordering::Relaxed);
        Counters::add(&traffic.counters.frames_sent, frames);
        while batch.has_remaining() {
            write_some(&mut stream, &mut batch, traffic).await?;
        }
        stream.flush().await?;
    }
    Ok(())
}

/// A write that had to wait and then went on is a sign of life: the other side made room. One that
/// went through at once says nothing, since the system's buffers take some for a dead peer as well.
async fn write_some<W: AsyncWrite + Unpin>(
    stream: &mut W,
    batch: &mut Batch,
    traffic: &Traffic<'_>,
) -> Result<(), Ending> {
    let mut write = pin!(stream.write_buf(batch));
    let written = match write.as_mut().now_or_never() {
        Some(written) => written?,
        None => {
            let written = write.await?;
            traffic.sign_of_life();
            written
        }
    };
    if written == 0 {
        return Err(Ending::Eof);
    }
    Counters::add(&traffic.counters.bytes_sent, written as u64);
    Ok(())
}

/// What has come.
pub(super) enum Arrival {
    Whole(Frame),
    /// A part of a large frame: nothing behind it can come before the rest.
    Part,
}

/// What bounds the frames that come on a connection.
pub(super) struct Intake<'a> {
    body_bytes_max: usize,
    stall_timeout: Duration,
    /// Where the replies to them wait.
    replies: Option<&'a Outbox>,
    /// Asked for each large frame: which room it needs.
    room: &'a (dyn Fn() -> Room + Send + Sync),
}

impl<'a> Intake<'a> {
    pub fn new(
        options: &NetOptions,
        replies: Option<&'a Outbox>,
        room: &'a (dyn Fn() -> Room + Send + Sync),
    ) -> Intake<'a> {
        let NetOptions { frame_bytes_max, stall_timeout, .. } = *options;
        Intake { body_bytes_max: frame_bytes_max, stall_timeout, replies, room }
    }

    async fn replies_have_room(&self) {
        if let Some(replies) = self.replies {
            replies.room().await;
        }
    }
}

/// A large frame while it comes.
struct Coming {
    room: Room,
    _place: Place,
    pace: Pace,
}

/// Reads frames, in order, into `handle`. With an outbox for replies it reads on only while they
/// find room there, so that a peer which does not read its replies cannot make us collect them; and
/// a large frame only when there is room for it (`arriving`).
pub(super) async fn read_frames<R, H>(
    mut stream: R,
    intake: &Intake<'_>,
    traffic: &Traffic<'_>,
    mut handle: H,
) -> Result<(), Ending>
where
    R: AsyncRead + Unpin,
    H: FnMut(Arrival),
{
    let mut decoder = Decoder::new(intake.body_bytes_max);
    let mut coming: Option<Coming> = None;
    loop {
        while let Some(frame) = decoder.take_frame()? {
            coming = None;
            Counters::add(&traffic.counters.frames_received, 1);
            intake.replies_have_room().await;
            handle(Arrival::Whole(frame));
        }
        intake.replies_have_room().await;
        let read = match (&mut coming, decoder.large_bytes()) {
            (Some(coming), Some(_)) => {
                match coming.read(&mut stream, &mut decoder, intake).await? {
                    Some(read) => read,
                    None => continue,
                }
            }
            (None, Some(bytes)) => {
                let room = (intake.room)();
                let place = room.take(bytes).await;
                coming = Some(Coming { room, _place: place, pace: Pace::default() });
                continue;
            }
            (_, None) => stream.read_buf(&mut decoder.room()).await?,
        };
        if read == 0 {
            return Err(Ending::Eof);
        }
        traffic.sign_of_life();
        Counters::add(&traffic.counters.bytes_received, read as u64);
        if decoder.large_bytes().is_some() {
            handle(Arrival::Part);
        }
    }
}

impl Coming {
    /// `None`: nothing has come, and it may be waited for further.
    async fn read<R: AsyncRead + Unpin>(
        &mut self,
        stream: &mut R,
        decoder: &mut Decoder,
        intake: &Intake<'_>,
    ) -> Result<Option<usize>, Ending> {
        let begun = Instant::now();
        let left = self.pace.left(intake.stall_timeout);
        let read = timeout(left, stream.read_buf(&mut decoder.room())).await;
        let read = read.ok().transpose()?;
        let (waited, bytes) = (begun.elapsed(), read.unwrap_or(0));
        if !self.pace.goes_on(waited, bytes, &self.room, intake.stall_timeout) {
            return Err(Ending::Stalled);
        }
        Ok(read)
    }
}

/// Ends when the peer owes us an answer and nothing came from it for `stall_timeout`, pings
/// included.
pub(super) async fn watch_for_stall(
    requests: &PendingRequests,
    traffic: &Traffic<'_>,
    stall_timeout: Duration,
) -> Result<(), Ending> {
    let (mut signs, mut written, mut silent_looks) = (0, 0, 0);
    loop {
        tokio::time::sleep(stall_timeout / STALL_LOOKS).await;
        let signs_now = traffic.signs_of_life.load(Ordering::Relaxed);
        let written_now = traffic.written_frames.load(Ordering::Relaxed);
        // A request given up by its caller is still owed: what was written counts, not who waits.
        let owes = silent_looks > 0 || written_now != written || requests.in_flight_count() > 0;
        silent_looks = if signs_now == signs && owes { silent_looks + 1 } else { 0 };
        (signs, written) = (signs_now, written_now);
        match silent_looks {
            0 => {}
            1 => requests.ping(),
            STALL_LOOKS.. => return Err(Ending::Stalled),
            _ => {}
        }
    }
}

pub(super) fn is_ping(frame: &Frame) -> bool {
    frame.id == PING_ID
}
