//! Ranges of keys that begin alike.

use rustler::Term;

use super::encode::encode;
use super::form::{self, KeyError, tag};

/// What the keys begin with that begin with `prefix`: a list or a binary; or `{tuple, Size, First}`
/// for tuples of this size whose first elements are those of the list `First`. `Unsupported`: it is
/// none of these.
pub fn push_prefix(
    prefix: Term,
    bytes_max: usize,
    steps_max: usize,
    out: &mut Vec<u8>,
) -> Result<(), KeyError> {
    if let Ok((name, size, first)) = prefix.decode::<(rustler::Atom, u32, Term)>() {
        if name != atoms::tuple() {
            return Err(KeyError::Unsupported);
        }
        return push_tuple(size, first, bytes_max, steps_max, out);
    }
    encode(prefix, bytes_max, steps_max, out)?;
    let end_bytes = if prefix.is_binary() {
        BINARY_END.len()
    } else if prefix.is_list() && out.last() == Some(&tag::NIL) {
        1
    } else {
        return Err(KeyError::Unsupported);
    };
    out.truncate(out.len() - end_bytes);
    Ok(())
}

/// What ends a binary: no more bytes, and how many bits of the last are used.
const BINARY_END: [u8; 2] = [0, 8];

fn push_tuple(
    size: u32,
    first: Term,
    bytes_max: usize,
    steps_max: usize,
    out: &mut Vec<u8>,
) -> Result<(), KeyError> {
    out.push(tag::TUPLE);
    form::push_count(out, size as usize);
    let (mut rest, mut elements_left, mut steps_left) = (first, size, steps_max);
    while let Ok((element, tail)) = rest.list_get_cell() {
        elements_left = elements_left.checked_sub(1).ok_or(KeyError::Unsupported)?;
        let bytes_left = bytes_max.checked_sub(out.len()).ok_or(KeyError::TooLarge)?;
        steps_left = encode(element, bytes_left, steps_left, out)?;
        rest = tail;
    }
    if rest.is_empty_list() { Ok(()) } else { Err(KeyError::Unsupported) }
}

/// The least that is above all that begins so; `None` where there is nothing above.
pub fn successor(mut prefix: Vec<u8>) -> Option<Vec<u8>> {
    while let Some(last) = prefix.pop() {
        if last < u8::MAX {
            prefix.push(last + 1);
            return Some(prefix);
        }
    }
    None
}

mod atoms {
    rustler::atoms! { tuple }
}

#[cfg(test)]
mod tests {
    use super::successor;

    #[test]
    fn a_successor_is_above_all_that_begins_so_and_nothing_is_between() {
        assert_eq!(successor(vec![1, 2]), Some(vec![1, 3]));
        assert_eq!(successor(vec![1, 255, 255]), Some(vec![2]));
        assert_eq!(successor(vec![255]), None);
        assert_eq!(successor(vec![]), None);
    }
}
