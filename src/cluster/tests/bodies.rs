//! Bodies in pieces of every size, and bodies that are not what was signed.

use std::convert::Infallible;

use bytes::Bytes;
use futures_util::stream;
use http_body::Frame;
use http_body_util::StreamBody;
use proptest::prelude::*;
use sha2::{Digest as _, Sha256};

use crate::cluster::message::tests::any_append;
use crate::cluster::message::{Message, Messages};
use crate::cluster::reading::{ReadError, read};
use crate::mutated::mutations::{cases, changed, changes};
use crate::wal::request::Append;

fn body_of(appends: &[Append]) -> Vec<u8> {
    let mut messages = Messages::default();
    for append in appends {
        messages.push(Message::of(append.clone()).unwrap());
    }
    Vec::from(messages.whole()).concat()
}

/// Reads bytes that come in pieces of a size, as a body of `length` bytes.
fn read_in_pieces(
    bytes: &[u8],
    piece: usize,
    length: usize,
    signed: &[u8],
) -> Result<Vec<Append>, ReadError> {
    let frames: Vec<_> = bytes
        .chunks(piece)
        .map(|piece| Ok::<_, Infallible>(Frame::data(Bytes::copy_from_slice(piece))))
        .collect();
    let body = StreamBody::new(stream::iter(frames));
    let hash = Sha256::digest(signed).into();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(read(body, length, &hash))
}

proptest! {
    #![proptest_config(cases(100))]

    #[test]
    fn requests_are_read_however_they_are_cut(
        appends in prop::collection::vec(any_append(), 1..5),
        piece in 1_usize..2000,
    ) {
        let body = body_of(&appends);
        let read = read_in_pieces(&body, piece, body.len(), &body).unwrap();
        prop_assert_eq!(body_of(&read), body);
    }

    #[test]
    fn a_changed_body_is_never_read(
        appends in prop::collection::vec(any_append(), 1..4),
        changes in changes(&[b"\0", b"\xff\xff\xff\xff"]),
        piece in 1_usize..2000,
    ) {
        let body = body_of(&appends);
        let sent = changed(&body, &changes);
        if sent != body {
            let read = read_in_pieces(&sent, piece, sent.len(), &body);
            prop_assert!(matches!(read, Err(ReadError::Changed)));
            let cut = &body[..body.len() - 1];
            let read = read_in_pieces(cut, piece, body.len(), &body);
            prop_assert!(matches!(read, Err(ReadError::Broken)));
        }
    }

    /// A node of the cluster that is out of its mind.
    #[test]
    fn nonsense_that_is_signed_ends_in_an_error_or_in_requests(
        appends in prop::collection::vec(any_append(), 1..4),
        changes in changes(&[b"\0", b"\x01\0\0\0", b"\xff\xff\xff\xff"]),
        piece in 1_usize..2000,
    ) {
        let sent = changed(&body_of(&appends), &changes);
        let _error_or_requests = read_in_pieces(&sent, piece, sent.len(), &sent);
    }
}
