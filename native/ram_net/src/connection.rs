//! One connection after its handshake: the writer of frames, the reader of frames, and the stall
//! detector (heartbeats by ping). Both sides use it; each runs writer and reader in one task, so
//! that the end of one ends the other.

use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Buf;
use futures_util::FutureExt;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, timeout};

use super::frame::{Batch, Decoder, Frame, FrameError, PING_ID};
use super::options::NetOptions;
use super::outbox::Outbox;
use super::pending_requests::PendingRequests;
use super::receive_budget::{ReceiveBudget, ReceiveRate, Reservation};
use super::stats::Counters;

/// The checks without a sign of life after which a peer is given up. The first one sends a ping;
/// there are several more, so that a pause of our own process does not count as silence of the
/// peer.
const STALL_CHECKS: u32 = 4;

/// Why a connection ended.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(super) enum CloseReason {
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

impl From<std::io::Error> for CloseReason {
    fn from(error: std::io::Error) -> CloseReason {
        CloseReason::Io(error.to_string())
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

/// Writes the queued frames that `keep` wants, many with one call, until closed or broken.
pub(super) async fn write_frames<W, K>(
    mut stream: W,
    outbox: &Outbox,
    traffic: &Traffic<'_>,
    keep: K,
) -> Result<(), CloseReason>
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

/// A write that had to wait and then continued is a sign of life: the peer has read something. A
/// write that completed at once is none, since the system buffers some bytes for a dead peer too.
async fn write_some<W: AsyncWrite + Unpin>(
    stream: &mut W,
    batch: &mut Batch,
    traffic: &Traffic<'_>,
) -> Result<(), CloseReason> {
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
        return Err(CloseReason::Eof);
    }
    Counters::add(&traffic.counters.bytes_sent, written as u64);
    Ok(())
}

/// Input for the handler of a connection.
pub(super) enum Received {
    Frame(Frame),
    /// A part of a large frame: later frames can only follow the rest of it.
    Part,
}

/// The limits for the frames that a connection receives.
pub(super) struct ReceiveLimits<'a> {
    body_bytes_max: usize,
    stall_timeout: Duration,
    /// The send queue of the replies to them.
    replies: Option<&'a Outbox>,
    /// Called for each large frame: the budget to reserve from.
    budget: &'a (dyn Fn() -> ReceiveBudget + Send + Sync),
}

impl<'a> ReceiveLimits<'a> {
    pub fn new(
        options: &NetOptions,
        replies: Option<&'a Outbox>,
        budget: &'a (dyn Fn() -> ReceiveBudget + Send + Sync),
    ) -> ReceiveLimits<'a> {
        let NetOptions { frame_bytes_max, stall_timeout, .. } = *options;
        ReceiveLimits { body_bytes_max: frame_bytes_max, stall_timeout, replies, budget }
    }

    async fn replies_have_room(&self) {
        if let Some(replies) = self.replies {
            replies.room().await;
        }
    }
}

/// A large frame while it arrives.
struct LargeFrameReceive {
    budget: ReceiveBudget,
    _reservation: Reservation,
    rate: ReceiveRate,
}

/// Reads frames, in order, into `handle`. With an outbox for replies it reads on only while that is
/// within its bound, so that a peer that does not read its replies cannot make us store them. A
/// large frame is read only with a reservation from the receive budget.
pub(super) async fn read_frames<R, H>(
    mut stream: R,
    limits: &ReceiveLimits<'_>,
    traffic: &Traffic<'_>,
    mut handle: H,
) -> Result<(), CloseReason>
where
    R: AsyncRead + Unpin,
    H: FnMut(Received),
{
    let mut decoder = Decoder::new(limits.body_bytes_max);
    let mut large: Option<LargeFrameReceive> = None;
    loop {
        while let Some(frame) = decoder.take_frame()? {
            large = None;
            Counters::add(&traffic.counters.frames_received, 1);
            limits.replies_have_room().await;
            handle(Received::Frame(frame));
        }
        limits.replies_have_room().await;
        let read = match (&mut large, decoder.large_bytes()) {
            (Some(large), Some(_)) => match large.read(&mut stream, &mut decoder, limits).await? {
                Some(read) => read,
                None => continue,
            },
            (None, Some(bytes)) => {
                let budget = (limits.budget)();
                let reservation = budget.take(bytes).await;
                large = Some(LargeFrameReceive {
                    budget,
                    _reservation: reservation,
                    rate: ReceiveRate::default(),
                });
                continue;
            }
            (_, None) => stream.read_buf(&mut decoder.room()).await?,
        };
        if read == 0 {
            return Err(CloseReason::Eof);
        }
        traffic.sign_of_life();
        Counters::add(&traffic.counters.bytes_received, read as u64);
        if decoder.large_bytes().is_some() {
            handle(Received::Part);
        }
    }
}

impl LargeFrameReceive {
    /// `None`: nothing has arrived, and the time limit is not over.
    async fn read<R: AsyncRead + Unpin>(
        &mut self,
        stream: &mut R,
        decoder: &mut Decoder,
        limits: &ReceiveLimits<'_>,
    ) -> Result<Option<usize>, CloseReason> {
        let begun = Instant::now();
        let left = self.rate.left(limits.stall_timeout);
        let read = timeout(left, stream.read_buf(&mut decoder.room())).await;
        let read = read.ok().transpose()?;
        let (waited, bytes) = (begun.elapsed(), read.unwrap_or(0));
        if !self.rate.note(waited, bytes, &self.budget, limits.stall_timeout) {
            return Err(CloseReason::Stalled);
        }
        Ok(read)
    }
}

/// The stall detector: ends when the peer owes us a reply and no bytes came from it for
/// `stall_timeout`, not even the echo of a ping.
pub(super) async fn watch_for_stall(
    requests: &PendingRequests,
    traffic: &Traffic<'_>,
    stall_timeout: Duration,
) -> Result<(), CloseReason> {
    let (mut signs, mut written, mut silent_checks) = (0, 0, 0);
    loop {
        tokio::time::sleep(stall_timeout / STALL_CHECKS).await;
        let signs_now = traffic.signs_of_life.load(Ordering::Relaxed);
        let written_now = traffic.written_frames.load(Ordering::Relaxed);
        // The peer also owes the replies of requests whose callers have given up waiting: so the
        // written frames count.
        let owes = silent_checks > 0 || written_now != written || requests.in_flight_count() > 0;
        silent_checks = if signs_now == signs && owes { silent_checks + 1 } else { 0 };
        (signs, written) = (signs_now, written_now);
        match silent_checks {
            0 => {}
            1 => requests.ping(),
            STALL_CHECKS.. => return Err(CloseReason::Stalled),
            _ => {}
        }
    }
}

pub(super) fn is_ping(frame: &Frame) -> bool {
    frame.id == PING_ID
}
