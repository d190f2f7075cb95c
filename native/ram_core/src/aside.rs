//! The data of a removed member, moved aside within their folder.
//!
//! A member that its cluster has removed serves no more, and another may be opened in the folder.
//! The data of the removed one are kept: its files get a prefix with its Raft id. Only the newest
//! such set is kept, until `folder::erase` or the next removal deletes it.
//!
//! `member` becomes `removing` first, and that becomes the prefixed `member` last. So `removing`
//! says that the move was interrupted, and the next opener finishes it. Files with a prefix are
//! never opened by ram, and do not count when a member joins in the folder.

use std::io;
use std::sync::Arc;

use crate::identity::{ClusterId, Identity, MEMBER, REMOVING};
use crate::{Error, Result};
use ram_log::Disk;

const PREFIX: &str = "removed-";

/// Moves the member of this folder aside. Returns the prefix that its files have now.
pub(super) fn move_member(disk: &Arc<dyn Disk>, is_own: impl Fn(&str) -> bool) -> Result<String> {
    failed(disk, MEMBER, disk.rename(MEMBER, REMOVING))?;
    failed(disk, REMOVING, disk.sync_dir())?;
    finish(disk, is_own)
}

/// From where it stopped, if it did. `is_own` knows the files of a member.
pub(super) fn finish(disk: &Arc<dyn Disk>, is_own: impl Fn(&str) -> bool) -> Result<String> {
    let prefix = prefix(&Identity::load(disk, REMOVING)?);
    for name in names(disk)? {
        if is_aside(&name, &is_own) && !name.starts_with(&prefix) {
            failed(disk, &name, disk.remove(&name))?;
        } else if is_own(&name) && name != REMOVING {
            failed(disk, &name, disk.rename(&name, &format!("{prefix}{name}")))?;
        }
    }
    failed(disk, REMOVING, disk.sync_dir())?;
    failed(disk, REMOVING, disk.rename(REMOVING, &format!("{prefix}{MEMBER}")))?;
    failed(disk, REMOVING, disk.sync_dir())?;
    Ok(prefix)
}

/// Removes what was moved aside, if it is of this cluster; `None`: of any.
pub(super) fn erase(
    disk: &Arc<dyn Disk>,
    only: Option<ClusterId>,
    is_own: impl Fn(&str) -> bool,
) -> Result<()> {
    let names: Vec<String> =
        names(disk)?.into_iter().filter(|name| is_aside(name, &is_own)).collect();
    for member in names.iter().filter(|name| name.ends_with(MEMBER)) {
        let cluster = Identity::load(disk, member).map(|identity| identity.cluster);
        let is_meant = only.is_none_or(|only| cluster.is_ok_and(|cluster| cluster == only));
        let prefix = member.strip_suffix(MEMBER).unwrap_or(member);
        // The identity last: it says whose the others are.
        let others = names.iter().filter(|name| *name != member && name.starts_with(prefix));
        for name in others.chain([member]).filter(|_| is_meant) {
            failed(disk, name, disk.remove(name))?;
        }
    }
    failed(disk, PREFIX, disk.sync_dir())
}

fn prefix(identity: &Identity) -> String {
    format!("{PREFIX}{:x}-", identity.id)
}

/// A file of a member under the name that it has aside; others are never touched.
fn is_aside(name: &str, is_own: impl Fn(&str) -> bool) -> bool {
    let numbered = name.strip_prefix(PREFIX).and_then(|rest| rest.split_once('-'));
    numbered.is_some_and(|(id, of)| u64::from_str_radix(id, 16).is_ok() && is_own(of))
}

fn names(disk: &Arc<dyn Disk>) -> Result<Vec<String>> {
    disk.list().map_err(|error| Error::Unreadable(format!("{}: {error}", disk.path())))
}

fn failed<T>(disk: &Arc<dyn Disk>, name: &str, result: io::Result<T>) -> Result<T> {
    result.map_err(|error| {
        let file = format!("{}/{name}", disk.path());
        Error::NotErased(format!("{file} could not be moved aside: {error}"))
    })
}

#[cfg(test)]
mod tests {
    use super::super::folder::{self, Contents};
    use super::*;
    use ram_log::{DiskFile, MemoryDisk};
    use std::sync::atomic::{AtomicUsize, Ordering};

    const CLUSTER: ClusterId = ClusterId([7; 16]);

    /// Renames and removes so often, and then no more.
    #[derive(Debug)]
    struct Stopping {
        disk: MemoryDisk,
        left: AtomicUsize,
    }

    impl Stopping {
        fn step(&self) -> io::Result<()> {
            let one_less = |left: usize| left.checked_sub(1);
            let stepped = self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less);
            stepped.map(|_| ()).map_err(|_| io::Error::other("stopped"))
        }
    }

    impl Disk for Stopping {
        fn list(&self) -> io::Result<Vec<String>> {
            self.disk.list()
        }

        fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
            self.disk.open(name)
        }

        fn create(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
            self.disk.create(name)
        }

        fn rename(&self, from: &str, to: &str) -> io::Result<()> {
            self.step()?;
            self.disk.rename(from, to)
        }

        fn remove(&self, name: &str) -> io::Result<()> {
            self.step()?;
            self.disk.remove(name)
        }

        fn sync_dir(&self) -> io::Result<()> {
            self.disk.sync_dir()
        }
    }

    /// A member with files of its own, beside a stranger's and what an earlier removal has left.
    fn folder_of(id: u64) -> Arc<Stopping> {
        let disk = MemoryDisk::default();
        for name in ["log-newest", "removed-users.csv", "removed-5-member", "removed-5-log-newest"]
        {
            disk.create(name).unwrap().write_at(name.as_bytes(), 0).unwrap();
        }
        let disk = Arc::new(Stopping { disk, left: AtomicUsize::new(usize::MAX) });
        let identity = Identity { id, ..Identity::new(CLUSTER, "ram1@here", false).unwrap() };
        identity.save(&as_disk(&disk), MEMBER).unwrap();
        disk
    }

    fn as_disk(disk: &Arc<Stopping>) -> Arc<dyn Disk> {
        disk.clone()
    }

    fn sorted(disk: &Arc<dyn Disk>) -> Vec<String> {
        let mut names = disk.list().unwrap();
        names.sort();
        names
    }

    #[test]
    fn a_removed_members_files_are_all_there_under_other_names_wherever_the_moving_stopped() {
        let mut steps = 0;
        loop {
            let stopping = folder_of(0xabc);
            let disk = as_disk(&stopping);
            stopping.left.store(steps, Ordering::SeqCst);
            let is_through = folder::set_aside(&disk).is_ok();
            stopping.left.store(usize::MAX, Ordering::SeqCst);
            match sorted(&disk).contains(&MEMBER.to_owned()) {
                // Nothing was done.
                true => _ = folder::set_aside(&disk).unwrap(),
                false => assert_eq!(folder::contents(&disk), Ok(Contents::Nothing)),
            }
            let expected = ["removed-abc-log-newest", "removed-abc-member", "removed-users.csv"];
            assert_eq!(sorted(&disk), expected, "stopped after {steps} steps");
            let kept = Identity::load(&disk, "removed-abc-member").unwrap();
            assert_eq!((kept.id, kept.cluster), (0xabc, CLUSTER));
            if is_through {
                assert!(steps > 4, "{steps}");
                return;
            }
            steps += 1;
        }
    }

    #[test]
    fn what_was_moved_aside_survives_a_join_that_failed_and_goes_with_its_own_cluster() {
        let disk = as_disk(&folder_of(0xabc));
        folder::set_aside(&disk).unwrap();
        let aside = sorted(&disk);
        let join = |cluster| {
            let fresh = Identity::new(cluster, "ram1@here", false).unwrap();
            folder::begin(&disk, &fresh).unwrap();
        };
        join(CLUSTER);
        folder::undo_join(&disk).unwrap();
        assert_eq!(sorted(&disk), aside);
        for (cluster, left) in [(ClusterId([8; 16]), aside.len()), (CLUSTER, 1)] {
            join(cluster);
            disk.rename("joining", MEMBER).unwrap();
            folder::erase(&disk).unwrap();
            assert_eq!(sorted(&disk).len(), left, "{cluster:?}");
        }
    }

    /// Whose the erased data were is not known then, so nothing says that the others may go too.
    #[test]
    fn what_was_moved_aside_stays_when_a_member_is_erased_whose_identity_cannot_be_read() {
        let disk = as_disk(&folder_of(0xabc));
        folder::set_aside(&disk).unwrap();
        let aside = sorted(&disk);
        for name in [MEMBER, "erasing"] {
            disk.create(name).unwrap().write_at(b"no identity", 0).unwrap();
            folder::erase(&disk).unwrap();
            assert_eq!(sorted(&disk), aside, "{name}");
        }
    }
}
