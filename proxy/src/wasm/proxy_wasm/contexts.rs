//! The streams of a VM by their numbers.

use super::data::Context;

/// The number of the first stream: 1 is the plugin context.
const FIRST: u32 = 2;
/// How many bits of a number say where its stream is; the rest say whose turn it is there.
const PLACE_BITS: u32 = 20;
/// The most streams at a time.
const MOST: usize = 1 << PLACE_BITS;
/// Turns, so that no number is negative for a guest that takes it for an `i32`.
const TURNS: u32 = (1 << (31 - PLACE_BITS)) - 1;

/// Streams by their numbers. A number says where its stream is, so that a look-up is one comparison. A place that is free is
/// used again under another number, so that a number that a guest has kept for too long finds nothing.
#[derive(Default)]
pub(super) struct Contexts {
    places: Vec<Place>,
    free: Vec<u32>,
}

struct Place {
    turn: u32,
    stream: Option<Context>,
}

impl Contexts {
    /// A new stream and its number; nothing where there is no place left.
    pub(super) fn open(&mut self) -> Option<(u32, &mut Context)> {
        let at = match self.free.pop() {
            Some(at) => at,
            None if self.places.len() < MOST => {
                self.places.push(Place { turn: 0, stream: None });
                self.places.len() as u32 - 1
            }
            None => return None,
        };
        let place = self.places.get_mut(at as usize)?;
        let stream = place.stream.insert(Context::new());
        Some((FIRST + at + (place.turn << PLACE_BITS), stream))
    }

    /// The stream of this number.
    pub(super) fn get(&self, number: u32) -> Option<&Context> {
        let (at, turn) = split(number);
        self.places.get(at).filter(|place| place.turn == turn)?.stream.as_ref()
    }

    /// The same, to be changed.
    pub(super) fn get_mut(&mut self, number: u32) -> Option<&mut Context> {
        let (at, turn) = split(number);
        self.places.get_mut(at).filter(|place| place.turn == turn)?.stream.as_mut()
    }

    /// A stream is over.
    pub(super) fn remove(&mut self, number: u32) {
        let (at, turn) = split(number);
        let place = self.places.get_mut(at).filter(|place| place.turn == turn && place.stream.is_some());
        let Some(place) = place else { return };
        place.stream = None;
        place.turn = (turn + 1) % TURNS;
        self.free.push(at as u32);
    }

    /// Takes all streams away.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = (u32, Context)> {
        self.free.clear();
        let places = std::mem::take(&mut self.places);
        let numbered = (FIRST..).zip(places);
        numbered.filter_map(|(at, place)| Some((at + (place.turn << PLACE_BITS), place.stream?)))
    }
}

/// Where a stream is, and whose turn it is there.
fn split(number: u32) -> (usize, u32) {
    let number = number.wrapping_sub(FIRST);
    ((number as usize) & (MOST - 1), number >> PLACE_BITS)
}

#[cfg(test)]
mod tests {
    use super::{Contexts, TURNS};

    #[test]
    fn a_number_finds_its_stream_and_no_later_one_in_its_place() {
        let mut contexts = Contexts::default();
        let numbers: Vec<u32> = (0..3).map(|_| contexts.open().unwrap().0).collect();
        assert_eq!(numbers, [2, 3, 4]);
        contexts.remove(3);
        contexts.remove(3);
        let next = contexts.open().unwrap().0;
        assert!(next > 4 && contexts.get(next).is_some() && contexts.get(3).is_none());
        for number in [0, 1, 5, u32::MAX] {
            assert!(contexts.get(number).is_none() && contexts.get_mut(number).is_none(), "{number}");
        }
        let mut drained: Vec<u32> = contexts.drain().map(|(number, _)| number).collect();
        drained.sort_unstable();
        assert_eq!(drained, [2, 4, next]);
        assert!(contexts.get(2).is_none());
    }

    #[test]
    fn no_number_is_negative() {
        let mut contexts = Contexts::default();
        for _ in 0..=TURNS {
            let number = contexts.open().unwrap().0;
            assert!(i32::try_from(number).is_ok(), "{number}");
            contexts.remove(number);
        }
        assert_eq!(contexts.open().unwrap().0, 3 + (1 << 20) - 1);
    }
}
