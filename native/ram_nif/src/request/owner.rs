//! Owners for puts: counterpart of ram_owned.erl.

use ram_core::Error;
use rustler::{Binary, Encoder, Env, Term};

use super::{READ_LOST, deadline, queue};
use crate::member::MemberResource;
use crate::raw::binary;
use crate::terms;

mod atoms {
    rustler::atoms! { owner }
}

/// An owner of this node, for a put.
#[rustler::nif]
fn owner_here<'a>(env: Env<'a>, member: &'a MemberResource, name: Binary<'a>) -> Term<'a> {
    binary(env, &member.node.owner_here(&name))
}

/// An owner of another node. The answer is `{owner, Owner}`.
#[rustler::nif]
fn owner<'a>(
    env: Env<'a>,
    member: &'a MemberResource,
    reference: Term<'a>,
    node: &'a str,
    name: Binary<'a>,
    timeout_ms: u64,
) -> Term<'a> {
    queue(env, member, (reference, READ_LOST), |ticket| {
        let reply = Box::new(move |owner: Result<Vec<u8>, Error>| {
            ticket.answer(|env| {
                terms::result(env, owner, |owner| (atoms::owner(), binary(env, &owner)).encode(env))
            });
        });
        member.node.owner(node.to_owned(), name.to_vec(), deadline(timeout_ms), reply)
    })
}
