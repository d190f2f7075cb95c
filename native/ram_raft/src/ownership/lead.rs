//! What a leader does about owners that are gone.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::PORTION;
use crate::rounds::{Lead, Lost, Pulse};
use ram_lease::majority_clock::Moment;
use ram_sabotage::{Fault, armed};
use ram_store::owners::{self, Run};

/// Ends what is reported, as long as this member leads.
pub(crate) async fn end_reported(lead: &Lead<'_>) -> Result<(), Lost> {
    let owners = lead.replica.applied.owners();
    loop {
        let keys = owners.take_reported();
        if keys.is_empty() {
            owners.0.some_reported.notified().await;
        } else {
            lead.propose(&owners::end(&keys)).await?;
        }
    }
}

/// Ends what the members of these runs, and their processes, own, as far as they are gone.
pub(crate) async fn heed(
    lead: &Lead<'_>,
    silence: &mut Silence,
    moment: &Moment,
    (runs, pulses): (&BTreeSet<Run>, &BTreeMap<u64, Pulse>),
) -> Result<(), Lost> {
    let applied = &lead.replica.applied;
    let is_removed = |member| applied.is_removed(member);
    for run in silence.gone(moment, runs, pulses, is_removed) {
        tracing::info!("the keys end that member {} and its processes own: it is gone", run.member);
        loop {
            let (mut portion, mut keys) = (PORTION, Vec::new());
            let is_all = applied
                .owners()
                .lists()
                .with(|owners| owners.take_of_run(run, &mut portion, &mut keys));
            if !keys.is_empty() {
                lead.propose(&owners::end(&keys)).await?;
            }
            if is_all {
                break;
            }
        }
    }
    applied.owners().lists().free().await;
    Ok(())
}

/// For how long which members have not answered.
#[derive(Debug)]
pub(crate) struct Silence {
    timeout_ms: u64,
    /// When the first round began without an answer.
    since: BTreeMap<u64, u64>,
    /// What had passed by the last round.
    low: u64,
}

impl Silence {
    pub fn new(timeout: Duration) -> Silence {
        Silence { timeout_ms: timeout.as_millis() as u64, since: BTreeMap::new(), low: 0 }
    }

    /// The runs that are gone, of those that had a key when the round began.
    pub(super) fn gone(
        &mut self,
        moment: &Moment,
        runs: &BTreeSet<Run>,
        pulses: &BTreeMap<u64, Pulse>,
        is_removed: impl Fn(u64) -> bool,
    ) -> Vec<Run> {
        // Who was not asked for long has not been silent: this member may have been suspended.
        let unasked_ms = moment.low.saturating_sub(self.low);
        if moment.is_anew || unasked_ms > self.timeout_ms / 2 {
            self.since.clear();
        }
        self.low = moment.low;
        self.since.retain(|member, _| runs.iter().any(|run| run.member == *member));
        let mut gone = Vec::new();
        for run in runs {
            let is_gone = match pulses.get(&run.member) {
                _ if is_removed(run.member) => true,
                Some(pulse) => {
                    self.since.remove(&run.member);
                    pulse.run != run.run
                }
                None => armed(Fault::EndTheSilent) || self.is_over(run.member, moment),
            };
            if is_gone {
                gone.push(*run);
            }
        }
        gone
    }

    fn is_over(&mut self, member: u64, moment: &Moment) -> bool {
        match (self.since.get(&member), moment.high) {
            (Some(since), _) => moment.low >= since.saturating_add(self.timeout_ms),
            (None, Some(high)) => {
                self.since.insert(member, high);
                false
            }
            (None, None) => false,
        }
    }
}
