//! What each step does.

use crate::cluster::{Cluster, Guard, NODES, Step};
use crate::node::{Ack, Campaign, Grant, LONG_AGO, Lead, Lease, Node, State};
use crate::voters::Voters;

/// D, of a node with this hold. Those of the quorum bound a grant when they were told a while ago.
fn lease(hold: u8) -> u8 {
    (u16::from(hold) * 5 / 9) as u8
}

// e is 20 %.
fn shortened(span: u8) -> u8 {
    (u16::from(span) * 8 / 10) as u8
}

fn lengthened(span: u8) -> u8 {
    (u16::from(span) * 12).div_ceil(10) as u8
}

fn of_another(span: u8) -> u8 {
    (u16::from(span) * 8 / 12) as u8
}

impl Cluster {
    pub(crate) fn make(&self, state: &mut State, step: Step) {
        match step {
            Step::Tick => self.tick(state),
            Step::Write(id) => {
                let node = &mut state.nodes[id];
                node.log.push(node.term);
            }
            Step::Push(leader, to) => self.push(state, leader, to),
            Step::Ack(from) => self.ack(state, from),
            Step::Grant(leader, holder) => self.grant(state, leader, holder),
            Step::Take(holder) => self.take(state, holder),
            Step::Crash(id) => self.crash(state, id),
            Step::Change(leader) => self.change(&mut state.nodes[leader]),
            Step::See(leader) => see_voters(&mut state.nodes[leader]),
            Step::Campaign(id) => campaign(state, id, false),
            Step::TakeOver(id) => campaign(state, id, true),
            Step::Vote(candidate, voter) => vote(state, candidate, voter),
            Step::Unknown(id) => hear_unknown(&mut state.nodes[id]),
            Step::HandOver(leader, target) => {
                state.nodes[target].transfer_in = Some(state.nodes[leader].term);
                state.nodes[leader].lead.as_mut().unwrap().has_handed_over = true;
            }
        }
    }

    fn change(&self, leader: &mut Node) {
        if self.has(Guard::NewestVoters) {
            see_voters(leader);
        }
        let member = self.changes[leader.log.changes()];
        leader.log.change(leader.term, leader.log.voters().toggled(member));
    }

    fn tick(&self, state: &mut State) {
        state.ticks += 1;
        for id in 0..NODES {
            let rate = self.rates[id];
            let node = &mut state.nodes[id];
            node.vote_hold = node.vote_hold.saturating_sub(rate);
            node.vote_hold_due = node.vote_hold_due.saturating_sub(rate);
            node.kept = node.kept.saturating_sub(rate);
            if node.kept == 0 {
                node.longest = node.hold;
            }
            if let Some(lease) = &mut node.lease {
                lease.left = lease.left.saturating_sub(rate);
            }
            node.lease = node.lease.filter(|lease| lease.left > 0);
            if let Some(lead) = &mut node.lead {
                lead.granted_left.iter_mut().for_each(|left| *left = left.saturating_sub(rate));
                lead.held_left.iter_mut().for_each(|left| *left = left.saturating_sub(rate));
            }
            if let Some(grant) = &mut state.grants[id] {
                grant.ago = later(grant.ago, rate);
            }
            if let Some(ack) = &mut state.acks[id] {
                ack.held_left = ack.held_left.saturating_sub(self.rates[ack.to as usize]);
            }
        }
        (0..NODES).for_each(|id| self.commit(state, id));
    }

    fn push(&self, state: &mut State, leader: usize, to: usize) {
        let from = state.nodes[leader];
        let node = &mut state.nodes[to];
        if node.term > from.term {
            let term = node.term;
            see_term(&mut state.nodes[leader], term);
            return;
        }
        if node.term < from.term {
            see_term(node, from.term);
        }
        node.campaign = None;
        node.log = from.log;
        node.applied = node.applied.max(from.applied);
        node.vote_hold_due = node.vote_hold_due.max(node.hold);
        if self.has(Guard::FollowersVoteHold) {
            node.vote_hold = node.vote_hold.max(node.hold);
        }
        let told = if self.has(Guard::ToldHold) { node.hold } else { from.hold };
        let is_sure = self.has(Guard::OthersDrift);
        let held_left = if is_sure { of_another(told) } else { shortened(told) };
        let (to_leader, index) = (leader as u8, from.log.length);
        state.acks[to] = Some(Ack { to: to_leader, term: from.term, index, held_left });
    }

    fn ack(&self, state: &mut State, from: usize) {
        let Some(ack) = state.acks[from].take() else { return };
        let leader = ack.to as usize;
        let node = &mut state.nodes[leader];
        if let Some(lead) = node.lead.as_mut().filter(|_| node.term == ack.term) {
            lead.acked[from] = lead.acked[from].max(ack.index);
            lead.held_left[from] = lead.held_left[from].max(ack.held_left);
            self.commit(state, leader);
        }
    }

    /// What a majority has acknowledged, and every holder.
    fn commit(&self, state: &mut State, leader: usize) {
        let node = &mut state.nodes[leader];
        let Some(lead) = node.lead else { return };
        let mut acked = lead.acked;
        acked[leader] = node.log.length;
        let voters = node.log.voters();
        let mut upto = voters.reached(acked);
        if self.has(Guard::CommitBarrier) {
            let holders = (0..NODES).filter(|id| *id != leader && lead.granted_left[*id] > 0);
            let waited_for = holders.filter(|id| voters.has(*id) || self.has(Guard::Outsiders));
            upto = waited_for.map(|id| lead.acked[id]).fold(upto, u8::min);
        }
        if upto > node.applied && node.log.term_at(upto) == node.term {
            node.applied = upto;
            state.committed = state.committed.max(upto);
        }
    }

    fn grant(&self, state: &mut State, leader: usize, holder: usize) {
        let held = state.nodes[holder].lease;
        let node = &mut state.nodes[leader];
        let (term, length) = (node.term, node.log.length);
        let Some(lead) = node.lead.as_mut() else { return };
        let mut held_left = lead.held_left;
        // It votes for nobody while it leads and what it granted lasts.
        held_left[leader] = u8::MAX;
        let bound =
            if self.has(Guard::QuorumVoteHold) { lead.voters.reached(held_left) } else { u8::MAX };
        let lasts = lease(node.hold).min(bound);
        if lasts == 0 {
            return;
        }
        let renews = held.is_some_and(|held| held.term == term) && lead.granted_left[holder] > 0;
        if !renews {
            lead.from_index[holder] = length;
        }
        let from_index = lead.from_index[holder];
        let left = lengthened(lasts);
        lead.granted_left[holder] = lead.granted_left[holder].max(left);
        node.vote_hold_due = node.vote_hold_due.max(left);
        if self.has(Guard::LeadersVoteHold) {
            node.vote_hold = node.vote_hold.max(left);
        }
        state.grants[holder] = Some(Grant { term, lasts, from_index, ago: 0 });
        if holder == leader {
            self.take(state, holder);
        }
    }

    fn take(&self, state: &mut State, holder: usize) {
        let Some(grant) = state.grants[holder].take() else { return };
        let node = &mut state.nodes[holder];
        let counted =
            if self.has(Guard::HoldersDrift) { shortened(grant.lasts) } else { grant.lasts };
        let gone = if self.has(Guard::CountFromAsking) { grant.ago } else { 0 };
        let left = counted.saturating_sub(gone);
        if node.term != grant.term || left == 0 {
            return;
        }
        let longest = node.lease.map_or(0, |held| held.left).max(left);
        node.lease = Some(Lease { term: grant.term, left: longest, from_index: grant.from_index });
    }

    /// Down and up again, with its term, its log, and its other hold.
    fn crash(&self, state: &mut State, id: usize) {
        state.crashes += 1;
        let before = state.nodes[id];
        let hold = self.holds[state.crashes as usize % 2][id];
        let longest = if self.has(Guard::LongestHold) { before.longest } else { hold };
        let vote_hold = if self.has(Guard::RestartVoteHold) { lengthened(longest) } else { 0 };
        let told_next = if self.has(Guard::SavedFirst) { hold } else { 0 };
        state.nodes[id] = Node {
            term: before.term,
            log: before.log,
            hold,
            longest: longest.max(told_next),
            kept: if longest == hold { 0 } else { vote_hold },
            vote_hold,
            vote_hold_due: before.vote_hold_due,
            ..Node::default()
        };
        state.grants[id] = None;
    }
}

fn later(ago: u8, rate: u8) -> u8 {
    // What is longer ago than any span counts for nothing.
    if ago == LONG_AGO || ago + rate > 100 { LONG_AGO } else { ago + rate }
}

fn see_voters(leader: &mut Node) {
    leader.lead.as_mut().unwrap().voters = leader.log.voters();
}

fn see_term(node: &mut Node, term: u8) {
    node.term = term;
    node.lead = None;
    node.campaign = None;
    node.lease = None;
}

fn hear_unknown(node: &mut Node) {
    see_term(node, node.term + 1);
    // Raft's own part of the vote hold is the age of the leader's vote.
    node.vote_hold = 0;
}

fn campaign(state: &mut State, id: usize, is_handed_over: bool) {
    let node = &mut state.nodes[id];
    state.is_vote_hold_broken |= node.vote_hold_due > 0 && !is_handed_over;
    see_term(node, node.term + 1);
    node.campaign = Some(Campaign { votes: Voters::default().with(id), is_handed_over });
    node.transfer_in = None;
    lead_if_elected(node);
}

fn vote(state: &mut State, candidate: usize, voter: usize) {
    let term = state.nodes[candidate].term;
    let is_handed_over = state.nodes[candidate].campaign.unwrap().is_handed_over;
    let node = &mut state.nodes[voter];
    state.is_vote_hold_broken |= node.vote_hold_due > 0 && !is_handed_over;
    see_term(node, term);
    let node = &mut state.nodes[candidate];
    let campaign = node.campaign.as_mut().unwrap();
    campaign.votes = campaign.votes.with(voter);
    lead_if_elected(node);
}

fn lead_if_elected(node: &mut Node) {
    let voters = node.log.voters();
    if node.campaign.is_some_and(|campaign| voters.are_elected_by(campaign.votes)) {
        node.campaign = None;
        node.lead = Some(Lead::new(voters));
        // The first entry of its term; here it writes the key too.
        node.log.push(node.term);
    }
}
