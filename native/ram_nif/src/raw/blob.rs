//! Bytes that readers refer to, and do not copy.

use rustler::{Resource, ResourceArc};

pub struct Blob(Box<[u8]>);

#[rustler::resource_impl]
impl Resource for Blob {}

impl Blob {
    pub fn new(bytes: &[u8]) -> ResourceArc<Blob> {
        ResourceArc::new(Blob(bytes.into()))
    }

    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}
