//! From external term format to a compiled term, and back.

use ram_table::value::StoredValue;

use super::etf::head_bytes;
use super::format::{
    ATOM, DEPTH_MAX, ETF, ETF_BYTES_MAX, HEAP_BINARY_BYTES_MAX, OPAQUE, SHARED, SHARED_COST_BYTES,
    U32_BYTES, value_bytes,
};
use super::{atoms, references};
use crate::key::etf;
use crate::raw::{FLAT_MAP_KEYS_MAX, SEALED_BYTES, SharedBytes};

/// The tag and the length of a binary.
const BINARY_HEAD_BYTES: usize = 5;

/// The value as it is held.
pub fn compile(value: &[u8]) -> StoredValue<'_> {
    if let Some(bytes) = long_binary(value) {
        return one_shared(value, SHARED, bytes);
    }
    match Compiler::whole_term(value) {
        Some(compiler) if compiler.out.is_empty() => StoredValue::plain(value),
        Some(compiler) => references::held_with(compiler.out, compiler.shared),
        None => one_shared(value, OPAQUE, value),
    }
}

/// The bytes of a value that is nothing but a binary too long for a heap.
fn long_binary(value: &[u8]) -> Option<&[u8]> {
    let (head, bytes) = value.split_first_chunk::<{ 1 + BINARY_HEAD_BYTES }>()?;
    let [etf::VERSION, etf::BINARY, size @ ..] = head else { return None };
    (bytes.len() > HEAP_BINARY_BYTES_MAX && length(size)? == bytes.len()).then_some(bytes)
}

fn one_shared<'a>(value: &[u8], tag: u8, bytes: &[u8]) -> StoredValue<'a> {
    let mut compiled = Vec::with_capacity(U32_BYTES + 1 + SEALED_BYTES);
    push_length(&mut compiled, value.len());
    compiled.push(tag);
    let shared = references::push(&mut compiled, bytes);
    references::held_with_one(compiled, shared)
}

/// Walks a value, and writes a compiled term from the first byte on that has to be replaced.
struct Compiler<'a> {
    value: &'a [u8],
    at: usize,
    /// Up to where the value is in `out`.
    written: usize,
    out: Vec<u8>,
    shared: Vec<SharedBytes>,
    /// How many bytes there may still be, of what readers have to copy.
    left: usize,
}

impl<'a> Compiler<'a> {
    /// `None` for what is opaque.
    fn whole_term(value: &'a [u8]) -> Option<Self> {
        let (out, shared) = Default::default();
        let mut compiler = Compiler { value, at: 1, written: 1, out, shared, left: ETF_BYTES_MAX };
        if value.first() != Some(&etf::VERSION) {
            return None;
        }
        compiler.term(DEPTH_MAX)?;
        if compiler.at < value.len() {
            return None;
        }
        if !compiler.out.is_empty() {
            compiler.write_up_to_here();
        }
        Some(compiler)
    }

    fn term(&mut self, depth: usize) -> Option<()> {
        let depth = depth.checked_sub(1)?;
        let rest = self.value.get(self.at..)?;
        let head = rest.get(..head_bytes(rest)?)?;
        let terms = match *head {
            [etf::SMALL_INTEGER | etf::INTEGER | etf::NIL | etf::STRING, ..] => 0,
            [etf::NEW_FLOAT, ref bytes @ ..] => {
                f64::from_be_bytes(bytes.try_into().ok()?).is_finite().then_some(0)?
            }
            [etf::BINARY, ..] if head.len() <= BINARY_HEAD_BYTES + HEAP_BINARY_BYTES_MAX => 0,
            [etf::BINARY, ..] => return self.replace_binary(head),
            [etf::SMALL_ATOM | etf::SMALL_ATOM_UTF8 | etf::ATOM | etf::ATOM_UTF8, ..] => {
                match atoms::index_if_there(head) {
                    Some(index) => return self.replace_atom(head, index),
                    // It is created when the value is read.
                    None => 0,
                }
            }
            [etf::SMALL_TUPLE, size] => usize::from(size),
            [etf::LARGE_TUPLE, ref size @ ..] => length(size)?,
            [etf::LIST, ref size @ ..] => length(size)? + 1,
            [etf::MAP, ref size @ ..] => {
                let keys = length(size)?;
                (keys <= FLAT_MAP_KEYS_MAX).then_some(2 * keys)?
            }
            _ => return self.replace_rare(head),
        };
        self.left = self.left.checked_sub(head.len())?;
        self.at += head.len();
        (0..terms).try_for_each(|_| self.term(depth))
    }

    fn replace_binary(&mut self, head: &[u8]) -> Option<()> {
        self.write_up_to_here();
        self.out.push(SHARED);
        let bytes = head.get(BINARY_HEAD_BYTES..)?;
        self.shared.push(references::push(&mut self.out, bytes));
        self.replaced(head, SHARED_COST_BYTES)
    }

    fn replace_atom(&mut self, head: &[u8], index: u32) -> Option<()> {
        self.write_up_to_here();
        self.out.push(ATOM);
        self.out.extend_from_slice(&index.to_ne_bytes());
        self.replaced(head, head.len())
    }

    fn replace_rare(&mut self, head: &[u8]) -> Option<()> {
        self.write_up_to_here();
        self.out.push(ETF);
        push_length(&mut self.out, head.len() + 1);
        self.out.push(etf::VERSION);
        self.out.extend_from_slice(head);
        self.replaced(head, head.len())
    }

    fn write_up_to_here(&mut self) {
        if self.out.is_empty() {
            push_length(&mut self.out, self.value.len());
        }
        self.out.extend_from_slice(self.value.get(self.written..self.at).unwrap_or_default());
        self.written = self.at;
    }

    fn replaced(&mut self, head: &[u8], cost_bytes: usize) -> Option<()> {
        self.left = self.left.checked_sub(cost_bytes)?;
        self.at += head.len();
        self.written = self.at;
        Some(())
    }
}

fn push_length(out: &mut Vec<u8>, bytes: usize) {
    out.extend_from_slice(&(bytes as u32).to_ne_bytes());
}

fn length(bytes: &[u8]) -> Option<usize> {
    Some(u32::from_be_bytes(bytes.try_into().ok()?) as usize)
}

/// The external term format that was compiled to this.
pub fn etf_of(compiled: &[u8], shared: &[SharedBytes]) -> Vec<u8> {
    let mut shared = shared.iter().map(SharedBytes::bytes);
    let mut out = Vec::with_capacity(value_bytes(compiled));
    out.push(etf::VERSION);
    let mut rest = compiled.get(U32_BYTES..).unwrap_or_default();
    while let Some((tag, behind)) = rest.split_first() {
        let number = behind.first_chunk().map_or(0, |number| u32::from_ne_bytes(*number));
        let bytes = match *tag {
            ATOM => {
                out.extend_from_slice(atoms::etf_of(number).unwrap_or_default());
                1 + U32_BYTES
            }
            SHARED => {
                let bytes = shared.next().unwrap_or_default();
                out.push(etf::BINARY);
                out.extend_from_slice(&(bytes.len() as u32).to_be_bytes());
                out.extend_from_slice(bytes);
                1 + SEALED_BYTES
            }
            OPAQUE => return shared.next().unwrap_or_default().to_vec(),
            ETF => {
                let bytes = 1 + U32_BYTES + number as usize;
                // Without the version.
                out.extend_from_slice(rest.get(1 + U32_BYTES + 1..bytes).unwrap_or_default());
                bytes
            }
            _ => {
                let bytes = head_bytes(rest).unwrap_or(rest.len());
                out.extend_from_slice(rest.get(..bytes).unwrap_or_default());
                bytes
            }
        };
        rest = rest.get(bytes..).unwrap_or_default();
    }
    out
}
