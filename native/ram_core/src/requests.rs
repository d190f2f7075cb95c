//! The sending ends of a member's queues of writes and reads, and the bound on what waits in them.

use std::sync::Arc;
use tokio::sync::mpsc;

use crate::load::Load;
use crate::proposer::Write;
use ram_lease::Read;

#[derive(Clone)]
pub(crate) struct RequestQueues {
    pub writes: mpsc::Sender<Write>,
    pub reads: mpsc::Sender<Read>,
    pub load: Arc<Load>,
}
