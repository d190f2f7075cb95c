//! Frames cut, joined, and hostile.

use proptest::prelude::*;

use super::*;

const MAX: usize = 1 << 20;

fn frame(id: u64, body: impl Into<Body>) -> Outgoing {
    Outgoing { kind: 7, id, body: body.into() }
}

fn encoded(frames: &[Outgoing]) -> Vec<u8> {
    let mut batch = Batch::default();
    frames.iter().for_each(|frame| batch.push(frame));
    batch.seal();
    batch.copy_to_bytes(batch.remaining()).to_vec()
}

fn feed(decoder: &mut Decoder, mut bytes: &[u8]) -> Result<Vec<Frame>, FrameError> {
    let mut frames = Vec::new();
    while !bytes.is_empty() {
        let mut room = decoder.room();
        let count = room.remaining_mut().min(bytes.len());
        assert!(count > 0, "a decoder always has room");
        room.put_slice(&bytes[..count]);
        bytes.advance(count);
        while let Some(frame) = decoder.take_frame()? {
            frames.push(frame);
        }
    }
    Ok(frames)
}

#[test]
fn small_frames_share_one_chunk_and_large_pieces_are_not_copied() {
    let large = Bytes::from(vec![9; GATHER_BYTES_MAX + 1]);
    let mut batch = Batch::default();
    batch.push(&frame(1, vec![1; 10]));
    batch.push(&frame(2, vec![2; 10]));
    batch.push(&frame(3, vec![Bytes::from_static(b"head"), large.clone()]));
    batch.push(&frame(4, vec![4; 10]));
    batch.seal();
    assert_eq!(batch.chunks.len(), 3);
    assert_eq!(batch.chunks[1].as_ptr(), large.as_ptr());
    assert_eq!(batch.chunks.iter().map(Bytes::len).sum::<usize>(), batch.remaining());
}

#[test]
fn an_over_long_frame_is_refused_by_its_header_without_allocating() {
    let bytes = encoded(&[frame(1, vec![0; 4096])]);
    let mut decoder = Decoder::new(4095);
    let refused = feed(&mut decoder, &bytes[..HEADER_BYTES]);
    assert_eq!(refused, Err(FrameError::TooLarge { bytes: 4096, bytes_max: 4095 }));
    assert!(decoder.capacity_bytes() <= READ_BYTES);
}

#[test]
fn memory_follows_the_bytes_that_arrived_and_not_the_length_that_was_claimed() {
    let body_bytes = 60 << 20;
    let mut header = BytesMut::new();
    Header { kind: 0, id: 1, body_bytes, body_crc: 0 }.encode(&mut header);
    let mut decoder = Decoder::new(64 << 20);
    assert_eq!(feed(&mut decoder, &header), Ok(vec![]));
    decoder.room();
    assert!(decoder.capacity_bytes() <= 3 * READ_BYTES, "{}", decoder.capacity_bytes());
    let arrived = vec![0; 1 << 20];
    assert_eq!(feed(&mut decoder, &arrived), Ok(vec![]));
    assert!(decoder.capacity_bytes() <= 2 * arrived.len() + 2 * READ_BYTES);
}

#[test]
fn a_large_body_is_handed_out_whole_and_leaves_a_small_buffer_behind() {
    let body: Vec<u8> = (0..MAX).map(|i| u8::try_from(i % 251).unwrap()).collect();
    let bytes = encoded(&[frame(1, body.clone()), frame(2, vec![5; 3])]);
    let mut decoder = Decoder::new(MAX);
    let frames = feed(&mut decoder, &bytes).unwrap();
    assert_eq!(frames.len(), 2);
    assert!(frames[0].body == body, "the body is the one that was sent");
    assert_eq!(frames[1].body, vec![5; 3]);
    assert!(decoder.capacity_bytes() <= 2 * READ_BYTES, "{}", decoder.capacity_bytes());
}

#[test]
fn every_flipped_bit_is_noticed() {
    let bytes = encoded(&[frame(1, vec![1, 2, 3])]);
    for bit in 0..bytes.len() * 8 {
        let mut damaged = bytes.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        let answer = feed(&mut Decoder::new(MAX), &damaged);
        assert!(answer.is_err(), "bit {bit} went unnoticed: {answer:?}");
    }
}

proptest! {
    #[test]
    fn frames_survive_any_cutting_of_the_stream(
        sizes in prop::collection::vec(prop_oneof![0usize..200, 60_000usize..200_000], 1..8),
        cuts in prop::collection::vec(1usize..90_000, 1..40),
    ) {
        let frames: Vec<Outgoing> = sizes.iter().enumerate()
            .map(|(i, size)| frame(i as u64 + 1, vec![i as u8; *size])).collect();
        let bytes = encoded(&frames);
        let mut decoder = Decoder::new(MAX);
        let mut got = Vec::new();
        let (mut rest, mut turn) = (bytes.as_slice(), cuts.iter().cycle());
        while !rest.is_empty() {
            let count = rest.len().min(*turn.next().unwrap());
            got.extend(feed(&mut decoder, &rest[..count]).unwrap());
            rest.advance(count);
        }
        prop_assert_eq!(got.len(), frames.len());
        for (got, sent) in got.iter().zip(&frames) {
            prop_assert_eq!(got.id, sent.id);
            prop_assert!(got.body == sent.body.pieces()[0]);
        }
    }

    #[test]
    fn garbage_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        let _ = feed(&mut Decoder::new(MAX), &bytes);
    }

    #[test]
    fn garbage_with_a_good_header_never_panics(
        id in any::<u64>(), body_bytes in 0..MAX, body_crc in any::<u32>(),
        bytes in prop::collection::vec(any::<u8>(), 0..2000),
    ) {
        let mut stream = BytesMut::new();
        Header { kind: 1, id, body_bytes, body_crc }.encode(&mut stream);
        stream.extend_from_slice(&bytes);
        let mut decoder = Decoder::new(MAX);
        let _ = feed(&mut decoder, &stream);
        prop_assert!(decoder.capacity_bytes() <= 4 * READ_BYTES);
    }
}
