//! A key that has an owner stays as long as that lives and is in reach; who lost one all the same
//! is told where that is applied; and each member lists the owners that its table holds.

use bytes::Bytes;
use ram_store::owners::run_of;
use ram_table::table::Item;
use std::collections::BTreeMap;

use crate::world::{RunningMember, State};

type Violation = (&'static str, String);

#[derive(Default)]
pub struct OwnedKeys {
    /// What the locks held when a member was last looked at, by its start.
    last: BTreeMap<u64, Vec<Option<Item>>>,
}

impl OwnedKeys {
    /// `items` are those of [`Owning::keys`](crate::owning::Owning::keys).
    pub fn check(
        &mut self,
        state: &mut State,
        member: &RunningMember,
        items: &[Option<Item>],
    ) -> Result<(), Violation> {
        listed(member, items)?;
        let locks = &items[..state.owning.locks.len()];
        let before = self.last.insert(member.start, locks.to_vec()).unwrap_or_default();
        for (old, new) in before.iter().zip(locks) {
            let Some(old) = old else { continue };
            let is_there = new.as_ref().is_some_and(|new| new.revision() == old.revision());
            if !is_there {
                gone(state, member, old, new.as_ref())?;
            }
        }
        Ok(())
    }
}

fn listed(member: &RunningMember, items: &[Option<Item>]) -> Result<(), Violation> {
    let owned = items.iter().flatten().filter(|item| item.has_owner());
    let bytes = Bytes::copy_from_slice;
    let held: BTreeMap<Bytes, Bytes> =
        owned.map(|item| (bytes(item.key()), bytes(item.owner()))).collect();
    let listed = member.handle.seen_owners();
    if held == listed {
        return Ok(());
    }
    Err(("owners_are_listed", format!("{listed:?} are listed, and the table has {held:?}")))
}

fn gone(
    state: &mut State,
    member: &RunningMember,
    old: &Item,
    new: Option<&Item>,
) -> Result<(), Violation> {
    let value = old.value().into_owned();
    if !state.owning.may_go(&value, &|run| state.has_ended(run)) {
        let text = format!("{old:?} of an owner that lives became {new:?}");
        return Err(("a_key_stays_with_its_owner", text));
    }
    if state.owning.is_dead(&value, &|run| state.has_ended(run)) {
        state.owning.count("keys that went with their owners");
        return Ok(());
    }
    let is_here =
        run_of(old.owner()).and_then(|run| state.owning.start_of(run)) == Some(member.start);
    let is_kept = new.is_some_and(|new| new.owner() == old.owner());
    if state.owning.is_released(&value) {
        return Ok(());
    }
    state.owning.count("keys that went while their owners lived");
    if !is_here || is_kept {
        return Ok(());
    }
    state.owning.count("owners that were told of a loss");
    match state.owning.was_told(&value) {
        true => Ok(()),
        false => Err(("who_lost_a_key_is_told", format!("{old:?} became {new:?}"))),
    }
}
