//! What comparing values may cost.

use super::*;

/// A member decides a transaction in one go, so what its values cost is bounded.
#[test]
fn what_the_values_of_a_transaction_may_cost_to_compare_is_bounded_all_together() {
    /// Each comparison takes as many steps as the expected value says.
    struct Costly;
    impl Values for Costly {
        fn store<'a>(&self, value: &'a [u8]) -> StoredValue<'a> {
            StoredValue::plain(value)
        }
        fn same(&self, _: &[u8], other: &[u8], steps_left: &mut usize) -> Option<bool> {
            let steps = usize::from_le_bytes(other.try_into().unwrap());
            *steps_left = steps_left.checked_sub(steps)?;
            Some(true)
        }
        fn count(&self, _: Option<&[u8]>, _: &[u8]) -> Option<Vec<u8>> {
            None
        }
    }
    let refused =
        Answer::Failed(Failure::ComparedTooLarge { steps_max: COMPARED_STEPS_MAX as u64 });
    let half = COMPARED_STEPS_MAX / 2;
    let long = COMPARED_STEP_BYTES * (COMPARED_STEPS_MAX + 1);
    // The bytes of the value, and the steps of each condition.
    for (bytes, steps, is_right) in [
        (1, vec![COMPARED_STEPS_MAX], true),
        (1, vec![COMPARED_STEPS_MAX + 1], false),
        (1, vec![half; 2], true),
        (1, vec![half, half, 1], false),
        (COMPARED_STEP_BYTES, vec![0; 2000], true),
        (COMPARED_STEP_BYTES * half, vec![0; 2], true),
        (COMPARED_STEP_BYTES * half, vec![0; 3], false),
        // A single one may have any number of bytes, and be compared.
        (long, vec![COMPARED_STEPS_MAX], true),
        (long, vec![0, 0], false),
    ] {
        let mut client = Client::with(Arc::new(Costly));
        client.run(&[put(b"v", &vec![1; bytes])]);
        let expected: Vec<[u8; 8]> = steps.iter().map(|steps| steps.to_le_bytes()).collect();
        let conditions: Vec<Condition> =
            expected.iter().map(|value| key_is(b"v", State::Value(value))).collect();
        let answer = client.answer(transaction("", &conditions, &[put(b"done", b"")], &[]));
        assert_eq!(answer != refused, is_right, "{bytes} {:?}", steps.first());
        assert_eq!(client.value(b"done").is_some(), is_right);
    }
}
