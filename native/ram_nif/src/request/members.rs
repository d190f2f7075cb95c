//! Changes of the members, queued.

use ram_core::handle::Change;
use ram_raft::rpc::MemberChange;
use ram_raft::types::Member;
use rustler::{Atom, Env, NifResult, Term};
use std::collections::BTreeMap;

use super::{CHANGE_LOST, deadline, queue};
use crate::arguments::List;
use crate::member::MemberResource;
use crate::terms;

mod atoms {
    rustler::atoms! { initialize, add, remove, remove_one }
}

/// `Change :: {initialize, [{Id, Name, Address}]} | {add, Id, Name, Address} | {remove, Name}`
#[rustler::nif]
fn change<'a>(
    env: Env<'a>,
    member: &'a MemberResource,
    reference: Term<'a>,
    what: Term<'a>,
    timeout_ms: u64,
) -> NifResult<Term<'a>> {
    let change = decode_change(what)?;
    Ok(queue(env, member, (reference, CHANGE_LOST), |ticket| {
        let reply = Box::new(move |done| ticket.answer(|env| terms::done(env, done)));
        member.node.change(change, deadline(timeout_ms), reply)
    }))
}

fn decode_change(change: Term) -> NifResult<Change> {
    let is = |atom: Atom, expected: Atom| {
        if atom == expected { Ok(()) } else { Err(rustler::Error::BadArg) }
    };
    if let Ok((kind, id, name, address)) = change.decode::<(Atom, u64, String, String)>() {
        is(kind, atoms::add())?;
        return Ok(Change::Member(MemberChange::Add { id, member: Member::new(name, address) }));
    }
    if let Ok((kind, id, name)) = change.decode::<(Atom, u64, String)>() {
        is(kind, atoms::remove_one())?;
        return Ok(Change::Member(MemberChange::RemoveOne { id, name }));
    }
    if let Ok((kind, name)) = change.decode::<(Atom, String)>() {
        is(kind, atoms::remove())?;
        return Ok(Change::Member(MemberChange::Remove { name }));
    }
    let (kind, List(members)): (Atom, List<(u64, String, String)>) = change.decode()?;
    is(kind, atoms::initialize())?;
    let members = members.into_iter();
    let members: BTreeMap<u64, Member> =
        members.map(|(id, name, address)| (id, Member::new(name, address))).collect();
    Ok(Change::Initialize(members))
}
