//! Bytes that readers refer to, and do not copy.

use std::ptr::NonNull;

use rustler::{Env, Resource, ResourceArc, Term};

pub struct Blob(Box<[u8]>);

#[rustler::resource_impl]
impl Resource for Blob {}

/// The bytes of a blob from some place on. The blob lives as long as this.
pub struct BlobPart {
    blob: ResourceArc<Blob>,
    part: NonNull<[u8]>,
}

// SAFETY: the part is bytes of the blob, which anybody may read and nobody changes.
unsafe impl Send for BlobPart {}
// SAFETY: as above.
unsafe impl Sync for BlobPart {}

impl BlobPart {
    /// Empty when there are no bytes `from` that place on.
    pub fn new(bytes: &[u8], from: usize) -> BlobPart {
        let blob = ResourceArc::new(Blob(bytes.into()));
        let part = NonNull::from(blob.0.get(from..).unwrap_or_default());
        BlobPart { blob, part }
    }

    pub fn whole(&self) -> &[u8] {
        &self.blob.0
    }

    /// A binary that shares these bytes. Looks at neither them nor where the blob says they are:
    /// that would be one more line of memory to wait for.
    pub fn binary<'a>(&self, env: Env<'a>) -> Term<'a> {
        // SAFETY: the part is bytes of the blob, or empty, and stays where it is until the blob
        // goes, which the binary keeps alive.
        unsafe { self.blob.make_binary_unsafe(env, |_blob| self.part.as_ref()) }.to_term(env)
    }
}
