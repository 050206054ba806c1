//! The keys that structures have, as serde knows them.

use std::cell::Cell;

use serde::de::value::Error;
use serde::de::{Error as _, Visitor};
use serde::{Deserializer, forward_to_deserialize_any};

use super::{RawRoute, RawUpstream};

/// The keys of a route.
pub(in crate::config) fn route_keys() -> &'static [&'static str] {
    keys(|asked| RawRoute::deserialize(asked).err())
}

/// The keys of an upstream.
pub(in crate::config) fn upstream_keys() -> &'static [&'static str] {
    keys(|asked| RawUpstream::deserialize(asked).err())
}

fn keys(read: impl FnOnce(Asked<'_>) -> Option<Error>) -> &'static [&'static str] {
    let keys = Cell::new([].as_slice());
    let _ = read(Asked(&keys));
    keys.get()
}

/// A deserializer that has nothing to give, and remembers what it was asked for.
struct Asked<'a>(&'a Cell<&'static [&'static str]>);

impl<'de> Deserializer<'de> for Asked<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, _visitor: V) -> Result<V::Value, Error> {
        Err(Error::custom("there is nothing"))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.0.set(fields);
        self.deserialize_any(visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}
