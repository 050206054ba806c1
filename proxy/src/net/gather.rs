//! Writes of several pieces.

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::AsyncWrite;

/// Up to this many bytes, one write of a copy costs less than the system's work for a list of pieces.
const SMALL: usize = 4 << 10;

thread_local! {
    /// Where small pieces are put together: one for each worker.
    static WHOLE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Writes pieces, of which the last may be written in part or not at all: a message of usual size as one.
pub fn poll_write_gathered<W: AsyncWrite>(
    stream: Pin<&mut W>,
    cx: &mut Context<'_>,
    pieces: &[IoSlice<'_>],
) -> Poll<io::Result<usize>> {
    if let [one] = pieces {
        return stream.poll_write(cx, one);
    }
    if pieces.iter().map(|piece| piece.len()).sum::<usize>() > SMALL {
        return stream.poll_write_vectored(cx, pieces);
    }
    WHOLE.with_borrow_mut(|whole| {
        whole.clear();
        pieces.iter().for_each(|piece| whole.extend_from_slice(piece));
        stream.poll_write(cx, whole)
    })
}
