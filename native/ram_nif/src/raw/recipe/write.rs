//! From external term format to a recipe, and back.

use once_cell::sync::Lazy;
use ram_core::store::value::{AnyForm, Held};

use super::super::blob::Blob;
use super::{
    ATOM, BLOB, BLOB_BYTES, DEPTH_MAX, ETF_BYTES_MAX, FLAT_MAP_KEYS_MAX, HEAP_BINARY_BYTES_MAX,
    LENGTH_BYTES, OTHER, Owner, WHOLE, WORD_BYTES, atoms, bytes_of, etf_bytes, token_bytes,
    word_of,
};
use crate::key::etf;

/// Of a binary.
const HEAD_BYTES: usize = 5;

/// The value as it is held.
pub fn hold(value: &[u8]) -> Held<'_> {
    if let Some(bytes) = long_binary(value) {
        return one_blob(value, BLOB, bytes);
    }
    match Writer::whole_term(value) {
        Some(writer) if writer.recipe.is_empty() => Held::as_it_is(value),
        Some(writer) => held(writer.recipe, writer.blobs),
        None => one_blob(value, WHOLE, value),
    }
}

/// The bytes of a value that is nothing but a binary too long for a heap.
fn long_binary(value: &[u8]) -> Option<&[u8]> {
    let (head, bytes) = value.split_first_chunk::<{ 1 + HEAD_BYTES }>()?;
    let [etf::VERSION, etf::BINARY, size @ ..] = head else { return None };
    (bytes.len() > HEAP_BINARY_BYTES_MAX && length(size)? == bytes.len()).then_some(bytes)
}

fn one_blob<'a>(value: &[u8], tag: u8, bytes: &[u8]) -> Held<'a> {
    let blob = Blob::new(bytes);
    let mut recipe = Vec::with_capacity(LENGTH_BYTES + BLOB_BYTES);
    push_length(&mut recipe, value);
    push_blob(&mut recipe, tag, &blob);
    Held::as_form(recipe, AnyForm::new(Owner([blob])))
}

fn held<'a>(recipe: Vec<u8>, blobs: Vec<Blob>) -> Held<'a> {
    static NOTHING: Lazy<AnyForm> = Lazy::new(|| AnyForm::new(Owner([])));
    let form = if blobs.is_empty() { NOTHING.clone() } else { AnyForm::new(Owner(blobs)) };
    Held::as_form(recipe, form)
}

/// Walks a value, and writes a recipe from the first byte on that has to be replaced.
struct Writer<'a> {
    value: &'a [u8],
    at: usize,
    /// Up to where the recipe tells the value.
    told: usize,
    recipe: Vec<u8>,
    blobs: Vec<Blob>,
    /// How many bytes there may still be, without those of blobs, which are not copied for readers.
    left: usize,
}

impl<'a> Writer<'a> {
    /// `None` for what is not told by a recipe.
    fn whole_term(value: &'a [u8]) -> Option<Self> {
        let (recipe, blobs) = Default::default();
        let mut writer = Writer { value, at: 1, told: 1, recipe, blobs, left: ETF_BYTES_MAX };
        if value.first() != Some(&etf::VERSION) {
            return None;
        }
        writer.term(DEPTH_MAX)?;
        if writer.at < value.len() {
            return None;
        }
        if !writer.recipe.is_empty() {
            writer.tell();
        }
        Some(writer)
    }

    fn term(&mut self, depth: usize) -> Option<()> {
        let depth = depth.checked_sub(1)?;
        let rest = self.value.get(self.at..)?;
        let token = rest.get(..token_bytes(rest)?)?;
        let terms = match *token {
            [etf::SMALL_INTEGER | etf::INTEGER | etf::NIL | etf::STRING, ..] => 0,
            [etf::NEW_FLOAT, ref bytes @ ..] => {
                f64::from_be_bytes(bytes.try_into().ok()?).is_finite().then_some(0)?
            }
            [etf::BINARY, ..] if token.len() <= HEAD_BYTES + HEAP_BINARY_BYTES_MAX => 0,
            [etf::BINARY, ..] => {
                let blob = Blob::new(token.get(HEAD_BYTES..)?);
                self.tell();
                push_blob(&mut self.recipe, BLOB, &blob);
                self.blobs.push(blob);
                return self.replaced(token, BLOB_BYTES);
            }
            [etf::SMALL_ATOM | etf::SMALL_ATOM_UTF8 | etf::ATOM | etf::ATOM_UTF8, ..] => {
                match atoms::word_if_there(token) {
                    Some(word) => {
                        self.tell();
                        self.recipe.extend_from_slice(&[ATOM, *token.first()?]);
                        self.recipe.extend_from_slice(&bytes_of(word));
                        return self.replaced(token, token.len());
                    }
                    // It comes to life when the value is read.
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
            _ => {
                self.tell();
                self.recipe.push(OTHER);
                self.recipe.extend_from_slice(&(token.len() as u32 + 1).to_ne_bytes());
                self.recipe.push(etf::VERSION);
                self.recipe.extend_from_slice(token);
                return self.replaced(token, token.len());
            }
        };
        self.left = self.left.checked_sub(token.len())?;
        self.at += token.len();
        (0..terms).try_for_each(|_| self.term(depth))
    }

    /// Writes what came up to here.
    fn tell(&mut self) {
        if self.recipe.is_empty() {
            push_length(&mut self.recipe, self.value);
        }
        self.recipe.extend_from_slice(self.value.get(self.told..self.at).unwrap_or_default());
        self.told = self.at;
    }

    fn replaced(&mut self, token: &[u8], counted: usize) -> Option<()> {
        self.left = self.left.checked_sub(counted)?;
        self.at += token.len();
        self.told = self.at;
        Some(())
    }
}

fn push_length(recipe: &mut Vec<u8>, bytes: &[u8]) {
    recipe.extend_from_slice(&(bytes.len() as u32).to_ne_bytes());
}

fn push_blob(recipe: &mut Vec<u8>, tag: u8, blob: &Blob) {
    recipe.push(tag);
    recipe.extend_from_slice(&(blob.object() as usize).to_ne_bytes());
    push_length(recipe, blob.bytes());
}

fn length(bytes: &[u8]) -> Option<usize> {
    Some(u32::from_be_bytes(bytes.try_into().ok()?) as usize)
}

/// The external term format that the recipe was written from.
pub fn etf_of(recipe: &[u8], blobs: &[Blob]) -> Vec<u8> {
    let mut blobs = blobs.iter();
    let mut out = Vec::with_capacity(etf_bytes(recipe));
    out.push(etf::VERSION);
    let mut rest = recipe.get(LENGTH_BYTES..).unwrap_or_default();
    while let Some(tag) = rest.first() {
        let bytes = match *tag {
            ATOM => {
                let word = rest.get(2..).and_then(|word| word.first_chunk::<WORD_BYTES>());
                let token = rest
                    .get(1)
                    .zip(word)
                    .and_then(|(tag, word)| atoms::token(*tag, word_of(*word)));
                out.extend_from_slice(token.as_deref().unwrap_or_default());
                2 + WORD_BYTES
            }
            BLOB => {
                let blob = blobs.next().map(|blob| blob.bytes()).unwrap_or_default();
                out.push(etf::BINARY);
                out.extend_from_slice(&(blob.len() as u32).to_be_bytes());
                out.extend_from_slice(blob);
                BLOB_BYTES
            }
            WHOLE => {
                return blobs.next().map(|blob| blob.bytes().to_vec()).unwrap_or_default();
            }
            OTHER => {
                let length = rest.get(1..).and_then(|length| length.first_chunk());
                let bytes = 5 + length.map_or(0, |length| u32::from_ne_bytes(*length) as usize);
                // Without the version.
                out.extend_from_slice(rest.get(6..bytes).unwrap_or_default());
                bytes
            }
            _ => {
                let bytes = token_bytes(rest).unwrap_or(rest.len());
                out.extend_from_slice(rest.get(..bytes).unwrap_or_default());
                bytes
            }
        };
        rest = rest.get(bytes..).unwrap_or_default();
    }
    out
}
