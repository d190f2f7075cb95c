//! A data folder as a whole: what it holds, and how a member enters and leaves it.
//!
//! A folder holds nothing of ram, a member (its identity and its log), or something that cannot be
//! read; the last is an error that says why, and never taken for the first. Only a folder that
//! holds nothing may be joined. Everything here happens under the lock of the folder, and touches
//! no file but ram's own.
//!
//! - *Joining*: `joining` is written first, `member` last, when the log is there; nobody is told of
//!   the member before. So a folder with `joining` and no `member` is what an interrupted join has
//!   left: if its log has no entry, it is undone.
//! - *Erasing*: `member` becomes `erasing` first, which is removed last. So a folder with `erasing`
//!   is one that somebody with the right to do so began to erase: that is finished.
//! - *Being removed*: the data of a member that its cluster has removed are moved aside, and the
//!   folder holds nothing then: see `aside`.
//!
//! Used by `member` when it opens, by [`Node`](crate::node::Node) and by the NIF.

use std::path::Path;
use std::sync::Arc;

use crate::aside;
use crate::identity::{ClusterId, ERASING, Identity, JOINING, MEMBER, REMOVING};
use crate::{Error, Result};
use ram_log::{Disk, DiskError, FlushMode, Log, LogOptions, RealDisk, is_log_file, is_segment};
use ram_log::{latest_snapshot, write_checked};
use ram_raft::log_store::LogStore;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Contents {
    /// Nothing of ram.
    Nothing,
    Member(Identity),
}

/// What the folder at this path holds; makes nothing where there is nothing.
pub fn look(data_dir: &Path) -> Result<Contents> {
    let names = RealDisk::names_in(data_dir).map_err(unreadable)?;
    if !names.is_some_and(|names| names.iter().any(|name| is_own(name))) {
        return Ok(Contents::Nothing);
    }
    let Some(disk) = RealDisk::open_existing(data_dir).map_err(unreadable)? else {
        return Ok(Contents::Nothing);
    };
    let disk: Arc<dyn Disk> = Arc::new(disk);
    let found = contents(&disk)?;
    if found == Contents::Nothing {
        disk.release(false);
    }
    Ok(found)
}

/// What a locked folder holds, after an interrupted join was undone, or an erasing finished.
pub fn contents(disk: &Arc<dyn Disk>) -> Result<Contents> {
    let names = list(disk)?;
    let has = |name: &str| names.iter().any(|found| found == name);
    if has(REMOVING) && !has(MEMBER) && !has(ERASING) {
        return aside::finish(disk, is_own).map(|_| Contents::Nothing);
    }
    match (has(MEMBER), has(JOINING), has(ERASING)) {
        (true, _, false) if !names.iter().any(|name| is_segment(name)) => {
            Err(stray(disk, "the file `member`, but no log"))
        }
        (true, _, false) => Identity::load(disk, MEMBER).map(Contents::Member),
        (false, _, true) => clear(disk).map(|_| Contents::Nothing),
        (false, true, false) if has_log(disk)? => {
            Err(stray(disk, "a log with entries, but not the file `member`"))
        }
        (false, true, false) => clear(disk).map(|_| Contents::Nothing),
        (true, _, true) => Err(stray(disk, "both files `member` and `erasing`")),
        (false, false, false) if names.iter().any(|name| is_state(name)) => {
            Err(stray(disk, "a log or a snapshot, but not the file `member`"))
        }
        (false, false, false) => Ok(Contents::Nothing),
    }
}

/// Enters a folder that holds nothing. The member is there when [`complete`] has returned.
pub fn begin(disk: &Arc<dyn Disk>, identity: &Identity) -> Result<()> {
    identity.save(disk, JOINING)
}

pub fn complete(disk: &Arc<dyn Disk>, identity: &Identity) -> Result<()> {
    identity.save(disk, MEMBER)?;
    // Without a sync: beside `member` it means nothing.
    disk.remove(JOINING).map_err(|error| Error::failed(DiskError::io(JOINING)(error)))
}

/// Does the log hold, or did it ever hold, an entry? One without belongs to a member that has
/// acknowledged nothing.
pub fn has_log(disk: &Arc<dyn Disk>) -> Result<bool> {
    if !list(disk)?.iter().any(|name| is_segment(name)) {
        return Ok(false);
    }
    let options = LogOptions { flush: FlushMode::Inline, ..LogOptions::default() };
    let log = Log::open(disk.clone(), options).map_err(unreadable)?;
    let last = LogStore::new(log.clone()).last_log_id();
    let snapshot = latest_snapshot(disk.as_ref()).map_err(unreadable)?;
    log.close().map_err(Error::failed)?;
    Ok(last.map_err(|error| Error::Unreadable(error.to_string()))?.is_some() || snapshot.is_some())
}

/// Removes all of ram's own files, and the folder, if it was made for them; of what was moved aside
/// only what is of the same cluster, and nothing when which one cannot be read. What could not be
/// removed is named by the error, and is removed by a later start or call.
pub fn erase(disk: &Arc<dyn Disk>) -> Result<()> {
    let known = [MEMBER, ERASING].into_iter().find_map(|name| Identity::load(disk, name).ok());
    let made_folder = clear(disk)?;
    if let Some(identity) = known {
        aside::erase(disk, Some(identity.cluster), is_own)?;
    }
    disk.release(made_folder);
    Ok(())
}

/// As [`erase`], after a join of which nothing came: nobody has said that anything else may
/// go.
pub fn undo_join(disk: &Arc<dyn Disk>) -> Result<()> {
    let made_folder = clear(disk)?;
    disk.release(made_folder);
    Ok(())
}

/// Moves a member that its cluster has removed aside: the folder holds nothing then. Returns how
/// the names of its files begin now.
pub fn set_aside(disk: &Arc<dyn Disk>) -> Result<String> {
    let prefix = aside::move_member(disk, is_own)?;
    disk.release(false);
    Ok(prefix)
}

/// Returns whether the folder was made for what was in it.
fn clear(disk: &Arc<dyn Disk>) -> Result<bool> {
    let failed = |name: &str| {
        let file = format!("{}/{name}", disk.path());
        move |error: std::io::Error| {
            Error::NotErased(format!("{file} could not be removed: {error}"))
        }
    };
    let names = list(disk)?;
    let identity = [MEMBER, JOINING].into_iter().find(|name| names.iter().any(|has| has == name));
    let made_folder = [MEMBER, JOINING, ERASING]
        .into_iter()
        .find_map(|name| Identity::load(disk, name).ok())
        .is_some_and(|identity| identity.made_folder);
    match identity {
        Some(name) => disk.rename(name, ERASING).map_err(failed(name))?,
        None => write_checked(disk.as_ref(), ERASING, &[])
            .map_err(|error| Error::NotErased(error.to_string()))?,
    }
    disk.sync_dir().map_err(failed(ERASING))?;
    let mut result = Ok(());
    for name in names.iter().filter(|name| is_own(name) && *name != ERASING) {
        if identity == Some(name) {
            continue;
        }
        result = result.and(disk.remove(name).map_err(failed(name)));
    }
    result?;
    disk.sync_dir().map_err(failed(ERASING))?;
    disk.remove(ERASING).map_err(failed(ERASING))?;
    disk.sync_dir().map_err(failed(ERASING))?;
    Ok(made_folder)
}

/// Erases the folder at this path, if it holds a member of this cluster, or whatever it holds of
/// ram. The caller has the word of an operator for it, or of the cluster.
pub fn erase_at(data_dir: &Path, only: Option<ClusterId>) -> Result<()> {
    let Some(disk) = RealDisk::open_existing(data_dir).map_err(unreadable)? else { return Ok(()) };
    let disk: Arc<dyn Disk> = Arc::new(disk);
    match (only, contents(&disk)) {
        (only, Ok(Contents::Nothing)) => {
            let erased = aside::erase(&disk, only, is_own);
            disk.release(false);
            erased
        }
        (Some(cluster), Ok(Contents::Member(identity))) if identity.cluster != cluster => {
            Err(Error::OtherCluster)
        }
        (Some(_), Err(error)) => Err(error),
        (_, Ok(Contents::Member(_))) | (None, Err(_)) => erase(&disk),
    }
}

fn list(disk: &Arc<dyn Disk>) -> Result<Vec<String>> {
    disk.list().map_err(|error| unreadable(DiskError::io(&disk.path())(error)))
}

/// A file that ram makes; others are never touched.
fn is_own(name: &str) -> bool {
    let whole = name.strip_suffix(".tmp").unwrap_or(name);
    is_log_file(name) || [MEMBER, JOINING, ERASING, REMOVING].contains(&whole)
}

/// A file that says that there was a member. Marks that were never finished do not.
fn is_state(name: &str) -> bool {
    is_log_file(name) || name.strip_suffix(".tmp").unwrap_or(name) == MEMBER
}

fn unreadable(error: DiskError) -> Error {
    told(error, Error::Unreadable)
}

/// Opens the folder for a member, and makes it where there is none.
pub fn open(data_dir: &Path) -> Result<Arc<dyn Disk>> {
    let disk = RealDisk::open(data_dir).map_err(|error| told(error, Error::Failed))?;
    Ok(Arc::new(disk))
}

fn told(error: DiskError, otherwise: impl FnOnce(String) -> Error) -> Error {
    match error {
        DiskError::Locked { .. } => Error::InUse(error.to_string()),
        other => otherwise(other.to_string()),
    }
}

fn stray(disk: &Arc<dyn Disk>, what: &str) -> Error {
    Error::Unreadable(format!(
        "{} holds {what}; restore what is missing, or move the folder away and let the node join \
         afresh",
        disk.path()
    ))
}

#[cfg(test)]
mod tests;
