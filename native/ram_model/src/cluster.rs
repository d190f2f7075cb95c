//! The cluster as the model checker sees it: its first state, and the steps out of each.

use stateright::{Model, Property};

use crate::invariants;
use crate::node::{Campaign, Lead, Node, State};
use crate::voters::Voters;

pub const NODES: usize = 3;

/// A part of the protocol that can be left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guard {
    /// A read looks whether an entry is not yet applied.
    PendingMarks,
    /// Nothing is committed that a holder has not acknowledged.
    CommitBarrier,
    /// A holder has applied what was in the log when its lease began.
    FirstIndex,
    /// No grant lasts longer than the vote holds of a quorum.
    QuorumVoteHold,
    /// The quorum's clocks may be fast and the leader's slow: L (1 - e) / (1 + e), not L (1 - e).
    OthersDrift,
    /// The hold counts that a member told, not the leader's own.
    ToldHold,
    /// The holder's clock may be slow: it counts less than was granted.
    HoldersDrift,
    /// A lease counts from the asking, not from the answer.
    CountFromAsking,
    /// A follower that heard from the leader votes for nobody for a while.
    FollowersVoteHold,
    /// So does a member that starts again.
    RestartVoteHold,
    /// Namely for the longest hold that may be alive, not for the one it has now.
    LongestHold,
    /// A longer hold counts as the longest from before the first answer under it on.
    SavedFirst,
    /// So does who granted leases, whether it still leads or not.
    LeadersVoteHold,
    /// Leases run out before the lead is handed over.
    HandOverRunsOut,
    /// Nothing is granted in the rest of a term whose lead was handed over.
    HandOverForGood,
    /// A grant rests on the newest configuration of the leader's log, or on the one before.
    NewestVoters,
    /// A holder that is no voter, or no longer one, is waited for too.
    Outsiders,
    /// A candidate of no configuration does not move the term of a node that heard its leader.
    UnknownCandidates,
    /// Leases run out before a change of the voters, and none is granted until it is committed. A
    /// precaution: the invariants hold without it.
    ChangePauses,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    /// Time passes, on each clock at its own rate.
    Tick,
    Write(usize),
    /// The leader's log reaches a follower, or the leader learns that its term is over.
    Push(usize, usize),
    /// The acknowledgement of a follower reaches the leader.
    Ack(usize),
    Grant(usize, usize),
    /// What was granted reaches the holder.
    Take(usize),
    Crash(usize),
    Campaign(usize),
    Vote(usize, usize),
    HandOver(usize, usize),
    TakeOver(usize),
    /// The leader proposes that the next of `changes` becomes a voter, or is one no more.
    Change(usize),
    /// The leader looks who the voters are.
    See(usize),
    /// A candidate that is in no configuration asks for a vote in the next term, and says that the
    /// lead was transferred to it. It never leads.
    Unknown(usize),
}

pub struct Cluster {
    pub without: Option<Guard>,
    /// Units that each node's clock makes in a tick: a true one 10, or more where a tick is longer,
    /// for a shorter way to an election.
    pub rates: [u8; NODES],
    /// L of each node, in units of its clock; with each crash of any the one that starts again has
    /// that of the other row.
    pub holds: [[u8; NODES]; 2],
    pub ticks_max: u8,
    pub terms_max: u8,
    pub crashes_max: u8,
    /// Of the first configuration.
    pub voters: Voters,
    /// Who joins or leaves, one after the other.
    pub changes: &'static [usize],
    /// There is a candidate of no configuration.
    pub has_unknown_candidate: bool,
    /// No other writes, and no handing over: for a smaller space.
    pub only_changes: bool,
    /// The invariants to check.
    pub invariants: &'static [&'static str],
    /// What has to be seen in some state, else the scene shows nothing.
    pub sights: &'static [&'static str],
}

impl Cluster {
    pub fn has(&self, guard: Guard) -> bool {
        self.without != Some(guard)
    }
}

impl Model for Cluster {
    type State = State;
    type Action = Step;

    /// Node 0 leads the first term, and its first entry is everywhere.
    fn init_states(&self) -> Vec<State> {
        let mut node = Node { term: 1, applied: 1, ..Node::default() };
        node.log.change(1, self.voters);
        let mut state = State { nodes: [node; NODES], committed: 1, ..State::default() };
        for (node, hold) in state.nodes.iter_mut().zip(self.holds[0]) {
            (node.hold, node.longest) = (hold, hold);
        }
        state.nodes[0].lead = Some(Lead::new(self.voters));
        vec![state]
    }

    fn actions(&self, state: &State, steps: &mut Vec<Step>) {
        if state.ticks < self.ticks_max {
            steps.push(Step::Tick);
        }
        for (id, node) in state.nodes.iter().enumerate() {
            if state.acks[id].is_some() {
                steps.push(Step::Ack(id));
            }
            if state.grants[id].is_some() {
                steps.push(Step::Take(id));
            }
            if state.crashes < self.crashes_max {
                steps.push(Step::Crash(id));
            }
            let may_lead = node.lead.is_none() && node.log.voters().has(id);
            if may_lead && node.term < self.terms_max {
                steps.extend((node.vote_hold == 0).then_some(Step::Campaign(id)));
                steps.extend((node.transfer_in == Some(node.term)).then_some(Step::TakeOver(id)));
            }
            let others = (0..NODES).filter(|other| *other != id);
            if let Some(campaign) = node.campaign {
                let voters = others.clone().filter(|v| self.may_vote(state, id, campaign, *v));
                steps.extend(voters.map(|voter| Step::Vote(id, voter)));
            }
            if self.has_unknown_candidate && self.hears_unknown(node) {
                steps.push(Step::Unknown(id));
            }
            if let Some(lead) = node.lead {
                self.leads(state, id, &lead, steps);
            }
        }
    }

    fn next_state(&self, state: &State, step: Step) -> Option<State> {
        let mut next = state.clone();
        self.make(&mut next, step);
        (next != *state).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        invariants::properties(self.invariants.iter().chain(self.sights))
    }
}

impl Cluster {
    fn leads(&self, state: &State, id: usize, lead: &Lead, steps: &mut Vec<Step>) {
        let others = (0..NODES).filter(|other| *other != id);
        // openraft takes no more writes once the lead is handed over.
        if !self.only_changes && state.nodes[id].log.has_room() && !lead.has_handed_over {
            steps.push(Step::Write(id));
        }
        steps.extend(others.clone().map(|other| Step::Push(id, other)));
        let is_over = lead.has_handed_over && self.has(Guard::HandOverForGood);
        let is_changing = state.nodes[id].is_changing() && self.has(Guard::ChangePauses);
        if !is_over && !is_changing {
            steps.extend((0..NODES).map(|holder| Step::Grant(id, holder)));
        }
        let has_run_out = lead.has_run_out();
        let may_hand_over = has_run_out || !self.has(Guard::HandOverRunsOut);
        if !self.only_changes && may_hand_over && !lead.has_handed_over {
            steps.extend(others.map(|target| Step::HandOver(id, target)));
        }
        if self.may_change(&state.nodes[id], id, lead) {
            steps.push(Step::Change(id));
        }
        if lead.voters != state.nodes[id].log.voters() {
            steps.push(Step::See(id));
        }
    }

    /// One change at a time, and none before the leader has committed an entry of its own.
    fn may_change(&self, node: &Node, id: usize, lead: &Lead) -> bool {
        let next = self.changes.get(node.log.changes());
        next.is_some_and(|member| *member != id)
            && !lead.has_handed_over
            && (lead.has_run_out() || !self.has(Guard::ChangePauses))
            && !node.is_changing()
            && node.log.term_at(node.applied) == node.term
    }

    /// The vote hold that a leader has by its grants stands in any case. That of a follower stands
    /// on the vote that it has: that is gone with another vote, whoever gets it.
    fn hears_unknown(&self, node: &Node) -> bool {
        let is_heard = match self.has(Guard::UnknownCandidates) {
            true => node.vote_hold == 0,
            false => node.lead.is_none(),
        };
        is_heard && node.term < self.terms_max
    }

    fn may_vote(&self, state: &State, id: usize, campaign: Campaign, voter: usize) -> bool {
        let (candidate, node) = (&state.nodes[id], &state.nodes[voter]);
        node.term < candidate.term
            && node.log.end() <= candidate.log.end()
            && (node.vote_hold == 0 || campaign.is_handed_over)
    }
}
